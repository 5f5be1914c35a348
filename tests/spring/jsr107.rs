//! JSR-107: what its annotations can say that Spring's cannot, errors that are remembered above all.

use cachesync::{Cache, Registry, cache_config, cache_evict, cache_put, cacheable};

use crate::{Calls, fixture::registry};

/// What a body fails with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    /// One that means that what was asked for is not supported: it will not be next time either.
    Unsupported(u64),
    /// One that means nothing for the next call.
    Passing(u64),
}

impl Failure {
    fn new(lasting: bool, count: u64) -> Self {
        if lasting { Self::Unsupported(count) } else { Self::Passing(count) }
    }

    fn lasts(&self) -> bool {
        matches!(self, Self::Unsupported(_))
    }
}

struct Service {
    registry: Registry,
    other: Registry,
    cache: Cache<String, u64>,
    calls: Calls,
}

#[cache_config(cache = "jsr", registry = self.registry)]
impl Service {
    #[cacheable(skip(self))]
    async fn cache(&self, id: &str) -> u64 {
        self.calls.count().await
    }

    #[cacheable(key = id, cache_none)]
    async fn cache_none(&self, id: &str) -> Option<u64> {
        self.calls.count().await;
        id.parse().ok()
    }

    #[cacheable(key = id, cache_err = Failure::lasts)]
    async fn cache_failure(&self, id: &str, lasting: bool) -> Result<u64, Failure> {
        Err(Failure::new(lasting, self.calls.count().await))
    }

    #[cacheable(key = id, cache_err = |failure| *failure == Failure::Unsupported(1))]
    async fn cache_first_failure(&self, id: &str) -> Result<u64, Failure> {
        Err(Failure::new(true, self.calls.count().await))
    }

    #[cache_put(key = id)]
    async fn always_invoke(&self, id: &str) -> u64 {
        self.calls.count().await
    }

    #[cacheable(key = id)]
    async fn by_a_part(&self, id: &str, _not_used: bool) -> u64 {
        self.calls.count().await
    }

    #[cacheable(key = id, registry = self.other)]
    async fn elsewhere(&self, id: &str) -> u64 {
        self.calls.count().await
    }

    #[cache_put(key = id)]
    async fn put(&self, id: &str, value: u64) -> u64 {
        self.calls.count().await;
        value
    }

    #[cache_put(key = id)]
    async fn put_failing(&self, id: &str, _value: u64, lasting: bool) -> Result<u64, Failure> {
        Err(Failure::new(lasting, self.calls.count().await))
    }

    /// There is no put before the body; what must be seen early is put by hand.
    async fn early_put(&self, id: &str, value: u64) -> Result<u64, Failure> {
        self.cache.insert(id.to_owned(), value);
        assert_eq!(self.cache.get(id), Some(value));
        Err(Failure::new(true, self.calls.count().await))
    }

    #[cache_evict(key = id)]
    async fn remove(&self, id: &str) {
        assert!(self.cache.get(id).is_some());
        self.calls.count().await;
    }

    #[cache_evict(key = id, always)]
    async fn remove_always(&self, id: &str) -> Result<(), Failure> {
        assert!(self.cache.get(id).is_some());
        Err(Failure::new(true, self.calls.count().await))
    }

    #[cache_evict(key = id)]
    async fn remove_on_success(&self, id: &str) -> Result<(), Failure> {
        assert!(self.cache.get(id).is_some());
        Err(Failure::new(false, self.calls.count().await))
    }

    /// `noEvictFor`: with `cache_value` an error is a result, which `unless` can look at.
    #[cache_evict(key = id, cache_value, unless = matches!(result, Err(Failure::Passing(_))))]
    async fn remove_unless_passing(&self, id: &str, lasting: Option<bool>) -> Result<(), Failure> {
        let count = self.calls.count().await;
        lasting.map_or(Ok(()), |lasting| Err(Failure::new(lasting, count)))
    }

    #[cache_evict(key = id, before)]
    async fn early_remove(&self, id: &str, lasting: Option<bool>) -> Result<(), Failure> {
        assert_eq!(self.cache.get(id), None);
        let count = self.calls.count().await;
        lasting.map_or(Ok(()), |lasting| Err(Failure::new(lasting, count)))
    }

    #[cache_evict(all)]
    async fn remove_all(&self) {
        assert!(!self.cache.is_empty());
        self.calls.count().await;
    }

    #[cache_evict(all, always)]
    async fn remove_all_always(&self) -> Result<(), Failure> {
        assert!(!self.cache.is_empty());
        Err(Failure::new(true, self.calls.count().await))
    }

