//! The mistakes found in one use of an attribute.
//!
//! Invariant: a mistake is added and the work goes on, so that all of them are reported in one compilation. Only code
//! that would repeat a mistake that was added already (a missing argument that was there, but misspelt) stays silent.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// Collects errors, each on the tokens that it blames.
#[derive(Default)]
pub(crate) struct Mistakes {
    errors: Option<syn::Error>,
}

impl Mistakes {
    /// Blames `tokens`.
    pub(crate) fn on(&mut self, tokens: &impl ToTokens, message: impl std::fmt::Display) {
        self.add(syn::Error::new_spanned(tokens, message));
    }

    /// Blames one token, or the whole attribute by `Span::call_site()`.
    pub(crate) fn at(&mut self, span: Span, message: impl std::fmt::Display) {
        self.add(syn::Error::new(span, message));
    }

    /// Takes over an error of the parser.
    pub(crate) fn add(&mut self, error: syn::Error) {
        match &mut self.errors {
            Some(errors) => errors.combine(error),
            None => self.errors = Some(error),
        }
    }

    /// How many there are so far.
    pub(crate) fn count(&self) -> usize {
        self.errors.iter().flatten().count()
    }

    /// One `compile_error!` for each mistake; `None` when there was no mistake.
    pub(crate) fn into_compile_errors(self) -> Option<TokenStream> {
        self.errors.map(|errors| errors.to_compile_error())
    }

    #[cfg(test)]
    pub(crate) fn messages(self) -> Vec<String> {
        self.errors.into_iter().flatten().map(|error| error.to_string()).collect()
    }
}

/// In place of what has a mistake, which was added.
pub(crate) struct Refused;

/// `` `a`, `b` `` for messages.
pub(crate) fn listed<T: std::fmt::Display>(names: impl IntoIterator<Item = T>) -> String {
    names.into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
