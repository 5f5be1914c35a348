//! Whether the calling task may be in a scope: that of a registry or of a transaction.
//!
//! Most calls are in none, and each hit asks. A task-local answers that only after a look at how it is initialized and
//! borrowed, twice; a counter of the scopes that are being polled, or dropped, on this thread answers it by one load.
//!
//! Invariant: whenever a scope's task-local is set on a thread, its counter is not zero. The counter may also be above
//! zero for a moment longer; then the task-locals are asked, and they decide.

use std::{
    cell::Cell,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

thread_local! {
    /// How many scopes this thread is in the middle of.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Whether the calling task may be in a scope; if not, no task-local need be asked.
#[inline]
pub(crate) fn is_possible() -> bool {
    // All threads of a model are one to the system.
    cfg!(all(test, cachesync_shuttle)) || DEPTH.get() > 0
}

/// Marks `future`, which sets the task-local of a scope whenever it is polled or dropped.
pub(crate) fn mark<F: Future>(future: F) -> Marked<F> {
    Marked { future, after: After { dropping: false } }
}

pin_project! {
    /// A future whose polls and drop are counted.
    pub(crate) struct Marked<F> {
        #[pin]
        future: F,
        // Dropped after the future.
        after: After,
    }

    impl<F> PinnedDrop for Marked<F> {
        fn drop(this: Pin<&mut Self>) {
            enter();
            this.project().after.dropping = true;
        }
    }
}

impl<F: Future> Future for Marked<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        /// Leaves also if the future panics.
        struct Leaving;

        impl Drop for Leaving {
            fn drop(&mut self) {
                leave();
            }
        }

        enter();
        let _leaving = Leaving;
        self.project().future.poll(context)
    }
}

/// What comes after the drop of the future.
struct After {
    dropping: bool,
}

impl Drop for After {
    fn drop(&mut self) {
        if self.dropping {
            leave();
        }
    }
}

fn enter() {
    DEPTH.set(DEPTH.get() + 1);
}

fn leave() {
    DEPTH.set(DEPTH.get() - 1);
}

#[cfg(all(test, not(cachesync_shuttle)))]
mod tests {
    use std::{
        future::{pending, poll_fn, ready},
        panic::{AssertUnwindSafe, catch_unwind},
        task::Waker,
    };

    use super::*;

    /// Notes whether a scope is possible when it is dropped.
    struct Noting<'a>(&'a Cell<Option<bool>>);

    impl Drop for Noting<'_> {
        fn drop(&mut self) {
            self.0.set(Some(is_possible()));
        }
    }

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_scope_is_possible_while_it_is_polled_and_not_between() {
        let mut inside = Box::pin(mark(mark(async {
            assert!(is_possible());
            pending::<()>().await;
        })));
        for _ in 0..2 {
            assert!(poll(inside.as_mut()).is_pending());
            assert!(!is_possible());
        }
        assert_eq!(poll(Box::pin(mark(ready(7))).as_mut()), Poll::Ready(7));
        assert!(!is_possible());
    }

    #[test]
    fn a_scope_is_possible_while_what_was_in_it_is_dropped() {
        for polls in 0..2 {
            let seen = Cell::new(None);
            let noting = Noting(&seen);
            let mut inside = Box::pin(mark(async move {
                let _noting = noting;
                pending::<()>().await;
            }));
            for _ in 0..polls {
                assert!(poll(inside.as_mut()).is_pending());
            }
            drop(inside);
            assert_eq!(seen.get(), Some(true), "after {polls} polls");
            assert!(!is_possible());
        }
    }

    #[test]
    fn a_panic_inside_leaves_the_scope() {
        let mut panics = Box::pin(mark(poll_fn(|_| -> Poll<()> { panic!("in the scope") })));
        assert!(catch_unwind(AssertUnwindSafe(|| poll(panics.as_mut()))).is_err());
        assert!(!is_possible());
        drop(panics);
        assert!(!is_possible());
    }
}
