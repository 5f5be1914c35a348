//! Loading: what a caller does whose key is absent.
//!
//! ```text
//! miss ── inside a transaction ───────────────────────> run the body, keep nothing
//!    ├─── nobody loads this key ───────────────────────> lead: run the body, keep, answer those who wait;
//!    │                                                   held, or past the lease: keep nothing;
//!    │                                                   held: answer those who came before it began
//!    └─── somebody does ───────────────────────────────> wait, at most `load_wait`
//!             ├── a value ──> done
//!             ├── nothing (`None`), or an error that can be cloned ──> done
//!             ├── an error that cannot ──> run the body too, a bounded number at a time
//!             ├── the leader was dropped ──> begin again: one of those who waited leads
//!             └── too long, or for oneself ──> run the body, keep nothing
//! ```
//!
//! Whoever runs a body is [admitted](super::admission) before, or goes without when that takes too long.
//!
//! No wait is without bound, so loads that wait for each other in a circle end (rule R9). Who cannot wait at all, a
//! plain `fn`, loads for itself in place of waiting.
//!
//! With several caches the first of them is where callers wait for each other; the others are filled beside it.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    admission::{Admission, Full, Patience},
    content::{Content, SharedFailure, Terms},
    flight::{Flight, Outcome},
    info::CacheInfo,
    lead::Lead,
    nesting::{self, Flights, Place},
    store::{Begun, Manner, Store},
};
use crate::{
    key::{Key, KeyForm, Value},
    mutation::Mutation,
    statistics::count,
    timer,
    transaction::{Concern, Inner},
};

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
    /// The output for one who learns that there is nothing; `None` if this body cannot say so.
    pub(crate) nothing: fn() -> Option<O>,
    /// The output that another body's error stands for; `None` if it is of another type.
    pub(crate) failure: fn(&SharedFailure) -> Option<O>,
    /// Whether there is one. Asked under a lock, where the error must not be cloned.
    pub(crate) knows: fn(&SharedFailure) -> bool,
}

impl<O, V> Clone for How<O, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O, V> Copy for How<O, V> {}

impl<O, V> How<O, V> {
    /// The output that an entry stands for; `None` if it says nothing to this function.
    #[inline]
    pub(crate) fn answer(&self, content: Content<V>) -> Option<O> {
        match content {
            Content::Value(value) => Some((self.output)(value)),
            Content::Nothing => (self.nothing)(),
            Content::Failure(failure) => (self.failure)(&failure),
        }
    }

    /// Whether there is such an output.
    fn answers(&self, content: &Content<V>) -> bool {
        match content {
            Content::Value(_) => true,
            Content::Nothing => (self.nothing)().is_some(),
            Content::Failure(failure) => (self.knows)(failure),
        }
    }
}

/// Looks for the key, under the transaction if there is one (rule R3).
#[inline]
pub(crate) fn find<K: Key, V: Value, Q: KeyForm<K>, T>(
    store: &Store<K, V>,
    key: &Q,
    transaction: Option<&Inner>,
    answer: impl FnOnce(Content<V>) -> Option<T>,
) -> Option<T> {
    let Some(transaction) = transaction else { return store.hit(key, answer) };
    match transaction.concerns(&store.info, key) {
        Concern::Key => None,
        Concern::Tags => store.hit_without_tags(key, |tag| transaction.is_tag_pending(&store.info, tag), answer),
        Concern::Nothing => store.hit(key, answer),
    }
}

/// A caller who found nothing, before it is known whether it loads.
///
/// It is moved about by every miss, so what few of them need is in boxes.
pub struct Miss<K: Key, V: Value, O> {
    way: Way<K, V, O>,
    /// What an output means for others; `None` if no cache takes part.
    outcome: Option<fn(&O) -> Outcome<V>>,
    others: Option<Box<Others<K, V, O>>>,
    /// Whether it can wait to be admitted.
    patience: Patience,
}

/// The caches to be filled beside the first.
struct Others<K, V, O> {
    stores: Vec<Arc<Store<K, V>>>,
    key: K,
    how: How<O, V>,
    tagged: bool,
}

enum Way<K: Key, V: Value, O> {
    Load(Role<K, V>),
    Wait(Box<Waiter<K, V, O>>),
}

