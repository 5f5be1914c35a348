//! The attributes of `cachesync`. Depend on `cachesync`, which re-exports them.

mod arguments;
mod attribute;
mod expand;
mod function;
mod key;
mod mistakes;
mod names;
mod outside;
mod returns;

use proc_macro::TokenStream;

use crate::attribute::Attribute;

/// Cacheable.
#[proc_macro_attribute]
pub fn cacheable(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute::expand(Attribute::Cacheable, arguments.into(), &item.into()).into()
}

/// Evict.
#[proc_macro_attribute]
pub fn cache_evict(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute::expand(Attribute::CacheEvict, arguments.into(), &item.into()).into()
}
