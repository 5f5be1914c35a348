//! The user's body, within the expansion.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ReturnType;

use super::{never, place::Place, private};
use crate::{form::Form, model::Use, model::expression::Expression};

/// The body as an expression: what it makes in the end. In an `async` function it is an `async` block, in others a closure,
/// so that `return` and `?` in it are its own.
///
/// The statement before it tells the compiler what these produce, and is where the expected type comes from when the body
/// has another one.
///
/// The body takes the parameters, so that a future is `Send` whenever the function without the attribute made such a
/// one. It borrows those that it does not take itself if one of them is mentioned in `after`, the expressions that are
/// evaluated after it, or if another attribute, expanded around this one, uses them after it.
pub(super) fn body<'a>(used: &Use, after: impl IntoIterator<Item = &'a crate::names::Mentions>) -> TokenStream {
    let function = &used.function;
    let is_used_after = after.into_iter().any(|mentions| function.may_be_used_by(mentions));
    let borrows = is_used_after || function.has_use_after_body_below();
    let moving = (!borrows).then(|| quote_spanned!(Span::mixed_site()=> move));
    let body = &function.body;
    let private = private(Span::mixed_site());
    match function.form {
        Form::Async => {
            let hint = hint(used.output());
            quote_spanned!(Span::mixed_site()=> async #moving { #hint #body }.await)
        }
        Form::Plain => {
            let hint = hint(used.output());
            quote_spanned!(Span::mixed_site()=> #private::run(#moving || { #hint #body }))
        }
        Form::Boxed => {
            let hint = match &function.signature.output {
                ReturnType::Type(_, future) => hint(future),
                ReturnType::Default => TokenStream::new(),
            };
            quote_spanned!(Span::mixed_site()=> #private::run(#moving || { #hint #body }).await)
        }
        Form::Future => {
            // The type of the future has no name, so that of what it makes has to do.
            let ty = used.output();
            let at = Place::of(ty).start;
            let private = super::private(at);
            let future = quote_spanned!(at=> #private::run(#moving || #body).await);
            quote_spanned!(at=> { let __cachesync_made: #ty = #future; __cachesync_made })
        }
    }
}

/// The body where nothing follows it: `return` in it may as well be that of the function.
pub(super) fn last(used: &Use) -> TokenStream {
    match used.function.form {
        Form::Async | Form::Plain => used.function.body.to_token_stream(),
        Form::Future | Form::Boxed => body(used, None),
    }
}

fn hint(ty: &syn::Type) -> TokenStream {
    let never = never(ty);
    quote_spanned!(Place::of(ty).start=> if false { return #never; })
}

/// What `expressions` mention.
pub(super) fn mentions<'a>(
    expressions: impl IntoIterator<Item = &'a Expression>,
) -> impl Iterator<Item = &'a crate::names::Mentions> {
    expressions.into_iter().map(|expression| &expression.mentions)
}