/// As what a caller loads.
enum Role<K: Key, V: Value> {
    /// No cache takes part: no registry, or none that has it.
    Uncached,
    Alone(Arc<CacheInfo>),
    Lead(Lead<K, V>),
}

/// How a miss goes on.
pub enum Led<K: Key, V: Value, O> {
    /// Another caller's answer.
    Answer(O),
    /// The body is to be run.
    Load(Load<K, V, O>),
}

/// A caller who loads: it [runs](Load::run) the body, then [settles](Load::settle). Dropped before that, it leaves nothing
/// behind.
pub struct Load<K: Key, V: Value, O> {
    role: Role<K, V>,
    others: Vec<Lead<K, V>>,
    outcome: Option<fn(&O) -> Outcome<V>>,
    /// Whether it was admitted, which it gives back when the body has ended.
    admitted: bool,
    _permit: Option<Box<OwnedSemaphorePermit>>,
}

impl<K: Key, V: Value> Role<K, V> {
    /// The cache that it loads for.
    fn info(&self) -> Option<&Arc<CacheInfo>> {
        match self {
            Self::Uncached => None,
            Self::Alone(info) => Some(info),
            Self::Lead(lead) => Some(&lead.store().info),
        }
    }

    /// Whether it is admitted, which is then to be given back; `None` if it has to wait for that.
    fn admitted_now(&self, patience: Patience) -> Option<bool> {
        match self.info().map_or(Ok(false), |info| Admission::take_now(info)) {
            Ok(admitted) => Some(admitted),
            Err(Full) if patience == Patience::Goes => Some(false),
            Err(Full) => None,
        }
    }
}

impl<K: Key, V: Value, O> Miss<K, V, O> {
    /// No cache takes part.
    #[must_use]
    pub fn bypassed() -> Self {
        Self { way: Way::Load(Role::Uncached), outcome: None, others: None, patience: Patience::Goes }
    }

    /// Inside a transaction: it may read what is not committed, or an old snapshot. Nothing of that is kept, and nobody
    /// joins. It does not wait either, see [`admission`](super::admission).
    pub(crate) fn alone(info: &Arc<CacheInfo>, how: How<O, V>) -> Self {
        let way = Way::Load(Role::Alone(info.clone()));
        Self { way, outcome: Some(how.outcome), others: None, patience: Patience::Goes }
    }

    /// Outside of a transaction, in `store` and those after it; or the answer, if there is one after all.
    pub(crate) fn begin<Q: KeyForm<K>>(
        store: &Arc<Store<K, V>>,
        others: Vec<Arc<Store<K, V>>>,
        key: &Q,
        how: How<O, V>,
        tagged: bool,
    ) -> Result<Self, O> {
        let way = match begin(store, key, Manner::Shared, tagged, |content| how.answers(content)) {
            Begun::Hit(content) => Way::Load(Role::Alone(match how.answer(content) {
                Some(output) => return Err(output),
                None => store.info.clone(),
            })),
            Begun::Lead(lead) => Way::Load(Role::Lead(lead)),
            Begun::Wait(flight) => {
                Way::Wait(Box::new(Waiter { store: store.clone(), key: key.to_key(), flight, how, tagged }))
            }
            Begun::Alone => Way::Load(Role::Alone(store.info.clone())),
        };
        let others = (!others.is_empty()).then(|| Box::new(Others { stores: others, key: key.to_key(), how, tagged }));
        Ok(Self { way, outcome: Some(how.outcome), others, patience: Patience::Waits })
    }

    /// Waits, if somebody else loads the key, until there is an answer or it is this caller's turn.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind; if others wait for this caller, one of them loads.
    #[inline]
    pub fn lead(self) -> impl Future<Output = Led<K, V, O>> {
        let Self { way, outcome, others, patience } = self;
        let way = match way {
            Way::Load(role) => match role.admitted_now(patience) {
                Some(admitted) => return Leading::Now(Some(Load::begin(role, outcome, others, admitted, None))),
                None => Way::Load(role),
            },
            wait @ Way::Wait(_) => wait,
        };
        Leading::Wait(Box::pin(Self { way, outcome, others, patience }.wait()))
    }

