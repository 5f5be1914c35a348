//! The way from an attribute and its item to code: parse, model, validate, expand.
//!
//! Invariant: whatever is wrong, the annotated function is emitted, so that its callers do not fail as well.

use std::fmt;

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Expr, ExprLit, Lit, LitStr, Path, parse_quote};

use crate::{
    arguments::{Argument, Arguments, Name},
    expand,
    function::Function,
    key::Key,
    leaving,
    mistakes::Mistakes,
    names::peeled,
    returns::Returns,
};

/// Which attribute it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Cacheable,
    CacheEvict,
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cacheable => "`#[cacheable]`",
            Self::CacheEvict => "`#[cache_evict]`",
        })
    }
}

/// A use of an attribute in which no mistake was found: all that the expansion needs.
pub(crate) struct Use {
    /// The crate, by the path under which the user knows it.
    pub(crate) krate: Path,
    pub(crate) cache: LitStr,
    pub(crate) registry: Option<Expr>,
    /// The whole return value is what counts, not what is in its `Ok` or `Some`.
    pub(crate) cache_value: bool,
    pub(crate) function: Function,
    pub(crate) returns: Returns,
    pub(crate) action: Action,
}

/// What the annotated function does to the cache.
pub(crate) enum Action {
    Load { key: Key },
    Evict { entries: Entries, when: When },
}

/// What is evicted.
pub(crate) enum Entries {
    All,
    Of(Key),
}

/// When it is evicted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Before the body runs.
    Before,
    /// After the body, if it succeeded.
    Succeeded,
    /// After the body, whatever it returned.
    Always,
}

/// Expands `attribute`, written with `arguments` on `item`.
pub(crate) fn expand(attribute: Attribute, arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let arguments = Arguments::parse(arguments, attribute, &mut mistakes);
    let function = match Function::parse(item.clone(), attribute) {
        Ok(function) => function,
        Err(error) => {
            mistakes.add(error);
            let errors = mistakes.into_compile_errors();
            return quote!(#item #errors);
        }
    };
    let checked = check(attribute, arguments, function, &mut mistakes);
    match (mistakes.into_compile_errors(), checked) {
        (None, Some(checked)) => expand::expand(&checked),
        (errors, _) => quote!(#item #errors),
    }
}

/// Holds the arguments against the function and each other. `None` only after a mistake.
fn check(attribute: Attribute, arguments: Arguments, function: Function, mistakes: &mut Mistakes) -> Option<Use> {
    function.check(attribute, mistakes);
    let cache = cache(attribute, &arguments, mistakes);
    let returns = Returns::check(attribute, &function, arguments.cache_value.is_some(), mistakes);
    let action = match attribute {
        Attribute::Cacheable => Key::check(attribute, &arguments, &function, mistakes).map(|key| Action::Load { key }),
        Attribute::CacheEvict => evict(&arguments, &function, mistakes),
    };
    if let Some(Argument { value, .. }) = &arguments.registry {
        leaving::refuse(value, "`registry`", "name a registry that is always there", mistakes);
    }
    Some(Use {
        krate: arguments.krate.map_or_else(|| parse_quote!(::cachesync), |krate| krate.value),
        cache: cache?,
        registry: arguments.registry.map(|registry| registry.value),
        cache_value: arguments.cache_value.is_some(),
        function,
        returns: returns?,
        action: action?,
    })
}

fn evict(arguments: &Arguments, function: &Function, mistakes: &mut Mistakes) -> Option<Action> {
    let when = match (&arguments.before, &arguments.always) {
        (Some(_), Some(Argument { name, .. })) => {
            mistakes.on(name, "`before` evicts whatever the function will return: remove `always`");
            None
        }
        (Some(_), None) => Some(When::Before),
        (None, Some(_)) => Some(When::Always),
        (None, None) => Some(When::Succeeded),
    };
    let entries = if arguments.all.is_some() {
        for name in [arguments.key.as_ref().map(|key| &key.name), arguments.skip.as_ref().map(|skip| &skip.name)]
            .into_iter()
            .flatten()
        {
            mistakes.on(name, format_args!("`all` evicts every key of the cache: remove `{name}`, or `all`"));
        }
        Some(Entries::All)
    } else {
        Key::check(Attribute::CacheEvict, arguments, function, mistakes).map(Entries::Of)
    };
    if let (Some(Entries::Of(key)), Some(When::Before)) = (&entries, when)
        && let Some(result) = &key.result
    {
        mistakes.at(
            result.span(),
            "there is no `result` yet when the key of a `before` is evaluated: remove `before`, or use the parameters",
        );
    }
    Some(Action::Evict { entries: entries?, when: when? })
}

fn cache(attribute: Attribute, arguments: &Arguments, mistakes: &mut Mistakes) -> Option<LitStr> {
    let Some(Argument { value, .. }) = &arguments.cache else {
        if !arguments.attempted(Name::Cache) {
            mistakes
                .at(Span::call_site(), format_args!("{attribute} needs the name of its cache: add `cache = \"...\"`"));
        }
        return None;
    };
    let Expr::Lit(ExprLit { lit: Lit::Str(name), .. }) = peeled(value) else {
        mistakes.on(value, "the name of a cache is a string literal: write `cache = \"users\"`");
        return None;
    };
    match wrong_name(&name.value()) {
        None => Some(name.clone()),
        Some(wrong) => {
            mistakes.on(name, wrong);
            None
        }
    }
}

/// What is wrong with the name of a cache. The rule is that of `cachesync_core::Name`.
fn wrong_name(name: &str) -> Option<String> {
    const MAX_LEN: usize = 100;
    if name.is_empty() {
        return Some("the name of a cache is 1 to 100 bytes long: this one is empty".into());
    }
    if let Some(wrong) = name.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))) {
        return Some(format!("the name of a cache is made of `A-Z`, `a-z`, `0-9`, `_` and `-`: replace {wrong:?}"));
    }
    (name.len() > MAX_LEN)
        .then(|| format!("the name of a cache is 1 to {MAX_LEN} bytes long: shorten this one of {} bytes", name.len()))
}

