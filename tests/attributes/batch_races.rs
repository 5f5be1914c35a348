//! Batches among others: what they share, what they wait for and what not, and R1 key by key.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    sync::{Arc, Barrier},
    task::Poll,
    time::Duration,
};

use cachesync::{Cache, CacheConfig, Registry, UnknownCaches, cacheable};
use cachesync_tests::{
    gate::Gate,
    wait::{DEADLINE, within},
};
use futures_util::poll;
use tokio::time::Instant;

use crate::nodes::{begun, behind, cache, end, pair, registry};

type Answer = Result<HashMap<u64, u64>, String>;

/// What `body` returns is by the keys that it is asked for.
#[cacheable(cache = "batch-race", keys = ids, registry = registry)]
async fn many(registry: &Registry, ids: &[u64], body: impl AsyncFnOnce(&[u64]) -> Answer) -> Answer {
    body(ids).await
}

#[cacheable(cache = "batch-race", key = id, registry = registry)]
async fn one(registry: &Registry, id: u64, body: impl Future<Output = Result<u64, String>>) -> Result<u64, String> {
    _ = id;
    body.await
}

#[expect(clippy::unnecessary_wraps, reason = "it is what the functions return")]
fn all(ids: &[u64], value: u64) -> Answer {
    Ok(ids.iter().map(|id| (*id, value)).collect())
}

/// A body for these keys and no others.
fn only(ids: &'static [u64], value: u64) -> impl AsyncFnOnce(&[u64]) -> Answer {
    async move |missing: &[u64]| {
        assert_eq!(missing, ids);
        all(missing, value)
    }
}

/// The same behind a gate.
fn gated<'a>(gate: &'a Gate, ids: &'static [u64], value: u64) -> impl AsyncFnOnce(&[u64]) -> Answer + use<'a> {
    async move |missing: &[u64]| {
        assert_eq!(missing, ids);
        gate.pass().await;
        all(missing, value)
    }
}

async fn never(_: &[u64]) -> Answer {
    std::future::pending().await
}

fn numbers(registry: &Registry) -> Cache<u64, u64> {
    cache(registry, "batch-race")
}

/// A registry in which nobody waits in vain: should somebody, it takes an hour.
async fn patient() -> Registry {
    let config = CacheConfig::new("batch-race").load_wait(Duration::from_hours(1));
    Registry::builder().unknown_caches(UnknownCaches::Bypass).cache(config).start().await.expect("starts")
}

#[tokio::test]
async fn batches_at_the_same_time_share_what_one_of_them_loads() {
    let registry = registry(&["batch-race"]).await;
    let gate = Gate::new();
    let leading = begun(many(&registry, &[1, 2], gated(&gate, &[1, 2], 10))).await;
    let same = begun(many(&registry, &[2, 1], never)).await;
    let overlapping = begun(many(&registry, &[2, 3], only(&[3], 20))).await;
    let single = begun(one(&registry, 1, std::future::pending())).await;
    assert_eq!(end(&gate, leading).await, all(&[1, 2], 10));
    assert_eq!(same.await, all(&[1, 2], 10));
    assert_eq!(overlapping.await, Ok(HashMap::from([(2, 10), (3, 20)])));
    assert_eq!(single.await, Ok(10));
    let stats = numbers(&registry).stats();
    assert_eq!((stats.loads, stats.shared, stats.entries), (3, 4, 3));
}

#[tokio::test]
async fn a_batch_waits_for_a_single_load() {
    let registry = registry(&["batch-race"]).await;
    let gate = Gate::new();
    let single = begun(one(&registry, 2, behind(&gate, Ok(10)))).await;
    let batch = begun(many(&registry, &[1, 2], only(&[1], 20))).await;
    end(&gate, single).await.expect("Ok");
    assert_eq!(batch.await, Ok(HashMap::from([(1, 20), (2, 10)])));
}

