//! Many keys at once: what is cached is taken from there, what others load is waited for, and the rest is loaded by one
//! run of a body.
//!
//! # Why batches do not wait for each other
//!
//! A batch whose keys nobody else loads leads them all and runs its body; others wait for these keys as for any load. A
//! batch that finds some of its keys in flight waits before it runs its body, since that can run only once. While it
//! waits it is in the way of nobody: the keys that it leads are made unjoinable first, and whoever waited for them goes
//! on to load for itself. So of the tasks that wait for each other's keys none holds what another needs, in whatever
//! order they met; and after `load_wait` every wait ends. What that costs is a key that two batches load at the same
//! time, when they overlap just so.

use std::{collections::HashMap, hash::Hash, mem, sync::Arc};

use hashbrown::hash_map::Entry::{Occupied, Vacant};

use tokio::sync::OwnedSemaphorePermit;

use super::{
    admission::{Admission, Patience},
    content::Content,
    flight::{Flight, Outcome},
    lead::Lead,
    load::{self, Verdict},
    nesting::{Flights, Place},
    store::{Begun, Manner, Store},
};
use crate::{
    key::{Key, Value},
    statistics::count,
    sync::DefaultHashBuilder,
    timer,
    transaction::Inner,
};

/// One key of a batch.
struct Asked<I, N, K: Key, V: Value> {
    /// As the caller gave it.
    item: I,
    /// As the body's answer calls it.
    name: N,
    key: K,
    state: State<K, V>,
}

enum State<K: Key, V: Value> {
    /// The value, or that there is none.
    Known(Option<V>),
    Wait(Arc<Flight<V>>),
    /// This batch loads it, and may keep it if it has a lead.
    Load(Option<Lead<K, V>>),
}

/// The keys of one call.
pub(crate) struct Batch<I, N, K: Key, V: Value> {
    store: Arc<Store<K, V>>,
    tagged: bool,
    /// Whether it can wait to be admitted.
    patience: Patience,
    admission: Option<Admission>,
    asked: Vec<Asked<I, N, K, V>>,
    /// Further names of keys, each with the key's place in `asked`: different elements of a list may have the same key.
    alike: HashMap<N, usize>,
    /// Held by one that has waited, while it loads.
    permit: Option<OwnedSemaphorePermit>,
}

impl<I, N: Eq + Hash, K: Key, V: Value> Batch<I, N, K, V> {
    /// Looks every key up, each once, and takes the lead of those that nobody has or loads.
    pub(crate) fn begin(
        store: Arc<Store<K, V>>,
        transaction: Option<&Inner>,
        keys: impl Iterator<Item = (I, N, K)>,
        tagged: bool,
    ) -> Self {
        let patience = if transaction.is_some() { Patience::Goes } else { Patience::Waits };
        let mut batch =
            Self { store, tagged, patience, admission: None, asked: Vec::new(), alike: HashMap::new(), permit: None };
        let mut seen = hashbrown::HashMap::<K, usize, DefaultHashBuilder>::default();
        for (item, name, key) in keys {
            match seen.entry(key.clone()) {
                Occupied(place) if batch.asked[*place.get()].name == name => {}
                Occupied(place) => _ = batch.alike.insert(name, *place.get()),
                Vacant(place) => {
                    place.insert(batch.asked.len());
                    let state = batch.look(&key, transaction);
                    batch.asked.push(Asked { item, name, key, state });
                }
            }
        }
        batch
    }

    fn look(&self, key: &K, transaction: Option<&Inner>) -> State<K, V> {
        if let Some(value) = load::find(&self.store, key, transaction).and_then(known) {
            self.store.info.counters.hit();
            return State::Known(value);
        }
        if transaction.is_some() { State::Load(None) } else { self.begin_key(key, Manner::Shared) }
    }

    fn begin_key(&self, key: &K, manner: Manner) -> State<K, V> {
        match load::begin(&self.store, key.clone(), manner, self.tagged, &|content| {
            !matches!(content, Content::Failure(_))
        }) {
            Begun::Hit(content) => known(content).map_or(State::Load(None), State::Known),
            Begun::Lead(lead) => State::Load(Some(lead)),
            Begun::Wait(flight, _) => State::Wait(flight),
            Begun::Alone => State::Load(None),
        }
    }

