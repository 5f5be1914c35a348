//! The steps of a function that loads: look, and on a miss lead, run the body, settle.

use super::{Keyed, Policy, Returned, SharedError};
use crate::{
    cache::{
        flight,
        load::{self, How, Miss},
    },
    call_site::{Call, CallSite},
    key::{Key, KeyForm, Value},
};

/// What an annotated function found.
pub enum Step<K: Key, V: Value, O> {
    /// The answer.
    Hit(O),
    /// It goes on with this.
    Miss(Loading<K, V, O>),
}

/// A miss.
pub struct Loading<K: Key, V: Value, O>(Option<Miss<K, V, O>>);

/// How a miss goes on.
pub enum Led<K: Key, V: Value, O> {
    /// Somebody else's answer.
    Answer(O),
    /// The body is to be run.
    Load(Load<K, V, O>),
}

/// A load, of which the body is running. Dropped before it is settled, it leaves nothing behind.
pub struct Load<K: Key, V: Value, O>(Option<load::Load<K, V, O>>);

/// Looks a key up in the caches of a function.
#[inline]
pub fn begin<Q: Keyed, R: Returned, E: SharedError<Output = R::Output>>(
    sites: &'static [CallSite],
    call: Call<'_>,
    keyed: Q,
    returned: R,
    shared_error: E,
) -> Step<Q::Key, R::Value, R::Output> {
    _ = (returned, shared_error);
    let id = call.registry_id();
    let transaction = call.current_transaction();
    let how = how::<R, E>();
    for site in sites {
        let look = |store: &_| load::find(store, &keyed, transaction.as_deref(), |content| how.answer(content));
        if let Some(Some(output)) = site.remembered(id, |store| look(store)) {
            return Step::Hit(output);
        }
    }
    miss(sites, &call, &keyed, how)
}

fn how<R: Returned, E: SharedError<Output = R::Output>>() -> How<R::Output, R::Value> {
    How { outcome: outcome::<R, E>, output: R::output, nothing: R::nothing, failure: E::restore }
}

fn outcome<R: Returned, E: SharedError<Output = R::Output>>(output: &R::Output) -> flight::Outcome<R::Value> {
    match R::value(output) {
        Some(value) => flight::Outcome::Value(value.clone()),
        None if R::is_nothing(output) => flight::Outcome::Nothing,
        None => flight::Outcome::Failed(E::share(output)),
    }
}

#[cold]
fn miss<K: Key, V: Value, Q: KeyForm<K>, O>(
    sites: &'static [CallSite],
    call: &Call<'_>,
    key: &Q,
    how: How<O, V>,
) -> Step<K, V, O> {
    let stores: Vec<_> = sites.iter().filter_map(|site| site.find::<K, V>(call)).collect();
    let transaction = call.current_transaction();
    // Handles that were not remembered have not been asked yet.
    for store in &stores {
        if let Some(output) = load::find(store, key, transaction.as_deref(), |content| how.answer(content)) {
            return Step::Hit(output);
        }
    }
    let miss = match (transaction, stores.first()) {
        (Some(_), Some(store)) => Ok(Miss::alone(&store.info, how)),
        _ => Miss::begin(stores, key, how, sites.iter().any(|site| site.function.tagged)),
    };
    match miss {
        Ok(miss) => Step::Miss(Loading(Some(miss))),
        Err(output) => Step::Hit(output),
    }
}

impl<K: Key, V: Value, O> Loading<K, V, O> {
    /// No cache is to take part.
    #[must_use]
    pub fn bypassed() -> Self {
        Self(None)
    }

    /// Waits, if somebody else loads the key.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind; if others wait for this caller, one of them loads.
    pub async fn lead(self) -> Led<K, V, O> {
        match self.0 {
            None => Led::Load(Load(None)),
            Some(miss) => Led::of(miss.lead().await),
        }
    }

    /// The same for a function that cannot wait.
    pub fn lead_now(self) -> Led<K, V, O> {
        match self.0 {
            None => Led::Load(Load(None)),
            Some(miss) => Led::of(miss.lead_now()),
        }
    }
}

impl<K: Key, V: Value, O> Led<K, V, O> {
    fn of(led: load::Led<K, V, O>) -> Self {
        match led {
            load::Led::Answer(output) => Self::Answer(output),
            load::Led::Load(load) => Self::Load(Load(Some(load))),
        }
    }
}

impl<K: Key, V: Value, O> Load<K, V, O> {
    /// Whether what the body returned may be kept.
    pub fn may_keep(&self) -> bool {
        self.0.as_ref().is_some_and(load::Load::may_keep)
    }

    /// Runs the body.
    ///
    /// # Cancel safety
    ///
    /// That of `body`.
    pub fn run<F: Future<Output = O>>(&self, body: F) -> impl Future<Output = O> + use<K, V, O, F> {
        load::run(self.0.as_ref(), body)
    }

    /// The body has returned.
    pub fn settle(self, output: &O, policy: Policy) {
        if let Some(load) = self.0 {
            load.settle(output, policy.0);
        }
    }
}
