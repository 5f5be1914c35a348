//! Which loads the calling task is in the middle of.
//!
//! A body that asks, directly or through other functions, for a key that its own task loads would wait for itself until
//! `load_wait` is over. It is told here, and loads for itself at once. Loads of different tasks that wait for each other
//! in a circle are not seen; `load_wait` ends them.

use std::{
    cell::RefCell,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::flight::Flight;
use crate::sync::thread_local;

thread_local! {
    /// Those of the task that this thread polls.
    static LOADING: RefCell<Option<Loading>> = const { RefCell::new(None) };
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

pin_project! {
    /// A body, polled and dropped within its load.
    ///
    /// In place of tokio's task-local, whose scope is compiled once for each body, which is for each annotated function, and
    /// is more than the rest of the function. Here it is a few calls.
    struct Placed<F> {
        #[pin]
        body: F,
        // Dropped after the body.
        after: After,
    }

    impl<F> PinnedDrop for Placed<F> {
        fn drop(this: Pin<&mut Self>) {
            this.project().after.0.swap();
        }
    }
}

impl<F: Future> Future for Placed<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _within = this.after.0.enter();
        this.body.poll(context)
    }
}

/// What the thread's task is in the middle of: between polls that of the body, during one that of whoever polls it.
pub(super) struct Place(Option<Loading>);

impl Place {
    /// In the middle of these flights, of the cache with this id.
    pub(super) fn new(flights: Flights, cache: u64) -> Self {
        let Flights { one, more: flights } = flights;
        let outer = LOADING.try_with(|outer| outer.borrow().clone()).ok().flatten();
        let more = (!flights.is_empty() || outer.is_some()).then(|| Arc::new(More { flights, outer }));
        Self(Some(Loading { flight: one, cache, more }))
    }

    /// Runs a body there.
    ///
    /// # Cancel safety
    ///
    /// That of `body`.
    pub(super) fn run<F: Future>(self, body: F) -> impl Future<Output = F::Output> + use<F> {
        Placed { body, after: After(self) }
    }

    /// What is done until the guard is dropped is done there.
    pub(super) fn enter(&mut self) -> Within<'_> {
        self.swap();
        Within(self)
    }

    /// Enters, and the next time leaves. A thread that ends has no tasks any more, but may drop what it has.
    fn swap(&mut self) {
        _ = LOADING.try_with(|loading| mem::swap(&mut *loading.borrow_mut(), &mut self.0));
    }
}

/// A step of a body, which leaves the place also if it panics.
pub(super) struct Within<'a>(&'a mut Place);

impl Drop for Within<'_> {
    fn drop(&mut self) {
        self.0.swap();
    }
}

/// What comes after the drop of the body, for which its place was entered.
struct After(Place);

impl Drop for After {
    fn drop(&mut self) {
        self.0.swap();
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
    let search = |innermost: &RefCell<Option<Loading>>| {
        let innermost = innermost.borrow();
        let mut loading = innermost.as_ref();
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

#[cfg(all(test, not(cachesync_shuttle)))]
mod tests {
    use std::{
        cell::Cell,
        future::{pending, poll_fn},
        panic::{AssertUnwindSafe, catch_unwind},
        task::Waker,
    };

    use super::*;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn caches() -> [bool; 3] {
        [1, 2, 3].map(is_within_cache)
    }

    #[test]
    fn a_body_is_within_its_load_and_those_around_it_whenever_it_is_polled_and_never_between() {
        let mut inner = None;
        let mut outer = Box::pin(Place::new(Flights::default(), 1).run(async {
            inner = Some(Box::pin(Place::new(Flights::default(), 2).run(async {
                assert_eq!(caches(), [true, true, false]);
                pending::<()>().await;
            })));
            inner.as_mut().expect("it is made").await;
        }));
        for _ in 0..2 {
            assert!(poll(outer.as_mut()).is_pending());
            assert_eq!(caches(), [false; 3]);
        }
        drop(outer);
        // It has left the body around it, and was made there.
        assert!(poll(inner.expect("it is made").as_mut()).is_pending());
        assert_eq!(caches(), [false; 3]);
    }

    #[test]
    fn what_a_body_holds_is_dropped_within_its_load() {
        struct Noting<'a>(&'a Cell<[bool; 3]>);

        impl Drop for Noting<'_> {
            fn drop(&mut self) {
                self.0.set(caches());
            }
        }

        for polls in 0..2 {
            let seen = Cell::new([false; 3]);
            let noting = Noting(&seen);
            let mut body = Box::pin(Place::new(Flights::default(), 3).run(async move {
                let _noting = noting;
                pending::<()>().await;
            }));
            for _ in 0..polls {
                assert!(poll(body.as_mut()).is_pending());
            }
            drop(body);
            assert_eq!((seen.get(), caches()), ([false, false, true], [false; 3]), "after {polls} polls");
        }
    }

    #[test]
    fn a_body_that_panics_has_left_its_load() {
        let mut panics =
            Box::pin(Place::new(Flights::default(), 1).run(poll_fn(|_| -> Poll<()> { panic!("in the body") })));
        assert!(catch_unwind(AssertUnwindSafe(|| poll(panics.as_mut()))).is_err());
        assert_eq!(caches(), [false; 3]);
        drop(panics);
        assert_eq!(caches(), [false; 3]);
    }
}
