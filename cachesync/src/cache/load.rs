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

use std::{mem, sync::Arc};

use tokio::sync::OwnedSemaphorePermit;

use super::{
    admission::{Admission, Full, Patience},
    content::{Content, SharedFailure, Terms},
    flight::Outcome,
    info::CacheInfo,
    lead::Lead,
    nesting::{self, Flights, Place},
    store::{Begun, Manner, Store},
    waiter::{Waiter, Waiting},
};
use crate::{
    key::{Key, KeyForm, Value},
    statistics::count,
    transaction::{self, Concern, Inner, Transaction},
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
    pub(super) fn answers(&self, content: &Content<V>) -> bool {
        match content {
            Content::Value(_) => true,
            Content::Nothing => (self.nothing)().is_some(),
            Content::Failure(failure) => (self.knows)(failure),
        }
    }
}

/// Looks for the key, under the transaction if there is one (rule R3). The caller counts the hit.
pub(crate) fn find<K: Key, V: Value>(store: &Store<K, V>, key: &K, transaction: Option<&Inner>) -> Option<Content<V>> {
    let concern = transaction.map(|transaction| (transaction.concerns(&store.info, &key), transaction));
    match concern {
        None | Some((Concern::Nothing, _)) => store.content(key),
        Some((Concern::Key, _)) => None,
        Some((Concern::Tags, transaction)) => {
            store.without_tags(key, &|tag| transaction.is_tag_pending(&store.info, tag))
        }
    }
}

