//! Loading: what a caller does whose key is absent.
//!
//! ```text
//! miss ── inside a transaction, held, past the lease ──> run the body, keep nothing
//!    ├─── nobody loads this key ───────────────────────> lead: run the body, keep, answer those who wait
//!    └─── somebody does ───────────────────────────────> wait, at most `load_wait`
//!             ├── a value ──> done
//!             ├── nothing (`None`), or an error that can be cloned ──> done
//!             ├── an error that cannot ──> run the body too, a bounded number at a time
//!             ├── the leader was dropped ──> begin again: one of those who waited leads
//!             └── too long ──> run the body, keep nothing
//! ```
//!
//! No wait is without bound, so loads that wait for each other in a circle end (rule R9).

use std::{any::Any, pin::Pin, sync::Arc};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    flight::{Flight, Outcome},
    info::CacheInfo,
    store::{Begun, Lead, Manner, Store},
};
use crate::{
    key::{Key, KeyForm, Value},
    statistics::count,
    timer, transaction,
};

/// What a caller found.
pub(crate) enum Found<K: Key, V: Value> {
    Hit(V),
    Miss(Miss<K, V>),
}

/// How a caller who has no value gets one.
pub(crate) enum Miss<K: Key, V: Value> {
    /// No cache takes part: no registry, or none that has it.
    Uncached,
    Alone(Arc<CacheInfo>),
    Lead(Lead<K, V>),
    Wait(Waiter<K, V>),
}

/// How the output of a body relates to the cached value, to those who wait, and back.
///
/// Function pointers and not a trait: a future that holds a value whose type ties one associated type to another is not
/// `Send` as soon as a lifetime stands in them, be it `'static`, since the compiler forgets there which lifetimes are
/// the same. This mentions `O` and `V` and no more.
pub(crate) struct How<O, V> {
    /// What an output means for others.
    pub(crate) outcome: fn(&O) -> Outcome<V>,
    /// The output that a cached value stands for.
    pub(crate) output: fn(V) -> O,
    /// The output for one who waited and learns that there is nothing; `None` if this body cannot say so.
    pub(crate) nothing: fn() -> Option<O>,
    /// The output that another body's error stands for; `None` if it is of another type.
    pub(crate) failure: fn(&(dyn Any + Send + Sync)) -> Option<O>,
}

/// Looks for the key, under the transaction of the calling task if there is one (rule R3).
#[inline]
pub(crate) fn find<K: Key, V: Value, Q: KeyForm<K>>(store: &Arc<Store<K, V>>, key: &Q) -> Found<K, V> {
    match transaction::current() {
        None => match store.hit(key) {
            Some(value) => Found::Hit(value),
            None => miss(store, key),
        },
        Some(transaction) => {
            if !transaction.hides(store, key)
                && let Some(value) = store.hit(key)
            {
                return Found::Hit(value);
            }
            // It may read what it has not committed, or an old snapshot: nothing of that is kept, and nobody joins.
            Found::Miss(Miss::Alone(store.info.clone()))
        }
    }
}

#[cold]
fn miss<K: Key, V: Value, Q: KeyForm<K>>(store: &Arc<Store<K, V>>, key: &Q) -> Found<K, V> {
    match store.begin(key, Manner::Shared) {
        Begun::Hit(value) => Found::Hit(value),
        Begun::Lead(lead) => Found::Miss(Miss::Lead(lead)),
        Begun::Wait(flight) => Found::Miss(Miss::Wait(Waiter { store: store.clone(), key: key.to_key(), flight })),
        Begun::Alone => Found::Miss(Miss::Alone(store.info.clone())),
    }
}

/// Gets the value: runs `body`, or waits for another caller who does.
///
/// # Cancel safety
///
/// Dropping the future drops the body; if others wait for it, one of them runs its own.
pub(crate) async fn load<K, V, F>(mut miss: Miss<K, V>, how: How<F::Output, V>, body: Pin<&mut F>) -> F::Output
where
    K: Key,
    V: Value,
    F: Future,
{
    let mut _permit = None;
    if let Miss::Wait(waiter) = miss {
        // Boxed, so that the future of a caller who need not wait does not carry the room for it.
        match Box::pin(waiter.wait(&how)).await {
            Waited::Output(output) => return output,
            Waited::Load(next, permit) => (miss, _permit) = (next, permit),
        }
    }
    match miss {
        Miss::Lead(lead) => {
            count(&lead.store().info.counters.loads, 1);
            let output = body.await;
            match (how.outcome)(&output) {
                Outcome::Value(value) => _ = lead.keep(value),
                outcome => lead.land(outcome),
            }
            output
        }
        Miss::Alone(info) => {
            count(&info.counters.loads, 1);
            count(&info.counters.not_kept, 1);
            drop(info);
            body.await
        }
        Miss::Uncached | Miss::Wait(_) => body.await,
    }
}

/// Waits for another caller's load.
pub(crate) struct Waiter<K: Key, V: Value> {
    store: Arc<Store<K, V>>,
    key: K,
    flight: Arc<Flight<V>>,
}

enum Waited<K: Key, V: Value, O> {
    Output(O),
    /// The caller loads after all, never by waiting once more.
    Load(Miss<K, V>, Option<OwnedSemaphorePermit>),
}

impl<K: Key, V: Value> Waiter<K, V> {
    async fn wait<O>(mut self, how: &How<O, V>) -> Waited<K, V, O> {
        let info = self.store.info.clone();
        let waited = tokio::select! {
            biased;
            waited = self.answer(how) => Some(waited),
            () = timer::elapsed(&info.runtime, &info.lease, info.config.load_wait) => None,
        };
        waited.unwrap_or_else(|| {
            tracing::debug!(cache = %info.name, "waited too long for another load of the same key");
            // A load that is stuck must not cost every caller to come the same wait.
            self.store.detach(&self.key, &self.flight);
            Waited::Load(Miss::Alone(info), None)
        })
    }

    async fn answer<O>(&mut self, how: &How<O, V>) -> Waited<K, V, O> {
        let info = self.store.info.clone();
        loop {
            let failed = match answered(self.flight.wait().await, how) {
                Ok(output) => {
                    count(&info.counters.shared, 1);
                    return Waited::Output(output);
                }
                Err(failed) => failed,
            };
            let permit = if failed { self.permit().await } else { None };
            let manner = if failed { Manner::Separate } else { Manner::Shared };
            return match self.store.begin(&&self.key, manner) {
                Begun::Hit(value) => Waited::Output((how.output)(value)),
                Begun::Lead(lead) => Waited::Load(Miss::Lead(lead), permit),
                Begun::Alone => Waited::Load(Miss::Alone(info), permit),
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
        Outcome::Failed(failure) => failure.as_deref().and_then(how.failure).ok_or(true),
        Outcome::Abandoned => Err(false),
    }
}
