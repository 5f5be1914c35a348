//! Functions of several caches or of several attributes: Spring's `@Caching`.

use cachesync::{cache_evict, cacheable};
use futures_util::future::join_all;

use crate::{
    Calls,
    fixture::{Fixture, for_both_services, registry},
    services::Service,
};

for_both_services! {
    a_miss_fills_all_caches_of_the_list
    one_load_fills_several_caches_for_all_who_wait
    a_hit_in_a_later_cache_is_not_copied_to_an_earlier
    several_keys_of_several_caches_are_evicted
    a_put_stores_in_all_caches_of_the_list
    an_eviction_around_a_cached_function_happens_on_hits_too
    each_of_several_attributes_has_its_own_condition
}

/// `multiCache`, `classMultiCache`.
async fn a_miss_fills_all_caches_of_the_list(it: Fixture<impl Service>) {
    let both = |key: u64| (it.primary.get(&key), it.secondary.get(&key));
    assert_eq!(both(7), (None, None));
    let first = it.service.multi_cache(7).await;
    assert_eq!(both(7), (Some(first), Some(first)));
    assert_eq!(it.service.multi_cache(7).await, first);
    assert_eq!(it.service.multi_cache(7).await, first);
    assert_eq!(both(8), (None, None));
    let other = it.service.multi_cache(8).await;
    assert_eq!((both(7), both(8)), ((Some(first), Some(first)), (Some(other), Some(other))));
    assert_eq!(it.calls(), 2);
}

/// `CacheSyncFailureTests`: `severalCachesSync`, `severalCachesWithResolvedSync`, which Spring refuses.
async fn one_load_fills_several_caches_for_all_who_wait(it: Fixture<impl Service>) {
    assert_eq!(join_all((0..5).map(|_| it.service.multi_cache(7))).await, [1; 5]);
    assert_eq!((it.primary.get(&7), it.secondary.get(&7), it.calls()), (Some(1), Some(1), 1));
}

/// `multiCache`, where the caches differ: Spring's reference says that a hit is copied; it may have been overtaken there.
async fn a_hit_in_a_later_cache_is_not_copied_to_an_earlier(it: Fixture<impl Service>) {
    it.secondary.insert(7, 200);
    assert_eq!(it.service.multi_cache(7).await, 200);
    assert_eq!((it.primary.get(&7), it.secondary.get(&7)), (None, Some(200)));
    it.primary.insert(7, 100);
    assert_eq!(it.service.multi_cache(7).await, 100, "they are asked in their order");
    assert_eq!(it.calls(), 0);
}

/// `multiEvict`, `classMultiEvict`.
async fn several_keys_of_several_caches_are_evicted(it: Fixture<impl Service>) {
    let first = it.service.multi_cache(7).await;
    it.primary.insert(1007, 100);
    it.secondary.insert(1007, 200);
    assert_eq!((it.primary.get(&7), it.secondary.get(&7)), (Some(first), Some(first)));
    it.service.multi_evict(7).await;
    assert_eq!((it.primary.get(&7), it.secondary.get(&7)), (None, None));
    assert_eq!((it.primary.get(&1007), it.secondary.get(&1007)), (None, Some(200)));
    let reloaded = it.service.multi_cache(7).await;
    assert_ne!(reloaded, first);
    assert_eq!(it.service.multi_cache(7).await, reloaded);
    assert_eq!((it.primary.get(&7), it.secondary.get(&7)), (Some(reloaded), Some(reloaded)));
}

/// `multiPut`, `classMultiPut`.
async fn a_put_stores_in_all_caches_of_the_list(it: Fixture<impl Service>) {
    for key in [1, 2] {
        assert_eq!((it.primary.get(&key), it.secondary.get(&key)), (None, None));
        assert_eq!(it.service.multi_update(key).await, key);
        assert_eq!((it.primary.get(&key), it.secondary.get(&key)), (Some(key), Some(key)));
    }
    assert_eq!(it.calls(), 2);
}

/// `multiCacheAndEvict`, `classMultiCacheAndEvict`.
async fn an_eviction_around_a_cached_function_happens_on_hits_too(it: Fixture<impl Service>) {
    it.secondary.insert(1, 1);
    let first = it.service.cache_and_evict(1).await;
    assert_eq!((it.primary.get(&0), it.secondary.get(&1)), (Some(first), None));
    it.secondary.insert(1, 1);
    assert_eq!(it.service.cache_and_evict(1).await, first);
    assert_eq!((it.secondary.get(&0), it.secondary.get(&1)), (None, None));
    assert_eq!(it.calls(), 1);
}

/// `multiConditionalCacheAndEvict`, `classMultiConditionalCacheAndEvict`.
async fn each_of_several_attributes_has_its_own_condition(it: Fixture<impl Service>) {
    it.secondary.insert(1, 1);
    assert_eq!(it.primary.get(&1), None);
    let first = it.service.conditional_cache_and_evict(1).await;
    assert_ne!(it.service.conditional_cache_and_evict(1).await, first);
    assert_eq!((it.primary.get(&1), it.secondary.get(&1)), (None, None));
    it.secondary.insert(3, 3);
    let cached = it.service.conditional_cache_and_evict(3).await;
    assert_eq!(it.service.conditional_cache_and_evict(3).await, cached);
    assert_eq!((it.primary.get(&3), it.secondary.get(&3)), (Some(cached), None));
}