    /// Waits for the keys that others load, and to be admitted to load the rest.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub(crate) async fn lead(&mut self) {
        self.take_landed();
        if self.waits() {
            self.lead_after_others().await;
        }
        if !self.is_known() {
            self.admission = Admission::of(&self.store.info, self.patience).await;
        }
    }

    async fn lead_after_others(&mut self) {
        for lead in self.leads() {
            lead.unshare();
        }
        let info = self.store.info.clone();
        let admitted =
            |asked: &Asked<_, _, _, _>| !matches!(&asked.state, State::Wait(flight) if !flight.is_admitted());
        let wait = info.config.load_wait.saturating_mul(if self.asked.iter().all(admitted) { 1 } else { 2 });
        let in_time = tokio::select! {
            biased;
            () = self.wait_for_turn() => true,
            () = timer::elapsed(&info.runtime, &info.lease, wait) => false,
        };
        if !in_time {
            self.patience = Patience::Goes;
            tracing::debug!(cache = %info.name, "waited too long for other loads of the same keys");
            for asked in &mut self.asked {
                if let State::Wait(flight) = &asked.state {
                    self.store.detach_key(&asked.key, flight);
                    asked.state = State::Load(None);
                }
            }
        }
    }

    /// The same without waiting.
    pub(crate) fn lead_now(&mut self) {
        self.take_landed();
        for index in 0..self.asked.len() {
            if let State::Wait(_) = self.asked[index].state {
                self.load_separately(index);
            }
        }
        if !self.is_known() {
            self.admission = Admission::now(&self.store.info).ok().flatten();
        }
    }

    async fn wait_for_turn(&mut self) {
        self.wait().await;
        if !self.is_known() {
            // Others who waited for the same keys are about to load them too: so not all at once, and each looks again for
            // what those before it have loaded.
            self.permit = self.store.retries.clone().acquire_owned().await.ok();
            self.look_again();
        }
    }

    fn look_again(&mut self) {
        for asked in &mut self.asked {
            if let State::Load(_) = &asked.state
                && let Some(value) = self.store.hit(&&asked.key, known)
            {
                asked.state = State::Known(value);
            }
        }
    }

    async fn wait(&mut self) {
        for index in 0..self.asked.len() {
            while let State::Wait(flight) = &self.asked[index].state {
                let flight = flight.clone();
                flight.landing.wait().await;
                self.take(index, &flight);
            }
        }
    }

    fn take_landed(&mut self) {
        for index in 0..self.asked.len() {
            if let State::Wait(flight) = &self.asked[index].state
                && flight.outcome().is_some()
            {
                let flight = flight.clone();
                self.take(index, &flight);
            }
        }
    }

    /// Takes the outcome of a flight that has landed.
    fn take(&mut self, index: usize, flight: &Flight<V>) {
        self.asked[index].state = match flight.outcome() {
            Some(Outcome::Value(value)) => State::Known(Some(value.clone())),
            Some(Outcome::Nothing) => State::Known(None),
            Some(Outcome::Failed(_) | Outcome::Abandoned) | None => return self.load_separately(index),
        };
        count(&self.store.info.counters.shared, 1);
    }

    fn load_separately(&mut self, index: usize) {
        let state = self.begin_key(&self.asked[index].key, Manner::Separate);
        self.asked[index].state = state;
    }

    fn waits(&self) -> bool {
        self.asked.iter().any(|asked| matches!(asked.state, State::Wait(_)))
    }

    fn leads(&self) -> impl Iterator<Item = &Lead<K, V>> {
        self.asked.iter().filter_map(|asked| match &asked.state {
            State::Load(Some(lead)) => Some(lead),
            _ => None,
        })
    }

    /// Whether every key is known.
    pub(crate) fn is_known(&self) -> bool {
        self.asked.iter().all(|asked| matches!(asked.state, State::Known(_)))
    }

    /// Whether anything of what the body loads may be kept.
    pub(crate) fn may_keep(&self) -> bool {
        self.leads().next().is_some()
    }

    /// What the body is to load.
    pub(crate) fn missing(&self) -> Vec<I>
    where
        I: Clone,
    {
        let missing = self.asked.iter().filter(|asked| matches!(asked.state, State::Load(_)));
        let items: Vec<_> = missing.map(|asked| asked.item.clone()).collect();
        let counters = &self.store.info.counters;
        counters.loads(items.len());
        count(&counters.not_kept, items.len() - self.leads().filter(|lead| lead.keeps()).count());
        self.leads().for_each(Lead::begins);
        items
    }

    /// The body has failed: those who wait load for themselves.
    pub(crate) fn fail(self) {
        for asked in self.asked {
            if let State::Load(Some(lead)) = asked.state {
                lead.land(Outcome::Failed(None));
            }
        }
    }

    /// The body has returned `loaded`: keeps what `verdict` says of each value and, for keys that it did not return,
    /// what `nothing` says. Returns the whole answer, in the order in which the keys were asked for.
    pub(crate) fn settle(
        mut self,
        loaded: Vec<(N, V)>,
        verdict: impl Fn(&V) -> Verdict,
        nothing: Option<&Verdict>,
    ) -> Vec<(N, V)> {
        let mut surplus = Vec::new();
        let indices = self.asked.iter().enumerate().map(|(index, asked)| (&asked.name, index));
        let indices: HashMap<_, _> = indices.chain(self.alike.iter().map(|(name, index)| (name, *index))).collect();
        let returned: Vec<_> =
            loaded.into_iter().map(|(name, value)| (indices.get(&name).copied(), name, value)).collect();
        for (index, name, value) in returned {
            // Nobody asked for it: there is no ticket, so it cannot be kept.
            let Some(index) = index else {
                surplus.push((name, value));
                continue;
            };
            if let State::Load(lead) = mem::replace(&mut self.asked[index].state, State::Known(Some(value.clone())))
                && let Some(lead) = lead
            {
                // Code of the user's is asked only about what may be kept.
                match lead.keeps().then(|| verdict(&value)).filter(|verdict| !verdict.refused) {
                    Some(verdict) => _ = lead.keep(Outcome::Value(value), &verdict.terms),
                    None => lead.land(Outcome::Value(value)),
                }
            }
        }
        let value_of = |index: usize| match &self.asked[index].state {
            State::Known(value) => value.clone(),
            State::Load(_) | State::Wait(_) => None,
        };
        let alike = self.alike.into_iter().filter_map(|(name, index)| Some((name, value_of(index)?)));
        let mut alike: Vec<_> = alike.collect();
        let mut answer = Vec::with_capacity(self.asked.len() + alike.len() + surplus.len());
        for Asked { name, state, .. } in self.asked {
            match state {
                State::Known(Some(value)) => answer.push((name, value)),
                State::Load(Some(lead)) => match nothing.filter(|nothing| nothing.keep_nothing) {
                    Some(nothing) => _ = lead.keep(Outcome::Nothing, &nothing.terms),
                    None => lead.land(Outcome::Nothing),
                },
                State::Known(None) | State::Load(None) | State::Wait(_) => {}
            }
        }
        answer.append(&mut alike);
        answer.append(&mut surplus);
        answer
    }
}

/// Runs the body of a batch; `None` if no cache takes part.
///
/// # Cancel safety
///
/// That of `body`.
pub(crate) fn run<I, N: Eq + Hash, K: Key, V: Value, F: Future>(
    batch: Option<&Batch<I, N, K, V>>,
    body: F,
) -> impl Future<Output = F::Output> + use<I, N, K, V, F> {
    let leads = batch.into_iter().flat_map(Batch::leads);
    let cache = batch.map_or(0, |batch| batch.store.info.id);
    Place::new(Flights::of(leads.map(|lead| &lead.flight)), cache).run(body)
}

/// What an entry says to a batch; `None` if nothing.
#[expect(clippy::option_option, reason = "that there is no value is an answer too")]
fn known<V>(content: Content<V>) -> Option<Option<V>> {
    match content {
        Content::Value(value) => Some(Some(value)),
        Content::Nothing => Some(None),
        Content::Failure(_) => None,
    }
}
