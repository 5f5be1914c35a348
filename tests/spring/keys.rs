//! What the key of a call is: which calls share an entry.

use cachesync::{CacheConfig, Registry, UnknownCaches, cache_evict, cacheable, memory::MemoryBackend};
use cachesync_tests::wait::{DEADLINE, eventually};

use crate::{Calls, fixture::registry};

#[cacheable(cache = "key-of-first", key = first)]
async fn by_first(calls: &Calls, first: u64, _second: u64) -> u64 {
    calls.count().await
}

/// `keyExpression`; `CacheOperationExpressionEvaluatorTests.withoutReturnValue`.
#[tokio::test]
async fn a_key_of_one_argument_leaves_the_others_out() {
    let calls = Calls::default();
    let work = async {
        let value = by_first(&calls, 5, 1).await;
        assert_eq!(by_first(&calls, 5, 2).await, value);
        assert_ne!(by_first(&calls, 1, 5).await, by_first(&calls, 2, 5).await);
    };
    registry(&["key-of-first"]).await.scope(work).await;
    assert_eq!(calls.get(), 3);
}

#[cacheable(cache = "key-of-slice", skip(calls))]
async fn variadic(calls: &Calls, numbers: &[i32]) -> u64 {
    calls.count().await
}

/// `varArgsKey`; `SimpleKeyGeneratorTests.plainArray`.
#[tokio::test]
async fn slices_are_keys_by_their_elements() {
    let calls = Calls::default();
    let work = async {
        let value = variadic(&calls, &[1, 2, 3]).await;
        let same: Vec<_> = (1..=3).collect();
        assert_eq!(variadic(&calls, &same).await, value);
        for other in [&[1, 2][..], &[3, 2, 1], &[]] {
            assert_ne!(variadic(&calls, other).await, value, "{other:?}");
        }
    };
    registry(&["key-of-slice"]).await.scope(work).await;
    assert_eq!(calls.get(), 4);
}

#[cacheable(cache = "key-of-name-and-slice", skip(calls))]
async fn do_something(calls: &Calls, name: &str, values: &[i32]) -> u64 {
    calls.count().await
}

/// `CacheReproTests.spr11249PrimitiveVarargs`; `SimpleKeyGeneratorTests.arrayWithExtraParameter`;
/// `JCacheKeyGeneratorTests.getFlattenVararg`.
#[tokio::test]
async fn a_slice_beside_other_arguments_is_a_part_of_the_key() {
    let calls = Calls::default();
    let registry = registry(&["key-of-name-and-slice"]).await;
    let work = async {
        let value = do_something(&calls, "op", &[2, 3]).await;
        assert_eq!(do_something(&calls, "op", &[2, 3]).await, value);
        assert_ne!(do_something(&calls, "op", &[3, 2]).await, value);
        assert_ne!(do_something(&calls, "other", &[2, 3]).await, value);
    };
    registry.scope(work).await;
    let cache = registry.cache::<(String, Vec<i32>), u64>("key-of-name-and-slice").expect("its types");
    assert_eq!(cache.get(("op", &[2, 3][..])), Some(1));
}

#[cacheable(cache = "key-of-nothing", skip(calls))]
async fn no_arguments(calls: &Calls) -> u64 {
    calls.count().await
}

#[cacheable(cache = "key-of-one", skip(calls))]
async fn one_argument(calls: &Calls, name: &str) -> u64 {
    calls.count().await
}

#[cacheable(cache = "key-of-many", skip(calls))]
async fn many_arguments(calls: &Calls, first: &str, number: u64, last: &str) -> u64 {
    calls.count().await
}

#[cacheable(cache = "key-of-options", skip(calls))]
async fn options(calls: &Calls, first: Option<&str>, second: Option<&str>) -> u64 {
    calls.count().await
}

/// `SimpleKeyGeneratorTests.noValues`.
#[tokio::test]
async fn calls_without_arguments_share_one_entry() {
    let calls = Calls::default();
    let registry = registry(&["key-of-nothing"]).await;
    for _ in 0..2 {
        assert_eq!(registry.scope(no_arguments(&calls)).await, 1);
    }
    assert_eq!(registry.cache::<(), u64>("key-of-nothing").expect("its types").get(&()), Some(1));
}

/// `SimpleKeyGeneratorTests.singleValue`; `JCacheKeyGeneratorTests.getSimple`; `CacheResultOperationTests.simpleGet`.
#[tokio::test]
async fn the_only_argument_is_the_key_itself() {
    let calls = Calls::default();
    let registry = registry(&["key-of-one"]).await;
    for (name, expected) in [("a", 1), ("a", 1), ("different", 2)] {
        assert_eq!(registry.scope(one_argument(&calls, name)).await, expected);
    }
    assert_eq!(registry.cache::<String, u64>("key-of-one").expect("its types").get("a"), Some(1));
}

/// `SimpleKeyGeneratorTests.multipleValues`; `CacheResultOperationTests.multiParameterKey`.
#[tokio::test]
async fn several_arguments_are_a_key_in_their_order() {
    let calls = Calls::default();
    let registry = registry(&["key-of-many"]).await;
    for (first, last, expected) in [("a", "b", 1), ("a", "b", 1), ("b", "a", 2)] {
        assert_eq!(registry.scope(many_arguments(&calls, first, 1, last)).await, expected);
    }
    let cache = registry.cache::<(String, u64, String), u64>("key-of-many").expect("its types");
    assert_eq!(cache.get(("a", 1, "b")), Some(1));
}

