//! What the annotated function returns.
//!
//! Whether it is a `Result`, an `Option` or neither is decided by its type in the expansion, since a macro sees only how
//! the type is spelt. That cannot work where the type is a parameter: there the plain case would always be chosen, and
//! errors be cached.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{
    BoundLifetimes, Ident, Lifetime, ParenthesizedGenericArguments, Path, TraitBound, Type, TypeFnPtr, TypeImplTrait,
    TypePath, TypeReference,
    visit::{self, Visit},
};

use crate::{attribute::Attribute, function::Function, mistakes::Mistakes};

/// The return type of a function, in which no mistake was found.
pub(crate) struct Returns {
    pub(crate) ty: Type,
}

impl Returns {
    /// `None` only after a mistake.
    pub(crate) fn check(
        attribute: Attribute,
        function: &Function,
        cache_value: bool,
        is_batch: bool,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        if function.form.is_unseen_future(&function.signature) {
            return None;
        }
        let ty = function.output.clone();
        let mut found = Found::default();
        found.visit_type(&ty);
        let mut good = true;
        for opaque in &found.opaque {
            mistakes.on(
                opaque,
                format_args!("{attribute} has to name the type that is returned: write it out in place of `impl`"),
            );
            good = false;
        }
        if attribute.keeps_a_value() {
            let (must, instead) = if is_batch {
                ("the keys and values of a batch must", "return what is owned, `String` for `&str`")
            } else {
                ("a cached value must", "return `Arc<T>`, or a clone")
            };
            for (tokens, what) in &found.borrowed {
                mistakes.on(tokens, format_args!("{must} be owned, and {what}: {instead}"));
                good = false;
            }
        }
        if !cache_value && !is_batch && is_parameter(&ty, function) {
            let (risk, otherwise) = match attribute {
                Attribute::Cacheable | Attribute::CachePut => ("an error would be cached", "cache"),
                Attribute::CacheEvict | Attribute::CacheConfig => ("an error would count as success", "act on"),
            };
            let add = format!("add `cache_value` to {otherwise} whatever is returned");
            let message = match taken_for_parameter(&ty, function) {
                Some(name) => format!(
                    "one capital letter looks like a type parameter: whether `{name}` is a `Result` or an `Option` \
                     cannot be told then, and {risk}: return `Result<_, _>`, rename `{name}` if it is a type of its \
                     own, or {add}"
                ),
                None => format!(
                    "whether this type is a `Result` or an `Option` cannot be told here, and {risk}: return \
                     `Result<_, _>`, or {add}"
                ),
            };
            mistakes.on(&ty, message);
            good = false;
        }
        good.then_some(Self { ty })
    }
}

/// Whether `ty` as a whole is a type parameter or an associated type.
fn is_parameter(ty: &Type, function: &Function) -> bool {
    match ty {
        Type::Paren(inner) => is_parameter(&inner.elem, function),
        Type::Group(inner) => is_parameter(&inner.elem, function),
        Type::Path(TypePath { qself: Some(_), .. }) => true,
        Type::Path(TypePath { qself: None, path, .. }) => {
            let Some(first) = path.segments.first().filter(|_| path.leading_colon.is_none()) else { return false };
            if !first.arguments.is_none() {
                return false;
            }
            let is_generic = function.generics().any(|generic| *generic == first.ident)
                || function.block.is_none() && looks_generic(path);
            // `Self` alone is a type that the author knows; `Self::Output` is not.
            is_generic || path.segments.len() > 1 && first.ident == "Self"
        }
        _ => false,
    }
}

/// The name of a type that is a parameter by convention alone, and may be no parameter.
fn taken_for_parameter<'ty>(ty: &'ty Type, function: &Function) -> Option<&'ty Ident> {
    match ty {
        Type::Paren(inner) => taken_for_parameter(&inner.elem, function),
        Type::Group(inner) => taken_for_parameter(&inner.elem, function),
        Type::Path(TypePath { qself: None, path, .. }) => {
            path.get_ident().filter(|name| looks_generic(path) && !function.generics().any(|generic| generic == *name))
        }
        _ => None,
    }
}

/// Whether a path starts with what is by convention a type parameter: `T`, `T1`. The parameters of an `impl` cannot be
/// seen from the function, so the convention has to do.
pub(crate) fn looks_generic(path: &Path) -> bool {
    path.leading_colon.is_none()
        && path.segments.first().is_some_and(|first| {
            let name = first.ident.to_string();
            let mut characters = name.chars();
            first.arguments.is_none()
                && characters.next().is_some_and(|first| first.is_ascii_uppercase())
                && characters.all(|other| other.is_ascii_digit())
        })
}

/// What stands in a return type and should not.
#[derive(Default)]
struct Found {
    opaque: Vec<TypeImplTrait>,
    borrowed: Vec<(TokenStream, String)>,
}

impl<'ast> Visit<'ast> for Found {
    fn visit_type_impl_trait(&mut self, ty: &'ast TypeImplTrait) {
        self.opaque.push(ty.clone());
    }

