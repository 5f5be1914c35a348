//! From a use of an attribute to code.
//!
//! Architecture invariants: the expansion names nothing but `#krate::__private`, so that it works in crates without a
//! prelude and without other dependencies. Its variables and traits cannot be seen by the user's expressions. Code of the
//! user keeps its own spans, so that errors and lints in it are the user's, and stands in the expansion once (the key's
//! in the static as well, in a closure that is never called); all else has spans of the expansion, where lints are quiet.

mod batch;
mod body;
mod cache_evict;
mod cache_put;
mod cacheable;
mod call;
mod keyed;
mod place;
mod policy;
mod returned;
mod site;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::{Path, Type};

use self::place::Place;
use crate::{
    form::Form,
    function::Function,
    model::{Action, Use},
};

/// The function with its new body.
pub(crate) fn expand(used: &Use) -> TokenStream {
    let site = site::site(used);
    let work = match &used.action {
        Action::Load { key, policy } => cacheable::expand(used, key, policy),
        Action::LoadMany { batch, policy } => batch::expand(used, batch, policy),
        Action::Put { key, policy } => cache_put::expand(used, key, policy),
        Action::Evict { entries, when, unless } => cache_evict::expand(used, entries, *when, unless.as_ref()),
    };
    let Function { attributes, visibility, defaultness, signature, form, .. } = &used.function;
    let private = private(Span::mixed_site());
    // All that a future does, it does when it is first polled.
    let work = match form {
        Form::Async | Form::Plain => work,
        Form::Future => quote_spanned!(Span::mixed_site()=> async move { #work }),
        Form::Boxed => quote_spanned!(Span::mixed_site()=> #private::Box::pin(async move { #work })),
    };
    let (signature, allow) = match &used.action {
        Action::LoadMany { batch, .. } => (&batch::signature(used, batch), batch::allow(batch)),
        _ => (signature, TokenStream::new()),
    };
    let krate = &used.krate;
    // The one place that names the crate, so that a wrong `crate = path` is reported once.
    let content = quote_spanned! {Span::mixed_site()=>
        use #krate::__private as #private;
        #site
        #work
    };
    // With the braces of the expansion it would be no function of the user's to the compiler, and not be called unused.
    let mut block = Group::new(Delimiter::Brace, content);
    block.set_span(used.function.body.span());
    quote_spanned!(Span::mixed_site()=> #(#attributes)* #allow #visibility #defaultness #signature #block)
}

/// `__private`, by the name under which the expansion imports it, for code that claims to stand at `at`: an expression
/// stands where its first token does.
fn private(at: Span) -> Ident {
    Ident::new("__cachesync_private", at)
}

/// A reference to the typed cache at `path`.
fn typed_cache(path: &Path) -> TokenStream {
    let at = Place::of(path).start;
    let private = private(at);
    quote_spanned!(at=> #private::typed(&#path))
}

/// A value of type `ty`, for the type checker alone: it panics if it is ever made.
///
/// Unlike `loop {}` this has the type `ty` and not `!`, so what follows is not unreachable code. It is a function of ours,
/// since any of the standard library may be among a project's `disallowed-methods`.
fn never(ty: &Type) -> TokenStream {
    let at = Place::of(ty).start;
    let private = private(at);
    quote_spanned!(at=> #private::never::<#ty>())
}

/// In a function with type parameters, the trait that method resolution finds for what is refused, and for which the compiler
/// offers a bound. In any other there are methods that can name what is missing.
fn refusing(used: &Use, name: &str, at: Span) -> TokenStream {
    if !used.function.has_type_parameters() {
        return TokenStream::new();
    }
    let (private, name) = (private(at), Ident::new(name, at));
    quote_spanned!(at=> use #private::#name as _;)
}

/// Statements in which `result` is `value`, if they use it.
fn with_result(result: Option<&Ident>, value: &TokenStream, statements: &TokenStream) -> TokenStream {
    let Some(result) = result else { return statements.clone() };
    quote_spanned! {Span::mixed_site()=> {
        let #result = #value;
        // Macros may only look as if they used it.
        _ = &#result;
        #statements
    }}
}

/// A variable of the expansion.
fn variable(name: &str) -> Ident {
    Ident::new(&format!("__cachesync_{name}"), Span::mixed_site())
}

#[cfg(test)]
mod tests;
