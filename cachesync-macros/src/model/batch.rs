//! A batch: `keys = ids` of `#[cacheable]`, where `ids` is a parameter.

use proc_macro2::{Ident, Span};
use quote::ToTokens;
use syn::{Expr, ExprClosure, GenericArgument, Pat, PathArguments, Type, TypePath, ext::IdentExt};

use super::{
    expression::{Expression, Scope, instead, refuse_text},
    key::{Key, Part, part},
    policy::has_one_parameter,
};
use crate::{
    arguments::{Argument, Arguments, Name},
    attribute::Attribute,
    function::Function,
    mistakes::Mistakes,
    names::peeled,
};

/// The keys of a batch, in which no mistake was found.
pub(crate) struct Batch {
    /// The parameter that is a list.
    pub(crate) list: Ident,
    /// Its pattern: its name, perhaps with a `mut`.
    pub(crate) pattern: Pat,
    /// It is a reference to a list.
    pub(crate) is_reference: bool,
    /// The type of an element, where it can be seen.
    pub(crate) item: Option<Type>,
    pub(crate) element: Element,
}

/// How an element of the list becomes a key.
pub(crate) enum Element {
    /// It is the key.
    Same,
    /// By a closure: its parameter, and the key that it makes.
    Mapped(Box<(Pat, Key)>),
}

impl Batch {
    /// `None` only after a mistake.
    pub(super) fn check(arguments: &Arguments, function: &Function, mistakes: &mut Mistakes) -> Option<Self> {
        for (name, why) in [
            (Name::Skip, "`skip` leaves parameters out of the default key, and `keys` replaces that"),
            (Name::CacheValue, "of a batch, every value is kept by its key and never the whole"),
        ] {
            if let Some(name) = arguments.written(name) {
                mistakes.on(name, format_args!("{why}: remove `{name}`"));
            }
        }
        let returns = returns_batch(function, mistakes);
        let element = element(arguments, function, mistakes);
        let argument = arguments.expression(Name::Keys)?;
        let batch = list(argument, function, mistakes)?;
        returns.then_some(Self { element: element?, ..batch })
    }
}

/// The parameter, with elements that are keys themselves.
fn list(Argument { name, value, .. }: &Argument, function: &Function, mistakes: &mut Mistakes) -> Option<Batch> {
    if !refuse_text(value, name, "`keys`", mistakes) {
        return None;
    }
    let ident = match peeled(value) {
        Expr::Path(path) if path.qself.is_none() => path.path.get_ident(),
        _ => None,
    };
    let Some(ident) = ident else {
        mistakes.on(
            value,
            format_args!(
                "`keys` is the name of the parameter that the body is given the missing keys in: {}; what makes a key of \
                 each is `key = |id| ...`",
                instead(function)
            ),
        );
        return None;
    };
    let is_it = |known: &Ident| known.unraw() == ident.unraw();
    let Some(parameter) = function.parameters.iter().find(|parameter| parameter.name().is_some_and(is_it)) else {
        let advice = instead(function);
        match function.binding(ident) {
            Some(_) => mistakes.on(
                ident,
                format_args!(
                    "`{ident}` is part of a pattern, and the list has to be a parameter itself: give it a name"
                ),
            ),
            None => mistakes.on(ident, format_args!("`{ident}` is not a parameter of `{}`: {advice}", function.name())),
        }
        return None;
    };
    if parameter.conditional {
        mistakes.on(ident, format_args!("`{ident}` is not always there (`#[cfg]`), and a batch needs its keys"));
        return None;
    }
    let (ty, is_reference) = match bare(&parameter.ty) {
        Type::Reference(reference) if reference.mutability.is_some() => {
            mistakes.on(
                &parameter.ty,
                format_args!("the keys of a batch are read only: make `{ident}` a `&[I]`, or an owned `Vec<I>`"),
            );
            return None;
        }
        Type::Reference(reference) => (bare(&reference.elem), true),
        other => (other, false),
    };
    let is_list = match ty {
        Type::Slice(_) => is_reference,
        other => !matches!(other, Type::ImplTrait(_) | Type::Array(_) | Type::Tuple(_) | Type::TraitObject(_)),
    };
    if !is_list {
        mistakes.on(
            &parameter.ty,
            format_args!("`{ident}` is not a list of keys: make it a `&[I]`, `Vec<I>`, `HashSet<I>` or `BTreeSet<I>`"),
        );
        return None;
    }
    let list = parameter.name()?.clone();
    let item = item(ty).cloned();
    Some(Batch { list, pattern: parameter.pattern.clone(), is_reference, item, element: Element::Same })
}