    #[cache_evict(all)]
    async fn remove_all_on_success(&self) -> Result<(), Failure> {
        Err(Failure::new(false, self.calls.count().await))
    }

    #[cache_evict(all, cache_value, unless = matches!(result, Err(Failure::Passing(_))))]
    async fn remove_all_unless_passing(&self, lasting: bool) -> Result<(), Failure> {
        Err(Failure::new(lasting, self.calls.count().await))
    }

    #[cache_evict(all, before)]
    async fn early_remove_all(&self, lasting: Option<bool>) -> Result<(), Failure> {
        assert!(self.cache.is_empty());
        let count = self.calls.count().await;
        lasting.map_or(Ok(()), |lasting| Err(Failure::new(lasting, count)))
    }
}

/// A service without entries.
async fn service() -> Service {
    let (registry, other) = (registry(&["jsr"]).await, registry(&["jsr"]).await);
    let cache = registry.cache("jsr").expect("numbers by text");
    Service { registry, other, cache, calls: Calls::default() }
}

/// A service that holds the keys `id` and `other`, both with the value 100.
async fn filled() -> Service {
    let service = service().await;
    service.cache.insert("id".into(), 100);
    service.cache.insert("other".into(), 100);
    service
}

/// `cache`; `JCacheInterceptorTests.cacheResultReturnsProperType`.
#[tokio::test]
async fn a_result_is_cached_as_what_it_is() {
    let it = service().await;
    let first = it.cache("id").await;
    assert_eq!((it.cache("id").await, it.cache.get("id")), (first, Some(first)));
    let error = it.registry.cache::<String, String>("jsr").expect_err("its values are numbers");
    assert!(error.is_type_mismatch(), "{error}");
}

/// `cacheNull`.
#[tokio::test]
async fn that_there_is_nothing_is_cached() {
    let it = service().await;
    assert_eq!((it.cache_none("id").await, it.cache_none("id").await), (None, None));
    assert_eq!((it.calls.get(), it.cache.len()), (1, 1));
}

/// `cacheException`, `cacheCheckedException`, `cacheExceptionRewriteCallStack`;
/// `AnnotationCacheOperationSourceTests.cacheWithException`.
#[tokio::test]
async fn an_error_that_is_chosen_is_remembered_and_returned_again() {
    let it = service().await;
    let first = it.cache_failure("id", true).await;
    assert_eq!(first, Err(Failure::Unsupported(1)));
    assert_eq!(it.cache_failure("id", true).await, first, "the first call's, cloned");
    assert_eq!((it.calls.get(), it.cache.len(), it.cache.get("id")), (1, 1, None));
    assert_eq!(it.cache_failure("another", true).await, Err(Failure::Unsupported(2)));
    it.cache.evict("id");
    assert_eq!(it.cache_failure("id", true).await, Err(Failure::Unsupported(3)));
}

/// `cacheExceptionVetoed`; `CacheResultOperationTests.fullGetConfig`.
#[tokio::test]
async fn an_error_that_is_not_chosen_is_not_remembered() {
    let it = service().await;
    assert_eq!(it.cache_failure("id", false).await, Err(Failure::Passing(1)));
    assert_eq!(it.cache_failure("id", false).await, Err(Failure::Passing(2)));
    assert!(it.cache.is_empty());
}

/// `cacheCheckedException`, whose annotation chooses by type: here it is by anything that the error tells.
#[tokio::test]
async fn errors_are_chosen_by_any_expression() {
    let it = service().await;
    for expected in [1, 1] {
        assert_eq!(it.cache_first_failure("id").await, Err(Failure::Unsupported(expected)));
    }
    for expected in [2, 3] {
        assert_eq!(it.cache_first_failure("another").await, Err(Failure::Unsupported(expected)));
    }
    assert_eq!(it.cache.len(), 1);
}

/// `cacheAlwaysInvoke`, whose `skipGet` is a put.
#[tokio::test]
async fn a_function_can_fill_without_ever_reading() {
    let it = service().await;
    let first = it.always_invoke("id").await;
    let second = it.always_invoke("id").await;
    assert_ne!(first, second);
    assert_eq!(it.cache.get("id"), Some(second));
}

/// `cacheWithPartialKey`; `JCacheKeyGeneratorTests.getFiltered`; `CacheResultOperationTests.annotatedGet`.
#[tokio::test]
async fn an_argument_that_is_not_in_the_key_makes_no_difference() {
    let it = service().await;
    assert_eq!(it.by_a_part("id", true).await, it.by_a_part("id", false).await);
    assert_eq!(it.calls.get(), 1);
}

