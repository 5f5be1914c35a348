//! `#[cache_evict]`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

use super::{Emitter, keyed::Evaluation, place::Place};
use crate::{
    attribute::{Entries, When},
    key::Key,
};

/// The eviction is announced before the body runs, so that one is pending should the function be cancelled or panic, and
/// applied or discarded by what the body returns.
pub(super) fn expand(emitter: &Emitter<'_>, entries: &Entries, when: When) -> TokenStream {
    let eviction = match entries {
        Entries::Of(key) if key.result.is_none() => of_key(emitter, key),
        // Which key it is will be known when there is a result. Until then it may be any.
        Entries::Of(_) | Entries::All => of_all(emitter),
    };
    if when == When::Before {
        let body = &emitter.used.function.body;
        return quote_spanned! {Span::mixed_site()=>
            #eviction.apply();
            #body
        };
    }
    let body = emitter.body();
    let moving = match entries {
        Entries::Of(key) => key.result.is_some() && uses_variables(emitter, key),
        Entries::All => false,
    };
    let moving = if moving || emitter.used.function.has_result_key_below() {
        TokenStream::new()
    } else {
        quote_spanned!(Span::mixed_site()=> move)
    };
    let settle = match entries {
        Entries::Of(key) if key.result.is_some() => by_result(emitter, key, when),
        _ => by_success(emitter, when),
    };
    quote_spanned! {Span::mixed_site()=>
        let __cachesync_eviction = #eviction;
        let __cachesync_output = async #moving #body.await;
        #settle
        __cachesync_output
    }
}

/// Whether a key that is evaluated after the body uses variables that the body must then not have taken: the body
/// borrows what it can instead of moving it.
fn uses_variables(emitter: &Emitter<'_>, key: &Key) -> bool {
    key.mentions.has_text("self") || key.parameters(&emitter.used.function).next().is_some()
}

fn of_key(emitter: &Emitter<'_>, key: &Key) -> TokenStream {
    let mut evaluation = Evaluation::default();
    let registry = evaluation.registry(emitter.used.registry.as_ref());
    let evict = method("evict_key", &registry);
    let keyed = evaluation.key(&key.part, emitter);
    evaluation.then(&quote_spanned!(Span::mixed_site()=> __CACHESYNC_SITE.#evict(#registry #keyed)), emitter)
}

fn of_all(emitter: &Emitter<'_>) -> TokenStream {
    let mut evaluation = Evaluation::default();
    let registry = evaluation.registry(emitter.used.registry.as_ref());
    let evict = method("evict_all", &registry);
    evaluation.then(&quote_spanned!(Span::mixed_site()=> __CACHESYNC_SITE.#evict(#registry)), emitter)
}

fn method(name: &str, registry: &TokenStream) -> Ident {
    let suffix = if registry.is_empty() { "" } else { "_in" };
    Ident::new(&format!("{name}{suffix}"), Span::mixed_site())
}

fn by_success(emitter: &Emitter<'_>, when: When) -> TokenStream {
    if when == When::Always || emitter.used.cache_value {
        return quote_spanned!(Span::mixed_site()=> __cachesync_eviction.apply(););
    }
    let private = &emitter.private;
    let value = value(emitter);
    quote_spanned! {Span::mixed_site()=>
        if #private::core::option::Option::is_some(&#value) {
            __cachesync_eviction.apply();
        } else {
            __cachesync_eviction.discard();
        }
    }
}

fn by_result(emitter: &Emitter<'_>, key: &Key, when: When) -> TokenStream {
    let private = &emitter.private;
    let value = value(emitter);
    let result = key.result.as_ref();
    let mut evaluation = Evaluation::default();
    let keyed = evaluation.key(&key.part, emitter);
    let apply = evaluation.then(&quote_spanned!(Span::mixed_site()=> __cachesync_eviction.apply_key(#keyed)), emitter);
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
fn value(emitter: &Emitter<'_>) -> TokenStream {
    success(emitter, &quote_spanned!(Span::mixed_site()=> __cachesync_output))
}

/// The value in `output`, a variable, if it is one of success: an `Option` of a reference.
pub(super) fn success(emitter: &Emitter<'_>, output: &TokenStream) -> TokenStream {
    let private = &emitter.private;
    if emitter.used.cache_value {
        return quote_spanned!(Span::mixed_site()=> #private::core::option::Option::Some(&#output));
    }
    quote_spanned! {Place::of(&emitter.used.returns.ty).start=> {
        use #private::{OutcomeOfResult as _, OutcomePlain as _};
        (&&#private::Outcome(&#output)).value()
    }}
}
