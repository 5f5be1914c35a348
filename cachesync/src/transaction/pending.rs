//! What a transaction has pending in one cache.
//!
//! Invariant: once `all` is set, or the key types disagreed, no single key matters any more.

use std::{any::Any, hash::BuildHasher, sync::Arc, time::Duration};

use hashbrown::HashTable;
use quick_cache::DefaultHashBuilder;

use crate::{
    cache::store::{Lead, Store},
    key::{Key, KeyForm, Probe, Value},
    registry::{
        node::{Node, Queued},
        slot::Slot,
    },
};

/// Beyond this a transaction's evictions of one cache become "all of it".
const MAX_KEYS: usize = 100_000;

/// The pending evictions and puts of one cache.
pub(super) struct Pending {
    node: Arc<Node>,
    slot: Arc<Slot>,
    /// A `KeySet<K>`; `None` stands for all keys.
    keys: Option<Box<dyn AnyKeySet>>,
}

/// What happens to a key at the commit.
struct Entry<K> {
    key: K,
    /// The value to put; without one the key is evicted.
    put: Option<Box<dyn StagedPut<K>>>,
}

struct KeySet<K> {
    entries: HashTable<Entry<K>>,
    hasher: DefaultHashBuilder,
}

/// A put that waits for the commit; dropped, it was never made.
pub(super) trait StagedPut<K>: Send {
    fn commit(self: Box<Self>, key: K);
}

/// A value, and the ticket that was taken when it was put.
pub(super) struct Put<K: Key, V: Value> {
    pub(super) store: Arc<Store<K, V>>,
    pub(super) lead: Lead<K, V>,
    pub(super) value: V,
}

impl<K: Key, V: Value> StagedPut<K> for Put<K, V> {
    fn commit(self: Box<Self>, key: K) {
        self.store.put_reserved(self.lead, key, self.value);
    }
}

trait AnyKeySet: Send {
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
    /// Takes over the entries of a later transaction; `false` if they are of another type.
    fn absorb(&mut self, later: Box<dyn AnyKeySet>) -> bool;
    fn apply(self: Box<Self>, node: &Arc<Node>, slot: &Slot, outcome: Outcome) -> Option<Queued>;
    fn len(&self) -> usize;
}

/// With what certainty pending evictions are applied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Committed,
    /// Nobody knows; loads that began before it is over are not to be trusted for this long.
    Unknown {
        hold: Duration,
    },
}

impl<K: Key> KeySet<K> {
    fn new() -> Self {
        Self { entries: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }

    fn set(&mut self, entry: Entry<K>) {
        let hash = self.hasher.hash_one(&entry.key);
        match self.entries.find_mut(hash, |known| known.key == entry.key) {
            Some(known) => known.put = entry.put,
            None => {
                self.entries.insert_unique(hash, entry, |entry| self.hasher.hash_one(&entry.key));
            }
        }
    }

    fn contains<Q: KeyForm<K>>(&self, key: &Q) -> bool {
        let hash = self.hasher.hash_one(Probe::<K, Q>::new(key));
        self.entries.find(hash, |entry| key.is_key(&entry.key)).is_some()
    }
}

impl<K: Key> AnyKeySet for KeySet<K> {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }

    fn absorb(&mut self, later: Box<dyn AnyKeySet>) -> bool {
        let Ok(later) = later.into_any().downcast::<Self>() else { return false };
        later.entries.into_iter().for_each(|entry| self.set(entry));
        true
    }

    fn apply(self: Box<Self>, node: &Arc<Node>, slot: &Slot, outcome: Outcome) -> Option<Queued> {
        let mut queued = None;
        for Entry { key, put } in self.entries {
            match (put, outcome) {
                (Some(put), Outcome::Committed) => {
                    // The others evict; here the new value takes the place of the old one in one step.
                    queued = node.announce(slot, &key, Duration::ZERO);
                    put.commit(key);
                }
                (_, Outcome::Committed) => queued = node.evict(slot, &key, Duration::ZERO),
                (_, Outcome::Unknown { hold }) => queued = node.evict(slot, &key, hold),
            }
        }
        queued
    }

    fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Pending {
    pub(super) fn new<K: Key>(node: &Arc<Node>, slot: &Arc<Slot>) -> Self {
        Self { node: node.clone(), slot: slot.clone(), keys: Some(Box::new(KeySet::<K>::new())) }
    }

    /// All keys of a cache.
    pub(super) fn all(node: &Arc<Node>, slot: &Arc<Slot>) -> Self {
        Self { node: node.clone(), slot: slot.clone(), keys: None }
    }

    pub(super) fn set<K: Key>(&mut self, key: K, put: Option<Box<dyn StagedPut<K>>>) {
        let Some(keys) = &mut self.keys else { return };
        match keys.as_any_mut().downcast_mut::<KeySet<K>>() {
            Some(keys) if keys.entries.len() < MAX_KEYS => keys.set(Entry { key, put }),
            _ => self.set_all(),
        }
    }

    pub(super) fn set_all(&mut self) {
        self.keys = None;
    }

    pub(super) fn contains<K: Key, Q: KeyForm<K>>(&self, key: &Q) -> bool {
        let Some(keys) = &self.keys else { return true };
        // Of another key type: which keys are meant cannot be known, so all of them.
        keys.as_any().downcast_ref::<KeySet<K>>().is_none_or(|keys| keys.contains(key))
    }

    /// Takes over what an inner transaction had pending.
    pub(super) fn absorb(&mut self, later: Self) {
        match (&mut self.keys, later.keys) {
            (Some(keys), Some(later)) => {
                if !keys.absorb(later) || keys.len() > MAX_KEYS {
                    self.keys = None;
                }
            }
            _ => self.keys = None,
        }
    }

    /// Evicts on this node and queues the broadcast.
    pub(super) fn apply(self, outcome: Outcome) -> Option<Queued> {
        match (self.keys, outcome) {
            (Some(keys), outcome) => keys.apply(&self.node, &self.slot, outcome),
            (None, Outcome::Committed) => self.node.evict_all(&self.slot, Duration::ZERO),
            (None, Outcome::Unknown { hold }) => self.node.evict_all(&self.slot, hold),
        }
    }

    pub(super) fn settle(&self) -> Duration {
        self.node.settle
    }
}
