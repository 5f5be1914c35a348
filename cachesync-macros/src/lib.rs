//! The attributes of `cachesync`. Depend on `cachesync`, which re-exports them: what they expand to is in its
//! `__private`, and the two crates are of one version.
//!
//! | stage | where |
//! |---|---|
//! | parse | `arguments`: names and syntax, with spans; `function`: the item, its body left as tokens |
//! | model, validate | `attribute`: what the arguments mean together; `key`, `returns`: their rules |
//! | expand | `expand`: one module for each attribute, `site` for the static, `keyed` for evaluating keys |
//!
//! `names` and `outside` answer what can be known about names without resolving them; `leaving` finds what returns from
//! the function.

mod arguments;
mod attribute;
mod expand;
mod function;
mod key;
mod leaving;
mod mistakes;
mod names;
mod outside;
mod returns;

use proc_macro::TokenStream;

use crate::attribute::Attribute;

#[doc = include_str!("../docs/cacheable.md")]
#[proc_macro_attribute]
pub fn cacheable(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute::expand(Attribute::Cacheable, arguments.into(), &item.into()).into()
}

#[doc = include_str!("../docs/cache_evict.md")]
#[proc_macro_attribute]
pub fn cache_evict(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute::expand(Attribute::CacheEvict, arguments.into(), &item.into()).into()
}
