//! Caches that are created at their first use. In a program of its own, without annotated functions whose types
//! disagree: those fail every start that would create their cache.

use std::time::Duration;

use cachesync::{CacheConfig, Registry, UnknownCaches, cache_evict, cacheable, memory::MemoryBackend};
use cachesync_core::{
    backend::Format,
    codec,
    frame::{Frame, NodeId, Operation},
    shape::KeyShape,
};
use cachesync_tests::{
    faulty::FaultyBackend,
    wait::{DEADLINE, eventually},
};

async fn creating(backend: FaultyBackend) -> Registry {
    let create = UnknownCaches::Create(CacheConfig::new("any").capacity(7));
    Registry::builder().namespace("test").unknown_caches(create).backend(backend).start().await.expect("starts")
}

#[cacheable(cache = "users", key = id, registry = registry)]
async fn find(registry: &Registry, id: u64, from_database: &str) -> String {
    let _ = id;
    from_database.to_owned()
}

#[cache_evict(cache = "users", key = id, registry = registry)]
async fn save(registry: &Registry, id: u64) {
    let _ = id;
}

#[tokio::test]
async fn a_cache_created_at_its_first_use_hears_the_evictions_of_others() {
    let hub = MemoryBackend::new();
    let (here, there) = (creating(FaultyBackend::new(&hub)).await, creating(FaultyBackend::new(&hub)).await);
    assert_eq!(find(&here, 1, "old").await, "old");
    assert_eq!(find(&here, 1, "new").await, "old");
    save(&there, 1).await;
    eventually(DEADLINE, || here.stats().caches["users"].evicted_by_others == 1).await;
    assert_eq!(find(&here, 1, "new").await, "new");
    assert_eq!(here.describe().caches[0].capacity, 7);
}

#[tokio::test]
async fn a_hold_awaits_a_cache_that_is_created_later() {
    let backend = FaultyBackend::new(&MemoryBackend::new());
    let registry = creating(backend.clone()).await;
    let frame = Frame {
        origin: NodeId(7),
        session: 1,
        sequence: 1,
        sent_at: 0,
        hold: Duration::from_mins(1),
        cache: Some("users".parse().expect("a valid name")),
        shape: KeyShape::of::<u64>(),
        operation: Operation::Keys(vec![codec::encode_key(&1u64).expect("a key")]),
        authentication: None,
    };
    backend.inject(Format::Frame, Some("users"), codec::encode(&frame));
    eventually(DEADLINE, || registry.stats().frames_applied == 1).await;
    assert_eq!(find(&registry, 1, "perhaps old").await, "perhaps old");
    assert_eq!(find(&registry, 1, "new").await, "new", "held");
}
