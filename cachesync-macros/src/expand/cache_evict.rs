//! `#[cache_evict]`.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use super::{
    body::{body, last, mentions},
    call::{announce, decide, settle},
    keyed::{keyed, of_reference, traits},
    place::Place,
    policy::items,
    private,
    returned::success,
    variable, with_result,
};
use crate::model::{Entries, Use, When, expression::Expression};

/// The eviction is announced before the body runs, so that one is pending should the function be cancelled or panic, and
/// applied or discarded by what the body returns.
pub(super) fn expand(used: &Use, entries: &Entries, when: When, unless: Option<&Expression>) -> TokenStream {
    let eviction = announce(used, |call| eviction(used, entries, call));
    let name = variable("eviction");
    if when == When::Before {
        let body = last(used);
        let apply = settle(used, &name, &quote_spanned!(Span::mixed_site()=> #name.apply();));
        return quote_spanned! {Span::mixed_site()=>
            let #name = #eviction;
            #apply
            #body
        };
    }
    let late = entries.use_result().then_some(entries);
    let late = late.into_iter().flat_map(|entries| match entries {
        Entries::All => Vec::new(),
        Entries::Of(key) => vec![&key.mentions],
        Entries::OfMany(keys) => vec![&keys.expression.mentions],
        Entries::Tagged(tags) => mentions(tags).collect(),
    });
    let body = body(used, late.chain(mentions(unless)));
    let after = after(used, entries, when, unless);
    let after = settle(used, &name, &after);
    quote_spanned! {Span::mixed_site()=>
        let #name = #eviction;
        let __cachesync_output = #body;
        #after
        __cachesync_output
    }
}

/// What is announced.
fn eviction(used: &Use, entries: &Entries, call: &TokenStream) -> TokenStream {
    let private = private(Span::mixed_site());
    match entries {
        // What it is will be known when there is a result. Until then it may be any key.
        entries if entries.use_result() => {
            quote_spanned!(Span::mixed_site()=> #private::evict_all(&__CACHESYNC_SITES, #call))
        }
        Entries::All => quote_spanned!(Span::mixed_site()=> #private::evict_all(&__CACHESYNC_SITES, #call)),
        Entries::Of(key) => keyed(
            used,
            key,
            |keyed| quote_spanned!(Span::mixed_site()=> #private::evict_key(&__CACHESYNC_SITES, #call, #keyed)),
        ),
        Entries::OfMany(keys) => {
            let keys = keys_of(used, &keys.expression, keys.borrowed);
            quote_spanned!(Span::mixed_site()=> #private::evict_keys(&__CACHESYNC_SITES, #call, #keys))
        }
        Entries::Tagged(tags) => {
            let tags = tags_of(tags, None);
            quote_spanned!(Span::mixed_site()=> #private::evict_tags(&__CACHESYNC_SITES, #call, #tags))
        }
    }
}

/// Statements that apply or discard it.
fn after(used: &Use, entries: &Entries, when: When, unless: Option<&Expression>) -> TokenStream {
    let private = private(Span::mixed_site());
    let whole = quote_spanned!(Span::mixed_site()=> __cachesync_eviction.apply(););
    let discard = quote_spanned!(Span::mixed_site()=> __cachesync_eviction.discard(););
    let failed = if when == When::Always { &whole } else { &discard };
    if when == When::Always && unless.is_none() && !entries.use_result() {
        return whole;
    }
    let apply = if entries.use_result() { apply(used, entries) } else { whole.clone() };
    let succeeded = match unless {
        Some(unless) => {
            let name = variable("unless");
            let decide = decide(&name, unless);
            let value = quote_spanned!(Span::mixed_site()=> __cachesync_value);
            let assign = quote_spanned!(Span::mixed_site()=> #decide __cachesync_kept = #name;);
            let assign = with_result(unless.result.as_ref(), &value, &assign);
            quote_spanned! {Span::mixed_site()=>
                let __cachesync_kept;
                #assign
                if __cachesync_kept { #discard } else { #apply }
            }
        }
        None => apply,
    };
    let value = success(used, &quote_spanned!(Span::mixed_site()=> __cachesync_output));
    quote_spanned! {Span::mixed_site()=>
        match #value {
            #private::core::option::Option::Some(__cachesync_value) => { #succeeded }
            #private::core::option::Option::None => { #failed }
        }
    }
}

/// Applies what was announced as an eviction of all keys to what the result says.
fn apply(used: &Use, entries: &Entries) -> TokenStream {
    let value = quote_spanned!(Span::mixed_site()=> __cachesync_value);
    match entries {
        Entries::All => quote_spanned!(Span::mixed_site()=> __cachesync_eviction.apply();),
        Entries::Of(key) => {
            let apply =
                keyed(used, key, |keyed| quote_spanned!(Span::mixed_site()=> __cachesync_eviction.apply_key(#keyed)));
            with_result(key.result.as_ref(), &value, &quote_spanned!(Span::mixed_site()=> #apply;))
        }
        Entries::OfMany(keys) => {
            let vec = keys_of(used, &keys.expression, keys.borrowed);
            let apply = quote_spanned!(Span::mixed_site()=> __cachesync_eviction.apply_keys(#vec););
            with_result(keys.expression.result.as_ref(), &value, &apply)
        }
        Entries::Tagged(tags) => {
            let tags = tags_of(tags, Some(&value));
            quote_spanned!(Span::mixed_site()=> __cachesync_eviction.apply_tags(#tags);)
        }
    }
}

/// The keys that an iterator makes, in a `Vec`.
pub(super) fn keys_of(used: &Use, expression: &Expression, borrowed: bool) -> TokenStream {
    let private = private(Span::mixed_site());
    let items = items(expression, borrowed, "KeysRefused");
    let at = Place::of(&expression.tokens).start;
    let traits = traits(used);
    let item = quote_spanned!(at=> __cachesync_item);
    let keyed = of_reference(used, &item, at);
    let own = quote_spanned!(Span::mixed_site()=> |__cachesync_item| { #traits #private::own(#keyed) });
    let private = super::private(at);
    quote_spanned!(at=> #private::keys_of(#items, #own))
}

/// The tags, in which `result` is `value`.
fn tags_of(tags: &[Expression], value: Option<&TokenStream>) -> TokenStream {
    let private = private(Span::mixed_site());
    let name = variable("tags");
    let add = tags.iter().map(|each| {
        let tokens = &each.tokens;
        let add = quote_spanned!(Place::of(tokens).start=> #name.tag(&(#tokens)));
        let result = each.result.as_ref().zip(value).map(|(result, value)| {
            // Macros may only look as if they used it.
            quote_spanned!(Span::mixed_site()=> let #result = #value; _ = &#result;)
        });
        quote_spanned! {Span::mixed_site()=>
            let #name = {
                #result
                let #name = #add;
                #name
            };
        }
    });
    quote_spanned! {Span::mixed_site()=> {
        let #name = #private::Tags::new();
        #(#add)*
        #name
    }}
}
