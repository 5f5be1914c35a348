//! Evaluating a key.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};

use super::{place::Place, private, refusing, typed_cache};
use crate::model::{
    Cache, Use,
    key::{Key, Part},
};

/// An expression that evaluates a key and makes what `work` makes of its form.
///
/// The parts of a key are borrowed and never moved, and their temporaries live until the statement ends. In a function with type
/// parameters they are evaluated outside of the block that has a trait of ours in scope:
///
/// ```text
/// match (&(part), &(part),) { (__cachesync_0, __cachesync_1,) => { use ..; /* work */ } }
/// ```
pub(super) fn keyed(used: &Use, key: &Key, work: impl FnOnce(&TokenStream) -> TokenStream) -> TokenStream {
    let first = used.function.has_type_parameters();
    let (mut expressions, mut names) = (Vec::new(), Vec::new());
    let keyed = form(&key.part, &mut |expression, at| {
        let reference = quote_spanned!(at=> &(#expression));
        if !first {
            return Some(reference);
        }
        let name = format_ident!("__cachesync_{}", names.len(), span = at);
        expressions.push(reference);
        names.push(name.clone());
        Some(name.into_token_stream())
    });
    let work = work(&typed(used, &keyed.unwrap_or_default(), start(&key.part)));
    if names.is_empty() {
        return work;
    }
    let traits = traits(used);
    quote_spanned! {Span::mixed_site()=>
        match (#(#expressions,)*) { (#(#names,)*) => { #traits #work } }
    }
}

/// The form of a key whose parts are all parameters, of which `value` makes what is looked at; `None` if one is not.
pub(super) fn of_parameters(
    used: &Use,
    key: &Key,
    value: impl Fn(&Ident) -> Option<TokenStream>,
) -> Option<TokenStream> {
    if used.function.has_type_parameters() {
        return None;
    }
    let keyed = form(&key.part, &mut |expression, at| {
        let value = value(&syn::parse2(expression.clone()).ok()?)?;
        Some(quote_spanned!(at=> &#value))
    })?;
    Some(typed(used, &keyed, start(&key.part)))
}

/// Where a key begins.
fn start(part: &Part) -> Span {
    match part {
        Part::One(expression) => Place::of(expression).start,
        Part::Tuple(_, span) => Place::at(*span).start,
    }
}

/// The key in the form in which it is looked up, of what `reference` makes of its parts.
fn form(part: &Part, reference: &mut impl FnMut(&TokenStream, Span) -> Option<TokenStream>) -> Option<TokenStream> {
    match part {
        Part::One(expression) => {
            let Place { start, end } = Place::of(expression);
            let reference = reference(expression, start)?;
            let private = private(start);
            let probe = quote_spanned!(start=> #private::probe(#reference));
            let call = quote_spanned!(end=> .keyed());
            Some(quote_spanned!(start=> #probe #call))
        }
        Part::Tuple(parts, span) => {
            let parts = parts.iter().map(|part| form(part, reference)).collect::<Option<Vec<_>>>()?;
            Some(quote_spanned!(Place::at(*span).start=> (#(#parts,)*)))
        }
    }
}

/// The form of a key that is in a variable, as a reference; our traits must be in scope.
pub(super) fn of_reference(used: &Use, reference: &TokenStream, at: Span) -> TokenStream {
    let private = private(at);
    typed(used, &quote_spanned!(at=> #private::probe(#reference).keyed()), at)
}

/// What has to be in scope where the form of a key is found.
pub(super) fn traits(used: &Use) -> TokenStream {
    refusing(used, "KeyRefused", Span::mixed_site())
}

/// `keyed`, which has to be of the key type of the typed caches.
fn typed(used: &Use, keyed: &TokenStream, at: Span) -> TokenStream {
    let private = private(at);
    used.caches.iter().fold(keyed.clone(), |keyed, cache| match cache {
        Cache::Named(_) => keyed,
        Cache::Typed(path) => {
            let cache = typed_cache(path);
            quote_spanned!(at=> #private::typed_key(#cache, #keyed))
        }
    })
}
