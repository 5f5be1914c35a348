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
    answer::polled_again,
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
    /// As long as it waits for another caller, or for a permit after that one has failed.
    waiter: Option<Box<Waiter<K, V, O>>>,
    /// When it waits to be admitted, as what it loads then.
    role: Option<Role<K, V>>,
    permit: Option<OwnedSemaphorePermit>,
    outcome: Option<fn(&O) -> Outcome<V>>,
    others: Option<Box<Others<K, V, O>>>,
    patience: Patience,
    /// What it waits for.
    event: Event,
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
        Self { waiter: Some(waiter), role: None, permit: None, outcome, others, patience, event }
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
        Self { waiter: None, role: Some(role), permit: None, outcome, others, patience, event }
    }

    /// Goes on after what it has waited for; `None` if it waits for something else now.
    fn turn(&mut self, occurred: Occurred) -> Option<Led<K, V, O>> {
        match occurred {
            Occurred::Landed(bound) => self.landed(bound),
            Occurred::Permitted(bound, permit) => {
                self.permit = permit;
                self.begin(Manner::Separate, bound)
            }
            Occurred::TooLong => {
                self.give_up();
                None
            }
            Occurred::Admitted(admission) => Some(self.load(admission)),
        }
    }

    fn landed(&mut self, bound: Bound) -> Option<Led<K, V, O>> {
        let Some(waiter) = &self.waiter else { polled_again() };
        match answered(waiter.flight.outcome(), &waiter.how) {
            Ok(output) => {
                count(&waiter.store.info.counters.shared, 1);
                Some(Led::Answer(output))
            }
            Err(true) => {
                self.event = bound.permitted(waiter.store.retries.clone());
                None
            }
            Err(false) => self.begin(Manner::Shared, bound),
        }
    }

    /// Begins again, now that the other caller has not made a value.
    fn begin(&mut self, manner: Manner, bound: Bound) -> Option<Led<K, V, O>> {
        let Some(waiter) = self.waiter.take() else { polled_again() };
        let Waiter { store, key, how, tagged, .. } = *waiter;
        let role = match begin(&store, key, manner, tagged, &|content| how.answers(content)) {
            Begun::Hit(content) => match how.answer(content) {
                Some(output) => return Some(Led::Answer(output)),
                None => Role::alone(&store.info),
            },
            Begun::Lead(lead) => Role::Lead(lead),
            Begun::Alone => Role::alone(&store.info),
            Begun::Wait(flight, key) => {
                self.event = bound.landed(flight.clone());
                self.waiter = Some(Box::new(Waiter { store, key, flight, how, tagged }));
                return None;
            }
        };
        self.role = Some(role);
        self.event = admitted(store.info.clone(), self.patience);
        None
    }

    fn give_up(&mut self) {
        let Some(waiter) = self.waiter.take() else { polled_again() };
        let store = &waiter.store;
        // A load that is stuck must not cost every caller to come the same wait.
        store.detach_key(&waiter.key, &waiter.flight);
        self.patience = Patience::Goes;
        self.role = Some(Role::alone(&store.info));
        self.event = admitted(store.info.clone(), Patience::Goes);
    }

    fn load(&mut self, admission: Option<Admission>) -> Led<K, V, O> {
        let Some(mut role) = self.role.take() else { polled_again() };
        role.admit(admission);
        Led::Load(Load::begin(role, self.outcome, self.others.take(), self.permit.take()))
    }
}

impl<K: Key, V: Value, O> Unpin for Waiting<K, V, O> {}

impl<K: Key, V: Value, O> Future for Waiting<K, V, O> {
    type Output = Led<K, V, O>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Led<K, V, O>> {
        loop {
            let occurred = ready!(self.event.as_mut().poll(context));
            if let Some(led) = self.turn(occurred) {
                return Poll::Ready(led);
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
