//! Which loads the calling task is in the middle of.
//!
//! A body that asks, directly or through other functions, for a key that its own task loads would wait for itself until
//! `load_wait` is over. It is told here, and loads for itself at once. Loads of different tasks that wait for each other
//! in a circle are not seen; `load_wait` ends them.

use std::sync::Arc;

use super::flight::Flight;
use crate::sync::task_local;

task_local! {
    static LOADING: Arc<Loading>;
}

/// The loads that a body is run for, and those that run around it.
struct Loading {
    /// The addresses of the flights. They are alive, and so their addresses unique, as long as the body runs.
    flights: Vec<usize>,
    /// The id of their cache; 0 if no cache takes part.
    cache: u64,
    outer: Option<Arc<Loading>>,
}

/// Where a body runs: in the middle of a load.
pub(super) struct Within(Arc<Loading>);

impl Within {
    /// In the middle of the loads of the flights with these [addresses](address), of the cache with this id.
    pub(super) fn new(flights: Vec<usize>, cache: u64) -> Self {
        Self(Arc::new(Loading { flights, cache, outer: LOADING.try_with(Arc::clone).ok() }))
    }

    /// Runs a step of the body there.
    pub(super) fn run<R>(&self, step: impl FnOnce() -> R) -> R {
        LOADING.sync_scope(self.0.clone(), step)
    }

    /// Runs all of the body there.
    ///
    /// # Cancel safety
    ///
    /// That of `body`.
    pub(super) fn scope<F: Future>(self, body: F) -> impl Future<Output = F::Output> + use<F> {
        LOADING.scope(self.0, body)
    }
}

/// Whether the calling task is in the middle of this load.
pub(super) fn is_within<V>(flight: &Arc<Flight<V>>) -> bool {
    let address = address(flight);
    any(|loading| loading.flights.contains(&address))
}

/// Whether the calling task is in the middle of a load of this cache.
pub(super) fn is_within_cache(id: u64) -> bool {
    any(|loading| loading.cache == id)
}

fn any(is_it: impl Fn(&Loading) -> bool) -> bool {
    let search = |innermost: &Arc<Loading>| {
        let mut loading = Some(innermost);
        while let Some(one) = loading {
            if is_it(one) {
                return true;
            }
            loading = one.outer.as_ref();
        }
        false
    };
    LOADING.try_with(search).unwrap_or(false)
}

/// What a flight is known by here.
pub(super) fn address<V>(flight: &Arc<Flight<V>>) -> usize {
    Arc::as_ptr(flight).addr()
}
