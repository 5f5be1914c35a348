//! What comes before the key, in this order: the registry, the transaction, the condition.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::Expr;

use super::{place::Place, private, variable};
use crate::model::{Use, expression::Expression};

/// An expression that makes what `work` makes of a `Call`, or what `otherwise` makes if there is a condition and it is
/// false. Nothing else is evaluated then.
///
/// The expressions of the user are borrowed, and evaluated outside of what `work` brings into scope:
///
/// ```text
/// match (&(registry), &(transaction),) {
///     (__cachesync_registry, __cachesync_transaction,) => if condition { /* work */ } else { /* otherwise */ }
/// }
/// ```
pub(super) fn call(used: &Use, work: impl FnOnce(&TokenStream) -> TokenStream, otherwise: &TokenStream) -> TokenStream {
    let private = private(Span::mixed_site());
    let mut call = quote_spanned!(Span::mixed_site()=> #private::Call::new());
    let mut expressions = Vec::new();
    let mut names = Vec::new();
    for (method, expression) in [("registry", &used.registry), ("transaction", &used.transaction)] {
        let Some(expression) = expression else { continue };
        let at = Place::of(expression).start;
        let name = Ident::new(&format!("__cachesync_{method}"), at);
        let method = Ident::new(method, at);
        call = quote_spanned!(at=> #call.#method(#name));
        expressions.push(borrowed(expression, at));
        names.push(name);
    }
    let work = work(&call);
    let work = match &used.condition {
        Some(condition) => {
            let name = variable("condition");
            let condition = decide(&name, condition);
            quote_spanned!(Span::mixed_site()=> { #condition if #name { #work } else { #otherwise } })
        }
        None => work,
    };
    if names.is_empty() {
        return work;
    }
    quote_spanned!(Span::mixed_site()=> match (#(#expressions,)*) { (#(#names,)*) => #work })
}

/// As [`call`], for what is announced before the body and settled after it: an `Option` if there is a condition.
pub(super) fn announce(used: &Use, work: impl FnOnce(&TokenStream) -> TokenStream) -> TokenStream {
    if used.condition.is_none() {
        return call(used, work, &TokenStream::new());
    }
    let private = private(Span::mixed_site());
    let some = |call: &TokenStream| {
        let work = work(call);
        quote_spanned!(Span::mixed_site()=> #private::core::option::Option::Some(#work))
    };
    call(used, some, &quote_spanned!(Span::mixed_site()=> #private::core::option::Option::None))
}

/// Statements that settle what was announced as `name`, if it was.
pub(super) fn settle(used: &Use, name: &Ident, statements: &TokenStream) -> TokenStream {
    if used.condition.is_none() {
        return statements.clone();
    }
    let private = private(Span::mixed_site());
    quote_spanned! {Span::mixed_site()=>
        match #name {
            #private::core::option::Option::Some(#name) => { #statements }
            #private::core::option::Option::None => {}
        }
    }
}

/// A statement that declares the `bool` called `name`.
pub(super) fn decide(name: &Ident, expression: &Expression) -> TokenStream {
    let tokens = &expression.tokens;
    let at = Place::of(tokens).start;
    let private = private(at);
    quote_spanned!(at=> let #name: #private::core::primitive::bool = #tokens;)
}

fn borrowed(expression: &Expr, at: Span) -> TokenStream {
    quote_spanned!(at=> &(#expression))
}
