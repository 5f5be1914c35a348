//! What one would pick instead, each as its documentation shows it: a hundred thousand values by number, with a ttl.
//!
//! hydracache and accelerator keep no `Arc`, so each of their hits makes one: a small part of what they take.
//!
//! None of them tells other nodes of an eviction, except hydracache and accelerator, where that is off here.

use std::{sync::Arc, sync::LazyLock, time::Duration};

use accelerator::{ReadOptions, builder::LevelCacheBuilder, cache::LevelCache, config::CacheMode, local};
use cached::macros::{cached, concurrent_cached};
use cachelito_async::cache_async;
use hydracache::{CacheOptions, HydraCache};

use crate::node::{CAPACITY, TTL};

/// `cached` with one lock around the store.
#[cached(max_size = 200_000, ttl_secs = 3_600)]
pub async fn by_cached(id: u64) -> Arc<u64> {
    Arc::new(id)
}

/// The same, where callers who want one key share a load.
#[cached(max_size = 200_000, ttl_secs = 3_600, sync_writes = "by_key")]
pub async fn by_cached_by_key(id: u64) -> Arc<u64> {
    Arc::new(id)
}

/// `cached` with a store in shards.
#[concurrent_cached(max_size = 200_000, ttl_secs = 3_600)]
pub async fn by_concurrent_cached(id: u64) -> Arc<u64> {
    Arc::new(id)
}

pub use cachelito::by_cachelito;

#[expect(missing_docs, reason = "the attribute drops what is said about the function")]
mod cachelito {
    use super::{Arc, cache_async};

    // Without a limit: with one, a hit moves its key to the end of a list, which it searches from the front.
    #[cache_async(ttl = 3_600)]
    pub async fn by_cachelito(id: u64) -> Arc<u64> {
        Arc::new(id)
    }
}

static MOKA: LazyLock<moka::future::Cache<u64, Arc<u64>>> =
    LazyLock::new(|| moka::future::Cache::builder().max_capacity(CAPACITY as u64).time_to_live(TTL).build());

/// moka.
pub async fn by_moka(id: u64) -> Arc<u64> {
    MOKA.get_with(id, async { Arc::new(id) }).await
}

static FOYER: LazyLock<foyer_memory::Cache<u64, Arc<u64>>> =
    LazyLock::new(|| foyer_memory::CacheBuilder::new(CAPACITY).build());

/// foyer, which knows no ttl.
pub async fn by_foyer(id: u64) -> Arc<u64> {
    if let Some(entry) = FOYER.get(&id) {
        return entry.value().clone();
    }
    let value = Arc::new(id);
    FOYER.insert(id, value.clone());
    value
}

static HYDRA: LazyLock<HydraCache> =
    LazyLock::new(|| HydraCache::local().max_capacity(CAPACITY as u64).default_ttl(TTL).build());

/// hydracache: keys are text and values bytes.
///
/// # Panics
///
/// If it fails.
pub async fn by_hydracache(id: u64) -> Arc<u64> {
    let load = async move || id;
    let value: u64 = HYDRA.get_or_insert_with(&id.to_string(), CacheOptions::default(), load).await.expect("a number");
    Arc::new(value)
}

static ACCELERATOR: LazyLock<LevelCache<u64, u64>> = LazyLock::new(|| {
    LevelCacheBuilder::<u64, u64>::new()
        .area("users")
        .mode(CacheMode::Local)
        .local(local::moka::<u64>().max_capacity(CAPACITY as u64).build().expect("moka"))
        .local_ttl(TTL)
        .null_ttl(Duration::from_secs(1))
        .build()
        .expect("a cache")
});

/// accelerator, with its memory alone, as its attribute does it.
///
/// # Panics
///
/// If it fails.
pub async fn by_accelerator(id: u64) -> Arc<u64> {
    let options = ReadOptions { disable_load: true, ..ReadOptions::default() };
    if let Some(value) = ACCELERATOR.get(&id, &options).await.expect("no failure") {
        return Arc::new(value);
    }
    ACCELERATOR.set(&id, Some(id)).await.expect("no failure");
    Arc::new(id)
}
