//! `#[cache_evict]`.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use super::{body, keyed::Evaluation, method, place::Place, private};
use crate::{
    attribute::{Entries, Use, When},
    key::Key,
};

/// The eviction is announced before the body runs, so that one is pending should the function be cancelled or panic, and
/// applied or discarded by what the body returns.
pub(super) fn expand(used: &Use, entries: &Entries, when: When) -> TokenStream {
    let eviction = match entries {
        Entries::Of(key) if key.result.is_none() => of_key(used, key),
        // Which key it is will be known when there is a result. Until then it may be any.
        Entries::Of(_) | Entries::All => of_all(used),
    };
    if when == When::Before {
        let body = &used.function.body;
        return quote_spanned! {Span::mixed_site()=>
            let __cachesync_eviction = #eviction;
            __cachesync_eviction.apply();
            #body
        };
    }
    let body = match entries {
        Entries::Of(key) => body(used, key.result.is_some() && uses_variables(used, key)),
        Entries::All => body(used, false),
    };
    let settle = match entries {
        Entries::Of(key) if key.result.is_some() => by_result(used, key, when),
        _ => by_success(used, when),
    };
    quote_spanned! {Span::mixed_site()=>
        let __cachesync_eviction = #eviction;
        let __cachesync_output = #body.await;
        #settle
        __cachesync_output
    }
}

/// Whether a key uses variables. If it is evaluated after the body, the body must not have taken them.
fn uses_variables(used: &Use, key: &Key) -> bool {
    key.mentions.has_text("self") || key.parameters(&used.function).next().is_some()
}

fn of_key(used: &Use, key: &Key) -> TokenStream {
    let mut evaluation = Evaluation::default();
    let registry = evaluation.registry(used.registry.as_ref());
    let evict = method("evict_key", &registry);
    let keyed = evaluation.key(&key.part);
    evaluation.then(&quote_spanned!(Span::mixed_site()=> __CACHESYNC_SITE.#evict(#registry #keyed)))
}

fn of_all(used: &Use) -> TokenStream {
    let mut evaluation = Evaluation::default();
    let registry = evaluation.registry(used.registry.as_ref());
    let evict = method("evict_all", &registry);
    evaluation.then(&quote_spanned!(Span::mixed_site()=> __CACHESYNC_SITE.#evict(#registry)))
}

fn by_success(used: &Use, when: When) -> TokenStream {
    if when == When::Always {
        return quote_spanned!(Span::mixed_site()=> __cachesync_eviction.apply(););
    }
    let private = private(Span::mixed_site());
    let value = value(used);
    quote_spanned! {Span::mixed_site()=>
        match #value {
            #private::core::option::Option::Some(_) => __cachesync_eviction.apply(),
            #private::core::option::Option::None => __cachesync_eviction.discard(),
        }
    }
}

fn by_result(used: &Use, key: &Key, when: When) -> TokenStream {
    let private = private(Span::mixed_site());
    let value = value(used);
    let result = key.result.as_ref();
    let mut evaluation = Evaluation::default();
    let keyed = evaluation.key(&key.part);
    let apply = evaluation.then(&quote_spanned!(Span::mixed_site()=> __cachesync_eviction.apply_key(#keyed)));
    let failed = match when {
        When::Always => quote_spanned!(Span::mixed_site()=> __cachesync_eviction.apply()),
        When::Succeeded | When::Before => quote_spanned!(Span::mixed_site()=> __cachesync_eviction.discard()),
    };
    quote_spanned! {Span::mixed_site()=>
        match #value {
            #private::core::option::Option::Some(#result) => {
                // Macros in the key may only look as if they used it.
                _ = &#result;
                #apply;
            }
            #private::core::option::Option::None => #failed,
        }
    }
}

/// What the function returned, if that is a success.
fn value(used: &Use) -> TokenStream {
    success(used, &quote_spanned!(Span::mixed_site()=> __cachesync_output))
}

/// The value in `output`, a variable, if it is one of success: an `Option` of a reference.
pub(super) fn success(used: &Use, output: &TokenStream) -> TokenStream {
    let at = Place::of(&used.returns.ty).start;
    let private = private(at);
    if used.cache_value {
        return quote_spanned!(at=> #private::core::option::Option::Some(&#output));
    }
    quote_spanned! {at=> {
        use #private::{OutcomeOfResult as _, OutcomePlain as _};
        (&&#private::Outcome(&#output)).value()
    }}
}