/// The same under the transaction of the calling task, or this one.
///
/// Of that it is asked what concerns the key, and no more: only where tags do it is held on to, for the time of the look.
#[inline]
pub(crate) fn find_here<K: Key, V: Value, Q: KeyForm<K>, T>(
    store: &Store<K, V>,
    key: &Q,
    transaction: Option<&Transaction>,
    answer: impl FnOnce(Content<V>) -> Option<T>,
) -> Option<T> {
    let concerns = |transaction: &Inner| transaction.concerns(&store.info, key);
    let concern = match transaction {
        Some(transaction) => Some(concerns(transaction.inner())),
        None => transaction::with_current(concerns),
    };
    match concern {
        None | Some(Concern::Nothing) => store.hit(key, answer),
        Some(Concern::Key) => None,
        Some(Concern::Tags) => {
            let transaction = transaction.map(|transaction| transaction.inner().clone()).or_else(transaction::current);
            let answer = answer(find(store, &key.to_key(), transaction.as_deref())?)?;
            store.info.counters.hit();
            Some(answer)
        }
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
pub(super) struct Others<K, V, O> {
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
pub(super) enum Role<K: Key, V: Value> {
    /// No cache takes part: no registry, or none that has it.
    Uncached,
    /// For itself.
    Alone { info: Arc<CacheInfo>, admission: Option<Admission> },
    /// For all who wait, and to keep it if that may be.
    Lead(Lead<K, V>),
}

/// Whether a miss has to wait.
///
/// Only a caller who waits needs room for waiting, and that room is not in the future of every annotated function but in a box.
pub enum Leading<K: Key, V: Value, O> {
    /// The body is to be run.
    Load(Load<K, V, O>),
    /// This becomes a [`Led`].
    Wait(Box<Waiting<K, V, O>>),
}

/// How a miss that has waited goes on.
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
    outcome: Option<fn(&O) -> Outcome<V>>,
    more: Option<Box<More<K, V>>>,
}

/// What few loads have.
struct More<K: Key, V: Value> {
    /// Of the caches to be filled beside the first.
    leads: Vec<Lead<K, V>>,
    /// Of one who has waited for a load that failed.
    _permit: Option<OwnedSemaphorePermit>,
}

impl<K: Key, V: Value> Role<K, V> {
    pub(super) fn alone(info: &Arc<CacheInfo>) -> Self {
        Self::Alone { info: info.clone(), admission: None }
    }

    /// The cache that it loads for.
    pub(super) fn info(&self) -> Option<&Arc<CacheInfo>> {
        match self {
            Self::Uncached => None,
            Self::Alone { info, .. } => Some(info),
            Self::Lead(lead) => Some(&lead.store().info),
        }
    }

    /// Is admitted, or goes without; or would have to wait.
    #[inline]
    fn admit_now(&mut self, patience: Patience) -> Result<(), Full> {
        let admitted = match self {
            Self::Uncached => return Ok(()),
            Self::Alone { info, admission } => Admission::now(info).map(|admitted| *admission = admitted),
            Self::Lead(lead) => lead.admit_now(),
        };
        if patience == Patience::Goes { Ok(()) } else { admitted }
    }

    /// The same for who has waited.
    pub(super) fn admit(&mut self, admitted: Option<Admission>) {
        match self {
            Self::Uncached => {}
            Self::Alone { admission, .. } => *admission = admitted,
            Self::Lead(lead) => lead.admit(admitted),
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
    pub(crate) fn alone(info: &Arc<CacheInfo>, how: &How<O, V>) -> Self {
        let way = Way::Load(Role::alone(info));
        Self { way, outcome: Some(how.outcome), others: None, patience: Patience::Goes }
    }

    /// Outside of a transaction, in `store` and those after it; or the answer, if there is one after all.
    #[inline]
    pub(crate) fn begin(
        store: &Arc<Store<K, V>>,
        others: Vec<Arc<Store<K, V>>>,
        key: K,
        how: &How<O, V>,
        tagged: bool,
    ) -> Result<Self, O> {
        let others =
            (!others.is_empty()).then(|| Box::new(Others { stores: others, key: key.clone(), how: *how, tagged }));
        let way = match begin(store, key, Manner::Shared, tagged, &|content| how.answers(content)) {
            Begun::Hit(content) => match how.answer(content) {
                Some(output) => return Err(output),
                None => Way::Load(Role::alone(&store.info)),
            },
            Begun::Lead(lead) => Way::Load(Role::Lead(lead)),
            Begun::Wait(flight, key) => {
                Way::Wait(Box::new(Waiter { store: store.clone(), key, flight, how: *how, tagged }))
            }
            Begun::Alone => Way::Load(Role::alone(&store.info)),
        };
        Ok(Self { way, outcome: Some(how.outcome), others, patience: Patience::Waits })
    }

    /// Waits, if somebody else loads the key, until there is an answer or it is this caller's turn.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind; if others wait for this caller, one of them loads.
    #[inline]
    pub fn lead(self) -> Leading<K, V, O> {
        let Self { way, outcome, others, patience } = self;
        let waiting = match way {
            Way::Wait(waiter) => Waiting::for_another(waiter, outcome, others, patience),
            Way::Load(mut role) => match (role.admit_now(patience), role.info()) {
                (Err(Full), Some(info)) => {
                    let info = info.clone();
                    Waiting::for_admission(role, info, outcome, others, patience)
                }
                _ => return Leading::Load(Load::begin(role, outcome, others, None)),
            },
        };
        Leading::Wait(Box::new(waiting))
    }

    /// The same without waiting: who would have to, loads for itself.
    pub fn lead_now(self) -> Led<K, V, O> {
        let Self { way, outcome, others, .. } = self;
        let mut role = match way {
            Way::Load(role) => role,
            Way::Wait(waiter) => {
                let Waiter { store, key, how, tagged, .. } = *waiter;
                match store.begin(key, Manner::Separate, tagged, &|content| how.answers(content)) {
                    Begun::Hit(content) => match how.answer(content) {
                        Some(output) => return Led::Answer(output),
                        None => Role::alone(&store.info),
                    },
                    Begun::Lead(lead) => Role::Lead(lead),
                    Begun::Wait(..) | Begun::Alone => Role::alone(&store.info),
                }
            }
        };
        // Who cannot wait goes without.
        _ = role.admit_now(Patience::Goes);
        Led::Load(Load::begin(role, outcome, others, None))
    }
}

impl<K: Key, V: Value, O> Others<K, V, O> {
    /// Their tickets, too, are taken before the body begins.
    fn begin(self) -> Vec<Lead<K, V>> {
        let Self { stores, key, how, tagged } = self;
        // An entry that says nothing to this function is none there, as it is none in the first.
        let answers = |content: &_| how.answers(content);
        let mut leads = Vec::with_capacity(stores.len());
        for store in &stores {
            if let Begun::Lead(lead) = store.begin(key.clone(), Manner::Separate, tagged, &answers) {
                leads.push(lead);
            }
        }
        leads
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
    pub(super) fn begin(
        role: Role<K, V>,
        outcome: Option<fn(&O) -> Outcome<V>>,
        others: Option<Box<Others<K, V, O>>>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let keeps = matches!(&role, Role::Lead(lead) if lead.keeps());
        if let Some(info) = role.info() {
            info.counters.loads(1);
            if !keeps {
                count(&info.counters.not_kept, 1);
            }
        }
        if let Role::Lead(lead) = &role {
            lead.begins();
        }
        let more = (others.is_some() || permit.is_some()).then(|| {
            let leads = others.map_or_else(Vec::new, |others| others.begin());
            Box::new(More { leads, _permit: permit })
        });
        Self { role, outcome, more }
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
    pub(super) fn place(&self) -> Place {
        let flight = match &self.role {
            Role::Lead(lead) => Some(&lead.flight),
            Role::Uncached | Role::Alone { .. } => None,
        };
        Place::new(Flights::of(flight.into_iter()), self.role.info().map_or(0, |info| info.id))
    }

    /// Whether the outcome may be kept.
    pub fn may_keep(&self) -> bool {
        matches!(&self.role, Role::Lead(lead) if lead.keeps()) || self.has_others()
    }

    fn has_others(&self) -> bool {
        self.more.as_ref().is_some_and(|more| !more.leads.is_empty())
    }

    /// The body has returned: keeps the outcome and answers those who wait, as `verdict` says.
    pub fn settle(self, output: &O, verdict: impl Into<Verdict>) {
        let leads = matches!(self.role, Role::Lead(_)) || self.has_others();
        let Some(outcome) = self.outcome.filter(|_| leads) else { return };
        let Verdict { refused, keep_nothing, failure, terms } = verdict.into();
        let (outcome, keep) = match outcome(output) {
            Outcome::Value(value) => (Outcome::Value(value), !refused),
            Outcome::Nothing => (Outcome::Nothing, keep_nothing),
            Outcome::Failed(_) if failure.is_some() => (Outcome::Failed(failure), true),
            other => (other, false),
        };
        // Its permit is given back when the value is kept: who is next looks for that.
        let mut more = self.more;
        if keep && let Some(more) = &mut more {
            for other in mem::take(&mut more.leads) {
                other.keep(outcome.clone(), &terms);
            }
        }
        if let Role::Lead(lead) = self.role {
            if keep {
                lead.keep(outcome, &terms);
            } else {
                lead.land(outcome);
            }
        }
    }
}

/// As [`Store::begin`], for a task that may be in the middle of a load.
pub(super) fn begin<K: Key, V: Value>(
    store: &Arc<Store<K, V>>,
    key: K,
    manner: Manner,
    tagged: bool,
    answers: &dyn Fn(&Content<V>) -> bool,
) -> Begun<K, V> {
    match store.begin(key, manner, tagged, answers) {
        Begun::Wait(flight, _) if nesting::is_within(&flight) => Begun::Alone,
        // That may wait to be admitted until this task ends.
        Begun::Wait(flight, key) if !flight.is_admitted() && nesting::is_within_cache(store.info.id) => {
            store.begin(key, Manner::Separate, tagged, answers)
        }
        begun => begun,
    }
}
