//! R7: `flush` and `shutdown` end in bounded time, and say what was not delivered.

use std::{sync::Mutex, time::Duration};

use cachesync::{CacheConfig, Registry, RegistryBuilder, Transaction, memory::MemoryBackend};
use cachesync_core::{
    codec,
    frame::{Frame, Operation},
};
use cachesync_tests::{
    faulty::FaultyBackend,
    gate::Gate,
    wait::{eventually, within},
};
use tokio::time::Instant;

use crate::nodes::{DEADLINE, Node, load, node, settled};

const LIMIT: Duration = Duration::from_secs(3);

/// A way in which nothing is delivered.
type Fault = fn(&FaultyBackend);

const FAULTS: [Fault; 3] = [takes_nothing, is_gone, loses_each_session];

fn takes_nothing(backend: &FaultyBackend) {
    backend.take_messages(false);
}

fn is_gone(backend: &FaultyBackend) {
    backend.refuse(Some("gone"));
    backend.cut();
}

fn loses_each_session(backend: &FaultyBackend) {
    backend.take_messages(false);
    let backend = backend.clone();
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            backend.cut();
        }
    });
}

fn builder() -> RegistryBuilder {
    node().cache(CacheConfig::new("teams")).cache(CacheConfig::new("rates")).flush_timeout(LIMIT)
}

/// Evicts a key of `users`, and nobody knows whether that was committed.
async fn evict_with_unknown_outcome(registry: &Registry) {
    let users = registry.cache::<u64, String>("users").unwrap();
    let transaction = Transaction::begin();
    transaction.scope(async { users.evict(&1) }).await;
    transaction.commit_with(async { Err("the answer never came") }).await.unwrap_err();
}

fn evict_some(registry: &Registry) {
    let cache = |name| registry.cache::<u64, String>(name).unwrap();
    cache("teams").evict_all();
    cache("rates").evict(&1);
    cache("users").evict_tags(["a", "b"]);
    (0..1_000).for_each(|again| cache("users").evict(&(again % 7)));
}

#[tokio::test(start_paused = true)]
async fn flush_and_shutdown_end_in_time_and_say_what_was_not_delivered() {
    const LEFT: &str = "all of `teams`, 7 keys and 2 tags of `users`, 1 key of `rates`";

    for fault in FAULTS {
        let backend = FaultyBackend::new(&MemoryBackend::new());
        let registry = builder().backend(backend.clone()).start().await.unwrap();
        fault(&backend);
        evict_some(&registry);
        let depth = registry.status().outbox;
        assert_eq!((depth.keys, depth.tags, depth.whole_caches, depth.repeats), (8, 2, 1, 0));

        let began = Instant::now();
        let error = registry.flush().await.unwrap_err();
        assert!(began.elapsed() < LIMIT + Duration::from_millis(10), "{:?}", began.elapsed());
        assert!(error.is_timeout() && !error.is_shut_down());
        assert_eq!(error.unconfirmed(), Some(depth));
        let text = format!("the broker has not confirmed within 3s the evictions of {LEFT}; they stay queued");
        assert_eq!(error.to_string(), text);

        let began = Instant::now();
        let error = registry.shutdown().await.unwrap_err();
        assert!(began.elapsed() < LIMIT + Duration::from_millis(10), "{:?}", began.elapsed());
        assert!(error.is_timeout() && error.unconfirmed() == Some(depth));
        assert!(error.to_string().starts_with(&format!("evictions of {LEFT} are lost: ")), "{error}");
        assert!(error.to_string().ends_with(" 3s after its shutdown at the latest"), "{error}");

        let error = registry.flush().await.unwrap_err();
        assert!(error.is_shut_down() && !error.is_timeout() && error.unconfirmed() == Some(depth));
        assert!(error.to_string().contains(LEFT), "{error}");
        assert_eq!(registry.shutdown().await.unwrap_err().unconfirmed(), Some(depth), "again the same");
    }
}

