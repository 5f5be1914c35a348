//! `#[cache_put]`.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use super::{
    body::{body, mentions},
    call::{announce, settle},
    keyed::keyed,
    policy::{Statements, declare, keep_none},
    private,
    returned::{ask, look, returned},
    variable, with_result,
};
use crate::model::{Policy, Use, key::Key};

/// The put is announced before the body runs: its key, or all keys if the key is only known with the result. What is evicted
/// meanwhile, or put by another, leaves it absent; so does a function that is cancelled or panics.
pub(super) fn expand(used: &Use, key: &Key, policy: &Policy) -> TokenStream {
    let private = private(Span::mixed_site());
    let is_later = key.result.is_some();
    let put = announce(used, |call| {
        let returned = returned(used, used.output());
        if is_later {
            return quote_spanned!(Span::mixed_site()=> #private::put_later(&__CACHESYNC_SITES, #call, #returned));
        }
        keyed(
            used,
            key,
            |keyed| quote_spanned!(Span::mixed_site()=> #private::put(&__CACHESYNC_SITES, #call, #keyed, #returned)),
        )
    });
    let key_after = is_later.then_some(&key.mentions);
    let body = body(used, mentions(policy.expressions()).chain(key_after));
    let mut statements = Statements::of(policy);
    // All of them follow the body: it may change what the entry is tagged by.
    statements.before.extend(std::mem::take(&mut statements.shared));
    let store = if is_later { store_later(used, key, &statements) } else { store(used, policy, &statements) };
    let store = settle(used, &variable("put"), &store);
    quote_spanned! {Span::mixed_site()=>
        let __cachesync_put = #put;
        let __cachesync_output = #body;
        #store
        __cachesync_output
    }
}

fn store(used: &Use, policy: &Policy, Statements { before: shared, of_value, .. }: &Statements) -> TokenStream {
    let private = private(Span::mixed_site());
    let declare = declare();
    // What does not look at the value goes for a `None` too, if that is kept.
    let (first, within) = if policy.none { (Some(shared), None) } else { (None, Some(shared)) };
    let (is_none, keep) = if policy.none {
        (ask(used, "is_none"), keep_none(policy))
    } else {
        let returned = returned(used, used.output());
        let is_none = quote_spanned!(Span::mixed_site()=> #private::is_nothing(#returned, &__cachesync_output));
        (is_none, TokenStream::new())
    };
    let look = look(used);
    quote_spanned! {Span::mixed_site()=>
        #declare
        #first
        match #look {
            #private::core::option::Option::Some(__cachesync_value) => {
                #within
                #of_value
                __cachesync_put.store(__cachesync_value, __cachesync_policy);
            }
            #private::core::option::Option::None => {
                if #is_none {
                    #keep
                    __cachesync_put.store_none(__cachesync_policy);
                } else {
                    __cachesync_put.discard();
                }
            }
        }
    }
}

fn store_later(used: &Use, key: &Key, Statements { before: shared, of_value, .. }: &Statements) -> TokenStream {
    let private = private(Span::mixed_site());
    let declare = declare();
    let store = keyed(
        used,
        key,
        |keyed| quote_spanned!(Span::mixed_site()=> __cachesync_put.store(#keyed, __cachesync_value, __cachesync_policy)),
    );
    let value = quote_spanned!(Span::mixed_site()=> __cachesync_value);
    let store = with_result(key.result.as_ref(), &value, &quote_spanned!(Span::mixed_site()=> #store;));
    let look = look(used);
    quote_spanned! {Span::mixed_site()=>
        match #look {
            #private::core::option::Option::Some(__cachesync_value) => {
                #declare
                #shared
                #of_value
                #store
            }
            #private::core::option::Option::None => __cachesync_put.discard(),
        }
    }
}
