//! Where the evictions of a cache go: into the transaction of the calling task, else to this node and all others.

use std::{sync::Arc, time::Duration};

use super::tags::Tag;
use crate::{
    key::Key,
    registry::{node::Node, slot::Slot},
    transaction,
};

/// One cache of one node, whatever its types.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) node: Arc<Node>,
    pub(crate) slot: Arc<Slot>,
}

impl Place {
    pub(crate) fn evict<K: Key>(&self, key: K) {
        let Self { node, slot } = self;
        match transaction::current() {
            Some(transaction) => transaction.evict(node, slot, key),
            None => _ = node.evict(slot, &key, Duration::ZERO),
        }
    }

    pub(crate) fn evict_tags(&self, tags: Vec<Tag>) {
        let Self { node, slot } = self;
        match transaction::current() {
            Some(transaction) => transaction.evict_tags(node, slot, tags),
            None => _ = node.evict_tags(slot, &tags, Duration::ZERO),
        }
    }

    pub(crate) fn evict_all(&self) {
        let Self { node, slot } = self;
        match transaction::current() {
            Some(transaction) => transaction.evict_all(node, slot),
            None => _ = node.evict_all(slot, Duration::ZERO),
        }
    }
}
