//! The eviction of an annotated function: got ready before the body, applied after it.
//!
//! Invariant: once it is ready, the eviction takes place unless it is [discarded](Eviction::discard). If the future of
//! the function is dropped, or the body panics, nobody knows what was written: the eviction joins the transaction's,
//! or outside of one is applied with a hold (rule R2).

use std::{sync::Arc, time::Duration};

use crate::{
    key::Key,
    private::Keyed,
    registry::{node::Node, slot::Slot},
    transaction::{self, Inner},
};

/// In place of a key type where all keys are meant.
pub type AllKeys = ();

/// An eviction that is ready.
#[must_use = "apply or discard it; dropping means that the outcome is not known"]
pub struct Eviction<K: Key> {
    target: Option<Target>,
    /// `None` for all keys.
    key: Option<K>,
}

/// Where to evict.
struct Target {
    node: Arc<Node>,
    slot: Arc<Slot>,
    /// Noted now: a future may be dropped outside of its scope.
    transaction: Option<Arc<Inner>>,
}

impl<K: Key> Eviction<K> {
    pub(crate) fn new(found: Option<(Arc<Node>, Arc<Slot>)>, key: Option<K>) -> Self {
        let target = found.map(|(node, slot)| Target { node, slot, transaction: transaction::current() });
        Self { target, key }
    }

    /// Evicts.
    pub fn apply(mut self) {
        if let Some(target) = self.target.take() {
            target.evict(self.key.take(), Duration::ZERO);
        }
    }

    /// Does not evict: nothing was written.
    pub fn discard(mut self) {
        self.target = None;
    }
}

impl Eviction<AllKeys> {
    /// Evicts one key in place of all: it is known now.
    pub fn apply_key<Q: Keyed>(mut self, keyed: Q) {
        if let Some(target) = self.target.take() {
            target.evict(Some(keyed.to_key()), Duration::ZERO);
        }
    }
}

impl<K: Key> Drop for Eviction<K> {
    fn drop(&mut self) {
        if let Some(target) = self.target.take() {
            let settle = target.node.settle;
            target.evict(self.key.take(), settle);
        }
    }
}

impl Target {
    fn evict<K: Key>(&self, key: Option<K>, hold: Duration) {
        let Self { node, slot, transaction } = self;
        match (transaction, key) {
            (Some(transaction), Some(key)) => transaction.evict(node, slot, key),
            (Some(transaction), None) => transaction.evict_all(node, slot),
            (None, Some(key)) => _ = node.evict(slot, &key, hold),
            (None, None) => _ = node.evict_all(slot, hold),
        }
    }
}
