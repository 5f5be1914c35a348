//! What is the key of a call: which calls share an entry.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicU32, Ordering},
};

use cachesync::{cache_evict, cacheable};
use serde::{Deserialize, Serialize};

use crate::{Calls, registry};

#[cacheable(cache = "key-tuple", skip(calls))]
async fn default(calls: &Calls, tenant: u32, name: &str, tag: Option<&str>) -> Option<u32> {
    _ = (tenant, name, tag);
    Some(calls.count().await)
}

#[tokio::test]
async fn the_default_key_is_every_parameter_that_is_not_skipped() {
    let calls = Calls::default();
    let other = Calls::default();
    let registry = registry(&["key-tuple"]).await;
    let work = async {
        assert_eq!(default(&calls, 1, "a", None).await, Some(1));
        assert_eq!(default(&calls, 2, "a", None).await, Some(2));
        assert_eq!(default(&calls, 1, "b", None).await, Some(3));
        assert_eq!(default(&calls, 1, "a", Some("")).await, Some(4));
        assert_eq!(default(&other, 1, "a", None).await, Some(1), "a skipped parameter makes no difference");
    };
    registry.scope(work).await;
    let cache = registry.cache::<(u32, String, Option<String>), u32>("key-tuple").expect("the owned types");
    assert_eq!(cache.get((1, "a", Some(""))), Some(4));
}

#[cacheable(cache = "key-unit", skip(calls))]
async fn unit(calls: &Calls) -> u32 {
    calls.count().await
}

#[tokio::test]
async fn without_parameters_there_is_one_entry() {
    let calls = Calls::default();
    let registry = registry(&["key-unit"]).await;
    for _ in 0..2 {
        assert_eq!(registry.scope(unit(&calls)).await, 1);
    }
    assert_eq!(registry.cache::<(), u32>("key-unit").expect("a unit key").get(&()), Some(1));
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct UserId(u64);

struct User {
    id: UserId,
    name: String,
}

#[cacheable(cache = "key-forms", key = ((tenant, id), name))]
async fn find(calls: &Calls, tenant: &str, id: &UserId, name: String) -> Option<u32> {
    drop(name);
    _ = (tenant, id);
    Some(calls.count().await)
}

#[cache_evict(cache = "key-forms", key = ((tenant, user.id), &*user.name))]
async fn save(tenant: String, user: User) {
    drop((tenant, user));
}

#[tokio::test]
async fn borrowed_and_owned_forms_are_the_same_key_and_nothing_is_moved() {
    let calls = Calls::default();
    let work = async {
        let id = UserId(7);
        for _ in 0..2 {
            assert_eq!(find(&calls, "t", &id, "ada".into()).await, Some(1));
        }
        save("t".into(), User { id: UserId(8), name: "ada".into() }).await;
        assert_eq!(find(&calls, "t", &id, "ada".into()).await, Some(1));
        save("t".into(), User { id: UserId(7), name: "ada".into() }).await;
        assert_eq!(find(&calls, "t", &id, "ada".into()).await, Some(2));
    };
    registry(&["key-forms"]).await.scope(work).await;
}

static EVALUATED: AtomicU32 = AtomicU32::new(0);

#[cacheable(cache = "key-expression", key = { let key = id + 1; EVALUATED.fetch_add(1, Ordering::Relaxed); Some(key).map(|key| key * 2) })]
async fn expression(calls: &Calls, mut id: u64) -> Option<u64> {
    calls.count().await;
    id += 100;
    Some(id)
}

#[tokio::test]
async fn an_expression_is_evaluated_once_a_call_and_before_the_body() {
    let calls = Calls::default();
    let registry = registry(&["key-expression"]).await;
    let work = async {
        assert_eq!(expression(&calls, 1).await, Some(101));
        assert_eq!(expression(&calls, 1).await, Some(101));
    };
    registry.scope(work).await;
    assert_eq!((calls.get(), EVALUATED.load(Ordering::Relaxed)), (1, 2));
    let cache = registry.cache::<Option<u64>, u64>("key-expression").expect("its types");
    assert_eq!(cache.get(Some(4)), Some(101));
}

#[cacheable(cache = "key-cow", skip(calls))]
async fn cow(calls: &Calls, name: Cow<'_, str>) -> Option<u32> {
    assert!(!name.is_empty());
    Some(calls.count().await)
}

#[cache_evict(cache = "key-cow", key = String::from_utf8_lossy(name))]
async fn evict_lossy(name: &[u8]) {
    assert!(!name.is_empty());
}

#[tokio::test]
async fn a_cow_is_the_key_that_its_text_is() {
    let calls = Calls::default();
    let registry = registry(&["key-cow"]).await;
    let work = async {
        assert_eq!(cow(&calls, Cow::Borrowed("ada")).await, Some(1));
        assert_eq!(cow(&calls, Cow::Owned("ada".to_owned())).await, Some(1));
        evict_lossy(b"ada").await;
        assert_eq!(cow(&calls, Cow::Borrowed("ada")).await, Some(2));
    };
    registry.scope(work).await;
    assert_eq!(registry.cache::<String, u32>("key-cow").expect("a text").get("ada"), Some(2));
}

#[cacheable(cache = "key-result", key = result)]
async fn parameter_called_result(result: u64, calls: &Calls) -> Option<u32> {
    Some(calls.count().await + u32::try_from(result).ok()?)
}

#[cache_evict(cache = "key-result")]
async fn evict_by_parameter_called_result(result: u64) -> Result<u64, String> {
    Ok(result + 1)
}

#[tokio::test]
async fn a_parameter_called_result_is_the_parameter() {
    let calls = Calls::default();
    let work = async {
        assert_eq!(parameter_called_result(1, &calls).await, Some(2));
        evict_by_parameter_called_result(1).await.expect("Ok");
        assert_eq!(parameter_called_result(1, &calls).await, Some(3), "evicted by the parameter");
    };
    registry(&["key-result"]).await.scope(work).await;
}