#[tokio::test(start_paused = true)]
async fn of_very_many_caches_the_error_names_a_few() {
    let backend = FaultyBackend::new(&MemoryBackend::new());
    let names: Vec<_> = (0..500).map(|number| format!("cache-{number}")).collect();
    let builder = names.iter().fold(builder(), |builder, name| builder.cache(CacheConfig::new(name)));
    let registry = builder.backend(backend.clone()).start().await.unwrap();
    is_gone(&backend);
    for name in &names {
        registry.cache::<u64, String>(name).unwrap().evict(&1);
    }
    let error = registry.shutdown().await.unwrap_err();
    assert_eq!(error.unconfirmed().map(|left| left.keys), Some(500));
    assert!(error.to_string().contains(", and evictions of 492 more caches"), "{error}");
    assert!(error.to_string().len() < 1_000, "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_eviction_of_unknown_outcome_is_told_again_before_the_shutdown_with_the_rest_of_its_hold() {
    let hub = MemoryBackend::new();
    let backend = FaultyBackend::new(&hub);
    let registry = node().settle(Duration::from_mins(1)).backend(backend.clone()).start().await.unwrap();
    evict_with_unknown_outcome(&registry).await;
    registry.flush().await.unwrap();
    let depth = registry.status().outbox;
    assert_eq!((depth.is_empty(), depth.repeats), (true, 1), "told, and to be told again");

    // Whoever comes now has heard nothing of it.
    let there = Node::on(&hub).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    load(&there.users, 1, "not committed yet").await;
    registry.shutdown().await.unwrap();
    eventually(DEADLINE, || there.users.is_empty()).await;
    load(&there.users, 1, "not committed yet").await;
    assert_eq!(there.users.len(), 0, "it is held there, too");

    let bodies = backend.published().into_iter().map(|message| codec::decode(&message.body).unwrap());
    let evicts = |frame: &Frame| matches!(&frame.operation, Operation::Keys(keys) if !keys.is_empty());
    let told: Vec<Frame> = bodies.filter(evicts).collect();
    let holds: Vec<_> = told.iter().map(|frame| frame.hold.as_secs()).collect();
    assert_eq!(holds, [60, 40]);
}

#[tokio::test(start_paused = true)]
async fn what_was_to_be_told_again_and_could_not_is_reported() {
    let backend = FaultyBackend::new(&MemoryBackend::new());
    let registry = builder().settle(Duration::from_mins(1)).backend(backend.clone()).start().await.unwrap();
    evict_with_unknown_outcome(&registry).await;
    registry.flush().await.unwrap();
    is_gone(&backend);
    eventually(DEADLINE, || registry.status().last_error.is_some()).await;
    let error = registry.shutdown().await.unwrap_err();
    assert!(error.to_string().contains("evictions of 1 key of `users` are lost"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_the_broker_also_if_all_that_is_left_is_to_be_told_again() {
    let backend = FaultyBackend::new(&MemoryBackend::new());
    let builder = builder().flush_timeout(Duration::from_mins(1)).settle(Duration::from_hours(1));
    let registry = builder.backend(backend.clone()).start().await.unwrap();
    evict_with_unknown_outcome(&registry).await;
    registry.flush().await.unwrap();
    is_gone(&backend);
    eventually(DEADLINE, || registry.status().last_error.is_some()).await;
    let (ended, ()) = tokio::join!(registry.shutdown(), async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        backend.refuse(None);
    });
    ended.unwrap();
    let told = backend.published().into_iter().map(|message| codec::decode(&message.body).unwrap());
    assert_eq!(told.filter(|frame| matches!(frame.operation, Operation::Keys(_))).count(), 2);
}

/// The broker is told of the end, and need not find out.
#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_the_goodbye_also_if_nothing_is_left_to_be_sent() {
    let (backend, goodbye) = (FaultyBackend::new(&MemoryBackend::new()), Gate::new());
    let registry = builder().backend(backend.clone()).start().await.unwrap();
    backend.stop_goodbyes_at(&goodbye);
    assert!(registry.status().outbox.is_empty());
    let ending = {
        let registry = registry.clone();
        tokio::spawn(async move { registry.shutdown().await })
    };
    within(LIMIT, goodbye.reached_by(1)).await;
    settled().await;
    assert!(!ending.is_finished());
    goodbye.let_through(1);
    let began = Instant::now();
    within(DEADLINE, ending).await.unwrap().unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO, "and no longer");
}

/// The runtime of the registry ends under those who wait on another.
#[test]
fn a_flush_of_which_the_runtime_ends_says_what_is_lost() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (registry, backend) = runtime.block_on(async {
        let backend = FaultyBackend::new(&MemoryBackend::new());
        let registry = node().flush_timeout(DEADLINE * 2).backend(backend.clone()).start().await.unwrap();
        (registry, backend)
    });
    takes_nothing(&backend);
    registry.cache::<u64, String>("users").unwrap().evict(&1);
    let (gate, error) = (Gate::new(), Mutex::new(None));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let wait = async {
                gate.let_through(1);
                registry.flush().await
            };
            *error.lock().unwrap() = Some(other.block_on(within(DEADLINE, wait)));
        });
        let here = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        here.block_on(within(DEADLINE, gate.pass()));
        drop(runtime);
    });
    let error = error.into_inner().unwrap().unwrap().unwrap_err();
    assert!(error.is_shut_down(), "{error}");
    assert!(error.to_string().contains("the evictions of 1 key of `users`; they are lost"), "{error}");
}

