//! `#[cacheable]` of many keys.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::{FnArg, Pat, Signature};

use super::{
    body::{load, mentions},
    call::call,
    keyed::{keyed, of_reference, traits},
    place::Place,
    policy::{Statements, declare, keep_none},
    private,
    returned::returned_batch,
};
use crate::{
    form::Form,
    model::{Batch, Element, Policy, Use},
};

/// As for one key; the body sees a list of the missing keys in place of its parameter, by the same name.
pub(super) fn expand(used: &Use, batch: &Batch, policy: &Policy) -> TokenStream {
    let private = private(Span::mixed_site());
    let list = list(batch);
    let begin = |call: &TokenStream| {
        let keys = keys(used, batch);
        let returned = returned_batch(used, used.output());
        let at = Place::of(used.output()).start;
        let private = super::private(at);
        quote_spanned! {at=>
            #private::batch(&__CACHESYNC_SITES, #call, #list, #keys, #returned)
        }
    };
    let bypassed = quote_spanned! {Span::mixed_site()=>
        #private::BatchStep::Miss(#private::BatchLoading::bypassed(#list))
    };
    let step = call(used, begin, &bypassed);
    let lead = match used.function.form {
        Form::Plain => quote_spanned!(Span::mixed_site()=> lead_now()),
        Form::Async | Form::Future | Form::Boxed => quote_spanned!(Span::mixed_site()=> lead().await),
    };
    let body = load(used, mentions(policy.expressions_after_body()));
    let missing = missing(batch);
    let statements = Statements::of(policy);
    let before = before(&statements);
    let settle = settle(policy, &statements);
    quote_spanned! {Span::mixed_site()=>
        let __cachesync_loading = {
            let __cachesync_step = #step;
            match __cachesync_step {
                #private::BatchStep::Hit(__cachesync_output) => return __cachesync_output,
                #private::BatchStep::Miss(__cachesync_loading) => __cachesync_loading,
            }
        };
        let mut __cachesync_load = match __cachesync_loading.#lead {
            #private::BatchLed::Answer(__cachesync_output) => return __cachesync_output,
            #private::BatchLed::Load(__cachesync_load) => __cachesync_load,
        };
        #before
        let __cachesync_output = { #missing #body };
        #settle
    }
}

/// The parameter, as a reference to a list.
fn list(batch: &Batch) -> TokenStream {
    let list = &batch.list;
    let at = Place::of(list).start;
    if batch.is_reference { list.to_token_stream() } else { quote_spanned!(at=> &#list) }
}

/// The signature, in which the list is not `mut`: the variable that the body sees is.
pub(super) fn signature(used: &Use, batch: &Batch) -> Signature {
    let mut signature = used.function.signature.clone();
    for argument in &mut signature.inputs {
        if let FnArg::Typed(argument) = argument
            && let Pat::Ident(pattern) = &mut *argument.pat
            && pattern.ident == batch.list
        {
            pattern.mutability = None;
        }
    }
    signature
}

/// An attribute of the function: a list that it takes by value is taken by the body, and only borrowed by what is around.
pub(super) fn allow(batch: &Batch) -> TokenStream {
    if batch.is_reference {
        return TokenStream::new();
    }
    quote_spanned!(Span::mixed_site()=> #[allow(clippy::needless_pass_by_value)])
}

/// The variable that the body sees.
fn missing(batch: &Batch) -> TokenStream {
    let private = private(Span::mixed_site());
    let list = &batch.list;
    let pattern = &batch.pattern;
    let given = self::list(batch);
    let missing = quote_spanned!(Place::of(list).start=> __cachesync_load.missing(#given));
    if batch.is_reference {
        quote_spanned! {Span::mixed_site()=>
            let __cachesync_missing = #missing;
            let #pattern = #private::borrow_list(#list, &__cachesync_missing);
        }
    } else {
        quote_spanned!(Span::mixed_site()=> let #pattern = #missing;)
    }
}

/// What makes a key of each element: a closure, which learns the type of its parameter from the list.
fn keys(used: &Use, batch: &Batch) -> TokenStream {
    let private = private(Span::mixed_site());
    let list = list(batch);
    let (kind, pattern, own) = match &batch.element {
        Element::Same => {
            let item = Batch::item_name().to_token_stream();
            let traits = traits(used);
            let keyed = of_reference(used, &item, Place::of(&batch.list).start);
            let own = quote_spanned!(Span::mixed_site()=> { #traits #private::own(#keyed) });
            ("SameKeys", item, own)
        }
        Element::Mapped(mapped) => {
            let (pattern, key) = &**mapped;
            let own = keyed(used, key, |keyed| quote_spanned!(Span::mixed_site()=> #private::own(#keyed)));
            ("MappedKeys", pattern.to_token_stream(), own)
        }
    };
    let kind = proc_macro2::Ident::new(kind, Span::mixed_site());
    quote_spanned!(Span::mixed_site()=> #private::#kind(#private::key_of_each(#list, |#pattern| #own)))
}

/// What is decided for all values alike, and before the body.
fn before(Statements { before, .. }: &Statements) -> TokenStream {
    let declare = declare();
    quote_spanned! {Span::mixed_site()=>
        let __cachesync_shared = {
            #declare
            if __cachesync_load.may_keep() { #before }
            __cachesync_policy
        };
    }
}

/// The answer, after what was loaded has been kept.
fn settle(policy: &Policy, Statements { shared, of_value, .. }: &Statements) -> TokenStream {
    let private = private(Span::mixed_site());
    let copy = quote_spanned! {Span::mixed_site()=>
        let mut __cachesync_policy = #private::core::clone::Clone::clone(&__cachesync_shared);
    };
    if !policy.none {
        return quote_spanned! {Span::mixed_site()=>
            __cachesync_load.settle(
                __cachesync_output,
                |__cachesync_value| { #copy #shared #of_value __cachesync_policy },
                #private::core::option::Option::None,
            )
        };
    }
    let keep = keep_none(policy);
    quote_spanned! {Span::mixed_site()=>
        let (__cachesync_shared, __cachesync_none) = if __cachesync_load.may_keep() {
            let __cachesync_shared = { #copy #shared __cachesync_policy };
            let __cachesync_none = { #copy #keep __cachesync_policy };
            (__cachesync_shared, #private::core::option::Option::Some(__cachesync_none))
        } else {
            (__cachesync_shared, #private::core::option::Option::None)
        };
        __cachesync_load.settle(
            __cachesync_output,
            |__cachesync_value| { #copy #of_value __cachesync_policy },
            __cachesync_none,
        )
    }
}