/// A type without parentheses and invisible groups.
fn bare(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Paren(inner) => &inner.elem,
            Type::Group(inner) => &inner.elem,
            other => return other,
        };
    }
}

/// The type of the elements of a list.
fn item(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Slice(slice) => Some(&slice.elem),
        Type::Path(TypePath { qself: None, path, .. }) => {
            let last = path.segments.last()?;
            let is_known = ["Vec", "HashSet", "BTreeSet"].iter().any(|known| last.ident == known);
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
            arguments.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(ty) if is_known => Some(ty),
                _ => None,
            })
        }
        _ => None,
    }
}

/// What `key = |id| ..` says, if it is there. `None` only after a mistake.
fn element(arguments: &Arguments, function: &Function, mistakes: &mut Mistakes) -> Option<Element> {
    let Some(Argument { name, value, .. }) = arguments.expression(Name::Key) else { return Some(Element::Same) };
    if !refuse_text(value, name, "the key", mistakes) {
        return None;
    }
    let Expr::Closure(closure) = peeled(value) else {
        mistakes.on(
            value,
            format_args!(
                "with `keys`, `key` makes the key of one of them: write `key = |it| {}`, or remove it if the elements are \
                 the keys",
                value.to_token_stream()
            ),
        );
        return None;
    };
    if !has_one_parameter(closure, name, "an element of `keys`", mistakes) {
        return None;
    }
    let without_result =
        Some("there is no `result` yet when the keys of a batch are made: use the closure's parameter".to_owned());
    let scope = Scope { attribute: Attribute::Cacheable, function, what: "a key", without_result };
    // The names that the closure binds are known to the check of the closure; what leaves it, to that of its body.
    let checked = scope.expression(value, mistakes)?;
    let ExprClosure { body, inputs, .. } = closure;
    let stays = crate::leaving::refuse(body, "a key", "make a key in that case too (`unwrap_or`, `match`)", mistakes);
    let part: Part = part(body, mistakes)?;
    let Expression { mentions, tied, .. } = checked;
    let key = Key { part, result: None, mentions, tied };
    let pattern = inputs.first().filter(|_| stays)?.clone();
    Some(Element::Mapped(Box::new((pattern, key))))
}

/// Whether the function may return a batch, as far as can be seen.
fn returns_batch(function: &Function, mistakes: &mut Mistakes) -> bool {
    let Some(wrong) = wrong_batch(&function.output) else { return true };
    let says = "a batch returns `HashMap<I, V>`, `BTreeMap<I, V>` or `Vec<(I, V)>`, or a `Result` of one of these";
    match function.signature.output {
        syn::ReturnType::Default => mistakes.on(function.name(), says),
        syn::ReturnType::Type(..) => mistakes.on(wrong, says),
    }
    false
}

/// The part of a return type that is certainly not one of a batch.
fn wrong_batch(ty: &Type) -> Option<&Type> {
    const NEVER: &[&str] = &[
        "Option", "Arc", "Rc", "Box", "Cow", "String", "HashSet", "BTreeSet", "bool", "char", "u8", "u16", "u32",
        "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32", "f64",
    ];
    match bare(ty) {
        Type::Path(TypePath { qself: None, path, .. }) => {
            let last = path.segments.last()?;
            let first = match &last.arguments {
                PathArguments::AngleBracketed(arguments) => arguments.args.iter().find_map(|argument| match argument {
                    GenericArgument::Type(ty) => Some(ty),
                    _ => None,
                }),
                _ => None,
            };
            match (&*last.ident.to_string(), first) {
                ("Result", Some(value)) => wrong_batch(value),
                ("Vec", Some(pair)) => match bare(pair) {
                    Type::Tuple(tuple) if tuple.elems.len() == 2 => None,
                    Type::Tuple(_) | Type::Reference(_) | Type::Slice(_) | Type::Array(_) => Some(ty),
                    pair => wrong_batch(pair).map(|_| ty),
                },
                (name, _) if NEVER.contains(&name) => Some(ty),
                _ => None,
            }
        }
        Type::Tuple(_) | Type::Reference(_) | Type::Slice(_) | Type::Array(_) => Some(ty),
        _ => None,
    }
}

impl Batch {
    /// The variable that stands for an element in a closure of ours.
    pub(crate) fn item_name() -> Ident {
        Ident::new("__cachesync_item", Span::mixed_site())
    }
}

