//! What the expansion asks of a return type, and of what was returned.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::Type;

use super::{place::Place, private, refusing, typed_cache};
use crate::model::{Cache, Use};

/// How the value is taken out of what the function returns, and put back.
pub(super) fn returned(used: &Use, ty: &Type) -> TokenStream {
    let at = Place::of(ty).start;
    let private = private(at);
    let returned = if used.cache_value {
        quote_spanned!(at=> #private::PlainValue::<#ty>::new())
    } else {
        let refusing = refusing(used, "ReturnsRefused", at);
        let returned = quote_spanned!(at=> #private::Returns::<#ty>::new().returned());
        if refusing.is_empty() { returned } else { quote_spanned!(at=> { #refusing #returned }) }
    };
    typed(used, returned, "typed_value", at)
}

/// How the values of a batch are taken out of what the function returns, and put back.
pub(super) fn returned_batch(used: &Use, ty: &Type) -> TokenStream {
    let at = Place::of(ty).start;
    let private = private(at);
    let returned = quote_spanned! {at=> {
        use #private::{BatchOfResult as _, BatchPlain as _, BatchRefused as _};
        (&&&&#private::Returns::<#ty>::new()).returned_batch()
    }};
    typed(used, returned, "typed_batch", at)
}

/// `returned`, which has to be of the value type of the typed caches, by the function `check`.
fn typed(used: &Use, returned: TokenStream, check: &str, at: Span) -> TokenStream {
    let private = private(at);
    let check = proc_macro2::Ident::new(check, at);
    used.caches.iter().fold(returned, |returned, cache| match cache {
        Cache::Named(_) => returned,
        Cache::Typed(path) => {
            let cache = typed_cache(path);
            quote_spanned!(at=> #private::#check(#cache, #returned))
        }
    })
}

/// The value that would be stored of the output: an `Option` of a reference.
pub(super) fn look(used: &Use) -> TokenStream {
    let private = private(Span::mixed_site());
    let returned = returned(used, used.output());
    quote_spanned!(Span::mixed_site()=> #private::look(#returned, &__cachesync_output))
}

/// A call of one of the functions of ours that want a return type of some kind.
pub(super) fn ask(used: &Use, function: &str) -> TokenStream {
    let at = Place::of(used.output()).start;
    let private = private(at);
    let function = proc_macro2::Ident::new(function, at);
    quote_spanned!(at=> #private::#function(&__cachesync_output))
}

/// The value in `output`, a variable, if it is one of success: an `Option` of a reference.
pub(super) fn success(used: &Use, output: &TokenStream) -> TokenStream {
    let at = Place::of(used.output()).start;
    let private = private(at);
    if used.cache_value {
        return quote_spanned!(at=> #private::core::option::Option::Some(&#output));
    }
    quote_spanned!(at=> #private::outcome(&#output).value())
}
