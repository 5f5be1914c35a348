//! The key of an annotated function: the expression that was written, or its parameters.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{
    Expr, ExprTuple, GenericArgument, PathArguments, Type, TypeArray, TypePath, TypeReference, TypeSlice,
    ext::IdentExt, spanned::Spanned,
};

use super::expression::{Expression, Scope, instead, refuse_text};
use crate::{
    arguments::{Argument, Arguments, Name},
    attribute::Attribute,
    function::{Function, Parameter},
    mistakes::{Mistakes, listed},
    names::{Mentions, peeled},
};

/// The longest tuple that is a key.
const MAX_PARTS: usize = 8;

/// A key in which no mistake was found.
pub(crate) struct Key {
    pub(crate) part: Part,
    /// The word `result`, where the key uses it.
    pub(crate) result: Option<Ident>,
    /// Whatever its tokens mention.
    pub(crate) mentions: Mentions,
    /// It can only be evaluated within the function: it has an `.await`, for example.
    pub(crate) tied: bool,
}

/// A key, or a part of one.
pub(crate) enum Part {
    /// An expression.
    One(TokenStream),
    /// A tuple, written as such: its elements are looked up each in its own borrowed form.
    Tuple(Vec<Part>, Span),
}

impl Key {
    /// The key that `arguments` ask for. `None` only after a mistake.
    pub(crate) fn check(
        attribute: Attribute,
        arguments: &Arguments,
        function: &Function,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        if let Some(Argument { value, name, .. }) = arguments.expression(Name::Key) {
            let key = name;
            if let Some(Argument { name, .. }) = &arguments.skip {
                mistakes.on(
                    name,
                    "`skip` leaves parameters out of the default key, and `key` replaces that: remove one of the two",
                );
            }
            return explicit(value, key, attribute, function, mistakes);
        }
        let unread = arguments.skip.is_none() && arguments.attempted(Name::Skip);
        if unread || arguments.attempted(Name::Key) {
            return None;
        }
        default(arguments, attribute, function, mistakes)
    }

    fn new(part: Part, tokens: &impl ToTokens) -> Self {
        Self { part, result: None, mentions: Mentions::of(tokens), tied: false }
    }
}

impl Part {
    /// Refuses parameters that are lists of references: the compiler would speak of lifetimes. Whether there is none.
    /// What to write takes the place of what is blamed, or else is `written` as an argument.
    fn is_owned(&self, written: Option<Name>, function: &Function, mistakes: &mut Mistakes) -> bool {
        let tokens = match self {
            Self::Tuple(parts, _) => {
                // All of them, so that all are reported.
                return parts.iter().filter(|part| !part.is_owned(written, function, mistakes)).count() == 0;
            }
            Self::One(tokens) => tokens,
        };
        let Ok(name) = syn::parse2::<Ident>(tokens.clone()) else { return true };
        let named = |parameter: &&Parameter| parameter.name().is_some_and(|known| known.unraw() == name.unraw());
        let Some(parameter) = function.parameters.iter().find(named) else { return true };
        let lists_references = lists_references(&parameter.ty);
        if lists_references {
            let owned = format!("{name}.iter().map(|&it| it.to_owned()).collect::<Vec<_>>()");
            let instead = match written {
                Some(argument) => format!("`{} = {owned}`", argument.text()),
                None => format!("`{owned}` in its place"),
            };
            mistakes.on(
                &name,
                format_args!("`{name}` lists references, and a key is made of owned values: write {instead}"),
            );
        }
        !lists_references
    }
}

/// Whether a type is written as a list of references.
fn lists_references(ty: &Type) -> bool {
    let is_reference = |ty: &Type| {
        matches!(ty, Type::Reference(TypeReference { lifetime, .. })
            if lifetime.as_ref().is_none_or(|lifetime| lifetime.ident != "static"))
    };
    match ty {
        Type::Reference(TypeReference { elem, .. }) => lists_references(elem),
        Type::Paren(inner) => lists_references(&inner.elem),
        Type::Group(inner) => lists_references(&inner.elem),
        Type::Slice(TypeSlice { elem, .. }) | Type::Array(TypeArray { elem, .. }) => is_reference(elem),
        Type::Path(TypePath { path, .. }) => path.segments.last().is_some_and(|last| {
            let is_list = ["Vec", "HashSet", "BTreeSet"].iter().any(|list| last.ident == list);
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return false };
            is_list
                && arguments
                    .args
                    .iter()
                    .any(|argument| matches!(argument, GenericArgument::Type(item) if is_reference(item)))
        }),
        _ => false,
    }
}

