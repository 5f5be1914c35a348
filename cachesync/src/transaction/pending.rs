//! What a transaction has pending in one cache.
//!
//! Invariant: once all is set, or the key types disagreed, no single key and no tag matters any more.

use std::{
    any::Any,
    collections::BTreeSet,
    hash::BuildHasher,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use crate::{
    cache::{
        leftovers::{Leftovers, discard},
        tags::Tag,
    },
    key::{Key, KeyForm, Probe},
    places::Places,
    registry::{
        node::{Node, Queued},
        slot::Slot,
    },
    sync::DefaultHashBuilder,
};

/// Beyond this many keys and tags a transaction's evictions of one cache become "all of it".
const MAX_KEYS: usize = 100_000;

/// The pending evictions and puts of one cache.
pub(super) struct Pending {
    node: Arc<Node>,
    slot: Arc<Slot>,
    what: What,
}

enum What {
    Some {
        /// A `KeySet<K>`, made with the first key.
        keys: Option<Box<dyn AnyKeySet>>,
        tags: BTreeSet<Tag>,
    },
    All,
}

/// What happens to a key at the commit.
struct Entry<K> {
    key: K,
    /// The value to put; without one the key is evicted.
    put: Option<Box<dyn StagedPut<K>>>,
}

struct KeySet<K> {
    entries: Vec<Entry<K>>,
    places: Places,
    hasher: DefaultHashBuilder,
}

/// A put that waits for the commit; dropped, it was never made.
pub(crate) trait StagedPut<K>: Send {
    /// The database has committed, and the others have been told: the value takes the place of the old one, unless it
    /// was overtaken since it was staged.
    fn commit(self: Box<Self>, key: K);
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

/// Should one of them panic, that is the end of it, and not of the evictions that have yet to be applied.
impl Drop for Replaced {
    fn drop(&mut self) {
        mem::take(&mut self.0).into_iter().for_each(discard);
    }
}

trait AnyKeySet: Send {
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    fn into_any(self: Box<Self>) -> Box<dyn Any + Send>;
    /// Takes over the entries of a later transaction; gives them back if they are of another type, or one panics.
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
        Self { entries: Vec::new(), places: Places::new(), hasher: DefaultHashBuilder::default() }
    }

    fn set(&mut self, entry: Entry<K>) -> Option<Entry<K>> {
        let hash = self.hasher.hash_one(&entry.key);
        if let Some(index) = self.places.find(hash, &mut |index| self.entries[index].key == entry.key) {
            return Some(mem::replace(&mut self.entries[index], entry));
        }
        self.places.insert(hash, self.entries.len());
        self.entries.push(entry);
        None
    }

    fn contains<Q: KeyForm<K>>(&self, key: &Q) -> bool {
        let hash = self.hasher.hash_one(Probe::<K, Q>::new(key));
        self.places.find(hash, &mut |index| key.is_key(&self.entries[index].key)).is_some()
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
                let mut entries = later.entries.into_iter();
                let set = || entries.by_ref().for_each(|entry| replaced.push(self.set(entry)));
                if catch_unwind(AssertUnwindSafe(set)).is_ok() {
                    return Ok(replaced);
                }
                // A key has panicked: which one was meant cannot be known.
                entries.for_each(|entry| replaced.push(Some(entry)));
                Err(replaced)
            }
            Err(other) => {
                replaced.push(Some(other));
                Err(replaced)
            }
        }
    }

    fn apply(self: Box<Self>, node: &Arc<Node>, slot: &Slot, outcome: Outcome) -> Option<Queued> {
        // A key that panics must not cost the evictions of the others. Which entry was meant cannot be known.
        let guarded = |work: &mut dyn FnMut() -> Option<Queued>| {
            catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
                slot.problem("a key or value panicked during a commit: evicting all in its place".into());
                node.evict_all(slot, outcome.hold())
            })
        };
        let mut queued = None;
        let mut evicted = Leftovers(Vec::new());
        for Entry { key, put } in self.entries {
            match (put, outcome) {
                (Some(put), Outcome::Committed) => {
                    let mut entry = Some((key, put));
                    queued = guarded(&mut || {
                        let (key, put) = entry.take()?;
                        // The others evict; here the new value takes the place of the old one in one step.
                        let queued = node.announce(slot, &key, Duration::ZERO);
                        put.commit(key);
                        queued
                    });
                }
                (put, _) => {
                    discard(put);
                    evicted.0.push(key);
                }
            }
        }
        if !evicted.0.is_empty() {
            // What was queued last stands for all that was queued before.
            queued = guarded(&mut || node.evict_many(slot, &evicted.0, outcome.hold()));
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
    /// Nothing yet.
    pub(super) fn new(node: &Arc<Node>, slot: &Arc<Slot>) -> Self {
        Self { node: node.clone(), slot: slot.clone(), what: What::Some { keys: None, tags: BTreeSet::new() } }
    }

    pub(super) fn set<K: Key>(&mut self, key: K, put: Option<Box<dyn StagedPut<K>>>) -> Replaced {
        let mut replaced = Replaced::default();
        let entry = Entry { key, put };
        let full = self.len() >= MAX_KEYS;
        let What::Some { keys, .. } = &mut self.what else {
            replaced.push(Some(entry));
            return replaced;
        };
        let keys = keys.get_or_insert_with(|| Box::new(KeySet::<K>::new()));
        match keys.as_any_mut().downcast_mut::<KeySet<K>>() {
            Some(keys) if !full => replaced.push(keys.set(entry)),
            _ => {
                replaced.push(Some(entry));
                replaced.append(self.set_all());
            }
        }
        replaced
    }

    /// The same for keys to be evicted, which are taken out one by one. Both are the caller's, who drops them also if a key
    /// panics.
    pub(super) fn set_many<K: Key>(&mut self, keys: &mut Vec<K>, replaced: &mut Replaced) {
        while let Some(key) = keys.pop() {
            replaced.append(self.set(key, None));
        }
    }

    pub(super) fn set_tags(&mut self, evicted: Vec<Tag>) -> Replaced {
        if evicted.iter().any(Tag::is_too_long) {
            return self.set_all();
        }
        if let What::Some { tags, .. } = &mut self.what {
            tags.extend(evicted);
        }
        self.bounded()
    }

    pub(super) fn set_all(&mut self) -> Replaced {
        let mut replaced = Replaced::default();
        if let What::Some { keys, .. } = mem::replace(&mut self.what, What::All) {
            replaced.push(keys);
        }
        replaced
    }

    pub(super) fn contains<K: Key, Q: KeyForm<K>>(&self, key: &Q) -> bool {
        match &self.what {
            What::All => true,
            What::Some { keys: None, .. } => false,
            // Of another key type: which keys are meant cannot be known, so all of them.
            What::Some { keys: Some(keys), .. } => {
                keys.as_any().downcast_ref::<KeySet<K>>().is_none_or(|keys| keys.contains(key))
            }
        }
    }

    pub(super) fn contains_tag(&self, tag: &Tag) -> bool {
        match &self.what {
            What::All => true,
            What::Some { tags, .. } => tags.contains(tag),
        }
    }

    pub(super) fn has_tags(&self) -> bool {
        matches!(&self.what, What::Some { tags, .. } if !tags.is_empty())
    }

    /// Takes over what an inner transaction had pending.
    pub(super) fn absorb(&mut self, later: Self) -> Replaced {
        let mut replaced = Replaced::default();
        match (&mut self.what, later.what) {
            (What::Some { keys, tags }, What::Some { keys: later_keys, tags: later_tags }) => {
                tags.extend(later_tags);
                match (keys, later_keys) {
                    (_, None) => {}
                    (keys @ None, later) => *keys = later,
                    (Some(keys), Some(later)) => match keys.absorb(later) {
                        Ok(old) => replaced.append(old),
                        Err(old) => {
                            replaced.append(old);
                            replaced.append(self.set_all());
                        }
                    },
                }
                replaced.append(self.bounded());
            }
            (_, later) => {
                replaced.append(self.set_all());
                if let What::Some { keys, .. } = later {
                    replaced.push(keys);
                }
            }
        }
        replaced
    }

    /// Evicts on this node and queues the broadcast.
    ///
    /// Tags first, so that they find what was there before. A value that was put under one of them is not kept, be it
    /// before or after that was evicted in the same transaction: its put began before the commit.
    pub(super) fn apply(self, outcome: Outcome) -> Option<Queued> {
        let Self { node, slot, what } = self;
        match what {
            What::All => node.evict_all(&slot, outcome.hold()),
            What::Some { keys, tags } => {
                let tagged = evict_tags(&node, &slot, &Vec::from_iter(tags), outcome.hold());
                // What was queued last stands for all that was queued before.
                keys.and_then(|keys| keys.apply(&node, &slot, outcome)).or(tagged)
            }
        }
    }

    /// Turns puts into evictions.
    pub(super) fn forget_puts(&mut self) -> Replaced {
        match &mut self.what {
            What::Some { keys: Some(keys), .. } => keys.forget_puts(),
            _ => Replaced::default(),
        }
    }

    pub(super) fn settle(&self) -> Duration {
        self.node.settle
    }

    fn len(&self) -> usize {
        match &self.what {
            What::All => 0,
            What::Some { keys, tags } => keys.as_ref().map_or(0, |keys| keys.len()) + tags.len(),
        }
    }

    /// Lets too many keys and tags become all.
    fn bounded(&mut self) -> Replaced {
        if self.len() > MAX_KEYS { self.set_all() } else { Replaced::default() }
    }
}

