//! The eviction of an annotated function: got ready before the body, applied after it.
//!
//! Invariant: once it is ready, the eviction takes place unless it is [discarded](Eviction::discard). If the future of
//! the function is dropped, or the body panics, nobody knows what was written: the eviction joins the transaction's,
//! or outside of one is applied with a hold (rule R2).

use std::{mem, time::Duration};

use crate::{
    cache::place::{Entries, Target},
    call_site::{Call, CallSite},
    key::Key,
    private::{Keyed, Tags},
};

/// In place of a key type where all keys are meant.
pub type AllKeys = ();

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

    /// Evicts.
    pub fn apply(mut self) {
        let targets = mem::take(&mut self.targets);
        let entries = mem::replace(&mut self.entries, Entries::All);
        apply(targets, &entries, Duration::ZERO);
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
        // The key first: should it panic, all is evicted.
        let key = Entries::Key(keyed.to_key());
        apply(mem::take(&mut self.targets), &key, Duration::ZERO);
    }

    /// Evicts keys.
    pub fn apply_keys<K: Key>(mut self, keys: Vec<K>) {
        apply(mem::take(&mut self.targets), &Entries::Keys(keys), Duration::ZERO);
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
            let settle = target.place.node.settle;
            let entries = mem::replace(&mut self.entries, Entries::All);
            apply(mem::take(&mut self.targets), &entries, settle);
        }
    }
}

/// Evicts in every target.
fn apply<K: Key>(targets: Vec<Target>, entries: &Entries<K>, hold: Duration) {
    for target in targets {
        target.guarded(hold, || target.evict(entries.clone(), hold));
    }
}
