//! Waiting for another caller's load.

use std::{pin::Pin, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    flight::{Flight, Landing, Outcome},
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
    pub(super) async fn wait(self) -> Waited<K, V, O> {
        let Self { store, mut key, mut flight, how, tagged } = self;
        let mut bound = Bound::new(&store.info, flight.is_admitted());
        loop {
            if let Err(TooLong) = bound.landed(&flight.landing).await {
                // A load that is stuck must not cost every caller to come the same wait.
                store.detach_key(&key, &flight);
                return Waited::TooLong(store.info.clone());
            }
            let failed = match answered(flight.outcome(), &how) {
                Ok(output) => {
                    count(&store.info.counters.shared, 1);
                    return Waited::Output(output);
                }
                Err(failed) => failed,
            };
            let permit = if failed { bound.permit(&store.retries).await } else { Ok(None) };
            let Ok(permit) = permit else { return Waited::TooLong(store.info.clone()) };
            let manner = if failed { Manner::Separate } else { Manner::Shared };
            match begin(&store, key, manner, tagged, &|content| how.answers(content)) {
                Begun::Wait(next, same) => (flight, key) = (next, same),
                begun => return how.waited(begun, &store.info, permit),
            }
        }
    }
}

impl<O, V: Value> How<O, V> {
    /// What one who has waited does after it has begun again.
    fn waited<K: Key>(
        &self,
        begun: Begun<K, V>,
        info: &Arc<CacheInfo>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Waited<K, V, O> {
        let role = match begun {
            Begun::Hit(content) => match self.answer(content) {
                Some(output) => return Waited::Output(output),
                None => Role::alone(info),
            },
            Begun::Lead(lead) => Role::Lead(lead),
            Begun::Wait(..) | Begun::Alone => Role::alone(info),
        };
        Waited::Load(role, permit)
    }
}

/// How long a caller waits for other loads of its key, in all. Whatever is loaded, so that it is compiled once.
struct Bound {
    info: Arc<CacheInfo>,
    elapsed: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// It has waited for so long that it does not wait any more.
struct TooLong;

impl Bound {
    /// As long for the load as for its admission: those who wait for one load must not all become loads because that
    /// one has to wait.
    fn new(info: &Arc<CacheInfo>, is_admitted: bool) -> Self {
        let waits = match is_admitted {
            _ if Mutation::WaitWithoutBound.is_on() => 1_000,
            true => 1,
            false => 2,
        };
        let info = info.clone();
        let (wait, of) = (info.config.load_wait.saturating_mul(waits), info.clone());
        let elapsed = Box::pin(async move { timer::elapsed(&of.runtime, &of.lease, wait).await });
        Self { info, elapsed }
    }

    /// Waits for something, or for too long.
    async fn within<F: Future>(&mut self, something: F) -> Result<F::Output, TooLong> {
        tokio::select! {
            biased;
            output = something => Ok(output),
            () = &mut self.elapsed => {
                tracing::debug!(cache = %self.info.name, "waited too long for another load of the same key");
                Err(TooLong)
            }
        }
    }

    /// Waits for a load to land.
    async fn landed(&mut self, landing: &Landing) -> Result<(), TooLong> {
        self.within(landing.wait()).await
    }

    /// After a failure each who waited may try for itself, but not all at once.
    async fn permit(&mut self, retries: &Arc<Semaphore>) -> Result<Option<OwnedSemaphorePermit>, TooLong> {
        // The semaphore is never closed.
        Ok(self.within(retries.clone().acquire_owned()).await?.ok())
    }
}

/// The output for one who waited for this outcome; without one, whether the load failed.
fn answered<O, V: Value>(outcome: Option<&Outcome<V>>, how: &How<O, V>) -> Result<O, bool> {
    match outcome {
        Some(Outcome::Value(value)) => Ok((how.output)(value.clone())),
        Some(Outcome::Nothing) => (how.nothing)().ok_or(true),
        Some(Outcome::Failed(failure)) => failure.as_ref().and_then(how.failure).ok_or(true),
        Some(Outcome::Abandoned) | None => Err(false),
    }
}
