//! `#[cacheable]` of one key.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;

use super::{
    body::{answer, load, mentions},
    call::call,
    keyed::keyed,
    policy::{Statements, declare, negative},
    private,
    returned::{look, returned},
};
use crate::{
    form::Form,
    model::{Policy, Use, key::Key},
};

/// The cache is asked before anything is moved; a hit returns at once. On a miss another caller may be loading: then this
/// one waits for the answer. Or else it loads, and what holds the place for its value is settled after the body.
///
/// The steps are separate statements so that neither the borrowed key nor the `Step` lives across the `.await`. Where nothing
/// is decided between them, waiting and loading are one step.
pub(super) fn expand(used: &Use, key: &Key, policy: &Policy) -> TokenStream {
    let private = private(Span::mixed_site());
    let begin = |call: &TokenStream| {
        keyed(used, key, |keyed| {
            let returned = returned(used, used.output());
            quote_spanned! {Span::mixed_site()=>
                #private::begin(&__CACHESYNC_SITES, #call, #keyed, #returned)
            }
        })
    };
    let bypassed = quote_spanned!(Span::mixed_site()=> #private::Step::Miss(#private::Loading::bypassed()));
    let step = call(used, begin, &bypassed);
    let miss = quote_spanned! {Span::mixed_site()=>
        let __cachesync_miss = {
            let __cachesync_step = #step;
            match __cachesync_step {
                #private::Step::Hit(__cachesync_output) => return __cachesync_output,
                #private::Step::Miss(__cachesync_miss) => __cachesync_miss,
            }
        };
    };
    if let Some(answer) = answer(used).filter(|_| policy.is_plain()) {
        return quote_spanned!(Span::mixed_site()=> #miss #answer);
    }
    let lead = lead(used.function.form);
    let body = load(used, mentions(policy.expressions_after_body()));
    let Decisions { before, after } = Decisions::of(used, policy);
    quote_spanned! {Span::mixed_site()=>
        #miss
        let __cachesync_load = #lead;
        #before
        let __cachesync_output = #body;
        #after
        __cachesync_load.settle(&__cachesync_output, __cachesync_policy);
        __cachesync_output
    }
}

/// What waits for another caller's load and returns its answer, or leads.
fn lead(form: Form) -> TokenStream {
    let private = private(Span::mixed_site());
    let led = |led: &TokenStream| {
        quote_spanned! {Span::mixed_site()=>
            match #led {
                #private::Led::Answer(__cachesync_output) => return __cachesync_output,
                #private::Led::Load(__cachesync_load) => __cachesync_load,
            }
        }
    };
    if form == Form::Plain {
        return led(&quote_spanned!(Span::mixed_site()=> __cachesync_miss.lead_now()));
    }
    let waited = led(&quote_spanned!(Span::mixed_site()=> __cachesync_wait.await));
    quote_spanned! {Span::mixed_site()=>
        match __cachesync_miss.lead() {
            #private::Leading::Load(__cachesync_load) => __cachesync_load,
            #private::Leading::Wait(__cachesync_wait) => #waited,
        }
    }
}

/// The policy: its declaration and what can be decided before the body, and what is decided after it.
struct Decisions {
    before: TokenStream,
    after: TokenStream,
}

impl Decisions {
    fn of(used: &Use, policy: &Policy) -> Self {
        let private = private(Span::mixed_site());
        if policy.is_plain() {
            let declare = quote_spanned!(Span::mixed_site()=> let __cachesync_policy = #private::Policy::new(););
            // After the body: it need not live across the `.await`.
            return Self { before: TokenStream::new(), after: declare };
        }
        let Statements { before, shared, of_value } = Statements::of(policy);
        // What does not look at the value goes for a `None` and an error too.
        let (first, within) = if policy.is_negative() { (Some(shared), None) } else { (None, Some(shared)) };
        let negative = negative(used, policy);
        let look = look(used);
        let declare = declare();
        let before = quote_spanned! {Span::mixed_site()=>
            #declare
            if __cachesync_load.may_keep() { #before }
        };
        let after = quote_spanned! {Span::mixed_site()=>
            if __cachesync_load.may_keep() {
                #first
                match #look {
                    #private::core::option::Option::Some(__cachesync_value) => { #within #of_value }
                    #private::core::option::Option::None => { #negative }
                }
            }
        };
        Self { before, after }
    }
}
