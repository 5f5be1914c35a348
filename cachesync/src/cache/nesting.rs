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
///
/// What few bodies have is on the heap: this goes in and out of its place whenever a body is polled.
#[derive(Clone)]
struct Loading {
    /// The [address] of the flight, or of one of them; 0 if there is none. They are alive, and so their addresses
    /// unique, as long as the body runs.
    flight: usize,
    /// The id of their cache; 0 if no cache takes part.
    cache: u64,
    more: Option<Arc<More>>,
}

struct More {
    /// Those of a batch.
    flights: Vec<usize>,
    outer: Option<Loading>,
}

/// The [addresses](address) of flights.
#[derive(Default)]
pub(super) struct Flights {
    /// One of them; 0 if there is none.
    one: usize,
    more: Vec<usize>,
}

impl Flights {
    pub(super) fn of<'a, V: 'a>(mut flights: impl Iterator<Item = &'a Arc<Flight<V>>>) -> Self {
        let one = flights.next().map_or(0, address);
        Self { one, more: flights.map(address).collect() }
    }
}

/// Where a body runs: in the middle of loads.
pub(super) struct Within(Loading);

impl Within {
    /// In the middle of these flights, of the cache with this id, and of what the calling task is in the middle of.
    pub(super) fn new(flights: Flights, cache: u64) -> Self {
        let Flights { one, more: flights } = flights;
        let outer = LOADING.try_with(Loading::clone).ok();
        let more = (!flights.is_empty() || outer.is_some()).then(|| Arc::new(More { flights, outer }));
        Self(Loading { flight: one, cache, more })
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
    any(|loading| {
        loading.flight == address || loading.more.as_ref().is_some_and(|more| more.flights.contains(&address))
    })
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
            loading = one.more.as_ref().and_then(|more| more.outer.as_ref());
        }
        false
    };
    LOADING.try_with(search).unwrap_or(false)
}

/// What a flight is known by here.
fn address<V>(flight: &Arc<Flight<V>>) -> usize {
    Arc::as_ptr(flight).addr()
}
