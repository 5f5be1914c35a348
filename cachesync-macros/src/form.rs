//! The forms that an annotated function may have: `async`, plain, or one that returns a future.
//!
//! A macro sees how a type is spelt, and no more. So a future is one if it says so: `impl Future`, a `Pin<Box<dyn Future>>`,
//! or a `BoxFuture`, each by the last segment of its path.

use syn::{
    AssocType, GenericArgument, Path, PathArguments, ReturnType, Signature, Type, TypeParamBound, TypePath,
    parse_quote_spanned, punctuated::Punctuated,
};

use crate::{attribute::Attribute, mistakes::Mistakes};

/// The form of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// An `async fn`.
    Async,
    /// A function that returns its result.
    Plain,
    /// A function that returns `impl Future`.
    Future,
    /// A function that returns a boxed future, as `#[async_trait]` makes it do.
    Boxed,
}

impl Form {
    /// The form of a function, and the type of what the caller has in the end: for a future, its `Output`.
    pub(crate) fn of(signature: &Signature) -> (Self, Type) {
        let returned = match &signature.output {
            ReturnType::Type(_, ty) => (**ty).clone(),
            ReturnType::Default => parse_quote_spanned!(signature.ident.span()=> ()),
        };
        if signature.asyncness.is_some() {
            return (Self::Async, returned);
        }
        match future(&returned) {
            Some((form, output)) => (form, output.clone()),
            None => (Self::Plain, returned),
        }
    }

    pub(crate) fn is_future(self) -> bool {
        matches!(self, Self::Future | Self::Boxed)
    }

    /// Whether the function returns what may be a future, but none of a known form.
    pub(crate) fn is_unseen_future(self, signature: &Signature) -> bool {
        self == Self::Plain && matches!(&signature.output, ReturnType::Type(_, ty) if looks_like_future(ty))
    }

    /// What is wrong with the function itself, whatever the arguments.
    pub(crate) fn check(self, signature: &Signature, attribute: Attribute, mistakes: &mut Mistakes) {
        if let Some(token) = &signature.constness {
            mistakes.on(
                token,
                format_args!(
                    "{attribute} cannot be on a `const fn`, which may run where there is no cache: remove `const`"
                ),
            );
        }
        let ReturnType::Type(_, ty) = &signature.output else { return };
        if matches!(**ty, Type::Never(_)) {
            mistakes.on(ty, format_args!("a function that never returns has nothing for {attribute} to act on"));
        }
        if self.is_unseen_future(signature) {
            mistakes.on(
                ty,
                format_args!(
                    "{attribute} cannot see what this future makes: write `impl Future<Output = T>`, \
                     `Pin<Box<dyn Future<Output = T>>>` or `BoxFuture<T>`, or make it an `async fn`"
                ),
            );
        }
    }
}

/// The form of a type that is a future, and what the future makes.
fn future(ty: &Type) -> Option<(Form, &Type)> {
    match ty {
        Type::Paren(inner) => future(&inner.elem),
        Type::Group(inner) => future(&inner.elem),
        Type::ImplTrait(ty) => Some((Form::Future, output(&ty.bounds)?)),
        Type::Path(TypePath { qself: None, path, .. }) => {
            let last = path.segments.last()?;
            let made = if last.ident == "BoxFuture" || last.ident == "LocalBoxFuture" {
                argument(path)?
            } else if last.ident == "Pin" {
                boxed(argument(path)?)?
            } else {
                return None;
            };
            Some((Form::Boxed, made))
        }
        _ => None,
    }
}

/// What the future in a `Box` makes.
fn boxed(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Paren(inner) => boxed(&inner.elem),
        Type::Group(inner) => boxed(&inner.elem),
        Type::Path(TypePath { qself: None, path, .. }) if path.segments.last()?.ident == "Box" => match argument(path)?
        {
            Type::TraitObject(object) => output(&object.bounds),
            _ => None,
        },
        _ => None,
    }
}

/// The last of the types between `<` and `>` at the end of a path.
fn argument(path: &Path) -> Option<&Type> {
    let PathArguments::AngleBracketed(arguments) = &path.segments.last()?.arguments else { return None };
    arguments.args.iter().rev().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

/// `T`, of the bound `Future<Output = T>`.
fn output<P>(bounds: &Punctuated<TypeParamBound, P>) -> Option<&Type> {
    bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let last = bound.path.segments.last().filter(|last| last.ident == "Future")?;
        let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
        arguments.args.iter().find_map(|argument| match argument {
            GenericArgument::AssocType(AssocType { ident, ty, .. }) if ident == "Output" => Some(ty),
            _ => None,
        })
    })
}

