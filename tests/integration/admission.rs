//! How many loads of a cache run at the same time, and that nobody waits for ever to be admitted.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use cachesync::{Coherence, ManualClock, Registry, Transaction, UnknownCaches, cacheable};
use cachesync_tests::{faulty::FaultyBackend, gate::Gate, wait::eventually};
use tokio::time::Instant;

use crate::{
    limited::{LOAD_WAIT, Limited},
    nodes::{DEADLINE, Node, load, settled},
};

#[tokio::test(start_paused = true)]
async fn no_more_loads_run_at_the_same_time_than_are_admitted() {
    let limited = Limited::to(3).await;
    let callers: Vec<_> = (0..50).map(|key| limited.caller(key)).collect();
    settled().await;
    assert_eq!(limited.runs(), 3);
    limited.gate.let_through(50);
    for (key, caller) in callers.into_iter().enumerate() {
        assert_eq!(caller.await.unwrap(), key.to_string());
    }
    assert_eq!((limited.runs(), limited.most.load(SeqCst)), (50, 3));
    assert_eq!(limited.users.len(), 50, "who had to wait keeps its value");
    limited.assert_free().await;
}

#[tokio::test]
async fn what_a_reconnect_has_cleared_is_not_loaded_all_at_once() {
    let here = Node::on(&cachesync::memory::MemoryBackend::new()).await;
    for key in 0..2_000 {
        load(&here.users, key, "old").await;
    }
    here.backend.cut();
    eventually(DEADLINE, || here.users.stats().cleared == 1).await;
    assert!(matches!(here.registry.status().coherence, Coherence::Coherent { .. }));
    let limited = Limited::of(here.registry.clone());
    let callers: Vec<_> = (0..2_000).map(|key| limited.caller(key)).collect();
    settled().await;
    assert_eq!(limited.runs(), 256, "the default");
    limited.gate.let_through(2_000);
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(limited.most.load(SeqCst), 256);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_has_waited_for_load_wait_loads_all_the_same_and_keeps_the_value() {
    let limited = Limited::to(1).await;
    let stuck = limited.caller(1);
    limited.gate.reached_by(1).await;
    let start = Instant::now();
    let second = limited.caller(2);
    limited.gate.reached_by(1).await;
    assert_eq!(start.elapsed(), LOAD_WAIT);
    limited.gate.let_through(2);
    assert_eq!((stuck.await.unwrap(), second.await.unwrap()), ("1".into(), "2".into()));
    assert_eq!(limited.users.get(&2).as_deref(), Some("2"));
    limited.assert_free().await;
}

/// Two waits in a row would be more than the bound says.
#[tokio::test(start_paused = true)]
async fn who_has_waited_too_long_for_the_load_of_another_does_not_wait_to_be_admitted_as_well() {
    let limited = Limited::to(1).await;
    let stuck = limited.caller(1);
    limited.gate.reached_by(1).await;
    let start = Instant::now();
    let second = limited.caller(1);
    limited.gate.reached_by(1).await;
    assert_eq!(start.elapsed(), LOAD_WAIT);
    limited.gate.let_through(2);
    assert_eq!((stuck.await.unwrap(), second.await.unwrap()), ("1".into(), "1".into()));
    limited.assert_free().await;
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_for_a_load_that_has_to_wait_do_not_all_become_loads() {
    let limited = Limited::to(1).await;
    let stuck = limited.caller(1);
    limited.gate.reached_by(1).await;
    let callers: Vec<_> = (0..10).map(|_| limited.caller(2)).collect();
    // One of them leads, and is not admitted before its time is over. The others have patience with it.
    limited.gate.reached_by(1).await;
    tokio::time::sleep(LOAD_WAIT / 2).await;
    assert_eq!(limited.runs(), 2);
    limited.gate.let_through(2);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "2");
    }
    stuck.await.unwrap();
    assert_eq!(limited.users.stats().shared, 9);
}

#[tokio::test(start_paused = true)]
async fn what_a_load_asks_for_of_its_own_cache_needs_no_second_admission() {
    let limited = Limited::to(1).await;
    let start = Instant::now();
    limited.gate.let_through(1);
    let outer = limited.users.get_with(1, || limited.run(async { format!("1 of {}", limited.get(2).await) })).await;
    assert_eq!((outer.as_str(), start.elapsed()), ("1 of 2", Duration::ZERO));
    assert_eq!(limited.users.len(), 2, "both are kept");
}

