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
    nesting::{self, Within},
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
pub struct Miss<K: Key, V: Value, O> {
    way: Way<K, V>,
    /// `None` if no cache takes part.
    how: Option<How<O, V>>,
    others: Option<Others<K, V>>,
    tagged: bool,
    /// Whether it can wait to be admitted.
    patience: Patience,
}

/// The caches to be filled beside the first.
struct Others<K, V> {
    stores: Vec<Arc<Store<K, V>>>,
    key: K,
}

enum Way<K: Key, V: Value> {
    /// No cache takes part: no registry, or none that has it.
    Uncached,
    Alone(Arc<CacheInfo>),
    Lead(Lead<K, V>),
    Wait(Waiter<K, V>),
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
    lead: Option<Lead<K, V>>,
    others: Vec<Lead<K, V>>,
    outcome: Option<fn(&O) -> Outcome<V>>,
    /// The id of the cache that it loads for; 0 for none.
    cache: u64,
    _admission: Option<Admission>,
    _permit: Option<Box<OwnedSemaphorePermit>>,
}

impl<K: Key, V: Value, O> Miss<K, V, O> {
    /// No cache takes part.
    #[must_use]
    pub fn bypassed() -> Self {
        Self { way: Way::Uncached, how: None, others: None, tagged: false, patience: Patience::Goes }
    }

    /// Inside a transaction: it may read what is not committed, or an old snapshot. Nothing of that is kept, and nobody
    /// joins. It does not wait either, see [`admission`](super::admission).
    pub(crate) fn alone(info: &Arc<CacheInfo>, how: How<O, V>) -> Self {
        Self { way: Way::Alone(info.clone()), how: Some(how), others: None, tagged: false, patience: Patience::Goes }
    }

    /// Outside of a transaction, in the first of these caches; or the answer, if there is one after all.
    pub(crate) fn begin<Q: KeyForm<K>>(
        mut stores: Vec<Arc<Store<K, V>>>,
        key: &Q,
        how: How<O, V>,
        tagged: bool,
    ) -> Result<Self, O> {
        if stores.is_empty() {
            return Ok(Self::bypassed());
        }
        let store = stores.remove(0);
        let way = match begin(&store, key, Manner::Shared, tagged, |content| how.answers(content)) {
            Begun::Hit(content) => match how.answer(content) {
                Some(output) => return Err(output),
                None => Way::Alone(store.info.clone()),
            },
            Begun::Lead(lead) => Way::Lead(lead),
            Begun::Wait(flight) => Way::Wait(Waiter { store, key: key.to_key(), flight, tagged }),
            Begun::Alone => Way::Alone(store.info.clone()),
        };
        let others = (!stores.is_empty()).then(|| Others { stores, key: key.to_key() });
        Ok(Self { way, how: Some(how), others, tagged, patience: Patience::Waits })
    }

    /// Waits, if somebody else loads the key, until there is an answer or it is this caller's turn.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind; if others wait for this caller, one of them loads.
    pub fn lead(self) -> impl Future<Output = Led<K, V, O>> + use<K, V, O> {
        self.leading()
    }

    pub(super) fn leading(self) -> Leading<Load<K, V, O>, impl Future<Output = Led<K, V, O>> + use<K, V, O>> {
        if matches!(self.way, Way::Wait(_)) {
            return Leading::Wait(Box::pin(self.wait()));
        }
        match (self.info().map_or(Ok(None), Admission::now), self.patience) {
            (Ok(admission), _) => Leading::Now(Some(self.load(admission, None))),
            (Err(Full), Patience::Goes) => Leading::Now(Some(self.load(None, None))),
            (Err(Full), Patience::Waits) => Leading::Wait(Box::pin(self.wait())),
        }
    }

    /// The cache that it loads for.
    fn info(&self) -> Option<&Arc<CacheInfo>> {
        match &self.way {
            Way::Alone(info) => Some(info),
            Way::Lead(lead) => Some(&lead.store().info),
            Way::Uncached | Way::Wait(_) => None,
        }
    }

    async fn wait(mut self) -> Led<K, V, O> {
        let mut permit = None;
        if let (Way::Wait(_), Some(how)) = (&self.way, &self.how)
            && let Way::Wait(waiter) = mem::replace(&mut self.way, Way::Uncached)
        {
            match waiter.wait(how).await {
                Waited::Output(output) => return Led::Answer(output),
                Waited::Load(way, permitted) => (self.way, permit) = (way, permitted.map(Box::new)),
                Waited::TooLong(info) => (self.way, self.patience) = (Way::Alone(info), Patience::Goes),
            }
        }
        let admission = match self.info() {
            Some(info) => Admission::of(info, self.patience).await,
            None => None,
        };
        Led::Load(self.load(admission, permit))
    }

