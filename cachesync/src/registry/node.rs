//! The node: what the handles, the call sites, the transactions and the engine of one registry share.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, PoisonError},
    time::Duration,
};

use cachesync_core::{Name, frame::NodeId};
use tokio::runtime::Handle;

use super::{
    slot::{KeyType, Mismatch, Slot},
    status::StatusCell,
};
use crate::{
    cache::{evict_many::AT_ONCE, info::CacheInfo, tags::Tag},
    clock::{Clock, Moment},
    config::{CacheConfig, OnPartition, UnknownCaches},
    engine::outbox::{NEVER, Outbox},
    key::Key,
    lease::Lease,
    mutation::Mutation,
    shared_keys::SharedKeys,
    statistics::{NodeCounters, count},
    sync::{
        RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// With so many caches none is made at its first use any more: names may be made up without end.
pub(crate) const MAX_CREATED: usize = 1_024;

pub(crate) struct Node {
    /// Unique in the process; call sites remember by it whose handle they hold.
    pub(crate) id: u64,
    /// Unique among all nodes.
    pub(crate) origin: NodeId,
    pub(crate) name: String,
    pub(crate) namespace: Option<Name>,
    pub(crate) clock: Clock,
    pub(crate) lease: Arc<Lease>,
    pub(crate) runtime: Handle,
    /// `None` where messages are neither signed nor have to be.
    pub(crate) keys: Option<SharedKeys>,
    /// How long an eviction of unknown necessity is held.
    pub(crate) settle: Duration,
    pub(crate) unknown: UnknownCaches,
    slots: RwLock<Slots>,
    /// Whether it was said that there are too many caches.
    said_too_many: AtomicBool,
    /// Until then no load of a cache that is not here yet is kept: somebody evicted from it with a hold.
    strangers_held_until: AtomicU64,
    /// `None` without a backend.
    pub(crate) outbox: Option<Outbox>,
    pub(crate) status: StatusCell,
    pub(crate) counters: NodeCounters,
}

struct Slots {
    named: HashMap<Name, Arc<Slot>>,
    /// Of caches that have no policy of their own.
    on_partition: OnPartition,
}

/// A place in a node's outbox: everything up to there was queued before.
#[derive(Clone)]
pub(crate) struct Queued {
    pub(crate) node: Arc<Node>,
    pub(crate) ticket: u64,
}

pub(crate) struct NodeSettings {
    pub(crate) name: String,
    pub(crate) namespace: Option<Name>,
    pub(crate) clock: Clock,
    pub(crate) runtime: Handle,
    pub(crate) keys: Option<SharedKeys>,
    pub(crate) settle: Duration,
    pub(crate) unknown: UnknownCaches,
    pub(crate) has_backend: bool,
    pub(crate) on_partition: OnPartition,
    /// How long it lasts.
    pub(crate) lease: Duration,
}

impl Node {
    pub(crate) fn new(settings: NodeSettings, caches: BTreeMap<Name, CacheConfig>) -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let NodeSettings { name, namespace, clock, runtime, keys, settle, unknown, has_backend, on_partition, lease } =
            settings;
        let node = Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            origin: NodeId::random(),
            name,
            namespace,
            clock,
            lease: Arc::new(if has_backend { Lease::not_yet(lease) } else { Lease::endless(lease) }),
            runtime,
            keys,
            settle,
            unknown,
            slots: RwLock::new(Slots { named: HashMap::new(), on_partition }),
            said_too_many: AtomicBool::new(false),
            strangers_held_until: AtomicU64::new(Moment::PAST.0),
            outbox: has_backend.then(Outbox::default),
            status: StatusCell::default(),
            counters: NodeCounters::default(),
        };
        for (name, config) in caches {
            node.add_slot(&name, config, true, usize::MAX);
        }
        node
    }

    /// Adds the slot of a cache, if it is not there yet; `None` if so many are there already.
    fn add_slot(&self, name: &Name, config: CacheConfig, declared: bool, at_most: usize) -> Option<Arc<Slot>> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        let Slots { named, on_partition } = &mut *slots;
        if named.len() >= at_most && !named.contains_key(name) {
            return None;
        }
        let slot = named.entry(name.clone()).or_insert_with(|| {
            let info =
                CacheInfo::new(name.clone(), config, self.clock.clone(), self.lease.clone(), self.runtime.clone());
            // Under the lock, as `hold_stranger` is: a hold is either seen here, or sees this slot.
            info.follow_on_partition(*on_partition);
            info.hold_all(Moment(self.strangers_held_until.load(Ordering::Acquire)));
            Arc::new(Slot::new(info, declared))
        });
        Some(slot.clone())
    }

    /// The slot of a cache that this node holds, or would create.
    pub(crate) fn slot(&self, name: &str) -> Option<Arc<Slot>> {
        if let Some(slot) = self.existing_slot(name) {
            return slot.declared.then_some(slot);
        }
        match &self.unknown {
            UnknownCaches::Create(config) => {
                let slot = self.add_slot(&Name::new(name).ok()?, config.clone(), true, MAX_CREATED);
                if slot.is_none() && !self.said_too_many.swap(true, Ordering::Relaxed) {
                    tracing::error!(
                        cache = name,
                        "there are {MAX_CREATED} caches: no more are made at their first use; configure those that are needed, \
                         and put what varies into the key"
                    );
                }
                slot
            }
            UnknownCaches::Fail | UnknownCaches::Bypass => None,
        }
    }

    /// The slot through which a cache's evictions are broadcast, whether this node holds it or not.
    pub(crate) fn slot_for_eviction(&self, name: &str) -> Option<Arc<Slot>> {
        if let Some(slot) = self.existing_slot(name).or_else(|| self.slot(name)) {
            return Some(slot);
        }
        // Call sites and typed caches alone ask, and there are as many as the program has.
        self.add_slot(&Name::new(name).ok()?, CacheConfig::evict_only(name), false, usize::MAX)
    }

    pub(crate) fn existing_slot(&self, name: &str) -> Option<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).named.get(name).cloned()
    }

    /// Changes the policy of all caches that have none of their own, and of those that are yet to come.
    pub(crate) fn set_on_partition(&self, policy: OnPartition) {
        // Under the lock that orders this against new slots and other changes.
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.on_partition = policy;
        slots.named.values().for_each(|slot| slot.info.follow_on_partition(policy));
    }

    /// Gives a cache a policy of its own, or none.
    pub(crate) fn set_on_partition_of(&self, slot: &Slot, policy: Option<OnPartition>) {
        let slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slot.info.set_own_on_partition(policy, slots.on_partition);
    }

    /// The slot of a cache that another node evicts from; if it is not here, a hold awaits it.
    pub(crate) fn slot_or_hold(&self, name: &str, hold: Duration) -> Option<Arc<Slot>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.named.get(name).cloned();
        if slot.is_none() && !hold.is_zero() {
            self.strangers_held_until.fetch_max(self.clock.now().after(hold).0, Ordering::AcqRel);
        }
        slot
    }

    /// Every slot, in the order of names.
    pub(crate) fn slots(&self) -> Vec<Arc<Slot>> {
        let mut slots: Vec<_> =
            self.slots.read().unwrap_or_else(PoisonError::into_inner).named.values().cloned().collect();
        slots.sort_by(|a, b| a.info.name.cmp(&b.info.name));
        slots
    }

    /// Whether it was shut down, or its runtime has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.lease.is_closed()
    }

    /// From now on every call runs uncached, and nothing more can be broadcast.
    pub(crate) fn close(&self) {
        self.lease.close();
        if let Some(outbox) = &self.outbox {
            outbox.close();
        }
        self.status.closed();
        for slot in self.slots() {
            slot.evict_all(Duration::ZERO);
        }
    }

    /// Queues a key's eviction for all others, then evicts it here; the two cannot be torn apart.
    ///
    /// The others first: should code of the user's panic here, they have been told.
    pub(crate) fn evict<K: Key>(self: &Arc<Self>, slot: &Slot, key: &K, hold: Duration) -> Option<Queued> {
        match slot.settle_key(KeyType::of::<K>()) {
            Ok(_) => {
                let queued = self.announce(slot, key, hold);
                slot.evict(key, hold);
                queued
            }
            Err(Mismatch(text)) => {
                // Which entry is meant cannot be known.
                self.evict_all_in_place(slot, &format!("{text}: evicting all of it in place of one key"), hold)
            }
        }
    }

    /// As [`evict`](Self::evict), for many keys: some are queued together, then evicted here, then the next. So sending begins
    /// before all of them are queued.
    pub(crate) fn evict_many<K: Key>(self: &Arc<Self>, slot: &Slot, keys: &[K], hold: Duration) -> Option<Queued> {
        if keys.len() <= 1 {
            return self.evict(slot, keys.first()?, hold);
        }
        if let Err(Mismatch(text)) = slot.settle_key(KeyType::of::<K>()) {
            return self.evict_all_in_place(slot, &format!("{text}: evicting all of it in place of some keys"), hold);
        }
        let mut queued = None;
        for keys in keys.chunks(AT_ONCE) {
            queued = self.announce_many(slot, keys, hold);
            slot.evict_many(keys, hold);
        }
        queued
    }

    fn announce_many<K: Key>(self: &Arc<Self>, slot: &Slot, keys: &[K], hold: Duration) -> Option<Queued> {
        let info = &slot.info;
        count(&info.counters.evicted, keys.len());
        self.queue(slot, &|outbox| {
            let mut encoded = Vec::with_capacity(keys.len());
            for key in keys {
                let Some(key) = info.encode_key(key) else { return outbox.push_all(&info.name, hold) };
                encoded.push(key);
            }
            match (encoded, slot.shape()) {
                (keys, Some(shape)) => outbox.push_keys(&info.name, shape, keys, hold),
                _ => outbox.push_all(&info.name, hold),
            }
        })
    }

    /// Queues the eviction of a key for all others; the caller sees to this node.
    pub(crate) fn announce<K: Key>(self: &Arc<Self>, slot: &Slot, key: &K, hold: Duration) -> Option<Queued> {
        let info = &slot.info;
        count(&info.counters.evicted, 1);
        self.queue(slot, &|outbox| match (info.encode_key(key), slot.shape()) {
            (Some(key), Some(shape)) => outbox.push_key(&info.name, shape, key, hold),
            _ => outbox.push_all(&info.name, hold),
        })
    }

    /// Queues the eviction of every key for all others, then evicts them here.
    pub(crate) fn evict_all(self: &Arc<Self>, slot: &Slot, hold: Duration) -> Option<Queued> {
        count(&slot.info.counters.evicted, 1);
        let queued = self.queue(slot, &|outbox| outbox.push_all(&slot.info.name, hold));
        slot.evict_all(hold);
        queued
    }

    fn evict_all_in_place(self: &Arc<Self>, slot: &Slot, problem: &str, hold: Duration) -> Option<Queued> {
        slot.problem(problem.to_owned());
        self.evict_all(slot, hold)
    }

    /// Queues the eviction of every key for all others, who cannot be told which are meant; then evicts here what `here`
    /// does, which returns how many keys that were.
    pub(crate) fn evict_some(self: &Arc<Self>, slot: &Slot, here: impl FnOnce() -> usize) -> Option<Queued> {
        let queued = self.queue(slot, &|outbox| outbox.push_all(&slot.info.name, Duration::ZERO));
        count(&slot.info.counters.evicted, here());
        queued
    }

    /// Queues the eviction of every entry that carries one of these tags for all others, then evicts them here. Of no
    /// tag it is nothing; a tag that is too long to travel stands for all.
    pub(crate) fn evict_tags(self: &Arc<Self>, slot: &Slot, tags: &[Tag], hold: Duration) -> Option<Queued> {
        if tags.is_empty() {
            return None;
        }
        if tags.iter().any(Tag::is_too_long) {
            return self.evict_all(slot, hold);
        }
        count(&slot.info.counters.evicted, tags.len());
        let queued = self.queue(slot, &|outbox| outbox.push_tags(&slot.info.name, tags, hold));
        slot.evict_tags(tags, hold);
        queued
    }

    /// Queues a broadcast; `None` if there is nobody to tell.
    fn queue(self: &Arc<Self>, slot: &Slot, push: &dyn Fn(&Outbox) -> u64) -> Option<Queued> {
        if Mutation::TellNobody.is_on() {
            return None;
        }
        let ticket = push(self.outbox.as_ref()?);
        if ticket == NEVER {
            slot.problem(
                "evicted after the registry was shut down, or its runtime had ended: other nodes were not told".into(),
            );
        }
        Some(Queued { node: self.clone(), ticket })
    }

    /// Whether evictions wait for the broker.
    pub(crate) fn has_unconfirmed(&self) -> bool {
        self.outbox.as_ref().is_some_and(|outbox| !outbox.is_empty())
    }

    /// Removes everything, since evictions may have been missed. Others are not told: they have missed nothing.
    pub(crate) fn clear(&self) {
        self.slots().iter().for_each(|slot| slot.clear());
    }

    /// Removes everything of one cache, or of all if `name` is `None`, since evictions may have been missed.
    pub(crate) fn clear_what_it_concerned(&self, name: Option<&Name>) {
        match name {
            None => self.clear(),
            Some(name) => {
                if let Some(slot) = self.existing_slot(name.as_str()) {
                    slot.clear();
                }
            }
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("name", &self.name).field("id", &self.origin).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::MAX_CREATED;
    use crate::{CacheConfig, OnPartition, Registry, UnknownCaches};

    #[tokio::test]
    async fn caches_that_are_made_at_their_first_use_are_bounded_and_those_of_the_program_are_not_refused() {
        let created = UnknownCaches::Create(CacheConfig::new("any"));
        let registry =
            Registry::builder().cache(CacheConfig::new("users")).unknown_caches(created).start().await.unwrap();
        let cache = |number: usize| registry.cache::<u64, u64>(&format!("cache-{number}"));
        let made = (0..3 * MAX_CREATED).filter(|number| cache(*number).is_ok()).count();
        assert_eq!(made, MAX_CREATED - 1);
        let error = cache(3 * MAX_CREATED).unwrap_err();
        assert!(error.is_unknown_cache() && error.to_string().contains("no more than 1024"), "{error}");
        assert!(error.to_string().len() < 1_000, "{error}");
        cache(0).unwrap().insert(1, 1);
        assert_eq!(cache(0).unwrap().get(&1), Some(1), "those that are there go on");

        let node = &registry.0.node;
        node.slot_for_eviction("of-a-function").unwrap();
        assert!(node.slot("of-a-function").is_none() && node.slots().len() == MAX_CREATED + 1);
    }

    #[tokio::test]
    async fn a_cache_that_is_made_later_has_the_policy_of_then_and_nobody_serves_after_the_end() {
        let created = UnknownCaches::Create(CacheConfig::new("any"));
        let registry = Registry::builder().unknown_caches(created).start().await.unwrap();
        registry.set_on_partition(OnPartition::ServeStale);
        let policy = |name: &str| registry.0.node.slot(name).unwrap().info.on_partition();
        assert_eq!(policy("users"), OnPartition::ServeStale);
        registry.set_on_partition(OnPartition::Bypass);
        assert_eq!((policy("users"), policy("later")), (OnPartition::Bypass, OnPartition::Bypass));

        registry.set_on_partition(OnPartition::ServeStale);
        registry.shutdown().await.unwrap();
        for name in ["users", "met after the end"] {
            let name = name.replace(' ', "-");
            assert!(registry.0.node.slot(&name).unwrap().info.serves_at().is_none(), "{name}");
        }
    }
}