#[cacheable(cache = ["asked-first", "asked-second"], key = id)]
async fn in_order(calls: &Calls, id: u64) -> u64 {
    id + calls.count().await
}

/// `multiCache`, where the function has used another registry in between, which has only the first of its caches.
#[tokio::test]
async fn caches_are_asked_in_their_order_whatever_registry_was_used_before() {
    let calls = Calls::default();
    let [both, one] = [registry(&["asked-first", "asked-second"]).await, registry(&["asked-first"]).await];
    let [first, second] = ["asked-first", "asked-second"].map(|name| both.cache::<u64, u64>(name).expect("numbers"));
    both.scope(in_order(&calls, 7)).await;
    one.scope(in_order(&calls, 7)).await;
    first.insert(7, 100);
    second.insert(7, 200);
    assert_eq!(both.scope(in_order(&calls, 7)).await, 100);
    assert_eq!(calls.get(), 2);
}

#[cacheable(cache = "two-keys", key = a)]
#[cacheable(cache = "two-keys", key = b)]
async fn two_keys(calls: &Calls, a: &str, b: &str) -> u64 {
    calls.count().await
}

/// `CacheOperationExpressionEvaluatorTests.multipleCachingSource`, `multipleCachingEval`; `syncWithTwoGetOperations`.
#[tokio::test]
async fn two_cached_attributes_of_one_cache_each_have_their_key() {
    let calls = Calls::default();
    let registry = registry(&["two-keys"]).await;
    let cache = registry.cache::<String, u64>("two-keys").expect("its types");
    assert_eq!(registry.scope(two_keys(&calls, "a", "b")).await, 1);
    assert_eq!((cache.get("a"), cache.get("b")), (Some(1), Some(1)));
    assert_eq!(registry.scope(two_keys(&calls, "c", "b")).await, 1, "a hit by the key of the outer one");
    assert_eq!(registry.scope(two_keys(&calls, "a", "d")).await, 1, "a hit by the key of the inner one");
    assert_eq!((cache.get("c"), cache.get("d")), (None, Some(1)));
}

#[cacheable(cache = "small", skip(calls), unless = result.len() > 3)]
async fn single(calls: &Calls, id: u64) -> Vec<u64> {
    calls.count().await;
    (0..id).collect()
}

#[cacheable(cache = "big", skip(calls), unless = result.len() < 4)]
#[cacheable(cache = "small", skip(calls), unless = result.len() > 3)]
async fn multiple(calls: &Calls, id: u64) -> Vec<u64> {
    calls.count().await;
    (0..id).collect()
}

/// `CacheReproTests.spr11124MultipleAnnotations`.
#[tokio::test]
async fn caches_divide_the_values_among_them_by_unless() {
    let calls = Calls::default();
    let registry = registry(&["small", "big"]).await;
    let [small, big] = ["small", "big"].map(|name| registry.cache::<u64, Vec<u64>>(name).expect("its types"));
    let work = async {
        for _ in 0..2 {
            assert_eq!(single(&calls, 2).await.len(), 2);
            assert_eq!(multiple(&calls, 2).await.len(), 2, "what the first has cached");
        }
        assert_eq!((calls.get(), small.len(), big.len()), (1, 1, 0));
        for _ in 0..2 {
            assert_eq!(multiple(&calls, 5).await.len(), 5);
        }
        assert_eq!((calls.get(), small.len(), big.len()), (2, 1, 1));
    };
    registry.scope(work).await;
}

/// Spring's stereotypes, its annotations made of annotations, are macros around functions.
macro_rules! cacheable_foo {
    ($($function:tt)*) => {
        #[cacheable(cache = "stereotype-foo", skip(calls))]
        $($function)*
    };
}

/// One with arguments, and with an attribute beside its own.
macro_rules! evicting {
    ($cache:literal, $key:expr; $($function:tt)*) => {
        #[cache_evict(cache = $cache, key = $key)]
        #[cache_evict(cache = "stereotype-bar", all)]
        $($function)*
    };
}

cacheable_foo! {
    async fn single_stereotype(calls: &Calls, id: u64) -> u64 {
        id + calls.count().await
    }
}

evicting! {
    "stereotype-foo", id + 1;
    #[cacheable(cache = "stereotype-direct", key = id)]
    async fn composed(calls: &Calls, id: u64) -> u64 {
        id + calls.count().await
    }
}

/// `AnnotationCacheOperationSourceTests`: `singularStereotype`, `multipleStereotypes`, `singleComposedAnnotation`,
/// `multipleComposedAnnotations`, `customKeyGeneratorInherited`.
#[tokio::test]
async fn a_macro_can_give_functions_their_attributes() {
    let calls = Calls::default();
    let registry = registry(&["stereotype-foo", "stereotype-bar", "stereotype-direct"]).await;
    let cache = |name| registry.cache::<u64, u64>(name).expect("numbers");
    let work = async {
        for _ in 0..2 {
            assert_eq!(single_stereotype(&calls, 8).await, 9);
        }
        assert_eq!(cache("stereotype-foo").get(&8), Some(9));
        cache("stereotype-bar").insert(1, 1);
        assert_eq!(composed(&calls, 7).await, 9);
        assert_eq!((cache("stereotype-foo").get(&8), cache("stereotype-bar").len()), (None, 0));
        assert_eq!(cache("stereotype-direct").get(&7), Some(9));
    };
    registry.scope(work).await;
}