    /// The same without waiting: who would have to, loads for itself.
    pub fn lead_now(mut self) -> Led<K, V, O> {
        if let (Way::Wait(Waiter { store, key, .. }), Some(how)) = (&self.way, &self.how) {
            self.way = match store.begin(&key, Manner::Separate, self.tagged, |content| how.answers(content)) {
                Begun::Hit(content) => match how.answer(content) {
                    Some(output) => return Led::Answer(output),
                    None => Way::Alone(store.info.clone()),
                },
                Begun::Lead(lead) => Way::Lead(lead),
                Begun::Wait(_) | Begun::Alone => Way::Alone(store.info.clone()),
            };
        }
        let admission = self.info().and_then(|info| Admission::now(info).ok().flatten());
        Led::Load(self.load(admission, None))
    }

    fn load(self, admission: Option<Admission>, permit: Option<Box<OwnedSemaphorePermit>>) -> Load<K, V, O> {
        let cache = self.info().map_or(0, |info| info.id);
        let Self { way, how, others, tagged, .. } = self;
        let lead = match way {
            Way::Lead(lead) => {
                let counters = &lead.store().info.counters;
                count(&counters.loads, 1);
                count(&counters.not_kept, usize::from(!lead.keeps()));
                lead.begins();
                Some(lead)
            }
            Way::Alone(info) => {
                count(&info.counters.loads, 1);
                count(&info.counters.not_kept, 1);
                None
            }
            Way::Uncached | Way::Wait(_) => None,
        };
        // Their tickets, too, are taken before the body begins.
        let others = others.map_or_else(Vec::new, |Others { stores, key }| {
            // An entry that says nothing to this function is none there, as it is none in the first.
            let answers = |content: &_| how.is_some_and(|how| how.answers(content));
            let begin = |store: Arc<Store<K, V>>| match store.begin(&&key, Manner::Separate, tagged, answers) {
                Begun::Lead(lead) => Some(lead),
                Begun::Hit(_) | Begun::Wait(_) | Begun::Alone => None,
            };
            stores.into_iter().filter_map(begin).collect()
        });
        Load { lead, others, outcome: how.map(|how| how.outcome), cache, _admission: admission, _permit: permit }
    }
}

/// The future of a miss. Only a caller who waits needs room for waiting, and that room is not in the future of every
/// annotated function but in a box.
pub(super) enum Leading<L, W> {
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
    /// Runs the body.
    ///
    /// # Cancel safety
    ///
    /// That of `body`.
    pub fn run<F: Future<Output = O>>(&self, body: F) -> impl Future<Output = O> + use<K, V, O, F> {
        self.within().scope(body)
    }

    /// Where its body runs.
    pub(super) fn within(&self) -> Within {
        Within::new(self.lead.iter().map(|lead| nesting::address(&lead.flight)).collect(), self.cache)
    }

    /// Whether the outcome may be kept.
    pub fn may_keep(&self) -> bool {
        self.lead.as_ref().is_some_and(Lead::keeps) || !self.others.is_empty()
    }

    /// The body has returned: keeps the outcome and answers those who wait, as `verdict` says.
    pub fn settle(self, output: &O, verdict: impl Into<Verdict>) {
        let Self { lead, others, outcome, .. } = self;
        let Some(outcome) = outcome.filter(|_| lead.is_some() || !others.is_empty()) else { return };
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

/// Waits for another caller's load.
pub(crate) struct Waiter<K: Key, V: Value> {
    store: Arc<Store<K, V>>,
    key: K,
    flight: Arc<Flight<V>>,
    tagged: bool,
}

enum Waited<K: Key, V: Value, O> {
    Output(O),
    /// The caller loads after all, never by waiting once more.
    Load(Way<K, V>, Option<OwnedSemaphorePermit>),
    /// The caller has waited for so long that it does not wait any more, for anything.
    TooLong(Arc<CacheInfo>),
}

impl<K: Key, V: Value> Waiter<K, V> {
    async fn wait<O>(mut self, how: &How<O, V>) -> Waited<K, V, O> {
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
            waited = self.answer(how) => Some(waited),
            () = timer::elapsed(&info.runtime, &info.lease, wait) => None,
        };
        waited.unwrap_or_else(|| {
            tracing::debug!(cache = %info.name, "waited too long for another load of the same key");
            // A load that is stuck must not cost every caller to come the same wait.
            self.store.detach_key(&self.key, &self.flight);
            Waited::TooLong(info)
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
            return match begin(&self.store, &&self.key, manner, self.tagged, |content| how.answers(content)) {
                Begun::Hit(content) => match how.answer(content) {
                    Some(output) => Waited::Output(output),
                    None => Waited::Load(Way::Alone(info), permit),
                },
                Begun::Lead(lead) => Waited::Load(Way::Lead(lead), permit),
                Begun::Alone => Waited::Load(Way::Alone(info), permit),
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
