//! Blocks and traits with attributes: what Spring finds out with proxies, class by class.

use std::time::Duration;

use cachesync::{CacheConfig, ManualClock, Registry, UnknownCaches, cache_config, cache_evict, cacheable};

use crate::{Calls, fixture::registry};

/// Spring's `Greeter`: an interface whose methods have bodies.
#[cache_config(cache = "greetings")]
trait Greeter {
    fn calls(&self) -> &Calls;

    async fn greet(&self) -> String {
        self.greet_by_name("World").await
    }

    #[cacheable(key = name)]
    async fn greet_by_name(&self, name: &str) -> String {
        self.calls().count().await;
        format!("Hello {name}!")
    }
}

#[derive(Default)]
struct Simple(Calls);

impl Greeter for Simple {
    fn calls(&self) -> &Calls {
        &self.0
    }
}

/// Overrides a method, and with it its attributes.
#[derive(Default)]
struct Uncached(Calls);

impl Greeter for Uncached {
    fn calls(&self) -> &Calls {
        &self.0
    }

    async fn greet_by_name(&self, name: &str) -> String {
        format!("{name} {}", self.0.count().await)
    }
}

/// Overrides it with an attribute of its own.
#[derive(Default)]
struct Elsewhere(Calls);

impl Greeter for Elsewhere {
    fn calls(&self) -> &Calls {
        &self.0
    }

    #[cacheable(cache = "greetings-elsewhere", key = name)]
    async fn greet_by_name(&self, name: &str) -> String {
        format!("{name} {}", self.0.count().await)
    }
}

/// `CacheProxyFactoryBeanTests.configurationClassWithCacheProxyFactoryBean`. A call of `self` is cached, too: there is no
/// proxy that it would pass by.
#[tokio::test]
async fn a_call_from_within_the_service_is_cached_as_any_other() {
    let registry = registry(&["greetings"]).await;
    let greeter = Simple::default();
    let work = async {
        assert_eq!(greeter.greet_by_name("John").await, "Hello John!");
        assert_eq!(greeter.greet_by_name("Jon").await, "Hello Jon!");
        assert_eq!(greeter.greet_by_name("John").await, "Hello John!");
        assert_eq!(greeter.calls().get(), 2);
        for _ in 0..2 {
            assert_eq!(greeter.greet().await, "Hello World!");
            assert_eq!(greeter.calls().get(), 3);
        }
    };
    registry.scope(work).await;
}

/// `EnableCachingIntegrationTests.barServiceWithCacheableInterfaceCglib`;
/// `AnnotationCacheOperationSourceTests.cacheConfigFromInterface`;
/// `CacheReproTests.spr15271FindsOnInterfaceWithInterfaceProxy`, `spr15271FindsOnInterfaceWithCglibProxy`.
#[tokio::test]
async fn a_method_with_a_body_in_a_trait_is_cached_for_all_who_implement_it() {
    let registry = registry(&["greetings"]).await;
    let value = registry.scope(Simple::default().greet_by_name("Ada")).await;
    assert_eq!(registry.cache::<String, String>("greetings").expect("texts").get("Ada"), Some(value));
}

/// `AnnotationCacheOperationSourceTests.cacheAnnotationOverride`, `interfaceCacheableOverride`.
#[tokio::test]
async fn an_impl_that_overrides_a_method_has_its_own_attributes_alone() {
    let registry = registry(&["greetings", "greetings-elsewhere"]).await;
    let cache = |name| registry.cache::<String, String>(name).expect("texts");
    let (uncached, elsewhere) = (Uncached::default(), Elsewhere::default());
    let work = async {
        assert_eq!(
            (uncached.greet_by_name("a").await, uncached.greet_by_name("a").await),
            ("a 1".into(), "a 2".into())
        );
        assert!(cache("greetings").is_empty());
        for _ in 0..2 {
            assert_eq!(elsewhere.greet_by_name("b").await, "b 1");
        }
    };
    registry.scope(work).await;
    assert!(cache("greetings").is_empty());
    assert_eq!(cache("greetings-elsewhere").get("b").as_deref(), Some("b 1"));
}