#[tokio::test]
async fn a_plain_function_does_not_wait_for_what_another_loads() {
    #[cacheable(cache = "batch-race", keys = ids, registry = registry)]
    fn plain(registry: &Registry, ids: &[u64]) -> HashMap<u64, u64> {
        ids.iter().map(|id| (*id, 20)).collect()
    }
    let registry = registry(&["batch-race"]).await;
    let gate = Gate::new();
    let batch = begun(many(&registry, &[1, 2], gated(&gate, &[1, 2], 10))).await;
    assert_eq!(Ok(plain(&registry, &[2, 3])), all(&[2, 3], 20));
    assert_eq!([2, 3].map(|key| numbers(&registry).get(&key)), [Some(20); 2], "it may keep its value");
    end(&gate, batch).await.expect("Ok");
}

/// The first waits for a load of a third; who waits for the first's other key would wait for it, too.
#[tokio::test(start_paused = true)]
async fn a_batch_that_waits_is_in_the_way_of_nobody() {
    let registry = patient().await;
    let start = Instant::now();
    let gate = Gate::new();
    let third = begun(one(&registry, 9, behind(&gate, Ok(90)))).await;
    let waiting = begun(many(&registry, &[1, 9], never)).await;
    assert_eq!(one(&registry, 1, async { Ok(20) }).await, Ok(20));
    assert_eq!(many(&registry, &[1, 2], only(&[2], 20)).await, all(&[1, 2], 20));
    end(&gate, third).await.expect("Ok");
    assert_eq!(
        waiting.await,
        Ok(HashMap::from([(1, 20), (9, 90)])),
        "what others have loaded meanwhile is not loaded again"
    );
    assert_eq!(start.elapsed(), Duration::ZERO);
}

