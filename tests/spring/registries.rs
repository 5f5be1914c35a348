//! Which registry and which cache a call uses: Spring's cache managers and cache resolvers.

use cachesync::{CacheConfig, Registry, UnknownCaches, cache_config, cacheable};

use crate::{Calls, fixture::registry};

struct Service {
    own: Registry,
    calls: Calls,
}

impl Service {
    async fn new() -> Self {
        Self { own: registry(&["resolve-default"]).await, calls: Calls::default() }
    }

    #[cacheable(cache = "resolve-default", key = id)]
    async fn simple(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cacheable(cache = "resolve-default", key = id, registry = self.own)]
    async fn with_own_registry(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cacheable(cache = "resolve-default", key = id, condition = cache == "default")]
    #[cacheable(cache = "resolve-primary", key = id, condition = cache == "primary")]
    async fn chosen_by_argument(&self, id: u64, cache: &str) -> u64 {
        self.calls.count().await
    }
}

#[cache_config(cache = "resolve-primary")]
impl Service {
    #[cacheable(key = id)]
    async fn primary(&self, id: u64) -> u64 {
        self.calls.count().await
    }

    #[cacheable(cache = "resolve-secondary", key = id)]
    async fn named(&self, id: u64) -> u64 {
        self.calls.count().await
    }
}

/// `CacheResolverCustomizationTests.noCustomization`; `EnableCachingTests.singleCacheManagerBean`, `emptyConfigSupport`.
#[tokio::test]
async fn a_call_uses_the_registry_of_its_scope() {
    let service = Service::new().await;
    let scoped = registry(&["resolve-default"]).await;
    let value = scoped.scope(service.simple(7)).await;
    assert_eq!(scoped.cache::<u64, u64>("resolve-default").expect("numbers").get(&7), Some(value));
    assert!(service.own.cache::<u64, u64>("resolve-default").expect("numbers").is_empty());
}

/// `customCacheManager`, of `AbstractCacheAnnotationTests` and of `CacheResolverCustomizationTests`;
/// `bothSetOnlyResolverIsUsed`.
#[tokio::test]
async fn a_registry_in_the_attribute_comes_before_the_scope() {
    let service = Service::new().await;
    let scoped = registry(&["resolve-default"]).await;
    for _ in 0..2 {
        assert_eq!(scoped.scope(service.with_own_registry(7)).await, 1);
    }
    assert_eq!(service.own.cache::<u64, u64>("resolve-default").expect("numbers").get(&7), Some(1));
    assert!(scoped.cache::<u64, u64>("resolve-default").expect("numbers").is_empty());
}

/// `EnableCachingTests.multipleCacheManagerBeans_implementsCachingConfigurer`, `multipleCacheManagerBeans`.
#[tokio::test]
async fn of_several_scopes_the_innermost_is_used() {
    let service = Service::new().await;
    let (outer, inner) = (registry(&["resolve-default"]).await, registry(&["resolve-default"]).await);
    outer.scope(inner.scope(service.simple(7))).await;
    let held = [outer, inner].map(|registry| registry.cache::<u64, u64>("resolve-default").expect("numbers").len());
    assert_eq!(held, [0, 1]);
}

/// `CacheResolverCustomizationTests.customCacheResolver`, `namedResolution`.
#[tokio::test]
async fn a_cache_of_the_block_is_used_unless_the_method_names_one() {
    let service = Service::new().await;
    let registry = registry(&["resolve-default", "resolve-primary", "resolve-secondary"]).await;
    let cache = |name| registry.cache::<u64, u64>(name).expect("numbers");
    let primary = registry.scope(service.primary(1)).await;
    let secondary = registry.scope(service.named(2)).await;
    assert_eq!((cache("resolve-primary").get(&1), cache("resolve-primary").get(&2)), (Some(primary), None));
    assert_eq!((cache("resolve-secondary").get(&1), cache("resolve-secondary").get(&2)), (None, Some(secondary)));
    assert!(cache("resolve-default").is_empty());
}

/// `CacheResolverCustomizationTests.runtimeResolution`; `CacheReproTests.spr13081ConfigNoCacheNameIsRequired`.
#[tokio::test]
async fn an_argument_chooses_the_cache_by_conditions() {
    let service = Service::new().await;
    let registry = registry(&["resolve-default", "resolve-primary"]).await;
    let cache = |name| registry.cache::<u64, u64>(name).expect("numbers");
    let work = async {
        for _ in 0..2 {
            assert_eq!(service.chosen_by_argument(1, "default").await, 1);
        }
        assert_eq!((cache("resolve-default").get(&1), cache("resolve-primary").get(&1)), (Some(1), None));
        for _ in 0..2 {
            assert_eq!(service.chosen_by_argument(2, "primary").await, 2);
        }
        assert_eq!((cache("resolve-default").get(&2), cache("resolve-primary").get(&2)), (None, Some(2)));
        for expected in [3, 4] {
            assert_eq!(service.chosen_by_argument(1, "neither").await, expected);
        }
    };
    registry.scope(work).await;
}

/// `CacheResolverCustomizationTests.noCacheResolved`; `spr13081ConfigFailIfCacheResolverReturnsNullCacheName`;
/// `CacheResolverAdapterTests.resolveUnknownCache`, `JCacheInterceptorTests.noCacheCouldBeResolved`.
#[tokio::test]
async fn a_registry_without_a_cache_that_a_function_names_does_not_start() {
    let error = Registry::builder().cache(CacheConfig::new("resolve-default")).start().await.expect_err("caches miss");
    assert!(error.is_unknown_cache(), "{error}");
    let error = error.to_string();
    for part in ["resolve-primary", "chosen_by_argument", "registries.rs:"] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

/// `EnableCachingTests.noCacheManagerBeans`; `JCacheInterceptorTests.cacheManagerMandatoryIfCacheResolverNotSet`.
#[tokio::test]
async fn without_a_registry_functions_run_uncached() {
    let service = Service::new().await;
    assert_eq!((service.simple(7).await, service.simple(7).await), (1, 2));
}

/// `NoOpCacheManagerTests.noOpCache`; `ConcurrentMapCacheManagerTests.staticMode`,
/// `AbstractTransactionSupportingCacheManagerTests.getOnUnknownCache`.
#[tokio::test]
async fn a_cache_that_the_registry_does_not_have_can_be_bypassed() {
    let service = Service::new().await;
    let registry = registry(&[]).await;
    for expected in [1, 2] {
        assert_eq!(registry.scope(service.simple(7)).await, expected);
    }
    let error = registry.cache::<u64, u64>("resolve-default").expect_err("there is none");
    assert!(error.is_unknown_cache(), "{error}");
}

/// `ConcurrentMapCacheManagerTests.dynamicMode`, `CaffeineCacheManagerTests.dynamicMode`;
/// `NoOpCacheManagerTests.cacheName`, `getOnNewCache`.
#[tokio::test]
async fn a_cache_that_the_registry_does_not_have_can_be_created() {
    let service = Service::new().await;
    let template = CacheConfig::new("template").capacity(7);
    let registry =
        Registry::builder().unknown_caches(UnknownCaches::Create(template)).start().await.expect("no broker");
    for _ in 0..2 {
        assert_eq!(registry.scope(service.simple(7)).await, 1);
    }
    let cache = registry.cache::<u64, u64>("resolve-default").expect("created");
    assert_eq!((cache.name(), cache.get(&7)), ("resolve-default", Some(1)));
    let caches = registry.describe().caches;
    assert!(caches.iter().any(|cache| (cache.name.as_str(), cache.capacity) == ("resolve-default", 7)));
}
