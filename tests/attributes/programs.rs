//! Programs in which many of the attributes' parts meet, as they do in services.

mod blocks;
mod functions;
mod transactions;

use cachesync::{CacheConfig, Registry, UnknownCaches, memory::MemoryBackend};

/// Two nodes with caches of these names.
async fn nodes(caches: &[&str]) -> [Registry; 2] {
    let hub = MemoryBackend::new();
    let start = async || {
        let builder = Registry::builder().namespace("programs").backend(hub.clone());
        let builder = builder.unknown_caches(UnknownCaches::Bypass);
        let builder = caches.iter().fold(builder, |builder, name| builder.cache(CacheConfig::new(*name)));
        builder.start().await.expect("the functions agree about their caches")
    };
    [start().await, start().await]
}
