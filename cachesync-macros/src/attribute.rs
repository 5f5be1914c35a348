//! The way from an attribute and its item to code: parse, model, validate, expand.
//!
//! Invariant: whatever is wrong, the annotated function is emitted, so that its callers do not fail as well.

use std::fmt;

use proc_macro2::TokenStream;
use quote::quote;

use crate::{arguments::Arguments, expand, function::Function, mistakes::Mistakes, model::Use};

/// Which attribute it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Cacheable,
    CachePut,
    CacheEvict,
    CacheConfig,
}

impl Attribute {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 4] = [Self::Cacheable, Self::CachePut, Self::CacheEvict, Self::CacheConfig];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cacheable => "cacheable",
            Self::CachePut => "cache_put",
            Self::CacheEvict => "cache_evict",
            Self::CacheConfig => "cache_config",
        }
    }

    /// Whether a value that the function returns goes into a cache.
    pub(crate) fn keeps_a_value(self) -> bool {
        matches!(self, Self::Cacheable | Self::CachePut)
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`#[{}]`", self.name())
    }
}

/// Expands `attribute`, written with `arguments` on `item`, a function.
pub(crate) fn expand(attribute: Attribute, arguments: TokenStream, item: &TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let mut arguments = Arguments::parse(arguments, attribute, &mut mistakes);
    let block = arguments.block.take();
    let is_left_alone = block.as_ref().is_some_and(|block| block.mistaken);
    let checked = match Function::parse(item.clone(), attribute, block) {
        Ok(function) => Use::check(attribute, arguments, function, &mut mistakes),
        Err(error) => {
            mistakes.add(error);
            None
        }
    };
    match (mistakes.into_compile_errors(), checked) {
        (None, Some(checked)) if !is_left_alone => expand::expand(&checked),
        (errors, _) => quote!(#item #errors),
    }
}

/// What is wrong with `#[attribute(arguments)] item`, for the unit tests of all modules.
#[cfg(test)]
pub(crate) fn mistakes_in(attribute: Attribute, arguments: TokenStream, item: TokenStream) -> Vec<String> {
    let mut mistakes = Mistakes::default();
    let mut arguments = Arguments::parse(arguments, attribute, &mut mistakes);
    let block = arguments.block.take();
    match Function::parse(item, attribute, block) {
        Ok(function) => _ = Use::check(attribute, arguments, function, &mut mistakes),
        Err(error) => mistakes.add(error),
    }
    mistakes.messages()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_mistakes_are_found_and_none_twice() {
        let messages = mistakes_in(
            Attribute::Cacheable,
            quote!(cahce = "a", key = idd, before, skip = 1, ttl = 60, condition = "x"),
            quote!(
                const fn find(&self, id: u64) -> impl Clone {
                    id
                }
            ),
        );
        assert_eq!(messages.len(), 8, "{messages:#?}");
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
}