fn explicit(
    expression: &Expr,
    name: &Ident,
    attribute: Attribute,
    function: &Function,
    mistakes: &mut Mistakes,
) -> Option<Key> {
    if !refuse_text(expression, name, "the key", mistakes) {
        return None;
    }
    if let Expr::Closure(closure) = peeled(expression) {
        let advice = if attribute == Attribute::Cacheable {
            " (only with `keys`, it is a closure over one of them)"
        } else {
            ""
        };
        mistakes.on(
            expression,
            format_args!(
                "the key is an expression over the parameters, not a closure: write `key = {}`{advice}",
                closure.body.to_token_stream()
            ),
        );
        return None;
    }
    let without_result = (attribute == Attribute::Cacheable)
        .then(|| format!("there is no `result` yet when the key of {attribute} is evaluated: {}", instead(function)));
    let scope = Scope { attribute, function, what: "a key", without_result };
    let checked = scope.expression(expression, mistakes);
    let part = part(expression, mistakes)?;
    let owned = part.is_owned(None, function, mistakes);
    let Expression { result, mentions, tied, .. } = checked.filter(|_| owned)?;
    Some(Key { part, result, mentions, tied })
}

/// Tuples that are written out are taken apart, also within each other; `None` after a mistake.
pub(super) fn part(expression: &Expr, mistakes: &mut Mistakes) -> Option<Part> {
    match peeled(expression) {
        Expr::Tuple(ExprTuple { elems, .. }) => {
            if elems.len() > MAX_PARTS {
                mistakes.on(
                    expression,
                    format_args!("a key has at most {MAX_PARTS} parts: group some of them, as in `((a, b), c)`"),
                );
                return None;
            }
            let parts = elems.iter().map(|element| part(element, mistakes)).collect::<Option<Vec<_>>>()?;
            Some(Part::Tuple(parts, expression.span()))
        }
        _ => Some(Part::One(expression.to_token_stream())),
    }
}

