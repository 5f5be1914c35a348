//! Keys and values of the user's that leave a cache: dropping them runs code that may panic, and may use the cache.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Drops keys and values of the user's when no lock is held, since their `Drop` may use the cache. Should it panic, that
/// is the end of that value and not of the eviction, of which others have yet to hear.
pub(crate) fn discard<T>(leftover: T) {
    discard_in(&mut Some(leftover));
}

/// Apart from what is dropped, of which there are many types.
fn discard_in(place: &mut dyn Leftover) {
    if !survived(&mut || place.leave()) {
        report_drop();
    }
}

trait Leftover {
    fn leave(&mut self);
}

impl<T> Leftover for Option<T> {
    fn leave(&mut self) {
        *self = None;
    }
}

/// Whether code of the user's did not panic. Apart from what is done, of which each type has another.
pub(super) fn survived(work: &mut dyn FnMut()) -> bool {
    catch_unwind(AssertUnwindSafe(work)).is_ok()
}

#[cold]
fn report_drop() {
    tracing::error!("a key or value that left a cache panicked in its `Drop`");
}

/// Many keys or values of the user's, which [`discard`] drops one by one: a panic of one is not the end of another, nor,
/// where this is dropped by a panic, of the process.
pub(crate) struct Leftovers<T>(pub(crate) Vec<T>);

impl<T> Drop for Leftovers<T> {
    fn drop(&mut self) {
        for leftover in mem::take(&mut self.0) {
            discard(leftover);
        }
    }
}
