//! What a transaction has pending in one cache.
//!
//! Invariant: once `all` is set, or the key types disagreed, no single key matters any more.

use std::{
    any::Any,
    hash::BuildHasher,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

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

/// What was replaced: keys and values of the user's, to be dropped when no lock is held, since their `Drop` may use
/// the same transaction.
#[must_use = "drop it when no lock is held"]
#[derive(Default)]
pub(super) struct Replaced(Vec<Box<dyn Droppable>>);

pub(super) trait Droppable: Send {}

impl<T: Send> Droppable for T {}

impl Replaced {
    pub(super) fn push(&mut self, replaced: Option<impl Droppable + 'static>) {
        self.0.extend(replaced.map(|replaced| Box::new(replaced) as Box<dyn Droppable>));
    }

    pub(super) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }
}

trait AnyKeySet: Send {
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
    /// Takes over the entries of a later transaction; gives them back if they are of another type.
    fn absorb(&mut self, later: Box<dyn AnyKeySet>) -> Result<Replaced, Replaced>;
    fn apply(self: Box<Self>, node: &Arc<Node>, slot: &Slot, outcome: Outcome) -> Option<Queued>;
    /// Turns puts into evictions.
    fn forget_puts(&mut self) -> Replaced;
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

impl Outcome {
    fn hold(self) -> Duration {
        match self {
            Self::Committed => Duration::ZERO,
            Self::Unknown { hold } => hold,
        }
    }
}

impl<K: Key> KeySet<K> {
    fn new() -> Self {
        Self { entries: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }

    fn set(&mut self, entry: Entry<K>) -> Option<Entry<K>> {
        let hash = self.hasher.hash_one(&entry.key);
        if let Some(known) = self.entries.find_mut(hash, |known| known.key == entry.key) {
            return Some(mem::replace(known, entry));
        }
        self.entries.insert_unique(hash, entry, |entry| self.hasher.hash_one(&entry.key));
        None
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

    fn into_any(self: Box<Self>) -> Box<dyn Any + Send> {
        self
    }

    fn absorb(&mut self, later: Box<dyn AnyKeySet>) -> Result<Replaced, Replaced> {
        let mut replaced = Replaced::default();
        match later.into_any().downcast::<Self>() {
            Ok(later) => {
                later.entries.into_iter().for_each(|entry| replaced.push(self.set(entry)));
                Ok(replaced)
            }
            Err(other) => {
                replaced.push(Some(other));
                Err(replaced)
            }
        }
    }

    fn apply(self: Box<Self>, node: &Arc<Node>, slot: &Slot, outcome: Outcome) -> Option<Queued> {
        let mut queued = None;
        for Entry { key, put } in self.entries {
            let applied = catch_unwind(AssertUnwindSafe(|| match (put, outcome) {
                (Some(put), Outcome::Committed) => {
                    // The others evict; here the new value takes the place of the old one in one step.
                    let queued = node.announce(slot, &key, Duration::ZERO);
                    put.commit(key);
                    queued
                }
                (_, Outcome::Committed) => node.evict(slot, &key, Duration::ZERO),
                (_, Outcome::Unknown { hold }) => node.evict(slot, &key, hold),
            }));
            // A key that panics must not cost the evictions of the others. Which entry was meant cannot be known.
            queued = applied.unwrap_or_else(|_| {
                slot.problem("a key or value panicked during a commit: evicting all in its place".into());
                node.evict_all(slot, outcome.hold())
            });
        }
        queued
    }

    fn forget_puts(&mut self) -> Replaced {
        let mut replaced = Replaced::default();
        self.entries.iter_mut().for_each(|entry| replaced.push(entry.put.take()));
        replaced
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

    pub(super) fn set<K: Key>(&mut self, key: K, put: Option<Box<dyn StagedPut<K>>>) -> Replaced {
        let mut replaced = Replaced::default();
        let entry = Entry { key, put };
        let Some(keys) = &mut self.keys else {
            replaced.push(Some(entry));
            return replaced;
        };
        match keys.as_any_mut().downcast_mut::<KeySet<K>>() {
            Some(keys) if keys.entries.len() < MAX_KEYS => replaced.push(keys.set(entry)),
            _ => {
                replaced.push(Some(entry));
                replaced.append(self.set_all());
            }
        }
        replaced
    }

    pub(super) fn set_all(&mut self) -> Replaced {
        let mut replaced = Replaced::default();
        replaced.push(self.keys.take());
        replaced
    }

    pub(super) fn contains<K: Key, Q: KeyForm<K>>(&self, key: &Q) -> bool {
        let Some(keys) = &self.keys else { return true };
        // Of another key type: which keys are meant cannot be known, so all of them.
        keys.as_any().downcast_ref::<KeySet<K>>().is_none_or(|keys| keys.contains(key))
    }

    /// Takes over what an inner transaction had pending.
    pub(super) fn absorb(&mut self, later: Self) -> Replaced {
        match (&mut self.keys, later.keys) {
            (Some(keys), Some(later)) => match keys.absorb(later) {
                Ok(replaced) if keys.len() <= MAX_KEYS => replaced,
                Ok(mut replaced) | Err(mut replaced) => {
                    replaced.append(self.set_all());
                    replaced
                }
            },
            (_, later) => {
                let mut replaced = self.set_all();
                replaced.push(later);
                replaced
            }
        }
    }

    /// Evicts on this node and queues the broadcast.
    pub(super) fn apply(self, outcome: Outcome) -> Option<Queued> {
        match self.keys {
            Some(keys) => keys.apply(&self.node, &self.slot, outcome),
            None => self.node.evict_all(&self.slot, outcome.hold()),
        }
    }

    /// Turns puts into evictions.
    pub(super) fn forget_puts(&mut self) -> Replaced {
        self.keys.as_mut().map_or_else(Replaced::default, |keys| keys.forget_puts())
    }

    pub(super) fn settle(&self) -> Duration {
        self.node.settle
    }
}
