//! The put of an annotated function: got ready before the body, made after it.
//!
//! A put is an eviction for all other nodes, and for this one the new value in the place of the old one. So it is an
//! [`Eviction`](crate::eviction::Eviction) in all that can go wrong: if the future of the function is dropped, or the body
//! panics, the key is evicted with a hold, or with the transaction (rule R2).
//!
//! Under rule R1 the value is stored only if nothing has overtaken it since before the body began. A put that knows its
//! key holds a ticket for that time, as a load does. One that finds its key in the result notes the number of the last
//! eviction. The order of steps is ticket, body, announcement, store: should another node put the same key meanwhile, its
//! announcement takes this ticket away, or this announcement reaches it; two nodes can never both keep theirs.

use std::{mem, sync::Arc, time::Duration};

use crate::{
    cache::{
        content::{Content, Terms},
        lead::Lead,
        place::{Entries, Target},
        store::{Begun, Manner, Store},
    },
    call_site::{Call, CallSite},
    key::{Key, Value},
    private::{Keyed, Policy, Returned},
    transaction::StagedPut,
};

/// A put that is ready, of a key that is known.
#[must_use = "store or discard it; dropping means that the outcome is not known"]
pub struct Put<K: Key, V: Value> {
    key: K,
    targets: Vec<(Target, Option<Ticketed<K, V>>)>,
}

/// The right to store, in one cache.
struct Ticketed<K: Key, V: Value> {
    store: Arc<Store<K, V>>,
    ticket: Ticket<K, V>,
}

enum Ticket<K: Key, V: Value> {
    /// Of this key.
    Key(Lead<K, V>),
    /// Of any key: the number of the last eviction before it.
    Any(u64),
}

/// A put that is ready, of a key that is known when the body has returned.
#[must_use = "store or discard it; dropping means that the outcome is not known"]
pub struct PutLater {
    targets: Vec<(Target, &'static CallSite, u64)>,
}

/// Gets ready to put a key.
pub fn put<Q: Keyed, R: Returned>(
    sites: &'static [CallSite],
    call: Call<'_>,
    keyed: Q,
    returned: R,
) -> Put<Q::Key, R::Value> {
    _ = returned;
    let key = keyed.to_key();
    let begin = |site: &'static CallSite| {
        let target = site.target(&call)?;
        let store = target.place.slot.declared.then(|| site.store_of::<Q::Key, R::Value>(&target.place.slot)).flatten();
        let ticketed =
            store.and_then(|store| match store.begin(key.clone(), Manner::ByHand, site.function.tagged, &|_| false) {
                Begun::Lead(lead) => Some(Ticketed { store, ticket: Ticket::Key(lead) }),
                _ => None,
            });
        Some((target, ticketed))
    };
    Put { targets: sites.iter().filter_map(begin).collect(), key }
}

/// Gets ready to put a key that is not known yet.
pub fn put_later<R: Returned>(sites: &'static [CallSite], call: Call<'_>, returned: R) -> PutLater {
    _ = returned;
    let begin = |site: &'static CallSite| {
        let target = site.target(&call)?;
        let began = target.place.slot.info.evictions();
        Some((target, site, began))
    };
    PutLater { targets: sites.iter().filter_map(begin).collect() }
}

impl<K: Key, V: Value> Put<K, V> {
    /// Stores what the body returned.
    pub fn store(self, value: &V, policy: Policy) {
        let content = (!policy.0.refused).then(|| Content::Value(value.clone()));
        self.settle(content, policy.0.terms);
    }

    /// The body returned that there is nothing.
    pub fn store_none(self, policy: Policy) {
        let content = policy.0.keep_nothing.then_some(Content::Nothing);
        self.settle(content, policy.0.terms);
    }

    /// Does nothing: nothing was written.
    pub fn discard(mut self) {
        self.targets.clear();
    }

    /// Puts, or without content evicts.
    fn settle(mut self, content: Option<Content<V>>, terms: Terms) {
        let targets = mem::take(&mut self.targets);
        for (target, ticketed) in targets {
            settle(&target, &self.key, ticketed.zip(content.as_ref()), &terms);
        }
    }
}

impl PutLater {
    /// Stores what the body returned.
    pub fn store<Q: Keyed, V: Value>(mut self, keyed: Q, value: &V, policy: Policy) {
        let key = keyed.to_key();
        let Policy(verdict) = policy;
        let content = (!verdict.refused).then(|| Content::Value(value.clone()));
        // From here on nothing of the user's runs unguarded.
        for (target, site, began) in mem::take(&mut self.targets) {
            let store = target.place.slot.declared.then(|| site.store_of::<Q::Key, V>(&target.place.slot)).flatten();
            let ticketed = store.map(|store| Ticketed { store, ticket: Ticket::Any(began) });
            settle(&target, &key, ticketed.zip(content.as_ref()), &verdict.terms);
        }
    }

    /// Does nothing: nothing was written.
    pub fn discard(mut self) {
        self.targets.clear();
    }
}

impl<K: Key, V: Value> Drop for Put<K, V> {
    fn drop(&mut self) {
        for (target, ticketed) in mem::take(&mut self.targets) {
            drop(ticketed);
            evict_in_doubt(&target, || Entries::Key(self.key.clone()));
        }
    }
}

impl Drop for PutLater {
    fn drop(&mut self) {
        for (target, ..) in mem::take(&mut self.targets) {
            evict_in_doubt::<()>(&target, || Entries::All);
        }
    }
}

/// Nobody knows what was written: evicts.
fn evict_in_doubt<K: Key>(target: &Target, entries: impl FnOnce() -> Entries<K>) {
    let settle = target.place.node.settle;
    target.guarded(settle, || target.evict(entries(), settle));
}

/// Puts in one cache, or where that cannot be, evicts.
fn settle<K: Key, V: Value>(target: &Target, key: &K, put: Option<(Ticketed<K, V>, &Content<V>)>, terms: &Terms) {
    target.guarded(Duration::ZERO, || match (&target.transaction, put) {
        (Some(transaction), Some((ticketed, content))) => {
            let staged = Box::new(Staged { ticketed, content: content.clone(), terms: terms.clone() });
            transaction.put(&target.place.node, &target.place.slot, key.clone(), Some(staged));
        }
        (None, Some((ticketed, content))) => {
            target.announce(key);
            ticketed.store(key.clone(), content.clone(), terms);
        }
        (_, None) => target.evict(Entries::Key(key.clone()), Duration::ZERO),
    });
}

impl<K: Key, V: Value> Ticketed<K, V> {
    fn store(self, key: K, content: Content<V>, terms: &Terms) {
        match self.ticket {
            Ticket::Key(lead) => self.store.put_reserved(lead, key, content, terms),
            Ticket::Any(began) => self.store.put_late(began, key, content, terms),
        };
    }
}

/// What waits for a commit.
pub(crate) struct Staged<K: Key, V: Value> {
    ticketed: Ticketed<K, V>,
    content: Content<V>,
    terms: Terms,
}

impl<K: Key, V: Value> Staged<K, V> {
    /// A value with the ticket that was taken before.
    pub(crate) fn new(store: Arc<Store<K, V>>, lead: Lead<K, V>, value: V) -> Self {
        let ticketed = Ticketed { store, ticket: Ticket::Key(lead) };
        Self { ticketed, content: Content::Value(value), terms: Terms::default() }
    }
}

impl<K: Key, V: Value> StagedPut<K> for Staged<K, V> {
    fn commit(self: Box<Self>, key: K) {
        let Self { ticketed, content, terms } = *self;
        ticketed.store(key, content, &terms);
    }
}
