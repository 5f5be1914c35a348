//! From a use of an attribute to code.
//!
//! Architecture invariants: the expansion names nothing but `#krate::__private`, so that it works in crates without a
//! prelude and without other dependencies. Its variables and traits cannot be seen by the user's expressions. Code of the
//! user keeps its own spans, so that errors and lints in it are the user's; all else has spans of the expansion, where
//! lints are quiet.

mod cache_evict;
mod cacheable;
mod keyed;
mod place;
mod site;

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::Type;

use self::place::Place;
use crate::{
    attribute::{Action, Use},
    function::Function,
};

/// The function with its new body.
pub(crate) fn expand(used: &Use) -> TokenStream {
    let site = site::site(used);
    let work = match &used.action {
        Action::Load { key } => cacheable::expand(used, key),
        Action::Evict { entries, when } => cache_evict::expand(used, entries, *when),
    };
    let Function { attributes, visibility, defaultness, signature, .. } = &used.function;
    let private = private(Span::mixed_site());
    let krate = &used.krate;
    // The one place that names the crate, so that a wrong `crate = path` is reported once.
    quote_spanned! {Span::mixed_site()=>
        #(#attributes)* #visibility #defaultness #signature {
            use #krate::__private as #private;
            #site
            #work
        }
    }
}

/// `__private`, by the name under which the expansion imports it, for code that claims to stand at `at`: an expression
/// stands where its first token does.
fn private(at: Span) -> Ident {
    Ident::new("__cachesync_private", at)
}

/// The method `name` of a call site; the one that takes a registry first, if there is one among its arguments.
fn method(name: &str, registry: &TokenStream) -> Ident {
    let suffix = if registry.is_empty() { "" } else { "_in" };
    Ident::new(&format!("{name}{suffix}"), Span::mixed_site())
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

/// The user's body as an `async` block.
///
/// The statement before it tells the compiler what `return` and `?` in it produce, and is where the expected type comes
/// from when the body has another one.
///
/// The block takes the parameters, so that it is `Send` whenever the function without the attribute was. It borrows those
/// that the body does not take itself if `variables_are_used_after`, or if another attribute, expanded around this one,
/// uses them after the body.
fn body(used: &Use, variables_are_used_after: bool) -> TokenStream {
    let ty = &used.returns.ty;
    let never = never(ty);
    let body = &used.function.body;
    let hint = quote_spanned!(Place::of(ty).start=> if false { return #never; });
    let borrows = variables_are_used_after || used.function.has_result_key_below();
    let moving = (!borrows).then(|| quote_spanned!(Span::mixed_site()=> move));
    quote_spanned!(Span::mixed_site()=> async #moving { #hint #body })
}
