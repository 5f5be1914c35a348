//! What a static remembers of a registry, such as the handle of a cache.
//!
//! What was found in the first registry is remembered for good, and read by one look at an atomic: a service has one
//! registry for as long as it runs. What was found in another one later, by tests above all, is remembered until the next
//! one takes its place, and read by arc-swap, which is slower by a third of a hit.
//!
//! No static keeps a registry running: what is remembered must not hold one. A registry that ends empties its caches, so what
//! stays behind is small; of a typed cache, up to what its outbox could not tell any more.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

pub(crate) struct Remembered<T> {
    first: OnceLock<Found<T>>,
    last: ArcSwapOption<Found<T>>,
}

/// What was found in the registry of this id.
struct Found<T> {
    registry: u64,
    what: T,
}

impl<T> Remembered<T> {
    pub(crate) const fn new() -> Self {
        Self { first: OnceLock::new(), last: ArcSwapOption::const_empty() }
    }

    /// What was found in this registry, if that is the first.
    #[inline]
    pub(crate) fn first(&self, registry: u64) -> Option<&T> {
        match self.first.get() {
            Some(found) if found.registry == registry => Some(&found.what),
            _ => None,
        }
    }

    /// Looks at what was found in this registry, if that is remembered.
    #[inline]
    pub(crate) fn with<R>(&self, registry: u64, look: impl FnOnce(&T) -> R) -> Option<R> {
        match self.first(registry) {
            Some(what) => Some(look(what)),
            None => self.with_last(registry, look),
        }
    }

    fn with_last<R>(&self, registry: u64, look: impl FnOnce(&T) -> R) -> Option<R> {
        let last = self.last.load();
        last.as_deref().filter(|found| found.registry == registry).map(|found| look(&found.what))
    }

    /// Remembers what was found.
    pub(crate) fn remember(&self, registry: u64, what: T) {
        if let Err(found) = self.first.set(Found { registry, what }) {
            self.last.store(Some(Arc::new(found)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_remembered_for_good_and_another_until_the_next() {
        let remembered = Remembered::new();
        let look = |registry| remembered.with(registry, Clone::clone);
        assert_eq!(look(1), None);
        for registry in [1u64, 2, 3] {
            remembered.remember(registry, registry * 10);
        }
        assert_eq!([look(1), look(2), look(3)], [Some(10), None, Some(30)]);
        assert_eq!(look(0), None);
    }
}