thread_local! {
    /// What happens before the key of the next 2 is made.
    static BEFORE_TWO: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

fn stopping(id: u64) -> u64 {
    if id == 2 {
        // Taken out before it runs, since it may come by here.
        let before = BEFORE_TWO.take();
        if let Some(before) = before {
            before();
        }
    }
    id
}

#[cacheable(cache = "batch-race", keys = ids, key = |id| stopping(*id), registry = registry)]
async fn many_stopping(registry: &Registry, ids: &[u64], body: impl AsyncFnOnce(&[u64]) -> Answer) -> Answer {
    body(ids).await
}

/// Between its look at key 1 and at key 2, another batch looks at both.
#[tokio::test(start_paused = true)]
async fn a_batch_of_the_opposite_order_that_comes_in_between_waits_for_no_one_who_waits() {
    let registry = patient().await;
    let start = Instant::now();
    let other = Arc::new(std::sync::Mutex::new(None));
    let (place, theirs) = (other.clone(), registry.clone());
    let come_in_between = move || {
        let mut other = Box::pin(async move { many(&theirs, &[2, 1], never).await });
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(other.as_mut().poll(&mut context).is_pending(), "it waits for key 1");
        *place.lock().expect("no panic") = Some(other);
    };
    BEFORE_TWO.set(Some(Box::new(come_in_between)));
    assert_eq!(many_stopping(&registry, &[1, 2], only(&[1, 2], 10)).await, all(&[1, 2], 10));
    let other = other.lock().expect("no panic").take().expect("it came in between");
    assert_eq!(other.await, all(&[1, 2], 10), "what the first has loaded meanwhile is not loaded again");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// Between its look at key 1 and at key 2, for which it has to wait, somebody joins its load of key 1.
#[tokio::test(start_paused = true)]
async fn who_waits_for_a_batch_goes_on_when_that_has_to_wait_itself() {
    let registry = patient().await;
    let start = Instant::now();
    let gate = Gate::new();
    let third = begun(one(&registry, 2, behind(&gate, Ok(90)))).await;
    let joined = Arc::new(std::sync::Mutex::new(None));
    let (place, theirs) = (joined.clone(), registry.clone());
    let come_in_between = move || {
        let mut single = Box::pin(async move { one(&theirs, 1, async { Ok(20) }).await });
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(single.as_mut().poll(&mut context).is_pending(), "it waits for the batch");
        *place.lock().expect("no panic") = Some(single);
    };
    BEFORE_TWO.set(Some(Box::new(come_in_between)));
    let batch = begun(many_stopping(&registry, &[1, 2], never)).await;
    let mut single = joined.lock().expect("no panic").take().expect("it came in between");
    assert_eq!(poll!(single.as_mut()), Poll::Ready(Ok(20)), "it loads, and the batch still waits");
    end(&gate, third).await.expect("Ok");
    assert_eq!(batch.await, Ok(HashMap::from([(1, 20), (2, 90)])));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// Each leads the key that it asks for first before either asks for its second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_batches_of_opposite_order_do_not_wait_for_each_other() {
    #[cacheable(cache = "batch-race", keys = ids, key = |id| { meet(barrier, ids, *id); *id }, registry = registry)]
    async fn meeting(registry: &Registry, barrier: &Barrier, ids: &[u64]) -> Answer {
        all(ids, 10)
    }
    fn meet(barrier: &Barrier, ids: &[u64], id: u64) {
        if ids.last() == Some(&id) {
            barrier.wait();
        }
    }
    for _ in 0..20 {
        let registry = patient().await;
        let barrier = Arc::new(Barrier::new(2));
        let batch = |ids: [u64; 2]| {
            let (registry, barrier) = (registry.clone(), barrier.clone());
            tokio::spawn(async move { meeting(&registry, &barrier, &ids).await })
        };
        let (forth, back) = (batch([1, 2]), batch([2, 1]));
        assert_eq!(within(DEADLINE, forth).await.expect("no panic"), all(&[1, 2], 10));
        assert_eq!(within(DEADLINE, back).await.expect("no panic"), all(&[1, 2], 10));
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_whose_leader_is_dropped_or_fails_loads_for_itself() {
    let start = Instant::now();
    for fails in [false, true] {
        for leader_is_a_batch in [false, true] {
            let registry = patient().await;
            let gate = Gate::new();
            let leader = async {
                if leader_is_a_batch {
                    let body = async |_: &[u64]| behind(&gate, Err("down".into())).await;
                    many(&registry, &[1, 2], body).await.map(|_| 0)
                } else {
                    one(&registry, 1, behind(&gate, Err("down".into()))).await
                }
            };
            let leader = begun(leader).await;
            let batch = begun(many(&registry, &[1, 3], async |missing: &[u64]| all(missing, 10))).await;
            if fails {
                assert_eq!(end(&gate, leader).await, Err("down".into()));
            } else {
                drop(leader);
            }
            assert_eq!(batch.await, all(&[1, 3], 10), "fails: {fails}, leader is a batch: {leader_is_a_batch}");
            assert_eq!([1, 2, 3].map(|key| numbers(&registry).get(&key)), [Some(10), None, Some(10)]);
        }
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_dropped_or_fails_wakes_those_who_wait_for_it() {
    let start = Instant::now();
    for fails in [false, true] {
        let registry = patient().await;
        let gate = Gate::new();
        let leader = async |_: &[u64]| behind(&gate, Err("down".into())).await;
        let leader = begun(many(&registry, &[1, 2], leader)).await;
        let single = begun(one(&registry, 1, async { Ok(10) })).await;
        if fails {
            end(&gate, leader).await.expect_err("down");
        } else {
            drop(leader);
        }
        assert_eq!(single.await, Ok(10));
        assert_eq!(numbers(&registry).get(&1), Some(10));
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn after_a_batch_that_failed_those_who_waited_load_at_the_same_time() {
    let registry = registry(&["batch-race"]).await;
    let gates = [Gate::new(), Gate::new()];
    let body = async |_: &[u64]| behind(&gates[0], Err("down".into())).await;
    let leader = begun(many(&registry, &[1, 2], body)).await;
    let waiting = || async { one(&registry, 1, behind(&gates[1], Ok(10))).await };
    let mut waiting = [begun(waiting()).await, begun(waiting()).await, begun(waiting()).await];
    end(&gates[0], leader).await.expect_err("down");
    for caller in &mut waiting {
        assert!(poll!(caller.as_mut()).is_pending());
    }
    within(DEADLINE, gates[1].reached_by(3)).await;
}

#[tokio::test]
async fn a_key_that_the_leader_found_absent_is_absent_for_a_batch_that_waited() {
    let registry = registry(&["batch-race"]).await;
    let gate = Gate::new();
    let body = async |_: &[u64]| behind(&gate, all(&[1], 10)).await;
    let leader = begun(many(&registry, &[1, 2], body)).await;
    let batch = begun(many(&registry, &[2], never)).await;
    end(&gate, leader).await.expect("Ok");
    assert_eq!(batch.await, Ok(HashMap::new()));
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_no_longer_than_load_wait() {
    let config = CacheConfig::new("batch-race").load_wait(Duration::from_secs(3));
    let registry = Registry::builder().unknown_caches(UnknownCaches::Bypass).cache(config).start().await.expect("ok");
    let start = Instant::now();
    let stuck = begun(one(&registry, 1, std::future::pending())).await;
    assert_eq!(many(&registry, &[1, 2], only(&[1, 2], 10)).await, all(&[1, 2], 10));
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert_eq!(
        [1, 2].map(|key| numbers(&registry).get(&key)),
        [None, Some(10)],
        "what it did not wait for is not kept"
    );
    assert_eq!(one(&registry, 1, async { Ok(20) }).await, Ok(20));
    assert_eq!(start.elapsed(), Duration::from_secs(3), "nor does anybody else wait for what is stuck");
    drop(stuck);
}

#[tokio::test]
async fn an_eviction_during_a_batch_overtakes_its_key_and_no_other() {
    let (here, there) = pair(&["batch-race"]).await;
    for remote in [false, true] {
        let users = numbers(&here.registry);
        users.evict_all();
        let gate = Gate::new();
        let batch = begun(many(&here.registry, &[1, 2, 3], gated(&gate, &[1, 2, 3], 10))).await;
        if remote {
            numbers(&there.registry).evict(&2);
            here.hears("batch-race", 1).await;
        } else {
            users.evict(&2);
        }
        assert_eq!(one(&here.registry, 2, async { Ok(20) }).await, Ok(20), "nor does anybody join it");
        users.evict(&2);
        assert_eq!(end(&gate, batch).await, all(&[1, 2, 3], 10));
        assert_eq!([1, 2, 3].map(|key| users.get(&key)), [Some(10), None, Some(10)], "remote: {remote}");
    }
}

#[tokio::test]
async fn an_eviction_of_all_during_a_batch_overtakes_every_key() {
    let registry = registry(&["batch-race"]).await;
    let gate = Gate::new();
    let batch = begun(many(&registry, &[1, 2], gated(&gate, &[1, 2], 10))).await;
    numbers(&registry).evict_all();
    end(&gate, batch).await.expect("Ok");
    assert!(numbers(&registry).is_empty());
}

#[tokio::test]
async fn a_body_that_panics_leaves_nothing_behind_and_wakes_those_who_wait() {
    let registry = registry(&["batch-race"]).await;
    let theirs = registry.clone();
    let gate = Gate::new();
    let (at, panics) = (gate.clone(), async move |_: &[u64]| -> Answer { panic!("on purpose") });
    let leader = tokio::spawn(async move {
        let body = async |missing: &[u64]| {
            at.pass().await;
            panics(missing).await
        };
        many(&theirs, &[1, 2], body).await
    });
    gate.reached_by(1).await;
    let mut waiting = begun(many(&registry, &[2], async |missing: &[u64]| all(missing, 10))).await;
    gate.let_through(1);
    assert!(leader.await.expect_err("it panics").is_panic());
    assert!(poll!(waiting.as_mut()).is_ready());
    assert_eq!(numbers(&registry).len(), 1);
}

/// Of a hundred that waited for one load, which ends without a value, sixteen load at the same time; the others find what
/// these have loaded.
#[tokio::test]
async fn batches_that_waited_in_vain_do_not_all_load_at_the_same_time() {
    let registry = registry(&["batch-race"]).await;
    let leader = Gate::new();
    let led = gated(&leader, &[9], 9);
    let mut first = Box::pin(many(&registry, &[9], led));
    assert!(poll!(&mut first).is_pending());
    let (running, most, ran) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let waits = (0..100).map(|_| {
        many(&registry, &[1, 2, 9], async |ids: &[u64]| {
            running.set(running.get() + 1);
            ran.set(ran.get() + 1);
            most.set(running.get().max(most.get()));
            tokio::task::yield_now().await;
            running.set(running.get() - 1);
            all(ids, 1)
        })
    });
    let mut all_of_them = Box::pin(futures_util::future::join_all(waits));
    assert!(poll!(&mut all_of_them).is_pending());
    drop(first);
    let answers = within(DEADLINE, all_of_them).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|found| found.len() == 3)), "{answers:?}");
    assert_eq!((most.get(), ran.get()), (16, 16), "at once, and in all");
}