/// `cacheWithCustomCacheResolver`.
#[tokio::test]
async fn a_method_can_name_another_registry_than_its_block() {
    let it = service().await;
    assert_eq!((it.elsewhere("id").await, it.elsewhere("id").await), (1, 1));
    assert_eq!(it.cache.get("id"), None);
    assert_eq!(it.other.cache::<String, u64>("jsr").expect("the same types").get("id"), Some(1));
}

/// `put`; `CachePutOperationTests.simplePut`, `JCacheErrorHandlerTests.put`.
#[tokio::test]
async fn a_put_stores_what_is_returned_under_the_key() {
    let it = service().await;
    assert_eq!(it.put("id", 7).await, 7);
    assert_eq!((it.cache.get("id"), it.calls.get()), (Some(7), 1));
}

/// `putWithException`, `putWithExceptionVetoPut`.
#[tokio::test]
async fn an_error_puts_nothing_and_evicts_nothing() {
    let it = filled().await;
    for lasting in [true, false] {
        it.put_failing("id", 7, lasting).await.expect_err("the body fails");
        assert_eq!(it.cache.get("id"), Some(100));
    }
}

/// `earlyPut`, `earlyPutWithException`, `earlyPutWithExceptionVetoPut`.
#[tokio::test]
async fn a_put_before_the_body_is_made_by_hand() {
    let it = service().await;
    it.early_put("id", 7).await.expect_err("the body fails");
    assert_eq!(it.cache.get("id"), Some(7));
}

/// `remove`; `CacheRemoveOperationTests.simpleRemove`.
#[tokio::test]
async fn a_removal_is_of_one_key_and_after_the_body() {
    let it = filled().await;
    it.remove("id").await;
    assert_eq!((it.cache.get("id"), it.cache.get("other")), (None, Some(100)));
}

/// `removeWithException`.
#[tokio::test]
async fn a_removal_can_be_made_on_errors_too() {
    let it = filled().await;
    it.remove_always("id").await.expect_err("the body fails");
    assert_eq!((it.cache.get("id"), it.cache.get("other")), (None, Some(100)));
}

/// `removeWithException`, `removeWithExceptionVetoRemove`, by what the error is.
#[tokio::test]
async fn a_removal_can_be_made_on_some_errors_and_not_on_others() {
    for (lasting, left) in [(None, None), (Some(true), None), (Some(false), Some(100))] {
        let it = filled().await;
        assert_eq!(it.remove_unless_passing("id", lasting).await.is_err(), lasting.is_some());
        assert_eq!((it.cache.get("id"), it.cache.get("other")), (left, Some(100)), "{lasting:?}");
    }
    for (lasting, left) in [(true, 0), (false, 2)] {
        let it = filled().await;
        it.remove_all_unless_passing(lasting).await.expect_err("the body fails");
        assert_eq!(it.cache.len(), left, "{lasting:?}");
    }
}

/// `removeWithExceptionVetoRemove`.
#[tokio::test]
async fn a_removal_is_otherwise_not_made_on_an_error() {
    let it = filled().await;
    it.remove_on_success("id").await.expect_err("the body fails");
    assert_eq!(it.cache.get("id"), Some(100));
}

/// `earlyRemove`, `earlyRemoveWithException`, `earlyRemoveWithExceptionVetoRemove`.
#[tokio::test]
async fn a_removal_before_the_body_is_made_whatever_it_returns() {
    for lasting in [None, Some(true), Some(false)] {
        let it = filled().await;
        assert_eq!(it.early_remove("id", lasting).await.is_err(), lasting.is_some());
        assert_eq!((it.cache.get("id"), it.cache.get("other")), (None, Some(100)));
    }
}

/// `removeAll`, `removeAllWithException`, `removeAllWithExceptionVetoRemove`;
/// `CacheRemoveAllOperationTests.simpleRemoveAll`.
#[tokio::test]
async fn a_removal_of_all_follows_the_same_rules() {
    let it = filled().await;
    it.remove_all_on_success().await.expect_err("the body fails");
    assert_eq!(it.cache.len(), 2);
    it.remove_all().await;
    assert!(it.cache.is_empty());
    it.cache.insert("id".into(), 100);
    it.remove_all_always().await.expect_err("the body fails");
    assert!(it.cache.is_empty());
}

/// `earlyRemoveAll`, `earlyRemoveAllWithException`, `earlyRemoveAllWithExceptionVetoRemove`.
#[tokio::test]
async fn a_removal_of_all_before_the_body_is_made_whatever_it_returns() {
    for lasting in [None, Some(true), Some(false)] {
        let it = filled().await;
        assert_eq!(it.early_remove_all(lasting).await.is_err(), lasting.is_some());
        assert!(it.cache.is_empty());
    }
}
