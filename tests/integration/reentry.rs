//! What is dropped is dropped when no lock is held: keys and values of the user's may use the cache in their
//! `Drop`; and so may who listens to what is logged. What waits for itself here waits for ever, so it does in a thread of
//! its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use cachesync::{
    Cache, CacheConfig, ManualClock, Registry, Transaction, UnknownCaches, cacheable, memory::MemoryBackend,
};
use futures_util::FutureExt;
use serde::{Deserialize, Serialize};

use crate::{
    logged::listen,
    nodes::{DEADLINE, Node, settled},
};

/// Runs it in a thread, and fails if that does not end.
pub(crate) fn ends<F: Future<Output = ()>>(test: impl FnOnce() -> F + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(test());
        let _ = done.send(());
    });
    if let Err(mpsc::RecvTimeoutError::Timeout) = ended.recv_timeout(DEADLINE) {
        panic!("it waits for itself");
    }
    thread.join().expect("it passes");
}

async fn clocked() -> (Registry, ManualClock) {
    let clock = ManualClock::new();
    let cache = CacheConfig::new("reentry").ttl(Duration::from_mins(1));
    let builder = Registry::builder().cache(cache).unknown_caches(UnknownCaches::Bypass).clock(clock.clone());
    (builder.start().await.expect("starts"), clock)
}

/// Uses the cache whenever a clone of it is dropped, once it is armed.
#[derive(Clone)]
struct Using {
    cache: Cache<u64, Using>,
    armed: Arc<AtomicBool>,
    drops: Arc<AtomicUsize>,
}

impl Using {
    fn new(cache: &Cache<u64, Self>) -> Self {
        Self { cache: cache.clone(), armed: Arc::default(), drops: Arc::default() }
    }
}

impl Drop for Using {
    fn drop(&mut self) {
        // Disarmed meanwhile: what it gets there is dropped as well.
        if self.armed.swap(false, SeqCst) {
            drop((self.cache.get(&1), self.cache.reserve(&1)));
            self.drops.fetch_add(1, SeqCst);
            self.armed.store(true, SeqCst);
        }
    }
}

#[test]
fn a_value_that_has_expired_may_use_the_cache_in_its_drop() {
    ends(async || {
        let (registry, clock) = clocked().await;
        let cache: Cache<u64, Using> = registry.cache("reentry").unwrap();
        let first = cache.get_with(1, async || Using::new(&cache)).await;
        clock.advance(Duration::from_secs(61));
        first.armed.store(true, SeqCst);
        cache.get_with(1, async || Using::new(&cache)).await;
        assert!(first.drops.load(SeqCst) > 0);
        first.armed.store(false, SeqCst);
    });
}

#[test]
fn a_value_that_has_expired_may_use_the_cache_in_its_drop_where_tags_are_pending() {
    ends(async || {
        let (registry, clock) = clocked().await;
        let cache: Cache<u64, Using> = registry.cache("reentry").unwrap();
        let first = cache.get_with(1, async || Using::new(&cache)).await;
        clock.advance(Duration::from_secs(61));
        first.armed.store(true, SeqCst);
        let transaction = Transaction::begin();
        let inside = async {
            cache.evict_tag("a");
            assert!(cache.get(&1).is_none());
        };
        transaction.scope(inside).await;
        assert!(first.drops.load(SeqCst) > 0);
        transaction.rollback();
        first.armed.store(false, SeqCst);
    });
}

/// A key that uses the cache in its drop.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Dropping(u64);

thread_local! {
    static CACHE: std::cell::RefCell<Option<Cache<Dropping, u64>>> = const { std::cell::RefCell::new(None) };
}

impl Drop for Dropping {
    fn drop(&mut self) {
        if self.0 == 1 {
            let cache = CACHE.with(|cache| cache.borrow().clone());
            if let Some(cache) = cache {
                cache.evict(&Self(2));
                cache.evict_tag("b");
            }
        }
    }
}

#[cacheable(cache = "reentry", registry = registry, key = Dropping(id), tags = ["a", "a"])]
async fn tagged_twice(registry: &Registry, id: u64) -> u64 {
    id
}

#[test]
fn a_key_that_carries_a_tag_twice_may_use_the_cache_in_its_drop() {
    ends(async || {
        let (registry, _) = clocked().await;
        let cache: Cache<Dropping, u64> = registry.cache("reentry").unwrap();
        CACHE.with(|used| *used.borrow_mut() = Some(cache.clone()));
        tagged_twice(&registry, 1).await;
        assert_eq!(cache.get(&Dropping(1)), Some(1));
        cache.evict_tag("a");
        assert_eq!(cache.get(&Dropping(1)), None);
        CACHE.with(|used| *used.borrow_mut() = None);
    });
}

/// A step after which too much waits for the broker.
type Step = fn(&Node);

/// What is told again when its hold is over, and what waits already, are too much together.
const STEPS: [(&str, Step); 5] = [
    ("an eviction", |node| node.users.evict_tags((0..8_000).map(|tag| format!("{tag:01001}")))),
    ("a look at the status", |node| _ = node.registry.status()),
    ("a flush", |node| _ = node.registry.flush().now_or_never()),
    ("the end of the registry", |node| _ = node.registry.shutdown().now_or_never()),
    ("the engine that takes it", |node| node.backend.take_messages(true)),
];

#[test]
fn who_listens_to_what_is_logged_may_use_the_registry() {
    for (what, step) in STEPS {
        ends(move || async move {
            tokio::time::pause();
            let node = Node::on(&MemoryBackend::new()).await;
            let heard = Arc::new(AtomicUsize::new(0));
            let (registry, users, hearing) = (node.registry.clone(), node.users.clone(), heard.clone());
            let _listening = listen("too many evictions wait for the broker", move |_| {
                assert_eq!(registry.status().outbox.whole_caches, 1, "it has happened");
                users.evict(&1);
                hearing.fetch_add(1, SeqCst);
            });

            // 1,000 bytes each, 16 MiB at the most.
            let tags = |of: &'static str| (0..9_000).map(move |tag| format!("{of}{tag:0999}"));
            let transaction = Transaction::begin();
            transaction.scope(async { node.users.evict_tags(tags("a")) }).await;
            transaction.commit_with(async { Err::<(), _>("nobody knows") }).await.unwrap_err();
            node.registry.flush().await.unwrap();
            // The broker takes no more, and so the engine does not either.
            node.backend.take_messages(false);
            node.users.evict(&1);
            settled().await;
            node.users.evict_tags(tags("b"));
            assert_eq!((heard.load(SeqCst), node.registry.status().outbox.repeats), (0, 9_000), "{what}");

            tokio::time::advance(Duration::from_secs(6)).await;
            step(&node);
            settled().await;
            assert_eq!(heard.load(SeqCst), 1, "{what}");
        });
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Endless(Option<Box<Endless>>);

#[test]
fn who_listens_to_what_is_logged_over_a_key_type_may_use_its_cache() {
    ends(async || {
        let (registry, _) = clocked().await;
        let heard = Arc::new(AtomicUsize::new(0));
        let (again, hearing) = (registry.clone(), heard.clone());
        let _listening = listen("the key type does not survive serde", move |_| {
            again.cache::<Endless, u64>("reentry").unwrap().evict_all();
            hearing.fetch_add(1, SeqCst);
        });
        registry.cache::<Endless, u64>("reentry").unwrap();
        assert_eq!(heard.load(SeqCst), 1);
    });
}