    async fn wait(self) -> Led<K, V, O> {
        let Self { way, outcome, others, mut patience } = self;
        let (role, permit) = match way {
            Way::Load(role) => (role, None),
            Way::Wait(waiter) => match waiter.wait().await {
                Waited::Output(output) => return Led::Answer(output),
                Waited::Load(role, permit) => (role, permit.map(Box::new)),
                Waited::TooLong(info) => {
                    patience = Patience::Goes;
                    (Role::Alone(info), None)
                }
            },
        };
        let admission = match role.info() {
            Some(info) => Admission::of(info, patience).await,
            None => None,
        };
        let admitted = admission.map(Admission::hand_over).is_some();
        Led::Load(Load::begin(role, outcome, others, admitted, permit))
    }

    /// The same without waiting: who would have to, loads for itself.
    pub fn lead_now(self) -> Led<K, V, O> {
        let Self { way, outcome, others, .. } = self;
        let role = match way {
            Way::Load(role) => role,
            Way::Wait(waiter) => {
                let Waiter { store, key, how, tagged, .. } = *waiter;
                match store.begin(&&key, Manner::Separate, tagged, |content| how.answers(content)) {
                    Begun::Hit(content) => match how.answer(content) {
                        Some(output) => return Led::Answer(output),
                        None => Role::Alone(store.info.clone()),
                    },
                    Begun::Lead(lead) => Role::Lead(lead),
                    Begun::Wait(_) | Begun::Alone => Role::Alone(store.info.clone()),
                }
            }
        };
        let admitted = role.admitted_now(Patience::Goes).unwrap_or(false);
        Led::Load(Load::begin(role, outcome, others, admitted, None))
    }
}

impl<K: Key, V: Value, O> Others<K, V, O> {
    /// Their tickets, too, are taken before the body begins.
    fn begin(self) -> Vec<Lead<K, V>> {
        let Self { stores, key, how, tagged } = self;
        // An entry that says nothing to this function is none there, as it is none in the first.
        let answers = |content: &_| how.answers(content);
        let begin = |store: Arc<Store<K, V>>| match store.begin(&&key, Manner::Separate, tagged, answers) {
            Begun::Lead(lead) => Some(lead),
            Begun::Hit(_) | Begun::Wait(_) | Begun::Alone => None,
        };
        stores.into_iter().filter_map(begin).collect()
    }
}

/// The future of a miss. Only a caller who waits needs room for waiting, and that room is not in the future of every
/// annotated function but in a box.
enum Leading<L, W> {
    Now(Option<L>),
    Wait(Pin<Box<W>>),
}

/// Nothing in it is pinned but what is in the box.
impl<L, W> Unpin for Leading<L, W> {}

impl<K: Key, V: Value, O, W: Future<Output = Led<K, V, O>>> Future for Leading<Load<K, V, O>, W> {
    type Output = Led<K, V, O>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(load) => Poll::Ready(Led::Load(load.take().expect("it is not polled again after it was ready"))),
            Self::Wait(wait) => wait.as_mut().poll(context),
        }
    }
}

/// What is to become of an outcome.
#[derive(Clone, Default)]
pub struct Verdict {
    /// A value is not to be kept.
    pub(crate) refused: bool,
    /// It is to be kept that there is nothing.
    pub(crate) keep_nothing: bool,
    /// It is to be kept that it fails, and how.
    pub(crate) failure: Option<SharedFailure>,
    pub(crate) terms: Terms,
}

impl<K: Key, V: Value, O> Load<K, V, O> {
    /// It has waited for all that there is to wait for.
    fn begin(
        role: Role<K, V>,
        outcome: Option<fn(&O) -> Outcome<V>>,
        others: Option<Box<Others<K, V, O>>>,
        admitted: bool,
        permit: Option<Box<OwnedSemaphorePermit>>,
    ) -> Self {
        // First, so that the admission is given back should code of the user's panic.
        let mut load = Self { role, others: Vec::new(), outcome, admitted, _permit: permit };
        if let Some(info) = load.role.info() {
            info.counters.load();
            if !matches!(&load.role, Role::Lead(lead) if lead.keeps()) {
                count(&info.counters.not_kept, 1);
            }
        }
        if let Role::Lead(lead) = &load.role {
            lead.begins();
        }
        if let Some(others) = others {
            load.others = others.begin();
        }
        load
    }