/// Whether a type that is no future of a known form may be one all the same.
fn looks_like_future(ty: &Type) -> bool {
    let is_named_so = |path: &Path| path.segments.last().is_some_and(|last| last.ident.to_string().ends_with("Future"));
    match ty {
        Type::Paren(inner) => looks_like_future(&inner.elem),
        Type::Group(inner) => looks_like_future(&inner.elem),
        Type::Path(TypePath { path, .. }) => {
            is_named_so(path)
                || path.segments.last().is_some_and(|last| last.ident == "Pin" || last.ident == "Box")
                    && argument(path).is_some_and(looks_like_future)
        }
        Type::ImplTrait(ty) => of_future(&ty.bounds, is_named_so),
        Type::TraitObject(ty) => of_future(&ty.bounds, is_named_so),
        _ => false,
    }
}

fn of_future<P>(bounds: &Punctuated<TypeParamBound, P>, is_named_so: impl Fn(&Path) -> bool) -> bool {
    bounds.iter().any(|bound| matches!(bound, TypeParamBound::Trait(bound) if is_named_so(&bound.path)))
}

#[cfg(test)]
mod tests {
    use proc_macro2::TokenStream;
    use quote::{ToTokens, quote};

    use super::*;

    fn form(signature: TokenStream) -> (Form, String) {
        let signature = syn::parse2(signature).expect("a signature");
        let (form, output) = Form::of(&signature);
        (form, output.to_token_stream().to_string().replace(' ', ""))
    }

    #[test]
    fn a_future_is_seen_by_the_last_segment_of_its_name() {
        for (ty, expected) in [
            (quote!(impl Future<Output = Option<u64>>), Form::Future),
            (quote!(impl std::future::Future<Output = Option<u64>> + Send + 'a), Form::Future),
            (quote!(impl Send + use<'a> + Future<Output = Option<u64>>), Form::Future),
            (quote!(Pin<Box<dyn Future<Output = Option<u64>> + Send + 'a>>), Form::Boxed),
            (
                quote!(::core::pin::Pin<Box<dyn ::core::future::Future<Output = Option<u64>> + ::core::marker::Send>>),
                Form::Boxed,
            ),
            (quote!(futures::future::BoxFuture<'_, Option<u64>>), Form::Boxed),
            (quote!(LocalBoxFuture<'static, Option<u64>>), Form::Boxed),
            (quote!(Option<u64>), Form::Plain),
        ] {
            assert_eq!(form(quote!(fn f() -> #ty)), (expected, "Option<u64>".into()), "{ty}");
        }
        assert_eq!(form(quote!(async fn f() -> Option<u64>)).0, Form::Async);
        assert_eq!(form(quote!(fn f())), (Form::Plain, "()".into()));
    }

    fn mistakes(signature: TokenStream) -> Vec<String> {
        let signature = syn::parse2::<Signature>(signature).expect("a signature");
        let mut mistakes = Mistakes::default();
        Form::of(&signature).0.check(&signature, Attribute::Cacheable, &mut mistakes);
        mistakes.messages()
    }

    #[test]
    fn a_future_whose_output_cannot_be_seen_is_refused() {
        for ty in [
            quote!(MyFuture<u64>),
            quote!(impl Future),
            quote!(impl IntoFuture<Output = u64>),
            quote!(Pin<Box<dyn Future>>),
            quote!(Box<dyn Future<Output = u64>>),
        ] {
            let messages = mistakes(quote!(fn f() -> #ty));
            assert!(matches!(&*messages, [message] if message.contains("cannot see what this future makes")), "{ty}");
        }
    }

    #[test]
    fn only_functions_that_run_and_return_can_be_annotated() {
        for good in [quote!(unsafe fn f() -> u8), quote!(extern "C" fn f() -> u8), quote!(async unsafe fn f())] {
            assert_eq!(mistakes(good), [""; 0]);
        }
        assert!(mistakes(quote!(const fn f() -> u8)).concat().contains("remove `const`"));
        assert!(mistakes(quote!(async fn f() -> !)).concat().contains("never returns"));
    }
}
