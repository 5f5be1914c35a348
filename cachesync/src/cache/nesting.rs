//! Which loads the calling task is in the middle of.
//!
//! A body that asks, directly or through other functions, for a key that its own task loads would wait for itself until
//! `load_wait` is over. It is told here, and loads for itself at once. Loads of different tasks that wait for each other
//! in a circle are not seen; `load_wait` ends them.

use std::sync::Arc;

use super::flight::Flight;
use crate::sync::task_local;

task_local! {
    static LOADING: Loading;
}

/// The loads that a body is run for, and those that run around it.
#[derive(Clone)]
struct Loading {
    flights: Flights,
    /// The id of their cache; 0 if no cache takes part.
    cache: u64,
    /// On the heap only where bodies are nested, which few are.
    outer: Option<Arc<Loading>>,
}

/// The addresses of flights. These are alive, and so their addresses unique, as long as the body runs.
#[derive(Clone)]
pub(super) enum Flights {
    /// None, or the only one.
    One(Option<usize>),
    /// Those of a batch.
    Many(Arc<[usize]>),
}

impl Flights {
    fn contain(&self, address: usize) -> bool {
        match self {
            Self::One(one) => *one == Some(address),
            Self::Many(many) => many.contains(&address),
        }
    }
}

/// Runs a body as that of these flights, of the cache with this id.
///
/// # Cancel safety
///
/// That of `body`.
pub(super) fn within<F: Future>(flights: Flights, cache: u64, body: F) -> impl Future<Output = F::Output> + use<F> {
    let outer = LOADING.try_with(|outer| Arc::new(outer.clone())).ok();
    LOADING.scope(Loading { flights, cache, outer }, body)
}

/// Whether the calling task is in the middle of this load.
pub(super) fn is_within<V>(flight: &Arc<Flight<V>>) -> bool {
    let address = address(flight);
    any(|loading| loading.flights.contain(address))
}

/// Whether the calling task is in the middle of a load of this cache.
pub(super) fn is_within_cache(id: u64) -> bool {
    any(|loading| loading.cache == id)
}

fn any(is_it: impl Fn(&Loading) -> bool) -> bool {
    let search = |innermost: &Loading| {
        let mut loading = Some(innermost);
        while let Some(one) = loading {
            if is_it(one) {
                return true;
            }
            loading = one.outer.as_deref();
        }
        false
    };
    LOADING.try_with(search).unwrap_or(false)
}

/// What a flight is known by here.
pub(super) fn address<V>(flight: &Arc<Flight<V>>) -> usize {
    Arc::as_ptr(flight).addr()
}
