//! What models have in common: a node with one cache, and the rows that it caches.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use cachesync_core::Name;
use shuttle::{
    future::block_on,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{
    cache::{
        Cache, Reservation,
        content::{Content, SharedFailure, Terms},
        flight::Outcome,
        load::{How, Leading, Led, Miss, Verdict},
        place::Place,
        store::Store,
        tags::Tag,
    },
    clock::{Clock, ManualClock},
    config::{CacheConfig, OnPartition, UnknownCaches},
    registry::{
        node::{Node, NodeSettings},
        slot::Slot,
    },
};

pub(super) const HOLD: Duration = Duration::from_secs(5);
pub(super) const LEASE: Duration = Duration::from_secs(10);

/// A row holds the version that the database has committed; whoever loads with tags finds the tag `a` at every version.
pub(super) struct World {
    pub(super) node: Arc<Node>,
    pub(super) slot: Arc<Slot>,
    pub(super) clock: ManualClock,
    pub(super) cache: Cache<u64, u64>,
    pub(super) store: Arc<Store<u64, u64>>,
    rows: [AtomicU64; 3],
}

/// Whose time nobody moves.
pub(super) fn runtime() -> &'static Handle {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));
    RUNTIME.handle()
}

pub(super) fn node(config: CacheConfig, has_backend: bool) -> (Arc<Node>, ManualClock) {
    let clock = ManualClock::new();
    let settings = NodeSettings {
        name: "node".into(),
        namespace: Name::new("test").ok(),
        clock: Clock::Manual(clock.clone()),
        keys: None,
        runtime: runtime().clone(),
        settle: HOLD,
        unknown: UnknownCaches::Fail,
        has_backend,
        on_partition: OnPartition::Bypass,
        lease: LEASE,
    };
    let name = Name::new("rows").expect("a name");
    (Arc::new(Node::new(settings, BTreeMap::from([(name, config.capacity(8))]))), clock)
}

pub(super) fn tag() -> Tag {
    Tag::new("a")
}

pub(super) fn tagged() -> Terms {
    Terms { ttl: None, tags: vec![tag()] }
}

impl World {
    /// A node without a backend.
    pub(super) fn new() -> Arc<Self> {
        Self::of(node(CacheConfig::new("rows"), false))
    }

    /// A node with a backend that nobody serves, and a lease from now.
    pub(super) fn with_backend() -> Arc<Self> {
        let (node, clock) = node(CacheConfig::new("rows"), true);
        node.lease.renew(&node.clock, node.clock.boot());
        Self::of((node, clock))
    }

    pub(super) fn of((node, clock): (Arc<Node>, ManualClock)) -> Arc<Self> {
        let slot = node.slot("rows").expect("it is declared");
        let store = slot.store::<u64, u64>().ok().expect("these are its types");
        let cache = Cache::passing(Place { node: node.clone(), slot: slot.clone() }, store.clone());
        Arc::new(Self { node, slot, clock, cache, store, rows: Default::default() })
    }

    /// Begins a thread.
    pub(super) fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        run: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let world = self.clone();
        thread::spawn(move || run(&world))
    }

    /// Commits a version.
    pub(super) fn write(&self, key: u64, version: u64) {
        self.row(key).store(version, Ordering::SeqCst);
    }

    pub(super) fn read(&self, key: u64) -> u64 {
        self.row(key).load(Ordering::SeqCst)
    }

    fn row(&self, key: u64) -> &AtomicU64 {
        &self.rows[usize::try_from(key).expect("a row")]
    }

    /// What a caller gets.
    pub(super) fn load(&self, key: u64) -> u64 {
        block_on(self.cache.get_with(key, async || self.read(key)))
    }

    /// What a caller gets of a function whose entries carry the tag.
    pub(super) fn load_tagged(&self, key: u64) -> u64 {
        let verdict = Verdict { terms: tagged(), ..Verdict::default() };
        if let Some(value) = self.cache.get(&key) {
            return value;
        }
        let miss = match Miss::begin(&self.store, Vec::new(), key, &how(), true) {
            Ok(miss) => miss,
            Err(value) => return value,
        };
        let load = async {
            let led = match miss.lead() {
                Leading::Load(load) => Led::Load(load),
                Leading::Wait(wait) => wait.await,
            };
            match led {
                Led::Answer(value) => value,
                Led::Load(load) => {
                    let value = load.run(async { self.read(key) }).await;
                    load.settle(&value, verdict);
                    value
                }
            }
        };
        block_on(load)
    }

    pub(super) fn reserve(&self, key: u64) -> Reservation<u64, u64> {
        self.cache.reserve(&key)
    }

    /// The value that is kept, if one is, has to be the one that is committed.
    pub(super) fn assert_coherent(&self) {
        for (key, row) in (0..).zip(&self.rows) {
            let kept = self.cache.get(&key);
            let committed = row.load(Ordering::SeqCst);
            assert!(kept.is_none_or(|kept| kept == committed), "kept {kept:?} of row {key}, which is {committed}");
        }
    }
}

/// A function that returns the value as it is.
fn how() -> How<u64, u64> {
    How {
        outcome: |value| Outcome::Value(*value),
        output: |value| value,
        nothing: || None,
        failure: |_: &SharedFailure| None,
        knows: |_| false,
    }
}

/// The value of an entry.
pub(super) fn value(version: u64) -> Content<u64> {
    Content::Value(version)
}
