//! The attributes of `cachesync`. Depend on `cachesync`, which re-exports them: what they expand to is in its
//! `__private`, and the two crates are of one version.
//!
//! | stage | where |
//! |---|---|
//! | parse | `arguments`: names and syntax, with spans; `function`, `form`: the item, its body left as tokens |
//! | model, validate | `model`: what the arguments mean together, one module for each thing that they say |
//! | expand | `expand`: one module for each attribute, and one for each part that they share |
//!
//! `cache_config` hands its arguments to the attributes in its block, as `block` says; these do all the work. `names` and
//! `outside` answer what can be known about names without resolving them; `leaving` finds what returns from the function.

mod arguments;
mod attribute;
mod block;
mod cache_config;
mod expand;
mod form;
mod function;
mod leaving;
mod mistakes;
mod model;
mod names;
mod outside;

use proc_macro::TokenStream;

use crate::attribute::Attribute;

#[doc = include_str!("../docs/cacheable.md")]
#[proc_macro_attribute]
pub fn cacheable(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute::expand(Attribute::Cacheable, arguments.into(), &item.into()).into()
}

#[doc = include_str!("../docs/cache_put.md")]
#[proc_macro_attribute]
pub fn cache_put(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute::expand(Attribute::CachePut, arguments.into(), &item.into()).into()
}

#[doc = include_str!("../docs/cache_evict.md")]
#[proc_macro_attribute]
pub fn cache_evict(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute::expand(Attribute::CacheEvict, arguments.into(), &item.into()).into()
}

#[doc = include_str!("../docs/cache_config.md")]
#[proc_macro_attribute]
pub fn cache_config(arguments: TokenStream, item: TokenStream) -> TokenStream {
    cache_config::expand(&arguments.into(), &item.into()).into()
}
