//! Where the writes of a cache go: into a transaction, or else to this node and all others.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Duration,
};

use super::tags::Tag;
use crate::{
    key::Key,
    registry::{
        node::{Node, Queued},
        slot::Slot,
    },
    transaction::{self, Inner},
};

/// One cache of one node, whatever its types.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) node: Arc<Node>,
    pub(crate) slot: Arc<Slot>,
}

/// What is evicted.
#[derive(Clone)]
pub(crate) enum Entries<K> {
    All,
    Key(K),
    Keys(Vec<K>),
    Tags(Vec<Tag>),
}

/// A place, and the transaction that its writes wait for.
pub(crate) struct Target {
    pub(crate) place: Place,
    /// Noted before a body runs, since its future may be dropped outside of its scope.
    pub(crate) transaction: Option<Arc<Inner>>,
}

impl Place {
    /// Evicts, in the transaction of the calling task. Should a key panic, everything is evicted, so that this costs none of
    /// the others that were to be evicted with it, and the panic goes on.
    pub(crate) fn evict<K: Key>(&self, entries: Entries<K>) {
        let transaction = transaction::current();
        let evict = || self.evict_in(transaction.as_deref(), entries, Duration::ZERO);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(evict)) {
            self.evict_in::<()>(transaction.as_deref(), Entries::All, Duration::ZERO);
            resume_unwind(panic);
        }
    }

    /// The same in this transaction; `hold` is for outside of one.
    fn evict_in<K: Key>(&self, transaction: Option<&Inner>, entries: Entries<K>, hold: Duration) {
        let Self { node, slot } = self;
        match (transaction, entries) {
            (Some(transaction), Entries::All) => transaction.evict_all(node, slot),
            (Some(transaction), Entries::Key(key)) => transaction.evict(node, slot, key),
            (Some(transaction), Entries::Keys(keys)) => transaction.evict_many(node, slot, keys),
            (Some(transaction), Entries::Tags(tags)) => transaction.evict_tags(node, slot, tags),
            (None, Entries::All) => _ = node.evict_all(slot, hold),
            (None, Entries::Key(key)) => _ = node.evict(slot, &key, hold),
            (None, Entries::Keys(keys)) => _ = node.evict_many(slot, &keys, hold),
            (None, Entries::Tags(tags)) => _ = node.evict_tags(slot, &tags, hold),
        }
    }

    /// Evicts what `here` does, and all on other nodes; in the transaction of the calling task that is all here, too.
    pub(crate) fn evict_some(&self, here: impl FnOnce() -> usize) {
        match transaction::current() {
            Some(transaction) => transaction.evict_all(&self.node, &self.slot),
            None => _ = self.node.evict_some(&self.slot, here),
        }
    }
}

impl Target {
    /// Evicts; `hold` is for outside of a transaction.
    pub(crate) fn evict<K: Key>(&self, entries: Entries<K>, hold: Duration) {
        self.place.evict_in(self.transaction.as_deref(), entries, hold);
    }

    /// Does what has to do with keys and values of the user's. Should one of them panic, everything is evicted, so that
    /// this costs neither the eviction nor, where there are several, that of the other caches.
    pub(crate) fn guarded(&self, hold: Duration, work: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            let problem = "a key or value panicked during an eviction or a put: evicting all in its place";
            self.place.slot.problem(problem.into());
            self.evict::<()>(Entries::All, hold);
        }
    }

    /// Queues a key's eviction for all others, outside of a transaction; the caller sees to this node.
    pub(crate) fn announce<K: Key>(&self, key: &K) -> Option<Queued> {
        self.place.node.announce(&self.place.slot, key, Duration::ZERO)
    }
}
