//! Waiting for another caller's load.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    flight::{Flight, Outcome},
    info::CacheInfo,
    load::{How, Role, begin},
    store::{Begun, Manner, Store},
};
use crate::{
    key::{Key, Value},
    mutation::Mutation,
    statistics::count,
    timer,
};

/// Waits for another caller's load.
pub(super) struct Waiter<K: Key, V: Value, O> {
    pub(super) store: Arc<Store<K, V>>,
    pub(super) key: K,
    pub(super) flight: Arc<Flight<V>>,
    pub(super) how: How<O, V>,
    pub(super) tagged: bool,
}

/// What has come of waiting.
pub(super) enum Waited<K: Key, V: Value, O> {
    Output(O),
    /// The caller loads after all, never by waiting once more.
    Load(Role<K, V>, Option<OwnedSemaphorePermit>),
    /// The caller has waited for so long that it does not wait any more, for anything.
    TooLong(Arc<CacheInfo>),
}

impl<K: Key, V: Value, O> Waiter<K, V, O> {
    pub(super) async fn wait(mut self) -> Waited<K, V, O> {
        let info = self.store.info.clone();
        // As long for the load as for its admission: those who wait for one load must not all become loads because that
        // one has to wait.
        let waits = match self.flight.is_admitted() {
            _ if Mutation::WaitWithoutBound.is_on() => 1_000,
            true => 1,
            false => 2,
        };
        let wait = info.config.load_wait.saturating_mul(waits);
        let waited = tokio::select! {
            biased;
            waited = self.answer() => Some(waited),
            () = timer::elapsed(&info.runtime, &info.lease, wait) => None,
        };
        waited.unwrap_or_else(|| {
            tracing::debug!(cache = %info.name, "waited too long for another load of the same key");
            // A load that is stuck must not cost every caller to come the same wait.
            self.store.detach_key(&self.key, &self.flight);
            Waited::TooLong(info)
        })
    }

    async fn answer(&mut self) -> Waited<K, V, O> {
        let (info, how) = (self.store.info.clone(), self.how);
        loop {
            let failed = match answered(self.flight.wait().await, &how) {
                Ok(output) => {
                    count(&info.counters.shared, 1);
                    return Waited::Output(output);
                }
                Err(failed) => failed,
            };
            let permit = if failed { self.permit().await } else { None };
            let manner = if failed { Manner::Separate } else { Manner::Shared };
            return match begin(&self.store, &&self.key, manner, self.tagged, |content| how.answers(content)) {
                Begun::Hit(content) => match how.answer(content) {
                    Some(output) => Waited::Output(output),
                    None => Waited::Load(Role::alone(&info), permit),
                },
                Begun::Lead(lead) => Waited::Load(Role::Lead(lead), permit),
                Begun::Alone => Waited::Load(Role::alone(&info), permit),
                Begun::Wait(flight) => {
                    self.flight = flight;
                    continue;
                }
            };
        }
    }

    /// After a failure each who waited may try for itself, but not all at once.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        let retries: Arc<Semaphore> = self.store.retries.clone();
        // The semaphore is never closed.
        retries.acquire_owned().await.ok()
    }
}

/// The output for one who waited for this outcome; without one, whether the load failed.
fn answered<O, V: Value>(outcome: &Outcome<V>, how: &How<O, V>) -> Result<O, bool> {
    match outcome {
        Outcome::Value(value) => Ok((how.output)(value.clone())),
        Outcome::Nothing => (how.nothing)().ok_or(true),
        Outcome::Failed(failure) => failure.as_ref().and_then(how.failure).ok_or(true),
        Outcome::Abandoned => Err(false),
    }
}