fn default(arguments: &Arguments, attribute: Attribute, function: &Function, mistakes: &mut Mistakes) -> Option<Key> {
    let skipped = skipped(arguments, function, mistakes);
    if let Some(receiver) = &function.receiver
        && !skipped.iter().any(|name| *name == "self")
    {
        mistakes.on(
            receiver,
            format_args!(
                "{attribute} on a method needs `key`: a default key knows nothing of `self`, so two tenants could share \
                 an entry; add `key = ...`, or `skip(self)` if `self` makes no difference"
            ),
        );
        return None;
    }
    let mut names = Vec::new();
    let mut complete = true;
    for parameter in &function.parameters {
        match parameter.name() {
            Some(name) if skipped.iter().any(|skipped| skipped.unraw() == name.unraw()) => {}
            Some(name) if !parameter.conditional => names.push(name),
            Some(name) => {
                mistakes.on(name, format_args!("`{name}` is not always there (`#[cfg]`): write `key = ...`"));
                complete = false;
            }
            None => {
                mistakes.on(
                    &parameter.pattern,
                    "a pattern cannot be part of the default key: write `key = ...`, or give the parameter a name",
                );
                complete = false;
            }
        }
    }
    if names.len() > MAX_PARTS {
        mistakes.on(
            function.name(),
            format_args!(
                "the default key of `{}` has {} parts, and {MAX_PARTS} is the most: write `key = ...`, or `skip(...)` \
                 some parameters",
                function.name(),
                names.len()
            ),
        );
        return None;
    }
    let part = match &*names {
        [name] => Part::One(name.to_token_stream()),
        names => {
            let parts = names.iter().map(|name| Part::One(name.to_token_stream())).collect();
            Part::Tuple(parts, function.name().span())
        }
    };
    (complete && part.is_owned(Some(Name::Key), function, mistakes)).then(|| Key::new(part, &quote!(#(#names),*)))
}

/// The names in `skip(..)`, of which each must be a parameter.
fn skipped<'a>(arguments: &'a Arguments, function: &Function, mistakes: &mut Mistakes) -> &'a [Ident] {
    let Some(Argument { value: skipped, .. }) = &arguments.skip else { return &[] };
    let receiver = function.receiver.map(|_| "self".to_owned());
    let names: Vec<String> = receiver
        .into_iter()
        .chain(function.parameters.iter().filter_map(Parameter::name).map(|name| name.unraw().to_string()))
        .collect();
    for (index, name) in skipped.iter().enumerate() {
        if !names.iter().any(|known| name.unraw() == known) {
            let listed = if names.is_empty() { "it has none".into() } else { format!("it has {}", listed(&names)) };
            mistakes
                .on(name, format_args!("`{name}` is not the name of a parameter of `{}`: {listed}", function.name()));
        } else if skipped[..index].contains(name) {
            mistakes.on(name, format_args!("`{name}` is skipped twice: remove one of the two"));
        }
    }
    skipped
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;
    use crate::attribute::mistakes_in;

    fn mistakes(key: &TokenStream) -> Vec<String> {
        let item = quote!(
            async fn find(db: &Db, User { id, name }: &User, r#type: u8, (mut a, _): (u8, u8)) -> Option<u64> {}
        );
        mistakes_in(Attribute::Cacheable, quote!(cache = "a", key = #key), item)
    }

    #[test]
    fn names_of_parameters_items_and_own_variables_are_accepted() {
        for key in [
            quote!(id),
            quote!((id, name, a)),
            quote!(r#type),
            quote!(User { id, name: NAME }),
            quote!(f(id)),
            quote!((f)(id)),
            quote!(self::limit),
            quote!(a::limit + LIMIT),
            quote!(db.user(id).field),
            quote!(db.map(|id| other(id)).map(|(x, y)| x + y)),
            quote!({
                let (x, ref y) = db.pair();
                x + y
            }),
            quote!(match db.user(id) {
                Some(user @ User { age, .. }) if age > 3 => user.id,
                other => other.id(),
            }),
            quote!(if let Some(x) = db.x() {
                x
            } else {
                'l: loop {
                    break 'l 1;
                }
            }),
            quote!(format!("{id}{undefined}", x = undefined)),
            quote!({
                const limit: u8 = 1;
                limit
            }),
        ] {
            assert_eq!(mistakes(&key), [""; 0], "{key}");
        }
    }

    #[test]
    fn any_other_name_in_lower_case_is_a_mistake() {
        for (key, name) in [
            (quote!(idd), "idd"),
            (quote!((id, nmae)), "nmae"),
            (quote!(idd.field), "idd"),
            (quote!(f(idd)), "idd"),
            (quote!(id.max(_idd)), "_idd"),
            (quote!(User { idd }), "idd"),
            (quote!(&idd[0]), "idd"),
            (quote!(f(|x| x + y)), "y"),
            (quote!(db.map(limit)), "limit"),
        ] {
            let messages = mistakes(&key);
            let expected =
                format!("`{name}` is not a parameter of `find`: use one of `db`, `id`, `name`, `r#type`, `a`");
            assert!(matches!(&*messages, [message] if message.starts_with(&expected)), "{key}: {messages:?}");
        }
    }

    #[test]
    fn what_would_leave_the_function_is_a_mistake() {
        for (key, token) in [
            (quote!(id.checked_sub(1)?), "?"),
            (quote!((name, f(id?))), "?"),
            (quote!(if *id > 9 { return None } else { id }), "return"),
        ] {
            let messages = mistakes(&key);
            let expected = format!("`{token}` in a key would return from the function itself: make a key in that case");
            assert!(matches!(&*messages, [message] if message.starts_with(&expected)), "{key}: {messages:?}");
        }
        assert_eq!(mistakes(&quote!(id.and_then(|id| id.checked_sub(1)?.checked_sub(1)))), [""; 0]);
    }

    #[test]
    fn a_list_of_references_is_no_key_unless_it_is_made_one() {
        let item = quote!(
            async fn find(names: &[&str], ids: Vec<&'static str>, (a, b): (u8, u8)) -> Option<u64> {}
        );
        let mistakes = |arguments| mistakes_in(Attribute::Cacheable, arguments, item.clone());
        for arguments in [quote!(cache = "a", key = (a, names)), quote!(cache = "a", key = names)] {
            let messages = mistakes(arguments);
            assert!(matches!(&*messages, [message] if message.starts_with("`names` lists references")), "{messages:?}");
        }
        for arguments in [quote!(cache = "a", key = ids), quote!(cache = "a", key = names.len())] {
            assert_eq!(mistakes(arguments), [""; 0]);
        }
    }

    #[test]
    fn text_and_closures_are_no_keys() {
        for (key, says) in [
            (quote!("id"), "write `key = id`"),
            (quote!("#user.id"), "write `key = user.id`"),
            (quote!("a b"), "write `key = ...`"),
            (quote!(|x| (id, x)), "not a closure: write `key = (id , x)` (only with `keys`"),
        ] {
            let messages = mistakes(&key);
            assert!(matches!(&*messages, [message] if message.contains(says)), "{key}: {messages:?}");
        }
    }

    fn key_of(key: &TokenStream, item: TokenStream) -> Key {
        let key = syn::parse2(key.clone()).expect("an expression");
        let function = Function::parse(item, Attribute::CacheEvict, None).expect("a function");
        let name = Ident::new("key", Span::call_site());
        explicit(&key, &name, Attribute::CacheEvict, &function, &mut Mistakes::default()).expect("a key")
    }

    #[test]
    fn a_result_is_found_wherever_it_is_used_unless_it_is_something_else() {
        let item = quote!(
            async fn save(id: u64) {}
        );
        for key in [quote!(result), quote!((id, result.id)), quote!(format!("{result}"))] {
            assert!(key_of(&key, item.clone()).result.is_some());
        }
        for key in [quote!(id), quote!(id.map(|result| result)), quote!(id.result), quote!(result(id))] {
            assert!(key_of(&key, item.clone()).result.is_none());
        }
        let parameter = quote!(
            async fn save(result: u64) {}
        );
        assert!(key_of(&quote!(result), parameter).result.is_none());
    }

    #[test]
    fn a_key_knows_the_parameters_that_it_may_use() {
        let item = quote!(
            async fn save(id: u64, (name, tag): (A, B), r#type: u8, other: u8) {}
        );
        let function = Function::parse(item.clone(), Attribute::CacheEvict, None).expect("a function");
        for (key, expected) in [
            (quote!(id), "id"),
            (quote!((tag, id)), "id (name , tag)"),
            (quote!(format!("{name:>3}")), "(name , tag)"),
            (quote!(r#type), "r#type"),
            (quote!(1), ""),
        ] {
            let key = key_of(&key, item.clone());
            let patterns =
                function.used_by(&key.mentions).map(|parameter| parameter.pattern.to_token_stream().to_string());
            assert_eq!(patterns.collect::<Vec<_>>().join(" "), expected);
        }
    }

    #[test]
    fn only_what_is_written_as_a_tuple_is_taken_apart() {
        let shape = |expression: Expr| {
            fn shape(part: &Part) -> String {
                match part {
                    Part::One(_) => "1".into(),
                    Part::Tuple(parts, _) => format!("({})", parts.iter().map(shape).collect::<String>()),
                }
            }
            part(&expression, &mut Mistakes::default()).as_ref().map(shape)
        };
        assert_eq!(shape(parse_quote!(a)).as_deref(), Some("1"));
        assert_eq!(shape(parse_quote!(())).as_deref(), Some("()"));
        assert_eq!(shape(parse_quote!((a,))).as_deref(), Some("(1)"));
        assert_eq!(shape(parse_quote!((a, (b, c), f(d)))).as_deref(), Some("(1(11)1)"));
        assert_eq!(shape(parse_quote!(((a, b)))).as_deref(), Some("(11)"));
        assert_eq!(shape(parse_quote!((a, b).0)).as_deref(), Some("1"));
        assert_eq!(shape(parse_quote!((a, a, a, a, a, a, a, a, a))), None);
    }
}