/// What is wrong with `#[attribute(arguments)] item`, for the unit tests of all modules.
#[cfg(test)]
pub(crate) fn mistakes_in(attribute: Attribute, arguments: TokenStream, item: TokenStream) -> Vec<String> {
    let mut mistakes = Mistakes::default();
    let arguments = Arguments::parse(arguments, attribute, &mut mistakes);
    match Function::parse(item, attribute) {
        Ok(function) => _ = check(attribute, arguments, function, &mut mistakes),
        Err(error) => mistakes.add(error),
    }
    mistakes.messages()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_save(arguments: TokenStream) -> Vec<String> {
        mistakes_in(
            Attribute::CacheEvict,
            arguments,
            quote!(
                async fn save(id: u64) -> Result<u64, ()> {
                    Ok(id)
                }
            ),
        )
    }

    #[test]
    fn arguments_that_belong_together_are_accepted() {
        for good in [
            quote!(cache = "a"),
            quote!(cache = ("a")),
            quote!(cache = "a", all),
            quote!(cache = "a", all, always, cache_value),
            quote!(cache = "a", all, before),
            quote!(cache = "a", key = result, always),
            quote!(cache = "a", key = id, before, registry = REGISTRY, crate = a::b),
        ] {
            assert_eq!(on_save(good.clone()), [""; 0], "{good}");
        }
    }

    #[test]
    fn arguments_that_exclude_each_other_are_refused() {
        for (bad, says) in [
            (quote!(cache = "a", all, key = id), "remove `key`, or `all`"),
            (quote!(cache = "a", all, skip(id)), "remove `skip`, or `all`"),
            (quote!(cache = "a", before, always), "remove `always`"),
            (quote!(cache = "a", before, key = result), "remove `before`"),
            (quote!(cache = "a", key = id, skip(id)), "remove one of the two"),
        ] {
            let messages = on_save(bad.clone());
            assert!(matches!(&*messages, [message] if message.contains(says)), "{bad}: {messages:?}");
        }
    }

    #[test]
    fn a_registry_does_not_leave_the_function() {
        let messages = on_save(quote!(cache = "a", registry = registry()?));
        assert!(matches!(&*messages, [message] if message.starts_with("`?` in `registry`")), "{messages:?}");
    }

    #[test]
    fn all_mistakes_are_found_and_none_twice() {
        let messages = mistakes_in(
            Attribute::Cacheable,
            quote!(cahce = "a", key = idd, before, skip = 1),
            quote!(
                fn find(&self, id: u64) -> impl Clone {
                    id
                }
            ),
        );
        assert_eq!(messages.len(), 6, "{messages:#?}");
    }

    #[test]
    fn a_function_with_a_mistake_is_emitted_as_it_was() {
        let item = quote!(
            #[inline]
            pub async fn find(id: u64) -> Option<u64> {
                #![allow(unused)]
                Some(id)
            }
        );
        let expanded = expand(Attribute::Cacheable, quote!(), &item).to_string();
        assert!(expanded.starts_with(&item.to_string()), "{expanded}");
        assert_eq!(expanded.matches("compile_error").count(), 1, "{expanded}");
    }

    #[test]
    fn the_expansion_calls_nothing_that_a_project_may_have_disallowed() {
        for (attribute, arguments) in [
            (Attribute::Cacheable, quote!(cache = "a")),
            (Attribute::CacheEvict, quote!(cache = "a", key = result.id)),
            (Attribute::CacheEvict, quote!(cache = "a", key = id)),
            (Attribute::CacheEvict, quote!(cache = "a", all, always)),
        ] {
            let item = quote!(
                async fn save(id: u64) -> Result<User, ()> {}
            );
            let expanded = expand(attribute, arguments, &item).to_string();
            for method in ["unwrap", "expect (", "is_some", "is_none"] {
                assert!(!expanded.contains(method), "{method}: {expanded}");
            }
        }
    }

    #[test]
    fn a_cache_name_is_what_core_takes_for_one() {
        for good in ["users", "a", "A-Z_09", &"x".repeat(100)] {
            assert_eq!(wrong_name(good), None, "{good}");
        }
        for (bad, says) in [
            ("", "empty"),
            ("us ers", "replace ' '"),
            ("users.by-email", "replace '.'"),
            ("jäger", "replace 'ä'"),
            (&*"x".repeat(101), "shorten this one of 101 bytes"),
        ] {
            let wrong = wrong_name(bad).expect(bad);
            assert!(wrong.contains(says), "{bad}: {wrong}");
        }
    }
}