#[cfg(test)]
mod tests {
    use proc_macro2::TokenStream;
    use quote::quote;

    use super::*;
    use crate::attribute::mistakes_in;

    fn mistakes(arguments: &TokenStream, item: TokenStream) -> Vec<String> {
        mistakes_in(Attribute::Cacheable, quote!(cache = "a", #arguments), item)
    }

    #[test]
    fn every_list_of_keys_is_accepted() {
        for list in [
            quote!(&[u64]),
            quote!(&'a Vec<u64>),
            quote!(Vec<u64>),
            quote!(&HashSet<u64>),
            quote!(std::collections::HashSet<u64, S>),
            quote!(BTreeSet<u64>),
            quote!(Ids),
        ] {
            for output in [quote!(HashMap<u64, User>), quote!(Result<Vec<(u64, User)>, E>), quote!(Users)] {
                let item = quote!(async fn find<'a>(tenant: u8, mut ids: #list) -> #output {});
                assert_eq!(mistakes(&quote!(keys = ids), item.clone()), [""; 0], "{list} {output}");
                assert_eq!(mistakes(&quote!(keys = ids, key = |id| (tenant, id)), item), [""; 0], "{list} {output}");
            }
        }
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        let item = quote!(
            async fn find(tenant: u8, ids: &[u64], (a, b): (Vec<u64>, u8)) -> HashMap<u64, User> {}
        );
        for (bad, says) in [
            (quote!(keys = idz), "`idz` is not a parameter of `find`: use one of `tenant`, `ids`, `a`, `b`"),
            (quote!(keys = a), "`a` is part of a pattern"),
            (quote!(keys = ids.iter()), "the name of the parameter"),
            (quote!(keys = "ids"), "write `keys = ids`"),
            (quote!(keys = ids, key = tenant), "write `key = |it| tenant`"),
            (quote!(keys = ids, key = || tenant), "takes `||`: write `key = |it| ...`"),
            (quote!(keys = ids, key = |a, b| a), "takes `|a , b|`"),
            (quote!(keys = ids, key = |id| (id, idd)), "`idd` is not a parameter"),
            (quote!(keys = ids, key = |id| id.checked()?), "`?` in a key"),
            (quote!(keys = ids, key = |id| result.id), "there is no `result` yet"),
            (quote!(keys = ids, skip(tenant)), "remove `skip`"),
            (quote!(keys = ids, cache_value), "remove `cache_value`"),
            (quote!(keys = ids, cache_err = |_| true), "remove `cache_err`, or `keys`"),
        ] {
            let messages = mistakes(&bad, item.clone());
            assert!(matches!(&*messages, [message] if message.contains(says)), "{bad}: {messages:?}");
        }
        let messages = mistakes_in(Attribute::Cacheable, quote!(cache = ["a", "b"], keys = ids), item);
        assert!(matches!(&*messages, [message] if message.contains("goes with one cache")), "{messages:?}");
    }

    #[test]
    fn a_list_that_is_none_is_refused_at_its_type() {
        for (list, says) in [
            (quote!(&mut Vec<u64>), "read only"),
            (quote!(impl Iterator<Item = u64>), "not a list of keys"),
            (quote!([u64; 3]), "not a list of keys"),
            (quote!(&[u64; 3]), "not a list of keys"),
        ] {
            let messages = mistakes(&quote!(keys = ids), quote!(async fn find(ids: #list) -> Users {}));
            assert!(matches!(&*messages, [message] if message.contains(says)), "{list}: {messages:?}");
        }
    }

    #[test]
    fn a_return_type_that_is_no_batch_is_refused() {
        for bad in [
            quote!(Option<User>),
            quote!(Result<Option<User>, E>),
            quote!(Vec<u64>),
            quote!(Vec<(u64, u64, u64)>),
            quote!((u64, User)),
            quote!(u64),
            quote!(()),
        ] {
            let messages = mistakes(&quote!(keys = ids), quote!(async fn find(ids: &[u64]) -> #bad {}));
            assert!(
                matches!(&*messages, [message] if message.starts_with("a batch returns `HashMap<I, V>`")),
                "{bad}: {messages:?}"
            );
        }
        assert_eq!(
            mistakes(
                &quote!(keys = ids),
                quote!(
                    async fn find(ids: &[u64]) {}
                )
            )
            .len(),
            1
        );
    }
}
