//! The caches of an attribute: names, and typed caches by their paths.

use proc_macro2::Span;
use quote::ToTokens;
use syn::{Expr, ExprArray, ExprLit, ExprPath, Lit, LitStr, Path};

use crate::{
    arguments::{Argument, Arguments, Name},
    attribute::Attribute,
    mistakes::Mistakes,
    names::peeled,
};

/// The most caches that one attribute may have.
const MAX_CACHES: usize = 8;

/// A cache in which no mistake was found.
pub(crate) enum Cache {
    /// By its name.
    Named(LitStr),
    /// By the static that `cache!` made.
    Typed(Path),
}

impl Cache {
    /// How it is written.
    fn text(&self) -> String {
        match self {
            Self::Named(name) => name.value(),
            Self::Typed(path) => path.to_token_stream().to_string(),
        }
    }
}

/// The caches that `arguments` ask for. `None` only after a mistake.
pub(super) fn check(attribute: Attribute, arguments: &Arguments, mistakes: &mut Mistakes) -> Option<Vec<Cache>> {
    let Some(argument) = arguments.expression(Name::Cache) else {
        if !arguments.attempted(Name::Cache) {
            mistakes
                .at(Span::call_site(), format_args!("{attribute} needs the name of its cache: add `cache = \"...\"`"));
        }
        return None;
    };
    of(argument, mistakes)
}

/// The caches in `argument`. `None` only after a mistake.
pub(crate) fn of(argument: &Argument, mistakes: &mut Mistakes) -> Option<Vec<Cache>> {
    let Expr::Array(ExprArray { elems, .. }) = peeled(&argument.value) else {
        return one(&argument.value, mistakes).map(|cache| vec![cache]);
    };
    if elems.is_empty() {
        mistakes.on(&argument.value, "this list has no cache: write `cache = \"users\"`");
        return None;
    }
    if elems.len() > MAX_CACHES {
        mistakes.on(
            &argument.value,
            format_args!(
                "a function has at most {MAX_CACHES} caches, and these are {}: put an attribute on each of two functions",
                elems.len()
            ),
        );
        return None;
    }
    let caches = elems.iter().map(|element| one(element, mistakes)).collect::<Vec<_>>();
    let mut good = true;
    for (index, (element, cache)) in elems.iter().zip(&caches).enumerate() {
        let before = caches[..index].iter().flatten();
        if let Some(cache) = cache
            && before.into_iter().any(|other| other.text() == cache.text())
        {
            mistakes.on(element, "this cache is in the list twice: remove one of the two");
            good = false;
        }
    }
    caches.into_iter().collect::<Option<Vec<_>>>().filter(|_| good)
}

fn one(expression: &Expr, mistakes: &mut Mistakes) -> Option<Cache> {
    match peeled(expression) {
        Expr::Lit(ExprLit { lit: Lit::Str(name), .. }) => match wrong_name(&name.value()) {
            None => Some(Cache::Named(name.clone())),
            Some(wrong) => {
                mistakes.on(name, wrong);
                None
            }
        },
        Expr::Path(ExprPath { qself: None, path, .. }) if is_static(path) => Some(Cache::Typed(path.clone())),
        Expr::Path(ExprPath { qself: None, path, .. })
            if path.segments.first().is_some_and(|first| first.ident == "Self") =>
        {
            mistakes.on(
                path,
                "a typed cache is a static, and none is in an `impl`: write the path of what `cachesync::cache!` declares",
            );
            None
        }
        other => {
            mistakes.on(
                other,
                "a cache is a string literal, or the path of what `cachesync::cache!` declares: write `cache = \"users\"`, \
                 `cache = USERS`, or a list of these",
            );
            None
        }
    }
}

/// Whether the last segment is written as a static is; a word in lower case more likely lacks its quotes.
fn is_static(path: &Path) -> bool {
    let last = path
        .segments
        .last()
        .is_some_and(|last| last.arguments.is_none() && !last.ident.to_string().contains(|c: char| c.is_lowercase()));
    last && path.segments.first().is_some_and(|first| first.ident != "Self")
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

#[cfg(test)]
mod tests {
    use proc_macro2::TokenStream;
    use quote::quote;

    use super::*;
    use crate::attribute::mistakes_in;

    fn mistakes(cache: &TokenStream) -> Vec<String> {
        let item = quote!(
            async fn find(id: u64) -> Option<u64> {}
        );
        mistakes_in(Attribute::Cacheable, quote!(cache = #cache), item)
    }

    #[test]
    fn names_paths_and_lists_of_these_are_caches() {
        for good in [
            quote!("a"),
            quote!(("a")),
            quote!(USERS),
            quote!(crate::caches::USERS),
            quote!(["a", USERS, model::NAMES_2]),
            quote!(["1", "2", "3", "4", "5", "6", "7", "8"]),
        ] {
            assert_eq!(mistakes(&good), [""; 0], "{good}");
        }
    }

    #[test]
    fn what_is_no_cache_is_refused_once() {
        for (bad, says) in [
            (quote!(users), "write `cache = \"users\"`"),
            (quote!(users()), "is a string literal"),
            (quote!(Self::USERS), "none is in an `impl`"),
            (quote!([]), "has no cache"),
            (quote!(["a", "b", "a"]), "in the list twice"),
            (quote!([USERS, USERS]), "in the list twice"),
            (quote!(["a", "b c"]), "replace ' '"),
            (quote!(["1", "2", "3", "4", "5", "6", "7", "8", "9"]), "at most 8 caches"),
        ] {
            let messages = mistakes(&bad);
            assert!(matches!(&*messages, [message] if message.contains(says)), "{bad}: {messages:?}");
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
