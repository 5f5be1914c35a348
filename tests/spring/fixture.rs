//! What the tests have in common: a registry with its caches, a count of bodies, and each test for both services.

use std::sync::atomic::{AtomicU64, Ordering};

use cachesync::{Cache, CacheConfig, Registry, UnknownCaches};

use crate::services::Service;

/// A registry with caches of these names. Annotated functions of other tests name others, so those are not missed.
pub(crate) async fn registry(caches: &[&str]) -> Registry {
    let builder = Registry::builder().unknown_caches(UnknownCaches::Bypass);
    let builder = caches.iter().fold(builder, |builder, name| builder.cache(CacheConfig::new(*name)));
    builder.start().await.expect("the functions agree about their caches")
}

/// Counts how often bodies ran.
#[derive(Default)]
pub(crate) struct Calls(AtomicU64);

impl Calls {
    /// To be called in the body. Gives way to other tasks, as a load does.
    pub(crate) async fn count(&self) -> u64 {
        tokio::task::yield_now().await;
        self.count_now()
    }

    /// The same in a body that cannot wait.
    pub(crate) fn count_now(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What bodies fail with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) u64);

/// Spring's `TestEntity`, with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entity {
    pub(crate) id: u64,
    pub(crate) name: String,
}

impl Entity {
    pub(crate) fn new(id: u64, name: &str) -> Self {
        Self { id, name: name.to_owned() }
    }
}

/// A service and its caches.
pub(crate) struct Fixture<S> {
    pub(crate) service: S,
    pub(crate) registry: Registry,
    pub(crate) cache: Cache<u64, u64>,
    pub(crate) primary: Cache<u64, u64>,
    pub(crate) secondary: Cache<u64, u64>,
    pub(crate) entities: Cache<u64, Entity>,
}

impl<S: Service> Fixture<S> {
    pub(crate) async fn new() -> Self {
        let registry = registry(&S::CACHES).await;
        let [cache, primary, secondary, entities] = S::CACHES;
        Self {
            service: S::default(),
            cache: registry.cache(cache).expect("of numbers"),
            primary: registry.cache(primary).expect("of numbers"),
            secondary: registry.cache(secondary).expect("of numbers"),
            entities: registry.cache(entities).expect("of entities"),
            registry,
        }
    }

    /// How often a body of the service ran.
    pub(crate) fn calls(&self) -> u64 {
        self.service.calls().get()
    }
}

/// Makes tests of functions over a fixture: each function is run with both services, in the scope of its registry.
macro_rules! for_both_services {
    ($($test:ident)*) => {
        for_both_services!(plain Plain: $($test)*);
        for_both_services!(configured Configured: $($test)*);
    };
    ($module:ident $service:ident: $($test:ident)*) => {
        mod $module {
            $(#[tokio::test]
            async fn $test() {
                let fixture = crate::fixture::Fixture::<crate::services::$service>::new().await;
                fixture.registry.clone().scope(super::$test(fixture)).await;
            })*
        }
    };
}
pub(crate) use for_both_services;