/// A batch goes out in portions.
#[tokio::test(start_paused = true)]
async fn who_waits_for_a_confirmation_waits_for_all_portions() {
    let backend = FaultyBackend::new(&MemoryBackend::new());
    let registry = node().flush_timeout(Duration::from_secs(30)).backend(backend.clone()).start().await.unwrap();
    let users = registry.cache::<u64, String>("users").unwrap();
    eventually(DEADLINE, || registry.stats().frames_sent == 1).await;
    backend.slow_down(Duration::from_millis(50));
    users.evict_many(0..100_000);
    registry.flush().await.unwrap();
    let frames = backend.published().into_iter().map(|message| codec::decode(&message.body).unwrap());
    let keys = |frame: Frame| if let Operation::Keys(keys) = frame.operation { keys.len() } else { 0 };
    assert_eq!(frames.map(keys).sum::<usize>(), 100_000);
    assert!(registry.status().outbox.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_trailers_of_many_caches_do_not_hold_up_evictions() {
    let backend = FaultyBackend::new(&MemoryBackend::new());
    let names: Vec<_> = (0..100).map(|number| format!("cache-{number}")).collect();
    let builder = names.iter().fold(node(), |builder, name| builder.cache(CacheConfig::new(name)));
    let registry = builder.backend(backend.clone()).start().await.unwrap();
    for name in &names {
        registry.cache::<u64, String>(name).unwrap().evict(&1);
    }
    registry.flush().await.unwrap();
    backend.slow_down(Duration::from_millis(20));
    let sent = registry.stats().frames_sent;
    // Heartbeats, and then the first trailers.
    eventually(DEADLINE, || registry.stats().frames_sent >= sent + 10).await;
    registry.cache::<u64, String>("users").unwrap().evict(&1);
    let start = Instant::now();
    registry.flush().await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    // And each cache has its own in the end.
    let trailers = || {
        let frames = backend.published().into_iter().map(|message| codec::decode(&message.body).unwrap());
        frames.filter(|frame| frame.operation == Operation::Keys(Vec::new())).count()
    };
    let all = async {
        while trailers() < 101 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    within(DEADLINE * 10, all).await;
    assert_eq!(trailers(), 101);
}

/// The lease leaves room for a broker that is slow and well, also at the end.
#[tokio::test(start_paused = true)]
async fn a_shutdown_that_takes_longer_than_the_lease_keeps_its_session() {
    let (seconds, backend) = (Duration::from_secs, FaultyBackend::new(&MemoryBackend::new()));
    let builder = node().lease(seconds(6)).flush_timeout(seconds(120)).backend(backend.clone());
    let registry = builder.start().await.unwrap();
    let users = registry.cache::<u64, String>("users").unwrap();
    eventually(DEADLINE, || registry.stats().frames_sent == 1).await;
    backend.slow_down(Duration::from_millis(100));
    users.evict_many(0..100_000);
    let start = Instant::now();
    registry.shutdown().await.unwrap();
    assert!(start.elapsed() > seconds(6), "{:?}", start.elapsed());
    assert_eq!(registry.stats().sessions, 1, "{:?}", registry.status().last_error);
}
