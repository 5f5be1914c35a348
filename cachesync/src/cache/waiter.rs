//! Waiting: for another caller's load, for a permit to try after one that failed, and to be admitted to load.
//!
//! What is waited for is the same whatever is loaded, so those futures are compiled once and in boxes; what is done between them is
//! a step of [`Waiting`].

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    admission::{Admission, Patience},
    flight::{Flight, Lands, Outcome},
    info::CacheInfo,
    load::{How, Led, Load, Others, Role, begin},
    store::{Begun, Manner, Store},
};
use crate::{
    key::{Key, Value},
    mutation::Mutation,
    statistics::count,
    timer,
};

/// A caller who waits for another's load.
pub(super) struct Waiter<K: Key, V: Value, O> {
    pub(super) store: Arc<Store<K, V>>,
    pub(super) key: K,
    pub(super) flight: Arc<Flight<V>>,
    pub(super) how: How<O, V>,
    pub(super) tagged: bool,
}

/// A miss that waits; it becomes a [`Led`].
pub struct Waiting<K: Key, V: Value, O> {
    stage: Stage<K, V, O>,
    outcome: Option<fn(&O) -> Outcome<V>>,
    others: Option<Box<Others<K, V, O>>>,
    patience: Patience,
    /// What it waits for.
    event: Event,
}

enum Stage<K: Key, V: Value, O> {
    /// It waits for another caller, or for a permit after that one has failed.
    Waits(Box<Waiter<K, V, O>>),
    /// It waits to be admitted, and loads then.
    Loads(Role<K, V>, Option<OwnedSemaphorePermit>),
    Ended,
}

/// How a step ends.
enum Turn<T> {
    /// It waits for something else.
    Waits(Event),
    Ends(T),
}

impl<K: Key, V: Value, O> Waiting<K, V, O> {
    /// For another caller.
    pub(super) fn for_another(
        waiter: Box<Waiter<K, V, O>>,
        outcome: Option<fn(&O) -> Outcome<V>>,
        others: Option<Box<Others<K, V, O>>>,
        patience: Patience,
    ) -> Self {
        let bound = Bound::new(&waiter.store.info, waiter.flight.is_admitted());
        let event = bound.landed(waiter.flight.clone());
        Self { stage: Stage::Waits(waiter), outcome, others, patience, event }
    }

    /// To be admitted.
    pub(super) fn for_admission(
        role: Role<K, V>,
        info: Arc<CacheInfo>,
        outcome: Option<fn(&O) -> Outcome<V>>,
        others: Option<Box<Others<K, V, O>>>,
        patience: Patience,
    ) -> Self {
        let event = admitted(info, patience);
        Self { stage: Stage::Loads(role, None), outcome, others, patience, event }
    }

    fn turn(&mut self, occurred: Occurred) -> Turn<Led<K, V, O>> {
        match (std::mem::replace(&mut self.stage, Stage::Ended), occurred) {
            (Stage::Waits(waiter), Occurred::Landed(bound)) => match answered(waiter.flight.outcome(), &waiter.how) {
                Ok(output) => {
                    count(&waiter.store.info.counters.shared, 1);
                    Turn::Ends(Led::Answer(output))
                }
                Err(true) => {
                    let event = bound.permitted(waiter.store.retries.clone());
                    self.stage = Stage::Waits(waiter);
                    Turn::Waits(event)
                }
                Err(false) => self.begin(*waiter, Manner::Shared, bound, None),
            },
            (Stage::Waits(waiter), Occurred::Permitted(bound, permit)) => {
                self.begin(*waiter, Manner::Separate, bound, permit)
            }
            (Stage::Waits(waiter), Occurred::TooLong) => {
                let Waiter { store, key, flight, .. } = *waiter;
                // A load that is stuck must not cost every caller to come the same wait.
                store.detach_key(&key, &flight);
                self.patience = Patience::Goes;
                self.admit(Role::alone(&store.info), None)
            }
            (Stage::Loads(mut role, permit), Occurred::Admitted(admission)) => {
                role.admit(admission);
                Turn::Ends(Led::Load(Load::begin(role, self.outcome, self.others.take(), permit)))
            }
            _ => panic!("it is not polled again after it was ready"),
        }
    }