    /// Runs the body.
    ///
    /// # Cancel safety
    ///
    /// That of `body`.
    pub fn run<F: Future<Output = O>>(&self, body: F) -> impl Future<Output = O> + use<K, V, O, F> {
        self.place().run(body)
    }

    /// Apart from the body, of which each function has another.
    fn place(&self) -> Place {
        let flight = match &self.role {
            Role::Lead(lead) => Some(nesting::address(&lead.flight)),
            Role::Uncached | Role::Alone(_) => None,
        };
        Place::new(Flights::One(flight), self.role.info().map_or(0, |info| info.id))
    }

    /// Whether the outcome may be kept.
    pub fn may_keep(&self) -> bool {
        matches!(&self.role, Role::Lead(lead) if lead.keeps()) || !self.others.is_empty()
    }

    /// The body has returned: keeps the outcome and answers those who wait, as `verdict` says.
    pub fn settle(mut self, output: &O, verdict: impl Into<Verdict>) {
        self.give_back();
        let others = mem::take(&mut self.others);
        let lead = match mem::replace(&mut self.role, Role::Uncached) {
            Role::Lead(lead) => Some(lead),
            Role::Uncached | Role::Alone(_) => None,
        };
        let Some(outcome) = self.outcome.filter(|_| lead.is_some() || !others.is_empty()) else { return };
        let Verdict { refused, keep_nothing, failure, terms } = verdict.into();
        let outcome = outcome(output);
        let (outcome, keep) = match outcome {
            Outcome::Value(value) => (Outcome::Value(value), !refused),
            Outcome::Nothing => (Outcome::Nothing, keep_nothing),
            Outcome::Failed(_) if failure.is_some() => (Outcome::Failed(failure), true),
            other => (other, false),
        };
        if keep {
            for other in others {
                other.keep(outcome.clone(), &terms);
            }
        }
        if let Some(lead) = lead {
            if keep {
                lead.keep(outcome, &terms);
            } else {
                lead.land(outcome);
            }
        }
    }
}

impl<K: Key, V: Value, O> Load<K, V, O> {
    /// Gives back that it was admitted, if it was.
    fn give_back(&mut self) {
        if mem::take(&mut self.admitted)
            && let Some(info) = self.role.info()
        {
            Admission::give_back(info);
        }
    }
}

impl<K: Key, V: Value, O> Drop for Load<K, V, O> {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Waits for another caller's load.
struct Waiter<K: Key, V: Value, O> {
    store: Arc<Store<K, V>>,
    key: K,
    flight: Arc<Flight<V>>,
    how: How<O, V>,
    tagged: bool,
}

enum Waited<K: Key, V: Value, O> {
    Output(O),
    /// The caller loads after all, never by waiting once more.
    Load(Role<K, V>, Option<OwnedSemaphorePermit>),
    /// The caller has waited for so long that it does not wait any more, for anything.
    TooLong(Arc<CacheInfo>),
}

impl<K: Key, V: Value, O> Waiter<K, V, O> {
    async fn wait(mut self) -> Waited<K, V, O> {
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
                    None => Waited::Load(Role::Alone(info), permit),
                },
                Begun::Lead(lead) => Waited::Load(Role::Lead(lead), permit),
                Begun::Alone => Waited::Load(Role::Alone(info), permit),
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

/// As [`Store::begin`], for a task that may be in the middle of a load.
pub(super) fn begin<K: Key, V: Value, Q: KeyForm<K>>(
    store: &Arc<Store<K, V>>,
    key: &Q,
    manner: Manner,
    tagged: bool,
    answers: impl Fn(&Content<V>) -> bool,
) -> Begun<K, V> {
    match store.begin(key, manner, tagged, &answers) {
        Begun::Wait(flight) if nesting::is_within(&flight) => Begun::Alone,
        // That may wait to be admitted until this task ends.
        Begun::Wait(flight) if !flight.is_admitted() && nesting::is_within_cache(store.info.id) => {
            store.begin(key, Manner::Separate, tagged, answers)
        }
        begun => begun,
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