/// Its own load is one that nobody can join, so it has no ticket to be known by.
async fn needs_no_second_admission_without_a_ticket(limited: &Limited) {
    let start = Instant::now();
    let running = limited.caller(9);
    limited.gate.reached_by(1).await;
    let users = limited.users.clone();
    let fails = tokio::spawn(async move { users.try_get_with(1, async || Err::<String, _>("down")).await });
    settled().await;
    let this = limited.clone();
    let after = tokio::spawn(async move {
        let body = async || Ok::<_, &str>(format!("1 of {}", this.get(2).await));
        this.users.try_get_with(1, body).await
    });
    settled().await;
    assert_eq!(limited.runs(), 1, "one waits to be admitted, and the other for that one");
    limited.gate.let_through(2);
    assert_eq!(fails.await.unwrap(), Err("down"));
    assert_eq!(after.await.unwrap().as_deref(), Ok("1 of 2"));
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(limited.users.get(&1), None);
    running.await.unwrap();
    limited.assert_free().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_load_asks_for_during_a_hold_needs_no_second_admission() {
    let limited = Limited::to(1).await;
    limited.hold(&[1]).await;
    needs_no_second_admission_without_a_ticket(&limited).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_load_asks_for_past_the_lease_needs_no_second_admission() {
    let (clock, backend) = (ManualClock::new(), FaultyBackend::new(&cachesync::memory::MemoryBackend::new()));
    let builder = Registry::builder().namespace("test").cache(Limited::config(1));
    let builder = builder.unknown_caches(UnknownCaches::Bypass).lease(Duration::from_secs(10));
    let limited = Limited::of(builder.backend(backend.clone()).clock(clock.clone()).start().await.unwrap());
    backend.take_messages(false);
    clock.advance(Duration::from_secs(10));
    assert!(matches!(limited.registry.status().coherence, Coherence::Partitioned { .. }));
    needs_no_second_admission_without_a_ticket(&limited).await;
}

#[tokio::test(start_paused = true)]
async fn a_load_does_not_wait_for_one_that_waits_for_its_own_end() {
    let limited = Limited::to(1).await;
    let (this, inside) = (limited.clone(), Gate::new());
    let (outer_gate, start) = (inside.clone(), Instant::now());
    let outer = tokio::spawn(async move {
        let body = || async {
            outer_gate.pass().await;
            format!("1 of {}", this.get(2).await)
        };
        this.users.get_with(1, body).await
    });
    inside.reached_by(1).await;
    let waiting = limited.caller(2);
    settled().await;
    assert_eq!(limited.runs(), 0, "it leads the load of its key, and is not admitted yet");
    inside.let_through(1);
    limited.gate.let_through(2);
    assert_eq!(outer.await.unwrap(), "1 of 2");
    assert_eq!(waiting.await.unwrap(), "2");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn inside_a_transaction_nobody_waits_to_be_admitted() {
    let limited = Limited::to(1).await;
    let stuck = limited.caller(1);
    limited.gate.reached_by(1).await;
    let start = Instant::now();
    let transaction = Transaction::read_only();
    let reader = async {
        let (answer, ()) = tokio::join!(limited.get(2), async {
            limited.gate.reached_by(1).await;
            limited.gate.let_through(2);
        });
        answer
    };
    assert_eq!(transaction.scope(reader).await, "2");
    assert_eq!(start.elapsed(), Duration::ZERO);
    stuck.await.unwrap();
    limited.assert_free().await;
}

#[tokio::test(start_paused = true)]
async fn a_plain_function_does_not_wait_to_be_admitted() {
    #[cacheable(cache = "users", key = id, registry = registry)]
    fn plain(registry: &Registry, id: u64) -> String {
        _ = registry;
        id.to_string()
    }
    let limited = Limited::to(1).await;
    let stuck = limited.caller(1);
    limited.gate.reached_by(1).await;
    assert_eq!(plain(&limited.registry, 2), "2");
    assert_eq!(limited.users.get(&2).as_deref(), Some("2"));
    limited.gate.let_through(1);
    stuck.await.unwrap();
    limited.assert_free().await;
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_cancelled_or_panics_makes_room_for_the_next() {
    let limited = Limited::to(1).await;
    let running = limited.caller(1);
    limited.gate.reached_by(1).await;
    let (leads, joins) = (limited.caller(2), limited.caller(2));
    settled().await;
    leads.abort();
    settled().await;
    assert_eq!(limited.runs(), 1, "the next to lead waits to be admitted in its place");
    running.abort();
    limited.gate.reached_by(1).await;
    limited.gate.let_through(1);
    assert_eq!(joins.await.unwrap(), "2");

    let users = limited.users.clone();
    let panics = tokio::spawn(async move { users.get_with(3, async || panic!("on purpose")).await });
    assert!(panics.await.unwrap_err().is_panic());
    limited.assert_free().await;
}

#[tokio::test(start_paused = true)]
async fn after_the_end_of_the_registry_nobody_waits_to_be_admitted() {
    let limited = Limited::to(1).await;
    let stuck = limited.caller(1);
    limited.gate.reached_by(1).await;
    limited.registry.shutdown().await.unwrap();
    let start = Instant::now();
    let second = limited.caller(2);
    limited.gate.reached_by(1).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    limited.gate.let_through(2);
    stuck.await.unwrap();
    second.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_waits_to_be_admitted_goes_on_when_the_registry_ends() {
    let limited = Limited::to(1).await;
    let stuck = limited.caller(1);
    limited.gate.reached_by(1).await;
    let (start, second) = (Instant::now(), limited.caller(2));
    settled().await;
    limited.registry.shutdown().await.unwrap();
    limited.gate.reached_by(1).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    limited.gate.let_through(2);
    stuck.await.unwrap();
    second.await.unwrap();
}

/// Otherwise all callers of one key that is held would stand in the way of every other key of the cache.
#[tokio::test(start_paused = true)]
async fn during_a_hold_callers_share_a_load_that_has_yet_to_begin() {
    let limited = Limited::to(1).await;
    limited.hold(&[1]).await;
    let first = limited.caller(1);
    limited.gate.reached_by(1).await;
    let callers: Vec<_> = (0..100).map(|_| limited.caller(1)).collect();
    let another = limited.caller(2);
    settled().await;
    assert_eq!(limited.runs(), 1, "one runs, and nobody joins it; one waits for its turn, and the others for that one");

    limited.gate.let_through(1);
    limited.gate.reached_by(1).await;
    let late = limited.caller(1);
    settled().await;
    limited.gate.let_through(200);
    for caller in [first, late].into_iter().chain(callers) {
        assert_eq!(caller.await.unwrap(), "1");
    }
    another.await.unwrap();
    assert_eq!(limited.runs(), 4, "who came when the second had begun did not join it");
    assert_eq!((limited.users.get(&1), limited.users.get(&2).as_deref()), (None, Some("2")));
    limited.assert_free().await;
}
