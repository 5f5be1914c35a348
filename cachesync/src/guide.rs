//! Guides: recipes, and what differs from what you may know.

#[doc = include_str!("../docs/recipes.md")]
pub mod recipes {}

#[doc = include_str!("../docs/coming_from_spring.md")]
pub mod coming_from_spring {}

#[doc = include_str!("../docs/coming_from_cached_and_moka.md")]
pub mod coming_from_cached_and_moka {}
