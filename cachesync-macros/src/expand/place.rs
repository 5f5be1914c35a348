//! Where generated code claims to stand.

use proc_macro2::Span;
use quote::ToTokens;

/// The first and last token of something the user wrote. Code between tokens at `start` and at `end` is underlined as
/// the whole of it; a joined span would do, but is only made by unstable compilers.
///
/// Names made at these spans cannot be seen by the user's code, and lints are quiet there.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) start: Span,
    pub(super) end: Span,
}

impl Place {
    pub(super) fn of(tokens: &impl ToTokens) -> Self {
        let mut tokens = tokens.to_token_stream().into_iter();
        let first = tokens.next().map(|token| token.span());
        let last = tokens.last().map(|token| token.span()).or(first);
        Self { start: hidden(first), end: hidden(last) }
    }

    pub(super) fn at(span: Span) -> Self {
        Self { start: hidden(Some(span)), end: hidden(Some(span)) }
    }
}

fn hidden(at: Option<Span>) -> Span {
    at.map_or_else(Span::mixed_site, |at| Span::mixed_site().located_at(at))
}
