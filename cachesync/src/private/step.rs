//! The steps of a function that loads: look, and on a miss lead, run the body, settle.

use super::{Keyed, Returned, SharedError};
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
    Miss(Miss<K, V, O>),
}

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
        match site.remembered(id, |store| look(store)) {
            Some(Some(output)) => return Step::Hit(output),
            Some(None) => {}
            // The caches after one that is to be found yet must not answer in its place.
            None => break,
        }
    }
    miss(sites, &call, &keyed, how)
}

fn how<R: Returned, E: SharedError<Output = R::Output>>() -> How<R::Output, R::Value> {
    How { outcome: outcome::<R, E>, output: R::output, nothing: R::nothing, failure: E::restore, knows: E::knows }
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
    // Caches whose handles were not remembered, and those after them, have not been asked yet.
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
        Ok(miss) => Step::Miss(miss),
        Err(output) => Step::Hit(output),
    }
}
