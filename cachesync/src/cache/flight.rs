//! One load in flight, and those who wait for it.

use std::sync::Arc;

use super::content::SharedFailure;
use crate::{
    key::Value,
    sync::{
        Notify, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// How a load ended.
#[derive(Clone)]
pub(crate) enum Outcome<V> {
    /// With a value, kept or not.
    Value(V),
    /// With nothing: a `None` that is no failure.
    Nothing,
    /// With an error.
    Failed(Option<SharedFailure>),
    /// Not at all: its future was dropped, or it panicked.
    Abandoned,
}

/// One load in flight. Its address is its identity.
pub(crate) struct Flight<V> {
    outcome: OnceLock<Outcome<V>>,
    pub(super) landing: Landing,
}

/// A load, whatever it loads.
pub(super) trait Lands: Send + Sync {
    fn landing(&self) -> &Landing;
}

impl<V: Value> Lands for Flight<V> {
    fn landing(&self) -> &Landing {
        &self.landing
    }
}

/// What can be waited for.
pub(super) struct Landing {
    /// Whether the outcome is stated; set after it.
    stated: AtomicBool,
    notify: Notify,
    /// Whether its leader waits for nobody any more before it runs the body.
    admitted: AtomicBool,
}

impl<V> Flight<V> {
    pub(crate) fn new() -> Arc<Self> {
        let landing =
            Landing { stated: AtomicBool::new(false), notify: Notify::new(), admitted: AtomicBool::new(false) };
        Arc::new(Self { outcome: OnceLock::new(), landing })
    }

    /// States how it ended and wakes everybody. Only the first statement counts.
    pub(crate) fn land(&self, outcome: Outcome<V>) {
        if self.outcome.set(outcome).is_ok() {
            self.landing.state();
        }
    }

    /// States that its body is about to run.
    pub(crate) fn admit(&self) {
        // Relaxed, here and below: whoever sees the old state is only more careful, or more patient, than need be.
        self.landing.admitted.store(true, Ordering::Relaxed);
    }

    /// It becomes that of another load; of this one nobody has stated how it ended, and nobody has waited for it.
    pub(super) fn clear(&self) {
        self.landing.admitted.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.landing.admitted.load(Ordering::Relaxed)
    }

    /// How it ended, if it has; it has when [`Landing::wait`] is over.
    pub(crate) fn outcome(&self) -> Option<&Outcome<V>> {
        self.outcome.get()
    }
}

impl Landing {
    fn state(&self) {
        // Releases the outcome to whoever sees this.
        self.stated.store(true, Ordering::Release);
        self.notify.notify_waiters();
    }

    /// Waits until the load has ended.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; nobody is owed anything.
    pub(super) async fn wait(&self) {
        loop {
            // Registered before it is asked for the outcome, so that a landing in between is not missed.
            let landed = self.notify.notified();
            tokio::pin!(landed);
            landed.as_mut().enable();
            if self.stated.load(Ordering::Acquire) {
                return;
            }
            landed.await;
        }
    }
}
