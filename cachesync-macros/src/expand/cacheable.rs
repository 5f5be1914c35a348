//! `#[cacheable]`.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use super::{body, keyed::Evaluation, method, place::Place, private};
use crate::{attribute::Use, key::Key};

/// The cache is asked before anything is moved; a hit returns at once. On a miss, the body becomes a future that the
/// runtime may run, or leave alone while another task loads the same key.
///
/// The steps are separate statements so that neither the borrowed key nor the `Step` lives across the `.await`.
pub(super) fn expand(used: &Use, key: &Key) -> TokenStream {
    let private = private(Span::mixed_site());
    let mut evaluation = Evaluation::default();
    let registry = evaluation.registry(used.registry.as_ref());
    let begin = method("begin", &registry);
    let keyed = evaluation.key(&key.part);
    let returned = returned(used, &used.returns.ty);
    let step =
        evaluation.then(&quote_spanned!(Span::mixed_site()=> __CACHESYNC_SITE.#begin(#registry #keyed, #returned)));
    let shared_error = shared_error(used);
    let body = body(used, false);
    quote_spanned! {Span::mixed_site()=>
        let __cachesync_miss = {
            let __cachesync_step = #step;
            match __cachesync_step {
                #private::Step::Hit(__cachesync_output) => return __cachesync_output,
                #private::Step::Miss(__cachesync_miss) => __cachesync_miss,
            }
        };
        let __cachesync_loading = __cachesync_miss.sharing(#shared_error);
        #private::load(__cachesync_loading, #private::core::pin::pin!(#body)).await
    }
}

/// How the value is taken out of what the function returns, and put back.
pub(super) fn returned(used: &Use, ty: &syn::Type) -> TokenStream {
    let at = Place::of(ty).start;
    let private = private(at);
    if used.cache_value {
        return quote_spanned!(at=> #private::PlainValue::<#ty>::new());
    }
    quote_spanned! {at=> {
        use #private::{
            ReturnsOption as _, ReturnsPlain as _, ReturnsRefused as _, ReturnsResult as _,
            ReturnsResultOfOption as _,
        };
        (&&&&&&&&#private::Returns::<#ty>::new()).returned()
    }}
}

/// How an error reaches those who waited for the same load.
fn shared_error(used: &Use) -> TokenStream {
    let ty = &used.returns.ty;
    let at = Place::of(ty).start;
    let private = private(at);
    quote_spanned! {at=> {
        use #private::{ErrorCloned as _, ErrorNotCloned as _};
        (&&#private::Returns::<#ty>::new()).shared_error()
    }}
}