/// `SimpleKeyGeneratorTests.singleNullValue`, `multipleNullValues`.
#[tokio::test]
async fn a_none_is_a_part_of_the_key() {
    let calls = Calls::default();
    let registry = registry(&["key-of-options"]).await;
    let expected = [(None, None, 1), (None, None, 1), (Some("a"), None, 2), (None, Some("a"), 3), (Some(""), None, 4)];
    for (first, second, expected) in expected {
        assert_eq!(registry.scope(options(&calls, first, second)).await, expected, "{first:?} {second:?}");
    }
}

#[cache_evict(cache = "key-that-travels", skip(_number))]
async fn forget(first: &str, second: &[u8], _number: u64) {}

/// `SimpleKeyGeneratorTests.serializedKeys`.
#[tokio::test]
async fn a_key_that_has_travelled_is_the_same_key() {
    let hub = MemoryBackend::new();
    let node = async || {
        let builder = Registry::builder().namespace("spring").unknown_caches(UnknownCaches::Bypass);
        let builder = builder.cache(CacheConfig::new("key-that-travels")).backend(hub.clone());
        builder.start().await.expect("the hub is there")
    };
    let (here, there) = (node().await, node().await);
    let cache = there.cache::<(String, Vec<u8>), u64>("key-that-travels").expect("its types");
    cache.reserve(("a", &b"1"[..])).fill(1);
    cache.reserve(("b", &b"1"[..])).fill(2);
    here.scope(forget("a", b"1", 7)).await;
    eventually(DEADLINE, || cache.get(("a", &b"1"[..])).is_none()).await;
    assert_eq!(cache.get(("b", &b"1"[..])), Some(2));
}

/// Spring's `KeyGenerator` is a function.
fn generate(method: &str, arguments: &impl std::fmt::Debug) -> String {
    format!("{method}{arguments:?}")
}

struct Named {
    name: &'static str,
    calls: Calls,
}

impl Named {
    #[cacheable(cache = "key-of-method", key = stringify!(by_method))]
    async fn by_method(&self, _argument: u64) -> u64 {
        self.calls.count().await
    }

    #[cacheable(cache = "key-of-target", key = (module_path!(), self.name))]
    async fn by_target(&self, _argument: u64) -> u64 {
        self.calls.count().await
    }

    #[cacheable(cache = "key-of-generator", key = generate("by_generator", &(argument, "more")))]
    async fn by_generator(&self, argument: u64) -> u64 {
        self.calls.count().await
    }
}

/// `methodName`, `classMethodName`.
#[tokio::test]
async fn a_key_can_be_the_name_of_the_function() {
    let registry = registry(&["key-of-method"]).await;
    let service = Named { name: "a", calls: Calls::default() };
    for argument in [1, 2] {
        assert_eq!(registry.scope(service.by_method(argument)).await, 1);
    }
    let cache = registry.cache::<String, u64>("key-of-method").expect("its types");
    assert_eq!((cache.get("by_method"), cache.len()), (Some(1), 1));
}

/// `rootVars`, `classRootVars`.
#[tokio::test]
async fn a_key_can_use_the_service_and_what_the_source_can_name() {
    let registry = registry(&["key-of-target"]).await;
    for (name, expected) in [("a", 1), ("a", 1), ("b", 2)] {
        let service = Named { name, calls: Calls::default() };
        let again = registry.scope(async { service.by_target(1).await + service.by_target(2).await }).await;
        assert_eq!(
            (again, registry.cache::<(String, String), u64>("key-of-target").expect("its types").len()),
            (2, expected)
        );
    }
}

/// `customKeyGenerator`; `AbstractJCacheAnnotationTests.cacheWithCustomKeyGenerator`.
#[tokio::test]
async fn a_key_can_be_made_by_a_function() {
    let registry = registry(&["key-of-generator"]).await;
    let service = Named { name: "a", calls: Calls::default() };
    for _ in 0..2 {
        assert_eq!(registry.scope(service.by_generator(7)).await, 1);
    }
    let cache = registry.cache::<String, u64>("key-of-generator").expect("its types");
    assert_eq!(cache.get(&generate("by_generator", &(7, "more"))), Some(1));
}

/// The body changes its argument.
#[cacheable(cache = "key-of-mutable", key = ids.clone())]
async fn find(calls: &Calls, ids: &mut Vec<String>) -> u64 {
    ids.push("other".into());
    calls.count().await
}

/// `EnableCachingTests.mutableKey`.
#[tokio::test]
async fn a_key_is_what_the_arguments_were_before_the_body() {
    let calls = Calls::default();
    let registry = registry(&["key-of-mutable"]).await;
    for _ in 0..2 {
        assert_eq!(registry.scope(find(&calls, &mut vec!["id".to_owned()])).await, 1);
    }
    let cache = registry.cache::<Vec<String>, u64>("key-of-mutable").expect("its types");
    assert_eq!((cache.get(&vec!["id".to_owned()]), cache.len()), (Some(1), 1));
}
