//! Spring's `CacheableService`: one contract, and two services that differ in where their attributes say what they say.

use cachesync::{cache_config, cache_evict, cache_put, cacheable};

use crate::{Calls, Entity, Refused};

/// What both services do. Values are how often a body ran by then, so that two calls with one value had one body.
pub(crate) trait Service: Default {
    /// The default cache, the primary and the secondary one of numbers, and the one of entities.
    const CACHES: [&'static str; 4];

    fn calls(&self) -> &Calls;

    async fn cache(&self, id: u64) -> u64;
    async fn cache_optional(&self, id: Option<u64>) -> u64;
    async fn cache_none(&self, id: u64) -> Option<u64>;
    async fn conditional(&self, id: u64) -> u64;
    async fn unless(&self, id: u64) -> u64;
    async fn refuse(&self, id: u64) -> Result<u64, Refused>;
    async fn panic(&self, id: u64) -> u64;

    async fn evict(&self, id: u64, other: &str);
    async fn evict_refused(&self, id: u64) -> Result<(), Refused>;
    async fn evict_early(&self, id: u64) -> Result<(), Refused>;
    async fn evict_all(&self, other: &str);
    async fn evict_all_early(&self, other: &str) -> Result<(), Refused>;

    async fn update(&self, id: u64) -> u64;
    async fn conditional_update(&self, id: u64) -> u64;
    async fn put_by_result(&self, entity: Entity) -> Entity;
    async fn put_some_by_result(&self, entity: Entity) -> Option<Entity>;

    async fn multi_cache(&self, id: u64) -> u64;
    async fn multi_evict(&self, id: u64);
    async fn multi_update(&self, id: u64) -> u64;
    async fn cache_and_evict(&self, id: u64) -> u64;
    async fn conditional_cache_and_evict(&self, id: u64) -> u64;
}

/// Every attribute says everything itself, as in Spring's `DefaultCacheableService`.
#[derive(Default)]
pub(crate) struct Plain {
    calls: Calls,
}

impl Service for Plain {
    const CACHES: [&'static str; 4] = ["plain", "plain-primary", "plain-secondary", "plain-entities"];

    fn calls(&self) -> &Calls {
        &self.calls
    }

    #[cacheable(cache = "plain", key = id)]
    async fn cache(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cacheable(cache = "plain", key = id.map_or(0, |id| id + 1))]
    async fn cache_optional(&self, id: Option<u64>) -> u64 {
        self.calls.count().await
    }

    #[cacheable(cache = "plain", key = id, cache_none)]
    async fn cache_none(&self, id: u64) -> Option<u64> {
        self.calls.count().await;
        (id == 0).then_some(id)
    }

    #[cacheable(cache = "plain", key = id, condition = id == 3)]
    async fn conditional(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cacheable(cache = "plain", skip(self), unless = *result > 10)]
    async fn unless(&self, id: u64) -> u64 {
        self.calls.count().await;
        id
    }

    #[cacheable(cache = "plain", key = id)]
    async fn refuse(&self, id: u64) -> Result<u64, Refused> {
        self.calls.count().await;
        Err(Refused(id))
    }

    #[cacheable(cache = "plain", key = id)]
    async fn panic(&self, id: u64) -> u64 {
        self.calls.count().await;
        panic!("no number {id}");
    }

    #[cache_evict(cache = "plain", key = id)]
    async fn evict(&self, id: u64, _other: &str) {
        self.calls.count().await;
    }

    #[cache_evict(cache = "plain", skip(self))]
    async fn evict_refused(&self, id: u64) -> Result<(), Refused> {
        self.calls.count().await;
        Err(Refused(id))
    }

    #[cache_evict(cache = "plain", key = id, before)]
    async fn evict_early(&self, id: u64) -> Result<(), Refused> {
        self.calls.count().await;
        Err(Refused(id))
    }

    #[cache_evict(cache = "plain", all)]
    async fn evict_all(&self, _other: &str) {
        self.calls.count().await;
    }

    #[cache_evict(cache = "plain", all, before)]
    async fn evict_all_early(&self, _other: &str) -> Result<(), Refused> {
        Err(Refused(self.calls.count().await))
    }

    #[cache_put(cache = "plain", key = id)]
    async fn update(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cache_put(cache = "plain", key = id, condition = id == 3)]
    async fn conditional_update(&self, id: u64) -> u64 {
        self.calls.count().await;
        id
    }

    #[cache_put(cache = "plain-entities", key = result.id)]
    async fn put_by_result(&self, mut entity: Entity) -> Entity {
        self.calls.count().await;
        entity.id = u64::MAX;
        entity
    }

    #[cache_put(cache = "plain-entities", key = result.id, unless = result.name.is_empty())]
    async fn put_some_by_result(&self, entity: Entity) -> Option<Entity> {
        self.calls.count().await;
        (entity.id != u64::MAX).then_some(entity)
    }

    #[cacheable(cache = ["plain-primary", "plain-secondary"], key = id)]
    async fn multi_cache(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cache_evict(cache = "plain-primary", key = id)]
    #[cache_evict(cache = "plain-secondary", key = id)]
    #[cache_evict(cache = "plain-primary", key = id + 1000)]
    async fn multi_evict(&self, id: u64) {
        self.calls.count().await;
    }

    #[cache_put(cache = "plain-primary", key = id)]
    #[cache_put(cache = "plain-secondary", key = id)]
    async fn multi_update(&self, id: u64) -> u64 {
        self.calls.count().await;
        id
    }

    #[cacheable(cache = "plain-primary", key = 0u64)]
    #[cache_evict(cache = "plain-secondary", key = id)]
    async fn cache_and_evict(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cacheable(cache = "plain-primary", key = id, condition = id == 3)]
    #[cache_evict(cache = "plain-secondary", key = id)]
    async fn conditional_cache_and_evict(&self, id: u64) -> u64 {
        self.calls.count().await
    }
}

/// The block says what its attributes have in common, as in Spring's `AnnotatedClassCacheableService`.
#[derive(Default)]
pub(crate) struct Configured {
    calls: Calls,
}

#[cache_config(cache = "class")]
impl Service for Configured {
    const CACHES: [&'static str; 4] = ["class", "class-primary", "class-secondary", "class-entities"];

    fn calls(&self) -> &Calls {
        &self.calls
    }

    #[cacheable(key = id)]
    async fn cache(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cacheable(key = id.map_or(0, |id| id + 1))]
    async fn cache_optional(&self, id: Option<u64>) -> u64 {
        self.calls.count().await
    }

    #[cacheable(key = id, cache_none)]
    async fn cache_none(&self, id: u64) -> Option<u64> {
        self.calls.count().await;
        (id == 0).then_some(id)
    }

    #[cacheable(key = id, condition = id == 3)]
    async fn conditional(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cacheable(skip(self), unless = *result > 10)]
    async fn unless(&self, id: u64) -> u64 {
        self.calls.count().await;
        id
    }

    #[cacheable(key = id)]
    async fn refuse(&self, id: u64) -> Result<u64, Refused> {
        self.calls.count().await;
        Err(Refused(id))
    }

    #[cacheable(key = id)]
    async fn panic(&self, id: u64) -> u64 {
        self.calls.count().await;
        panic!("no number {id}");
    }

    #[cache_evict(key = id)]
    async fn evict(&self, id: u64, _other: &str) {
        self.calls.count().await;
    }

    #[cache_evict(skip(self))]
    async fn evict_refused(&self, id: u64) -> Result<(), Refused> {
        self.calls.count().await;
        Err(Refused(id))
    }

    #[cache_evict(key = id, before)]
    async fn evict_early(&self, id: u64) -> Result<(), Refused> {
        self.calls.count().await;
        Err(Refused(id))
    }

    #[cache_evict(all)]
    async fn evict_all(&self, _other: &str) {
        self.calls.count().await;
    }

    #[cache_evict(all, before)]
    async fn evict_all_early(&self, _other: &str) -> Result<(), Refused> {
        Err(Refused(self.calls.count().await))
    }

    #[cache_put(key = id)]
    async fn update(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cache_put(key = id, condition = id == 3)]
    async fn conditional_update(&self, id: u64) -> u64 {
        self.calls.count().await;
        id
    }

    #[cache_put(cache = "class-entities", key = result.id)]
    async fn put_by_result(&self, mut entity: Entity) -> Entity {
        self.calls.count().await;
        entity.id = u64::MAX;
        entity
    }

    #[cache_put(cache = "class-entities", key = result.id, unless = result.name.is_empty())]
    async fn put_some_by_result(&self, entity: Entity) -> Option<Entity> {
        self.calls.count().await;
        (entity.id != u64::MAX).then_some(entity)
    }

    #[cacheable(cache = ["class-primary", "class-secondary"], key = id)]
    async fn multi_cache(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cache_evict(cache = ["class-primary", "class-secondary"], key = id)]
    #[cache_evict(cache = "class-primary", key = id + 1000)]
    async fn multi_evict(&self, id: u64) {
        self.calls.count().await;
    }

    #[cache_put(cache = ["class-primary", "class-secondary"], key = id)]
    async fn multi_update(&self, id: u64) -> u64 {
        self.calls.count().await;
        id
    }

    #[cacheable(cache = "class-primary", key = 0u64)]
    #[cache_evict(cache = "class-secondary", key = id)]
    async fn cache_and_evict(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cacheable(cache = "class-primary", key = id, condition = id == 3)]
    #[cache_evict(cache = "class-secondary", key = id)]
    async fn conditional_cache_and_evict(&self, id: u64) -> u64 {
        self.calls.count().await
    }
}
