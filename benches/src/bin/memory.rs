//! Memory for each entry, beside `quick_cache` with the same key and value: bytes asked of the allocator.

use std::sync::Arc;

use allocation_counter::measure;
use cachesync::{CacheConfig, Registry, UnknownCaches};
use cachesync_benches::{node::TTL, numbers::count, row::Row};
use quick_cache::sync::Cache as Bare;
use tokio::runtime;

/// Both maps are filled until they displace: `quick_cache` makes room for its capacity at once, and a map that is half empty
/// has more of it for each entry.
const CAPACITY: usize = 100_000;
const INSERTED: u64 = 200_000;

fn main() {
    let (mut ours, mut theirs) = (None, None);
    // It outlives what is counted: a registry ends with its runtime, and its caches are empty then.
    let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // Counted by thread, so all of the registry is on this one. What is kept is in the count; what was freed is not.
    let with = measure(|| {
        ours = Some(runtime.block_on(async {
            let registry = Registry::builder()
                .cache(CacheConfig::new("users").capacity(CAPACITY).ttl(TTL))
                .unknown_caches(UnknownCaches::Bypass)
                .start()
                .await
                .expect("a registry");
            let users = registry.cache::<u64, Arc<u64>>("users").expect("it has these types");
            (0..INSERTED).for_each(|key| users.insert(key, Arc::new(key)));
            (registry, users)
        }));
    });
    let bare = measure(|| {
        let users: Bare<u64, Arc<u64>> = Bare::new(CAPACITY);
        (0..INSERTED).for_each(|key| users.insert(key, Arc::new(key)));
        theirs = Some(users);
    });
    let entries = (ours.map_or(0, |(_, users)| users.len()), theirs.map_or(0, |users| users.len()));
    let each = |bytes: i64, entries: usize| {
        assert!(entries > CAPACITY / 2, "{entries} are not all that fit");
        count(u64::try_from(bytes).expect("something is kept")) / count(entries as u64)
    };
    let (with, bare) = (each(with.bytes_current, entries.0), each(bare.bytes_current, entries.1));
    Row::new("memory", "bytes an entry, more than quick_cache with the same key and value, both full")
        .ratio(with - bare)
        .bar(16.0)
        .note(format!("`u64` key, `Arc<u64>` value, ttl, capacity 100,000: {with:.1} to {bare:.1} bytes"))
        .print();
}
