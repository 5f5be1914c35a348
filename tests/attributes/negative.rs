//! Negative entries: that there is nothing, or that it fails, and for how long that is remembered.

use std::{future::pending, sync::Arc, time::Duration};

use cachesync::{Cache, CacheConfig, Registry, UnknownCaches, cache_evict, cacheable};
use cachesync_tests::gate::Gate;

use crate::{
    Calls,
    nodes::{begun, behind, cache, clocked, end, pair, registry, stats},
};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Failure {
    Gone,
    Down,
}

/// Of even numbers there is nothing; what is above 100 fails.
#[cacheable(
    cache = "negative", key = id, cache_none, none_ttl = seconds(5),
    cache_err = |error| *error == Failure::Gone, err_ttl = seconds(10), ttl = seconds(20),
    tags = ["all", &format!("digit:{}", id % 10)]
)]
async fn find(calls: &Calls, id: u64) -> Result<Option<u64>, Failure> {
    calls.count().await;
    match id {
        200.. => Err(Failure::Down),
        100.. => Err(Failure::Gone),
        _ => Ok((id % 2 == 1).then_some(id)),
    }
}

#[tokio::test]
async fn nothing_and_some_errors_are_remembered_each_for_its_own_time() {
    let calls = Calls::default();
    let (registry, clock) = clocked(&["negative"]).await;
    let work = async {
        let mut expected = 0;
        for (seconds_more, loads) in [(0, 4), (0, 1), (4, 1), (1, 2), (5, 3), (10, 4)] {
            clock.advance(seconds(seconds_more));
            assert_eq!(find(&calls, 1).await, Ok(Some(1)));
            assert_eq!(find(&calls, 2).await, Ok(None));
            assert_eq!(find(&calls, 101).await, Err(Failure::Gone));
            assert_eq!(find(&calls, 200).await, Err(Failure::Down), "which is never remembered");
            expected += loads;
            assert_eq!(calls.get(), expected, "{seconds_more} seconds later");
        }
    };
    registry.scope(work).await;
}

#[tokio::test]
async fn negative_entries_are_evicted_as_others_are() {
    let (here, there) = pair(&["negative"]).await;
    let calls = Calls::default();
    let numbers = || cache::<u64, u64>(&there.registry, "negative");
    let evictions: [fn(&Cache<u64, u64>); 4] = [
        |numbers| numbers.evict(&2),
        |numbers| numbers.evict_all(),
        |numbers| numbers.evict_tag("all"),
        |numbers| {
            numbers.evict_tag("digit:2");
        },
    ];
    for (count, evict) in (1..).zip(evictions) {
        for id in [2, 102] {
            here.registry.scope(find(&calls, id)).await.ok();
        }
        assert_eq!(stats(&here.registry, "negative").loads, u64::from(calls.get()));
        let loads = calls.get();
        evict(&numbers());
        here.hears("negative", count).await;
        here.registry.scope(find(&calls, 2)).await.expect("Ok");
        assert_eq!(calls.get(), loads + 1, "by eviction {count}");
    }
}

#[tokio::test]
async fn a_negative_entry_is_no_value_for_those_who_ask_by_hand() {
    let calls = Calls::default();
    let registry = registry(&["negative"]).await;
    registry.scope(find(&calls, 2)).await.expect("Ok");
    let numbers = cache::<u64, u64>(&registry, "negative");
    assert_eq!((numbers.get(&2), numbers.len()), (None, 1));
    assert_eq!(numbers.get_with(&2, async || 22).await, 22);
    assert_eq!(registry.scope(find(&calls, 2)).await, Ok(Some(22)), "a value takes its place");
    numbers.insert(2, 23);
    assert_eq!(registry.scope(find(&calls, 2)).await, Ok(Some(23)));
    assert_eq!(calls.get(), 1);
}

#[cacheable(cache = "negative-shared", key = id, cache_none, cache_err = |_| true, registry = registry)]
async fn option(registry: &Registry, id: u64, found: Result<Option<u64>, Failure>) -> Result<Option<u64>, Failure> {
    tokio::task::yield_now().await;
    found
}

#[cacheable(cache = "negative-shared", key = id, registry = registry)]
async fn plain(registry: &Registry, id: u64, found: u64) -> u64 {
    tokio::task::yield_now().await;
    found
}

#[cacheable(cache = "negative-shared", key = id, registry = registry)]
async fn other_error(registry: &Registry, id: u64, found: Result<u64, String>) -> Result<u64, String> {
    tokio::task::yield_now().await;
    found
}