/// Should a key panic over its `Hash` meanwhile, which entries were meant cannot be known.
fn evict_tags(node: &Arc<Node>, slot: &Slot, tags: &[Tag], hold: Duration) -> Option<Queued> {
    catch_unwind(AssertUnwindSafe(|| node.evict_tags(slot, tags, hold))).unwrap_or_else(|_| {
        slot.problem("a key or value panicked during a commit: evicting all in its place".into());
        node.evict_all(slot, hold)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cache::{
            Cache,
            place::{Entries, Place},
        },
        config::CacheConfig,
        registry::Registry,
        transaction::{self, Concern, Inner, Transaction},
    };

    async fn registry() -> (Registry, Cache<u64, u64>) {
        let registry = Registry::builder().cache(CacheConfig::new("users")).start().await.unwrap();
        let users = registry.cache("users").unwrap();
        (registry, users)
    }

    fn pending(registry: &Registry) -> Pending {
        let node = &registry.0.node;
        Pending::new(node, &node.slot("users").unwrap())
    }

    fn tag(tag: &str) -> Tag {
        Tag::new(tag)
    }

    #[tokio::test]
    async fn tags_and_keys_are_pending_side_by_side() {
        let (registry, _users) = registry().await;
        let mut pending = pending(&registry);
        assert!(!pending.has_tags() && !pending.contains::<u64, _>(&&1));
        drop(pending.set_tags(vec![tag("a")]));
        drop(pending.set(1u64, None));
        assert!(pending.has_tags() && pending.contains_tag(&tag("a")) && pending.contains::<u64, _>(&&1));
        assert!(!pending.contains_tag(&tag("b")) && !pending.contains::<u64, _>(&&2));
        drop(pending.set_tags(vec![tag("b"), tag(&"x".repeat(2_000))]));
        assert!(pending.contains_tag(&tag("c")) && pending.contains::<u64, _>(&&2), "a tag that is too long is all");
    }

    #[tokio::test]
    async fn what_an_inner_transaction_had_pending_is_taken_over_with_its_tags() {
        let (registry, _users) = registry().await;
        let (mut outer, mut inner) = (pending(&registry), pending(&registry));
        drop(outer.set_tags(vec![tag("a")]));
        drop(inner.set_tags(vec![tag("b")]));
        drop(inner.set(1u64, None));
        drop(outer.absorb(inner));
        assert!(outer.contains_tag(&tag("a")) && outer.contains_tag(&tag("b")) && outer.contains::<u64, _>(&&1));
        assert!(!outer.contains_tag(&tag("c")) && !outer.contains::<u64, _>(&&2));

        let mut all = pending(&registry);
        drop(all.set_all());
        drop(outer.absorb(all));
        assert!(outer.contains_tag(&tag("c")) && outer.contains::<u64, _>(&&2));
    }

    #[tokio::test]
    async fn too_many_keys_and_tags_are_all_however_they_came_together() {
        let (registry, _users) = registry().await;
        let half = |pending: &mut Pending, of: &str| {
            drop(pending.set_tags((0..MAX_KEYS / 2).map(|n| Tag::new(&format_args!("{of}{n}"))).collect()));
        };
        let (mut one, mut two, mut three) = (pending(&registry), pending(&registry), pending(&registry));
        half(&mut one, "a");
        half(&mut one, "b");
        assert!(one.has_tags(), "as many as there may be");
        drop(one.set(1u64, None));
        assert!(!one.has_tags() && one.contains::<u64, _>(&&2), "one key more");

        half(&mut two, "a");
        half(&mut two, "b");
        drop(three.set_tags(vec![tag("c")]));
        drop(two.absorb(three));
        assert!(!two.has_tags() && two.contains::<u64, _>(&&2), "one tag more, of an inner transaction");
    }

    #[tokio::test]
    async fn a_tag_is_pending_in_the_transactions_around_too_and_no_longer_after_their_end() {
        let (registry, users) = registry().await;
        let node = registry.0.node.clone();
        let slot = node.slot("users").unwrap();
        let info = slot.info.clone();
        let place = Place { node, slot };
        let asks = |transaction: &Inner| {
            let concern = transaction.concerns::<u64, _>(&info, &&1);
            (concern == Concern::Tags, transaction.is_tag_pending(&info, &tag("a")))
        };
        let outer = Transaction::begin();
        let inside = async {
            place.evict::<u64>(Entries::Tags(vec![tag("a")]));
            assert_eq!(asks(&transaction::current().unwrap()), (true, true));
            let inner = Transaction::begin();
            let inside = async {
                let current = transaction::current().unwrap();
                assert_eq!(asks(&current), (true, true));
                assert!(!current.is_tag_pending(&info, &tag("b")));
                users.evict_all();
                assert!(current.is_tag_pending(&info, &tag("b")), "all keys are pending");
                current
            };
            let current = inner.scope(inside).await;
            inner.rollback();
            current
        };
        let inner = outer.scope(inside).await;
        assert_eq!(asks(&inner), (true, true), "the outer one has not ended");
        outer.rollback();
        assert_eq!(asks(&inner), (false, false));
    }
}
