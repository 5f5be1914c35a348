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
    let mut evaluation = Evaluation { first: used.function.has_type_parameters(), ..Evaluation::default() };
    let keyed = evaluation.form(&key.part);
    let at = match &key.part {
        Part::One(expression) => Place::of(expression).start,
        Part::Tuple(_, span) => Place::at(*span).start,
    };
    let work = work(&typed(used, &keyed, at));
    let Evaluation { expressions, names, .. } = evaluation;
    if names.is_empty() {
        return work;
    }
    let traits = traits(used);
    quote_spanned! {Span::mixed_site()=>
        match (#(#expressions,)*) { (#(#names,)*) => { #traits #work } }
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

#[derive(Default)]
struct Evaluation {
    /// Whether the parts are evaluated before they are looked at.
    first: bool,
    expressions: Vec<TokenStream>,
    names: Vec<Ident>,
}

impl Evaluation {
    /// The key in the form in which it is looked up.
    fn form(&mut self, part: &Part) -> TokenStream {
        match part {
            Part::One(expression) => {
                let reference = self.evaluate(expression);
                let Place { start, end } = Place::of(expression);
                let private = private(start);
                let probe = quote_spanned!(start=> #private::probe(#reference));
                let call = quote_spanned!(end=> .keyed());
                quote_spanned!(start=> #probe #call)
            }
            Part::Tuple(parts, span) => {
                let parts = parts.iter().map(|part| self.form(part)).collect::<Vec<_>>();
                quote_spanned!(Place::at(*span).start=> (#(#parts,)*))
            }
        }
    }

    fn evaluate(&mut self, expression: &impl ToTokens) -> TokenStream {
        let at = Place::of(expression).start;
        let reference = quote_spanned!(at=> &(#expression));
        if !self.first {
            return reference;
        }
        let name = format_ident!("__cachesync_{}", self.names.len(), span = at);
        self.expressions.push(reference);
        self.names.push(name.clone());
        name.into_token_stream()
    }
}