#[tokio::test]
async fn a_negative_entry_that_another_function_cannot_return_is_no_hit_for_it() {
    let registry = registry(&["negative-shared"]).await;
    for negative in [Ok(None), Err(Failure::Gone)] {
        assert_eq!(option(&registry, 1, negative.clone()).await, negative);
        assert_eq!(option(&registry, 1, Ok(Some(9))).await, negative);
        assert_eq!(plain(&registry, 1, 7).await, 7, "it cannot say so");
        assert_eq!(option(&registry, 1, Ok(Some(9))).await, Ok(Some(7)), "what it found takes the place");

        cache::<u64, u64>(&registry, "negative-shared").evict(&1);
        assert_eq!(option(&registry, 1, negative.clone()).await, negative);
        assert_eq!(other_error(&registry, 1, Err("mine".into())).await, Err("mine".into()));
        assert_eq!(option(&registry, 1, Ok(Some(9))).await, negative, "an error that is not kept replaces nothing");
        assert_eq!(other_error(&registry, 1, Ok(8)).await, Ok(8));
        assert_eq!(option(&registry, 1, Ok(Some(9))).await, Ok(Some(8)));
        cache::<u64, u64>(&registry, "negative-shared").evict(&1);
    }
}

#[cacheable(cache = "negative-race", key = id, cache_none, cache_err = is_gone, registry = registry)]
async fn running(
    registry: &Registry,
    id: u64,
    body: impl Future<Output = Result<Option<u64>, Failure>>,
) -> Result<Option<u64>, Failure> {
    body.await
}

fn is_gone(error: &Failure) -> bool {
    *error == Failure::Gone
}

#[cache_evict(cache = "negative-race", key = id, registry = registry)]
async fn save(registry: &Registry, id: u64) {
    _ = id;
}

/// R1 holds for them as well.
#[tokio::test]
async fn a_negative_load_that_an_eviction_overtook_is_not_kept() {
    for negative in [Ok(None), Err(Failure::Gone)] {
        let registry = registry(&["negative-race"]).await;
        let gate = Gate::new();
        let loading = begun(running(&registry, 1, behind(&gate, negative.clone()))).await;
        save(&registry, 1).await;
        assert_eq!(end(&gate, loading).await, negative);
        assert_eq!(running(&registry, 1, async { Ok(Some(1)) }).await, Ok(Some(1)));
    }
}

#[tokio::test]
async fn those_who_wait_for_a_negative_load_get_its_answer() {
    for negative in [Ok(None), Err(Failure::Gone), Err(Failure::Down)] {
        let registry = registry(&["negative-race"]).await;
        let gate = Gate::new();
        let leading = begun(running(&registry, 1, behind(&gate, negative.clone()))).await;
        let waiting = begun(running(&registry, 1, pending())).await;
        assert_eq!(end(&gate, leading).await, negative);
        assert_eq!(waiting.await, negative);
    }
}

/// Not `Send` in its future's sense of the word, but cheap to clone.
#[cacheable(cache = "negative-path", key = id, cache_err = Arc::<str>::is_ascii_error)]
async fn by_path(calls: &Calls, id: u64) -> Result<u64, Arc<str>> {
    calls.count().await;
    Err(if id == 1 { "ascii".into() } else { "größer".into() })
}

trait IsAsciiError {
    fn is_ascii_error(&self) -> bool;
}

impl IsAsciiError for Arc<str> {
    fn is_ascii_error(&self) -> bool {
        self.is_ascii()
    }
}

#[tokio::test]
async fn the_errors_to_remember_can_be_told_by_a_path() {
    let calls = Calls::default();
    let work = async {
        for id in [1, 1, 2, 2] {
            by_path(&calls, id).await.expect_err("always");
        }
    };
    registry(&["negative-path"]).await.scope(work).await;
    assert_eq!(calls.get(), 3);
}

#[cacheable(cache = "negative-ttl", key = id, cache_none, ttl = seconds(ttl))]
async fn ttl_of_parameters(calls: &Calls, id: u64, ttl: u64) -> Option<u64> {
    calls.count().await;
    (id > 1).then_some(id)
}

#[cacheable(cache = "negative-ttl", key = id, cache_none, ttl = |value| seconds(*value))]
async fn ttl_of_value(calls: &Calls, id: u64) -> Option<u64> {
    calls.count().await;
    (id > 1).then_some(id)
}

#[tokio::test]
async fn without_none_ttl_the_ttl_counts_if_it_does_not_need_the_value_and_else_that_of_the_cache() {
    let clock = cachesync::ManualClock::new();
    let config = CacheConfig::new("negative-ttl").ttl(seconds(30));
    let builder = Registry::builder().unknown_caches(UnknownCaches::Bypass).cache(config).clock(clock.clone());
    let registry = builder.start().await.expect("starts");
    let calls = Calls::default();
    let work = async {
        for (advance, loads) in [(0, 1), (9, 1), (1, 2)] {
            clock.advance(seconds(advance));
            assert_eq!(ttl_of_parameters(&calls, 0, 10).await, None);
            assert_eq!(calls.get(), loads, "of the parameters");
        }
        for (advance, loads) in [(0, 3), (29, 3), (1, 4)] {
            clock.advance(seconds(advance));
            assert_eq!(ttl_of_value(&calls, 1).await, None);
            assert_eq!(calls.get(), loads, "of the cache");
        }
    };
    registry.scope(work).await;
}
