//! Evaluating a key.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};

use super::{place::Place, private, refusing, typed_cache};
use crate::model::{
    Cache, Use,
    key::{Key, Part},
};

/// What refuses a type, each for another thing that a key is and it is not.
const LACKING: [&str; 6] =
    ["KeyNotShared", "KeyNotDeserialize", "KeyNotSerialize", "KeyNotHash", "KeyNotEq", "KeyNotClone"];

/// An expression that evaluates a key and makes what `work` makes of its form.
///
/// The parts of a key are evaluated outside of the block that has our traits in scope, borrowed and never moved, and their
/// temporaries live until the statement ends:
///
/// ```text
/// match (&(part), &(part),) { (__cachesync_0, __cachesync_1,) => { use ..; /* work */ } }
/// ```
pub(super) fn keyed(used: &Use, key: &Key, work: impl FnOnce(&TokenStream) -> TokenStream) -> TokenStream {
    let mut evaluation = Evaluation::default();
    let keyed = evaluation.form(&key.part);
    let at = match &key.part {
        Part::One(expression) => Place::of(expression).start,
        Part::Tuple(_, span) => Place::at(*span).start,
    };
    let work = work(&typed(used, &keyed, at));
    let Evaluation { expressions, names } = evaluation;
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
    typed(used, &quote_spanned!(at=> (&&&&&#private::KeyProbe(#reference)).keyed()), at)
}

/// The traits that find the form of a key.
pub(super) fn traits(used: &Use) -> TokenStream {
    let private = private(Span::mixed_site());
    let refusing = refusing(used, "KeyRefused", &LACKING, Span::mixed_site());
    quote_spanned! {Span::mixed_site()=>
        use #private::{KeyByReference as _, KeyByStructure as _, KeyByValue as _, #(#refusing as _),*};
    }
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
    expressions: Vec<TokenStream>,
    names: Vec<Ident>,
}

impl Evaluation {
    /// The key in the form in which it is looked up.
    fn form(&mut self, part: &Part) -> TokenStream {
        match part {
            Part::One(expression) => {
                let name = self.evaluate(expression);
                let Place { start, end } = Place::of(expression);
                let private = private(start);
                let probe = quote_spanned!(start=> (&&&&&#private::KeyProbe(#name)));
                let call = quote_spanned!(end=> .keyed());
                quote_spanned!(start=> #probe #call)
            }
            Part::Tuple(parts, span) => {
                let parts = parts.iter().map(|part| self.form(part)).collect::<Vec<_>>();
                quote_spanned!(Place::at(*span).start=> (#(#parts,)*))
            }
        }
    }

    fn evaluate(&mut self, expression: &impl ToTokens) -> Ident {
        let at = Place::of(expression).start;
        let name = format_ident!("__cachesync_{}", self.names.len(), span = at);
        self.expressions.push(quote_spanned!(at=> &(#expression)));
        self.names.push(name.clone());
        name
    }
}