trait FooService {
    async fn get_simple(&self, key: u64) -> u64;
}

struct FooServiceImpl {
    calls: Calls,
    own: Registry,
}

#[cache_config(cache = "foo")]
impl FooService for FooServiceImpl {
    #[cacheable(key = key)]
    async fn get_simple(&self, key: u64) -> u64 {
        self.calls.count().await
    }
}

#[cache_config(cache = "foo-closest", registry = self.own, ttl = Duration::from_mins(1))]
impl FooServiceImpl {
    #[cacheable(key = key)]
    async fn inherited(&self, key: u64) -> u64 {
        self.calls.count().await
    }

    #[cacheable(key = key, ttl = Duration::from_mins(10))]
    async fn longer(&self, key: u64) -> u64 {
        self.calls.count().await
    }

    #[cacheable(cache = "foo-own", key = key)]
    #[cache_evict(all)]
    #[expect(dead_code, reason = "what is described counts")]
    async fn both(&self, key: u64) -> u64 {
        self.calls.count().await
    }
}

/// `EnableCachingIntegrationTests.fooServiceWithInterface`, `fooServiceWithInterfaceCglib`.
#[tokio::test]
async fn a_method_is_cached_behind_any_interface() {
    async fn through(service: &impl FooService) -> u64 {
        service.get_simple(7).await
    }
    let registry = registry(&["foo"]).await;
    let service = FooServiceImpl { calls: Calls::default(), own: registry.clone() };
    let cache = registry.cache::<u64, u64>("foo").expect("numbers");
    assert_eq!(cache.get(&7), None);
    let value = registry.scope(through(&service)).await;
    assert_eq!(cache.get(&7), Some(value));
    assert_eq!(registry.scope(through(&service)).await, value);
}

/// `AnnotationCacheOperationSourceTests`: `customCacheManagerInherited`, `customCacheResolverInherited`,
/// `severalCacheConfigUseClosest`, `partialClassLevelWithNoCustomization`, and those `fullClassLevel..`.
#[tokio::test]
async fn a_block_gives_its_methods_what_they_do_not_say_themselves() {
    let clock = ManualClock::new();
    let builder = Registry::builder().unknown_caches(UnknownCaches::Bypass).clock(clock.clone());
    let own = builder.cache(CacheConfig::new("foo-closest")).cache(CacheConfig::new("foo-own")).start().await;
    let own = own.expect("the functions agree about their caches");
    let service = FooServiceImpl { calls: Calls::default(), own };
    let closest = service.own.cache::<u64, u64>("foo-closest").expect("numbers");
    let scoped = registry(&["foo-closest"]).await;
    let values = scoped.scope(async { (service.inherited(1).await, service.longer(2).await) }).await;
    assert_eq!((closest.get(&1), closest.get(&2)), (Some(values.0), Some(values.1)));
    assert!(scoped.cache::<u64, u64>("foo-closest").expect("numbers").is_empty());
    clock.advance(Duration::from_secs(61));
    assert_eq!((closest.get(&1), closest.get(&2)), (None, Some(values.1)), "the ttl of the block, and its own");
    clock.advance(Duration::from_mins(9));
    assert_eq!(closest.get(&2), None);
}

/// `AnnotationCacheOperationSourceTests`: `singularAnnotation`, `multipleAnnotation`, `caching`.
#[tokio::test]
async fn each_attribute_of_a_function_is_known_to_the_registry() {
    let registry = registry(&["foo", "foo-closest", "foo-own"]).await;
    let caches = registry.describe().caches;
    let roles = |name: &str, function: &str| {
        let cache = caches.iter().find(|cache| cache.name == name).expect(name);
        let functions = cache.functions.iter().filter(|known| known.name.ends_with(function));
        functions.map(|function| function.role.clone()).collect::<Vec<_>>()
    };
    assert_eq!(roles("foo", "get_simple"), ["loads"]);
    assert_eq!(roles("foo-own", "both"), ["loads"]);
    assert_eq!(roles("foo-closest", "both"), ["evicts all"]);
    assert_eq!(roles("foo-closest", "inherited"), ["loads"]);
}
