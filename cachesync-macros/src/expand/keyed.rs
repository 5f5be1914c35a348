//! Evaluating a key.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::Expr;

use super::{place::Place, private};
use crate::key::Part;

/// An evaluation of the user's expressions: those of a key, and that of the registry.
///
/// They are evaluated outside of the block that has our traits in scope, borrowed and never moved, and their temporaries
/// live until the statement ends:
///
/// ```text
/// match (&(registry), &(key),) { (__cachesync_registry, __cachesync_0,) => { use ..; /* work */ } }
/// ```
#[derive(Default)]
pub(super) struct Evaluation {
    expressions: Vec<TokenStream>,
    names: Vec<Ident>,
}

impl Evaluation {
    /// The registry that was asked for, as an argument with the comma after it; empty for the default one.
    pub(super) fn registry(&mut self, registry: Option<&Expr>) -> TokenStream {
        let Some(registry) = registry else { return TokenStream::new() };
        let name = self.evaluate(registry, "registry");
        quote_spanned!(Place::of(registry).start=> #name,)
    }

    /// The key in the form in which it is looked up.
    pub(super) fn key(&mut self, part: &Part) -> TokenStream {
        match part {
            Part::One(expression) => {
                let name = self.evaluate(expression, &self.names.len().to_string());
                let Place { start, end } = Place::of(expression);
                let private = private(start);
                let probe = quote_spanned!(start=> (&&&&&#private::KeyProbe(#name)));
                let call = quote_spanned!(end=> .keyed());
                quote_spanned!(start=> #probe #call)
            }
            Part::Tuple(parts, span) => {
                let parts = parts.iter().map(|part| self.key(part)).collect::<Vec<_>>();
                quote_spanned!(Place::at(*span).start=> (#(#parts,)*))
            }
        }
    }

    /// Runs `work`, which uses what the methods above returned.
    pub(super) fn then(self, work: &TokenStream) -> TokenStream {
        let Self { expressions, names } = self;
        if names.is_empty() {
            return work.clone();
        }
        let private = private(Span::mixed_site());
        quote_spanned! {Span::mixed_site()=>
            match (#(#expressions,)*) {
                (#(#names,)*) => {
                    use #private::{KeyByReference as _, KeyByStructure as _, KeyByValue as _, KeyRefused as _};
                    #work
                }
            }
        }
    }

    fn evaluate(&mut self, expression: &impl ToTokens, name: &str) -> Ident {
        let at = Place::of(expression).start;
        let name = format_ident!("__cachesync_{name}", span = at);
        self.expressions.push(quote_spanned!(at=> &(#expression)));
        self.names.push(name.clone());
        name
    }
}
