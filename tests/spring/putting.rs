//! What functions that put leave in the cache.

use cachesync::{cache_put, cacheable};

use crate::{
    Calls, Entity,
    fixture::{Fixture, for_both_services, registry},
    services::Service,
};

for_both_services! {
    a_put_runs_the_body_always_and_stores_what_it_returned
    a_put_whose_condition_is_false_is_none
    a_put_finds_its_key_in_the_result
    a_put_refused_by_unless_is_not_kept
    a_put_that_returned_nothing_has_no_key_and_stores_nothing
}

/// `update`, `classUpdate`.
async fn a_put_runs_the_body_always_and_stores_what_it_returned(it: Fixture<impl Service>) {
    assert_eq!(it.cache.get(&7), None);
    let first = it.service.update(7).await;
    assert_eq!(it.cache.get(&7), Some(first));
    let second = it.service.update(7).await;
    assert_ne!(second, first);
    assert_eq!(it.service.cache(7).await, second);
    assert_eq!(it.calls(), 2, "the last was a hit");
    let other = it.service.update(8).await;
    assert_eq!((it.cache.get(&7), it.cache.get(&8)), (Some(second), Some(other)));
}

/// `conditionalUpdate`, `classConditionalUpdate`.
async fn a_put_whose_condition_is_false_is_none(it: Fixture<impl Service>) {
    it.cache.insert(1, 100);
    assert_eq!(it.service.conditional_update(1).await, 1);
    assert_eq!(it.cache.get(&1), Some(100), "as if the attribute were not there");
    assert_eq!(it.service.conditional_update(3).await, 3);
    assert_eq!(it.cache.get(&3), Some(3));
}

/// `putRefersToResult`, `classPutRefersToResult`.
async fn a_put_finds_its_key_in_the_result(it: Fixture<impl Service>) {
    let entity = it.service.put_by_result(Entity::new(7, "ada")).await;
    assert_eq!(entity, Entity::new(u64::MAX, "ada"));
    assert_eq!((it.entities.get(&7), it.entities.get(&u64::MAX)), (None, Some(entity)));
}

/// `putRefersToResultWithUnless`, `classPutRefersToResultWithUnless`.
async fn a_put_refused_by_unless_is_not_kept(it: Fixture<impl Service>) {
    let entity = it.service.put_some_by_result(Entity::new(42, "ada")).await;
    assert_eq!((it.entities.get(&42), entity), (Some(Entity::new(42, "ada")), Some(Entity::new(42, "ada"))));
    let nameless = it.service.put_some_by_result(Entity::new(42, "")).await;
    assert_eq!(nameless, Some(Entity::new(42, "")));
    assert_eq!(it.entities.get(&42), None, "the entity did change, so the old one must not stay");
}

/// `putEvaluatesUnlessBeforeKey`, `classPutEvaluatesUnlessBeforeKey`.
async fn a_put_that_returned_nothing_has_no_key_and_stores_nothing(it: Fixture<impl Service>) {
    assert_eq!(it.service.put_some_by_result(Entity::new(u64::MAX, "ada")).await, None);
    assert!(it.entities.is_empty());
}

/// One of the two attributes acts in a call, as the flag says.
#[cacheable(cache = "get-or-put", key = id, condition = get)]
#[cache_put(cache = "get-or-put", key = id, condition = !get)]
async fn get_or_put(calls: &Calls, id: &str, get: bool) -> u64 {
    calls.count().await
}

/// `CachePutEvaluationTests.mutualGetPutExclusion`.
#[tokio::test]
async fn of_a_get_and_a_put_with_opposite_conditions_one_acts() {
    let calls = Calls::default();
    let registry = registry(&["get-or-put"]).await;
    let cache = registry.cache::<String, u64>("get-or-put").expect("its types");
    let work = async {
        assert_eq!(get_or_put(&calls, "1", true).await, 1);
        assert_eq!(get_or_put(&calls, "1", true).await, 1);
        assert_eq!(get_or_put(&calls, "1", false).await, 2, "the put runs the body again");
        assert_eq!(cache.get("1"), Some(2));
        assert_eq!(get_or_put(&calls, "1", true).await, 2);
    };
    registry.scope(work).await;
    assert_eq!(calls.get(), 2);
}

#[cacheable(cache = "get-and-put", key = id)]
#[cache_put(cache = "get-and-put", key = result + 100)]
async fn put_around_get(calls: &Calls, id: u64) -> u64 {
    calls.count().await
}

#[cache_put(cache = "put-and-get", key = result + 100)]
#[cacheable(cache = "put-and-get", key = id)]
async fn get_around_put(calls: &Calls, id: u64) -> u64 {
    calls.count().await
}

/// `CachePutEvaluationTests.getAndPut`.
#[tokio::test]
async fn a_put_around_a_get_stores_what_was_got_and_one_inside_of_it_waits_for_a_miss() {
    let calls = Calls::default();
    let registry = registry(&["get-and-put", "put-and-get"]).await;
    for name in ["get-and-put", "put-and-get"] {
        let cache = registry.cache::<u64, u64>(name).expect("numbers");
        let put_again = name == "get-and-put";
        let call =
            async |id| if put_again { put_around_get(&calls, id).await } else { get_around_put(&calls, id).await };
        let work = async {
            let value = call(1).await;
            assert_eq!((cache.get(&1), cache.get(&(value + 100))), (Some(value), Some(value)), "{name}");
            cache.evict(&(value + 100));
            let bodies = calls.get();
            assert_eq!((call(1).await, calls.get()), (value, bodies), "{name}: no put makes a hit run the body");
            assert_eq!(cache.get(&(value + 100)).is_some(), put_again, "{name}");
        };
        registry.scope(work).await;
    }
}

struct User {
    id: u64,
}

struct Order {
    number: String,
}

trait Dao<T> {
    async fn persist(&self, row: T) -> u64;
}

struct Daos(Calls);

impl Dao<User> for Daos {
    #[cache_put(cache = "dao-users", key = user.id)]
    async fn persist(&self, user: User) -> u64 {
        self.0.count().await
    }
}

impl Dao<Order> for Daos {
    #[cache_put(cache = "dao-orders", key = &order.number)]
    async fn persist(&self, order: Order) -> u64 {
        self.0.count().await
    }
}

/// `ExpressionCachingIntegrationTests.expressionIsCacheBasedOnActualMethod`.
#[tokio::test]
async fn each_impl_of_a_generic_trait_has_its_own_key() {
    let registry = registry(&["dao-users", "dao-orders"]).await;
    let daos = Daos(Calls::default());
    registry.scope(daos.persist(User { id: 1 })).await;
    registry.scope(daos.persist(Order { number: "2".into() })).await;
    assert_eq!(registry.cache::<u64, u64>("dao-users").expect("its types").get(&1), Some(1));
    assert_eq!(registry.cache::<String, u64>("dao-orders").expect("its types").get("2"), Some(2));
}
