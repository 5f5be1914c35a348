//! The eviction of an annotated function: got ready before the body, applied after it.
//!
//! Invariant: once it is ready, the eviction takes place unless it is [discarded](Eviction::discard). If the future of
//! the function is dropped, or the body panics, nobody knows what was written: the eviction joins the transaction's,
//! or outside of one is applied with a hold (rule R2).

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use crate::{
    cache::tags::Tag,
    call_site::{Call, CallSite, Target},
    key::Key,
    private::{Keyed, Tags},
};

/// In place of a key type where all keys are meant.
pub type AllKeys = ();

/// What is evicted.
enum Entries<K> {
    All,
    Key(K),
    Keys(Vec<K>),
    Tags(Vec<Tag>),
}

/// An eviction that is ready.
#[must_use = "apply or discard it; dropping means that the outcome is not known"]
pub struct Eviction<K: Key> {
    targets: Vec<Target>,
    entries: Entries<K>,
}

/// Gets ready to evict a key.
pub fn evict_key<Q: Keyed>(sites: &'static [CallSite], call: Call<'_>, keyed: Q) -> Eviction<Q::Key> {
    Eviction::new(sites, call, Entries::Key(keyed.to_key()))
}

/// Gets ready to evict keys.
pub fn evict_keys<K: Key>(sites: &'static [CallSite], call: Call<'_>, keys: Vec<K>) -> Eviction<K> {
    Eviction::new(sites, call, Entries::Keys(keys))
}

/// Gets ready to evict what carries one of these tags.
pub fn evict_tags(sites: &'static [CallSite], call: Call<'_>, tags: Tags) -> Eviction<AllKeys> {
    Eviction::new(sites, call, Entries::Tags(tags.0))
}

/// Gets ready to evict everything, until it is known what.
pub fn evict_all(sites: &'static [CallSite], call: Call<'_>) -> Eviction<AllKeys> {
    Eviction::new(sites, call, Entries::All)
}

impl<K: Key> Eviction<K> {
    fn new(sites: &'static [CallSite], call: Call<'_>, entries: Entries<K>) -> Self {
        Self { targets: sites.iter().filter_map(|site| site.target(&call)).collect(), entries }
    }

    /// No eviction.
    pub fn none() -> Self {
        Self { targets: Vec::new(), entries: Entries::All }
    }

    /// Evicts.
    pub fn apply(mut self) {
        let targets = mem::take(&mut self.targets);
        let entries = mem::replace(&mut self.entries, Entries::All);
        apply(targets, entries, Duration::ZERO);
    }

    /// Does not evict: nothing was written.
    pub fn discard(mut self) {
        self.targets.clear();
    }
}

/// It is known now what to evict, in place of everything.
impl Eviction<AllKeys> {
    /// Evicts one key.
    pub fn apply_key<Q: Keyed>(mut self, keyed: Q) {
        let targets = mem::take(&mut self.targets);
        apply(targets, Entries::Key(keyed.to_key()), Duration::ZERO);
    }

    /// Evicts keys.
    pub fn apply_keys<K: Key>(mut self, keys: Vec<K>) {
        apply(mem::take(&mut self.targets), Entries::Keys(keys), Duration::ZERO);
    }

    /// Evicts what carries one of these tags.
    pub fn apply_tags(mut self, tags: Tags) {
        self.entries = Entries::Tags(tags.0);
        self.apply();
    }
}

impl<K: Key> Drop for Eviction<K> {
    fn drop(&mut self) {
        if let Some(target) = self.targets.first() {
            let settle = target.node.settle;
            let entries = mem::replace(&mut self.entries, Entries::All);
            apply(mem::take(&mut self.targets), entries, settle);
        }
    }
}

/// Evicts in every target.
fn apply<K: Key>(targets: Vec<Target>, entries: Entries<K>, hold: Duration) {
    for target in targets {
        // A key that panics here must cost neither this eviction nor those of the other caches.
        if catch_unwind(AssertUnwindSafe(|| target.evict(&entries, hold))).is_err() {
            target.slot.problem("a key panicked during its eviction: evicting all in its place".into());
            target.evict::<AllKeys>(&Entries::All, hold);
        }
    }
}

impl Target {
    fn evict<K: Key>(&self, entries: &Entries<K>, hold: Duration) {
        let Self { node, slot, transaction } = self;
        match (transaction, entries) {
            (Some(transaction), Entries::All) => transaction.evict_all(node, slot),
            (Some(transaction), Entries::Key(key)) => transaction.evict(node, slot, key.clone()),
            (Some(transaction), Entries::Keys(keys)) => {
                keys.iter().for_each(|key| transaction.evict(node, slot, key.clone()));
            }
            (Some(transaction), Entries::Tags(tags)) => transaction.evict_tags(node, slot, tags.clone()),
            (None, Entries::All) => _ = node.evict_all(slot, hold),
            (None, Entries::Key(key)) => _ = node.evict(slot, key, hold),
            (None, Entries::Keys(keys)) => keys.iter().for_each(|key| _ = node.evict(slot, key, hold)),
            (None, Entries::Tags(tags)) => _ = node.evict_tags(slot, tags, hold),
        }
    }
}