    /// Begins again, now that the other caller has not made a value.
    fn begin(
        &mut self,
        waiter: Waiter<K, V, O>,
        manner: Manner,
        bound: Bound,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Turn<Led<K, V, O>> {
        let Waiter { store, key, how, tagged, .. } = waiter;
        let role = match begin(&store, key, manner, tagged, &|content| how.answers(content)) {
            Begun::Hit(content) => match how.answer(content) {
                Some(output) => return Turn::Ends(Led::Answer(output)),
                None => Role::alone(&store.info),
            },
            Begun::Lead(lead) => Role::Lead(lead),
            Begun::Alone => Role::alone(&store.info),
            Begun::Wait(flight, key) => {
                let event = bound.landed(flight.clone());
                self.stage = Stage::Waits(Box::new(Waiter { store, key, flight, how, tagged }));
                return Turn::Waits(event);
            }
        };
        self.admit(role, permit)
    }

    fn admit(&mut self, role: Role<K, V>, permit: Option<OwnedSemaphorePermit>) -> Turn<Led<K, V, O>> {
        let Some(info) = role.info().cloned() else {
            return Turn::Ends(Led::Load(Load::begin(role, self.outcome, self.others.take(), permit)));
        };
        self.stage = Stage::Loads(role, permit);
        Turn::Waits(admitted(info, self.patience))
    }
}

impl<K: Key, V: Value, O> Unpin for Waiting<K, V, O> {}

impl<K: Key, V: Value, O> Future for Waiting<K, V, O> {
    type Output = Led<K, V, O>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Led<K, V, O>> {
        loop {
            let occurred = ready!(self.event.as_mut().poll(context));
            match self.turn(occurred) {
                Turn::Waits(event) => self.event = event,
                Turn::Ends(led) => return Poll::Ready(led),
            }
        }
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

/// Something that a caller waits for.
type Event = Pin<Box<dyn Future<Output = Occurred> + Send + Sync>>;

/// What has occurred.
enum Occurred {
    /// The load has landed.
    Landed(Bound),
    /// After a failure, the caller may try.
    Permitted(Bound, Option<OwnedSemaphorePermit>),
    /// The caller has waited for so long that it does not wait any more, for any load.
    TooLong,
    /// The caller may load, or goes without.
    Admitted(Option<Admission>),
}

fn admitted(info: Arc<CacheInfo>, patience: Patience) -> Event {
    Box::pin(async move { Occurred::Admitted(Admission::of(&info, patience).await) })
}

/// How long a caller waits for other loads of its key, in all.
struct Bound {
    info: Arc<CacheInfo>,
    elapsed: Pin<Box<dyn Future<Output = ()> + Send + Sync>>,
}

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

    /// The load has landed.
    fn landed(mut self, load: Arc<dyn Lands>) -> Event {
        Box::pin(async move {
            tokio::select! {
                biased;
                () = load.landing().wait() => Occurred::Landed(self),
                () = &mut self.elapsed => self.too_long(),
            }
        })
    }

    /// After a failure each who waited may try for itself, but not all at once.
    fn permitted(mut self, retries: Arc<Semaphore>) -> Event {
        Box::pin(async move {
            tokio::select! {
                biased;
                // The semaphore is never closed.
                permit = retries.acquire_owned() => Occurred::Permitted(self, permit.ok()),
                () = &mut self.elapsed => self.too_long(),
            }
        })
    }

    fn too_long(&self) -> Occurred {
        tracing::debug!(cache = %self.info.name, "waited too long for another load of the same key");
        Occurred::TooLong
    }
}
