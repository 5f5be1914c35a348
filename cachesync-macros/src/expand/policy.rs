//! The policy: what the arguments say about what is kept and for how long.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

use super::{call::decide, place::Place, private, returned::ask, variable, with_result};
use crate::model::{Life, Policy, Tags, Use, expression::Expression};

/// Statements about `__cachesync_policy`.
pub(super) struct Statements {
    /// Those that can be run before the body, which may take what they mention.
    pub(super) before: TokenStream,
    /// Those that follow the body and do not look at the value.
    pub(super) shared: TokenStream,
    /// Those that do; it is `__cachesync_value`.
    pub(super) of_value: TokenStream,
}

impl Statements {
    /// Each expression is in one of them, so that it stands in the expansion once.
    pub(super) fn of(policy: &Policy) -> Self {
        let mut statements =
            Self { before: TokenStream::new(), shared: TokenStream::new(), of_value: TokenStream::new() };
        if let Some(unless) = &policy.unless {
            let refuse = refuse(unless);
            if unless.result.is_none() {
                statements.shared.extend(refuse);
            } else {
                statements.add(unless, true, &refuse);
            }
        }
        match &policy.ttl {
            Some(Life::Expression(ttl)) => statements.add(ttl, ttl.result.is_some(), &live(ttl)),
            Some(Life::Function(function)) => statements.add(function, true, &live_by_value(function)),
            None => {}
        }
        match &policy.tags {
            Some(Tags::Listed(tags)) => {
                for each in tags {
                    statements.add(each, each.result.is_some(), &tag(each));
                }
            }
            Some(Tags::All(tags)) => {
                let all = items(&tags.expression, tags.borrowed, "TagsRefused");
                let at = Place::of(&tags.expression.tokens).start;
                let add = quote_spanned!(at=> __cachesync_policy.tags(#all););
                statements.add(&tags.expression, tags.expression.result.is_some(), &add);
            }
            None => {}
        }
        statements
    }

    fn add(&mut self, expression: &Expression, looks_at_value: bool, statement: &TokenStream) {
        let value = variable("value");
        let value = quote_spanned!(Span::mixed_site()=> #value);
        let statement = with_result(expression.result.as_ref(), &value, statement);
        if looks_at_value { &mut self.of_value } else { &mut self.before }.extend(statement);
    }
}

/// Declares `__cachesync_policy`.
pub(super) fn declare() -> TokenStream {
    let private = private(Span::mixed_site());
    quote_spanned!(Span::mixed_site()=> let mut __cachesync_policy = #private::Policy::new();)
}

/// Statements for an output that has no value, if something of it is to be kept.
pub(super) fn negative(used: &Use, policy: &Policy) -> TokenStream {
    let error = policy.error.as_ref().map(|predicate| keep_error(used, predicate, policy.error_ttl.as_ref()));
    if !policy.none {
        return error.unwrap_or_default();
    }
    let is_none = ask(used, "is_none");
    let keep = keep_none(policy);
    let otherwise = error.map(|error| quote_spanned!(Span::mixed_site()=> else { #error }));
    quote_spanned!(Span::mixed_site()=> if #is_none { #keep } #otherwise)
}

/// Statements for a `None` that is to be kept.
pub(super) fn keep_none(policy: &Policy) -> TokenStream {
    let ttl = policy.none_ttl.as_ref().map(live);
    quote_spanned!(Span::mixed_site()=> __cachesync_policy.keep_none(); #ttl)
}

fn keep_error(used: &Use, predicate: &Expression, ttl: Option<&Expression>) -> TokenStream {
    let private = private(Span::mixed_site());
    let error_of = ask(used, "error_of");
    let at = Place::of(used.output()).start;
    let shared = {
        let private = super::private(at);
        quote_spanned!(at=> #private::shared_failure(__cachesync_error))
    };
    let tokens = &predicate.tokens;
    let judge = {
        let at = Place::of(tokens).start;
        let private = super::private(at);
        quote_spanned!(at=> #private::judge(__cachesync_error, #tokens))
    };
    let ttl = ttl.map(live);
    quote_spanned! {Span::mixed_site()=>
        match #error_of {
            #private::core::option::Option::Some(__cachesync_error) => {
                if #judge {
                    __cachesync_policy.keep_error(#shared);
                    #ttl
                }
            }
            #private::core::option::Option::None => {}
        }
    }
}

fn refuse(unless: &Expression) -> TokenStream {
    let name = variable("unless");
    let decide = decide(&name, unless);
    quote_spanned!(Span::mixed_site()=> #decide if #name { __cachesync_policy.refuse(); })
}

fn live(ttl: &Expression) -> TokenStream {
    let tokens = &ttl.tokens;
    quote_spanned!(Place::of(tokens).start=> __cachesync_policy.ttl(#tokens);)
}

fn live_by_value(function: &Expression) -> TokenStream {
    let tokens = &function.tokens;
    let at = Place::of(tokens).start;
    let private = private(at);
    // In braces: passed at once, `|token| token.ttl()` makes clippy ask for a path, which would not be a closure any more.
    let closure = quote_spanned!(Span::mixed_site()=> { #tokens });
    let ttl = quote_spanned!(at=> #private::ttl_of(__cachesync_value, #closure));
    quote_spanned!(Span::mixed_site()=> __cachesync_policy.ttl(#ttl);)
}

fn tag(tag: &Expression) -> TokenStream {
    let tokens = &tag.tokens;
    quote_spanned!(Place::of(tokens).start=> __cachesync_policy.tag(&(#tokens));)
}

/// An iterator over what is in a list; a place is not moved. What is no list is refused by the trait `refused`.
pub(super) fn items(expression: &Expression, borrowed: bool, refused: &str) -> TokenStream {
    let tokens = &expression.tokens;
    let at = Place::of(tokens).start;
    let private = private(at);
    let refused = Ident::new(refused, at);
    let list = if borrowed { quote_spanned!(at=> &(#tokens)) } else { tokens.clone() };
    // The list is evaluated outside of the block that has our traits in scope.
    quote_spanned! {at=>
        match #private::List(#list) { __cachesync_list => {
            use #private::{Listed as _, #refused as _};
            __cachesync_list.items()
        } }
    }
}
