//! The steps of a function that loads: look, and on a miss lead, run the body, settle.

use std::sync::Arc;

use super::{Keyed, Returned};
use crate::{
    cache::{
        content::Content,
        flight,
        load::{self, How, Miss},
        store::Store,
    },
    call_site::{Call, CallSite},
    key::{Key, KeyForm, Value},
    transaction::Inner,
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
pub fn begin<const N: usize, Q: Keyed, R: Returned>(
    sites: &'static [CallSite; N],
    call: Call<'_>,
    keyed: Q,
    returned: R,
) -> Step<Q::Key, R::Value, R::Output> {
    _ = returned;
    // Most functions have one cache. What this calls is not inlined, so that a hit stays small.
    if N == 1
        && !call.may_be_in_transaction()
        && let Some(store) = sites[0].first::<Q::Key, R::Value>(call.registry_id())
    {
        return match store.hit(&keyed, answer::<R>) {
            Some(output) => Step::Hit(output),
            None => miss(sites, call, keyed, how::<R>()),
        };
    }
    begin_anywhere::<_, R>(sites, call, keyed)
}

/// The same where the call may be in a transaction, in several caches, or in a registry that is not the first, or not remembered
/// yet.
#[inline(never)]
fn begin_anywhere<Q: Keyed, R: Returned>(
    sites: &'static [CallSite],
    call: Call<'_>,
    keyed: Q,
) -> Step<Q::Key, R::Value, R::Output> {
    let id = call.registry_id();
    for site in sites {
        let look = |store: &Arc<Store<_, _>>| load::find_here(store, &keyed, call.explicit_transaction(), answer::<R>);
        match site.remembered(id, look) {
            Some(Some(output)) => return Step::Hit(output),
            Some(None) => {}
            // The caches after one that is to be found yet must not answer in its place.
            None => break,
        }
    }
    miss(sites, call, keyed, how::<R>())
}

/// The output that an entry stands for, as [`How::answer`] knows it, too.
#[inline]
fn answer<R: Returned>(content: Content<R::Value>) -> Option<R::Output> {
    match content {
        Content::Value(value) => Some(R::output(value)),
        Content::Nothing => R::nothing(),
        Content::Failure(failure) => R::restore(&failure),
    }
}

fn how<R: Returned>() -> How<R::Output, R::Value> {
    How { outcome: outcome::<R>, output: R::output, nothing: R::nothing, failure: R::restore, knows: R::knows }
}

fn outcome<R: Returned>(output: &R::Output) -> flight::Outcome<R::Value> {
    match R::value(output) {
        Some(value) => flight::Outcome::Value(value.clone()),
        None if R::is_nothing(output) => flight::Outcome::Nothing,
        None => flight::Outcome::Failed(R::share(output)),
    }
}

#[cold]
fn miss<K: Key, V: Value, O>(
    sites: &'static [CallSite],
    call: Call<'_>,
    key: impl KeyForm<K>,
    how: How<O, V>,
) -> Step<K, V, O> {
    // Whatever form it was given in: what follows is compiled once for all of them.
    missed(sites, &call, key.to_key(), &how)
}

fn missed<K: Key, V: Value, O>(sites: &'static [CallSite], call: &Call<'_>, key: K, how: &How<O, V>) -> Step<K, V, O> {
    let transaction = call.current_transaction();
    if let ([site], None) = (sites, &transaction)
        && let Some(store) = site.remembered(call.registry_id(), Arc::clone)
        // It was asked, and will be once more when nobody can store; nothing else has to be found out.
        && !store.info.lease.is_closed()
    {
        return Step::of(Miss::begin(&store, Vec::new(), key, how, site.function.tagged));
    }
    missed_in_any(sites, call, transaction.as_deref(), key, how)
}

/// The same for a function that has several caches, or has not remembered its own, and inside a transaction.
#[inline(never)]
fn missed_in_any<K: Key, V: Value, O>(
    sites: &'static [CallSite],
    call: &Call<'_>,
    transaction: Option<&Inner>,
    key: K,
    how: &How<O, V>,
) -> Step<K, V, O> {
    let (mut stores, mut tagged) = (Vec::with_capacity(sites.len()), false);
    for site in sites {
        stores.extend(site.find::<K, V>(call));
        tagged |= site.function.tagged;
    }
    if stores.is_empty() {
        return Step::Miss(Miss::bypassed());
    }
    // Caches whose handles were not remembered, and those after them, have not been asked yet.
    for store in &stores {
        if let Some(output) = load::find(store, &key, transaction).and_then(|content| how.answer(content)) {
            store.info.counters.hit();
            return Step::Hit(output);
        }
    }
    let first = stores.remove(0);
    match transaction {
        Some(_) => Step::Miss(Miss::alone(&first.info, how)),
        None => Step::of(Miss::begin(&first, stores, key, how, tagged)),
    }
}

impl<K: Key, V: Value, O> Step<K, V, O> {
    fn of(miss: Result<Miss<K, V, O>, O>) -> Self {
        match miss {
            Ok(miss) => Self::Miss(miss),
            Err(output) => Self::Hit(output),
        }
    }
}
