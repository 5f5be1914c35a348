//! The user's body, within the expansion.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::ReturnType;

use super::{never, place::Place, private};
use crate::{
    form::Form,
    function::Function,
    model::{Use, expression::Expression},
    names::Mentions,
};

/// The body as an expression that makes what the caller has in the end.
pub(super) fn body<'a>(used: &Use, after: impl IntoIterator<Item = &'a Mentions>) -> TokenStream {
    let made = made(used, after);
    match used.function.form {
        Form::Plain => made,
        Form::Async | Form::Boxed => quote_spanned!(Span::mixed_site()=> #made.await),
        Form::Future => {
            // The type of the future has no name, so that of what it makes has to do.
            let ty = used.output();
            quote_spanned!(Place::of(ty).start=> { let __cachesync_made: #ty = #made.await; __cachesync_made })
        }
    }
}

/// The same for a body that loads, as that of `__cachesync_load`.
pub(super) fn load<'a>(used: &Use, after: impl IntoIterator<Item = &'a Mentions>) -> TokenStream {
    let made = made(used, after);
    match used.function.form {
        Form::Plain => made,
        Form::Async | Form::Boxed | Form::Future => {
            quote_spanned!(Place::of(used.output()).start=> __cachesync_load.run(#made).await)
        }
    }
}

/// The same for an `async` body of which nothing is decided: what the caller has in the end, loaded here or elsewhere, and
/// kept.
pub(super) fn answer(used: &Use) -> Option<TokenStream> {
    (used.function.form == Form::Async).then(|| {
        let made = made(used, None);
        quote_spanned!(Place::of(used.output()).start=> __cachesync_miss.answer(#made).await)
    })
}

/// The body as it is made: what the caller has in the end, or a future of that. In an `async` function it is an `async`
/// block, in others a closure, so that `return` and `?` in it are its own.
///
/// The statement before it tells the compiler what these produce, and is where the expected type comes from when the body
/// has another one.
///
/// The body takes the parameters, so that a future is `Send` whenever the function without the attribute made such a
/// one. It borrows those that it does not take itself if one of them is mentioned in `after`, the expressions that are
/// evaluated after it, or if another attribute, expanded around this one, uses them after it.
fn made<'a>(used: &Use, after: impl IntoIterator<Item = &'a Mentions>) -> TokenStream {
    let function = &used.function;
    let is_used_after = after.into_iter().any(|mentions| function.may_be_used_by(mentions));
    let borrows = is_used_after || function.has_use_after_body_below();
    let moving = (!borrows).then(|| quote_spanned!(Span::mixed_site()=> move));
    let body = block(function);
    let hint = match (function.form, &function.signature.output) {
        (Form::Async | Form::Plain, _) => hint(used.output()),
        (Form::Boxed, ReturnType::Type(_, future)) => hint(future),
        (Form::Boxed, ReturnType::Default) | (Form::Future, _) => TokenStream::new(),
    };
    if function.form == Form::Async {
        return quote_spanned!(Span::mixed_site()=> async #moving { #hint #body });
    }
    let at = Place::of(used.output()).start;
    let private = private(at);
    quote_spanned!(at=> #private::run(#moving || { #hint #body }))
}

/// The body where nothing follows it: `return` in it may as well be that of the function.
pub(super) fn last(used: &Use) -> TokenStream {
    match used.function.form {
        Form::Async | Form::Plain => block(&used.function),
        Form::Future | Form::Boxed => body(used, None),
    }
}

/// The body as the user wrote it. As the last expression of a block of ours it would have "unnecessary braces"; as an arm of
/// a `match` it has not.
fn block(function: &Function) -> TokenStream {
    let body = &function.body;
    quote_spanned!(Span::mixed_site()=> match () { () => #body })
}

fn hint(ty: &syn::Type) -> TokenStream {
    let never = never(ty);
    quote_spanned!(Place::of(ty).start=> if false { return #never; })
}

/// What `expressions` mention.
pub(super) fn mentions<'a>(
    expressions: impl IntoIterator<Item = &'a Expression>,
) -> impl Iterator<Item = &'a Mentions> {
    expressions.into_iter().map(|expression| &expression.mentions)
}