    fn visit_type_reference(&mut self, ty: &'ast TypeReference) {
        if ty.lifetime.as_ref().is_none_or(|lifetime| lifetime.ident != "static") {
            self.borrowed.push((ty.to_token_stream(), "this is a reference".into()));
        }
        self.visit_type(&ty.elem);
    }

    fn visit_lifetime(&mut self, lifetime: &'ast Lifetime) {
        if lifetime.ident != "static" {
            self.borrowed.push((lifetime.to_token_stream(), format!("`{lifetime}` borrows")));
        }
    }

    // The arguments of functions are not part of the value.
    fn visit_type_fn_ptr(&mut self, _: &'ast TypeFnPtr) {}
    fn visit_parenthesized_generic_arguments(&mut self, _: &'ast ParenthesizedGenericArguments) {}
    fn visit_bound_lifetimes(&mut self, _: &'ast BoundLifetimes) {}
    fn visit_trait_bound(&mut self, bound: &'ast TraitBound) {
        if bound.lifetimes.is_none() {
            visit::visit_trait_bound(self, bound);
        }
    }
}

#[cfg(test)]
mod tests {
    use quote::quote;

    use super::*;
    use crate::attribute::mistakes_in;

    fn mistakes(attribute: Attribute, ty: &TokenStream, more: &TokenStream) -> usize {
        let item = quote!(async fn f<'a, T, Row: Clone>(id: &'a u64) -> #ty {});
        mistakes_in(attribute, quote!(cache = "a" #more), item).len()
    }

    #[test]
    fn a_parameter_as_the_whole_type_needs_cache_value() {
        for ty in
            [quote!(T), quote!(Row), quote!((T)), quote!(T::Out), quote!(Self::Out), quote!(<Row as A>::B), quote!(U)]
        {
            for attribute in [Attribute::Cacheable, Attribute::CachePut, Attribute::CacheEvict] {
                assert_eq!(mistakes(attribute, &ty, &quote!()), 1, "{ty}");
                assert_eq!(mistakes(attribute, &ty, &quote!(, cache_value)), 0, "{ty}");
            }
        }
        for ty in [quote!(Self), quote!(Option<T>), quote!(db::Row), quote!(Rows), quote!(Vec<T>), quote!((T, T))] {
            assert_eq!(mistakes(Attribute::Cacheable, &ty, &quote!()), 0, "{ty}");
        }
    }

    #[test]
    fn a_type_of_one_letter_is_told_why_it_is_refused() {
        let message = |ty: TokenStream| {
            let item = quote!(async fn f<T>(id: u64) -> #ty {});
            mistakes_in(Attribute::Cacheable, quote!(cache = "a"), item).concat()
        };
        assert!(message(quote!(X)).contains("rename `X` if it is a type of its own"), "{}", message(quote!(X)));
        assert!(!message(quote!(T)).contains("rename"), "{}", message(quote!(T)));
        assert!(!message(quote!(X::Out)).contains("rename"), "{}", message(quote!(X::Out)));
    }

    #[test]
    fn in_a_block_with_its_config_a_parameter_is_known_to_be_one() {
        let block = quote::format_ident!("{}", crate::block::HIDDEN);
        for (ty, expected) in [(quote!(X), 0), (quote!(Db), 1), (quote!(Db::Row), 1), (quote!(Option<Db>), 0)] {
            let item = quote!(async fn f(id: u64) -> #ty {});
            let arguments = quote!(#block [[Db] [] [] []], cache = "a");
            assert_eq!(mistakes_in(Attribute::Cacheable, arguments, item).len(), expected, "{ty}");
        }
    }

    #[test]
    fn of_a_future_its_output_counts() {
        for (ty, expected) in [
            (quote!(impl Future<Output = Result<u64, String>>), 0),
            (quote!(impl Future<Output = T>), 1),
            (quote!(BoxFuture<'a, Option<&'a u64>>), 1),
            (quote!(Pin<Box<dyn Future<Output = u64> + Send + 'a>>), 0),
        ] {
            let item = quote!(fn f<'a, T>(id: &'a u64) -> #ty {});
            assert_eq!(mistakes_in(Attribute::Cacheable, quote!(cache = "a"), item).len(), expected, "{ty}");
        }
    }

    #[test]
    fn a_borrow_cannot_be_cached_but_returned_by_what_evicts() {
        for ty in [
            quote!(&u64),
            quote!(Option<&'a u64>),
            quote!(Cow<'a, str>),
            quote!(Ref<'_>),
            quote!(Box<dyn A + 'a>),
            quote!(Result<u8, &str>),
        ] {
            assert_eq!(mistakes(Attribute::Cacheable, &ty, &quote!()), 1, "{ty}");
            assert_eq!(mistakes(Attribute::CachePut, &ty, &quote!()), 1, "{ty}");
            assert_eq!(mistakes(Attribute::CacheEvict, &ty, &quote!()), 0, "{ty}");
        }
        for ty in [
            quote!(&'static str),
            quote!(Arc<dyn Fn(&str) -> &str + Send + Sync + 'static>),
            quote!(fn(&u8) -> &u8),
            quote!(Box<dyn for<'b> A<'b>>),
        ] {
            assert_eq!(mistakes(Attribute::Cacheable, &ty, &quote!()), 0, "{ty}");
        }
    }
}
