//! R4 and R7: every eviction travels, loads and displacements do not, and the broker's failure is not the writer's.

use std::{pin::pin, time::Duration};

use cachesync::{CacheConfig, Transaction, memory::MemoryBackend};
use cachesync_core::{codec, frame::Operation};
use cachesync_tests::{
    faulty::FaultyBackend,
    gate::Gate,
    wait::{eventually, within},
};
use futures_util::poll;

use crate::nodes::{DEADLINE, Node, another, load, node, pair};

#[tokio::test]
async fn an_eviction_of_a_key_that_is_absent_here_travels() {
    let (here, there) = pair().await;
    load(&there.users, 1, "old").await;
    load(&there.users, 2, "old").await;
    load(&there.users, 3, "old").await;
    here.users.evict(&1);
    here.users.evict_many([&2]);
    eventually(DEADLINE, || there.users.len() == 1).await;
    here.users.evict_all();
    eventually(DEADLINE, || there.users.is_empty()).await;
}

#[tokio::test]
async fn a_put_evicts_on_other_nodes_and_keeps_the_value_here() {
    let (here, there) = pair().await;
    load(&there.users, 1, "old").await;
    here.users.insert(1, "new".into());
    eventually(DEADLINE, || there.users.is_empty()).await;
    assert_eq!(here.users.get(&1).as_deref(), Some("new"));
}

#[tokio::test]
async fn loads_and_reservations_tell_nobody() {
    let (here, there) = pair().await;
    load(&here.users, 1, "Ada").await;
    assert!(here.users.reserve(&2).fill("Bob".into()));
    here.registry.flush().await.unwrap();
    assert!(
        here.backend
            .published()
            .iter()
            .all(|message| { matches!(codec::decode(&message.body).unwrap().operation, Operation::Heartbeat { .. }) })
    );
    assert_eq!(there.registry.stats().frames_applied, 0);
}

#[tokio::test]
async fn applying_the_evictions_of_others_publishes_nothing() {
    let (here, there) = pair().await;
    for key in 0..100 {
        here.users.evict(&key);
    }
    eventually(DEADLINE, || there.users.stats().evicted_by_others == 100).await;
    there.registry.flush().await.unwrap();
    assert_eq!(here.registry.stats().frames_applied, 0);
    assert_eq!(there.users.stats().evicted, 0);
}

#[tokio::test]
async fn a_node_that_only_evicts_reaches_those_who_read() {
    let hub = MemoryBackend::new();
    let reader = Node::on(&hub).await;
    let writer = another(CacheConfig::evict_only("users"), hub).await;
    let users = writer.cache::<u64, String>("users").unwrap();
    load(&reader.users, 1, "old").await;
    users.insert(2, "never kept".into());
    load(&users, 1, "never kept").await;
    assert!(users.is_empty());
    users.evict(&1);
    eventually(DEADLINE, || reader.users.is_empty()).await;
}

#[tokio::test]
async fn nodes_of_another_namespace_hear_nothing() {
    let hub = MemoryBackend::new();
    let here = Node::on(&hub).await;
    let stranger = node().namespace("other").backend(hub).start().await.unwrap();
    let users = stranger.cache::<u64, String>("users").unwrap();
    load(&users, 1, "theirs").await;
    here.users.evict(&1);
    here.registry.flush().await.unwrap();
    stranger.flush().await.unwrap();
    assert_eq!(stranger.stats().frames_applied, 0);
    assert_eq!(users.len(), 1);
}

#[tokio::test]
async fn a_commit_does_not_fail_while_the_broker_is_away_and_is_delivered_later() {
    let (here, there) = pair().await;
    load(&there.users, 1, "old").await;
    here.backend.refuse(Some("the test says so"));
    here.backend.cut();
    eventually(DEADLINE, || here.registry.status().last_error.is_some()).await;

    let transaction = Transaction::begin();
    transaction.scope(async { here.users.evict(&1) }).await;
    let committed = transaction.commit();
    assert!(!here.registry.status().outbox.is_empty());
    assert_eq!(there.users.get(&1).as_deref(), Some("old"));

    here.backend.refuse(None);
    within(DEADLINE, committed.confirmed()).await.unwrap();
    eventually(DEADLINE, || there.users.is_empty()).await;
}

#[tokio::test]
async fn what_was_not_confirmed_is_sent_again_byte_for_byte_before_anything_newer() {
    resent_after(FaultyBackend::cut).await;
    resent_after(FaultyBackend::cut_publisher).await;
}

async fn resent_after(fault: fn(&FaultyBackend)) {
    let hub = MemoryBackend::new();
    let there = Node::on(&hub).await;
    let backend = FaultyBackend::new(&hub);
    // After the first heartbeat none comes in between.
    let hours = Duration::from_hours;
    let quiet = node().heartbeat(hours(1)).lease(hours(3)).backend(backend.clone()).start().await.unwrap();
    let users = quiet.cache::<u64, String>("users").unwrap();
    users.evict(&1);
    eventually(DEADLINE, || quiet.stats().frames_sent == 2).await;
    backend.take_messages(false);
    users.evict(&2);
    // This batch is with the broker, which does not take it; what comes now stays in the outbox.
    eventually(DEADLINE, || backend.holds_back("users")).await;
    users.evict(&3);
    fault(&backend);
    backend.take_messages(true);
    eventually(DEADLINE, || there.users.stats().evicted_by_others == 3).await;
    let order: Vec<_> = backend
        .published()
        .iter()
        .map(|message| codec::decode(&message.body).unwrap())
        .filter_map(|frame| match frame.operation {
            Operation::Keys(keys) => Some((frame.session, frame.sequence, codec::decode_key(&keys[0]).unwrap())),
            _ => None,
        })
        .collect();
    assert_eq!(order, [(1, 1, 1u64), (1, 2, 2), (2, 3, 3)]);
    assert_eq!(there.users.stats().cleared, 0, "nothing was missing");
}

#[tokio::test]
async fn keys_are_told_in_the_order_in_which_they_were_evicted_first() {
    let (here, there) = pair().await;
    here.backend.take_messages(false);
    let shuffled = || (0..2_500u64).map(|key| key * 1_237 % 2_500);
    here.users.evict_many(shuffled());
    shuffled().rev().for_each(|key| here.users.evict(&key));
    here.backend.take_messages(true);
    eventually(DEADLINE, || there.users.stats().evicted_by_others >= 2_500).await;
    let published = here.backend.published();
    let frames = published.iter().map(|message| codec::decode(&message.body).unwrap());
    let told: Vec<u64> = frames
        .filter_map(|frame| if let Operation::Keys(keys) = frame.operation { Some(keys) } else { None })
        .flatten()
        .map(|key| codec::decode_key(&key).unwrap())
        .collect();
    assert!(told.into_iter().eq(shuffled()));
}

#[tokio::test]
async fn fifty_thousand_evictions_are_tens_of_messages() {
    let (here, there) = pair().await;
    let before = here.backend.published().len();
    here.backend.take_messages(false);
    here.users.evict_many(0..50_000u64);
    here.backend.take_messages(true);
    eventually(DEADLINE, || there.users.stats().evicted_by_others == 50_000).await;
    let messages = here.backend.published().len() - before;
    assert!(messages < 100, "{messages}");
}

/// A batch of 100 messages takes 15 s, longer than the lease of 10 s: heartbeats must go out in between.
#[tokio::test(start_paused = true)]
async fn a_broker_that_takes_longer_for_a_batch_than_the_lease_gets_all_of_it_in_one_session() {
    let backend = FaultyBackend::new(&MemoryBackend::new());
    let registry = node().backend(backend.clone()).flush_timeout(Duration::from_mins(10)).start().await.unwrap();
    let users = registry.cache::<u64, String>("users").unwrap();
    backend.slow_down(Duration::from_millis(150));
    users.evict_many(0..100_000u64);
    registry.flush().await.unwrap();
    assert_eq!(registry.stats().sessions, 1);
}

#[tokio::test]
async fn an_eviction_during_the_goodbye_is_reported_as_not_told_and_nothing_is_served() {
    let backend = FaultyBackend::new(&MemoryBackend::new());
    let registry = node().backend(backend.clone()).start().await.unwrap();
    let users = registry.cache::<u64, String>("users").unwrap();
    load(&users, 1, "old").await;
    let goodbye = Gate::new();
    backend.stop_goodbyes_at(&goodbye);
    let ending = tokio::spawn({
        let registry = registry.clone();
        async move { registry.shutdown().await }
    });
    goodbye.reached_by(1).await;
    assert_eq!(users.get(&1), None);
    users.evict(&1);
    assert!(registry.status().problems[0].contains("other nodes were not told"), "{:?}", registry.status().problems);
    assert!(registry.flush().await.is_ok(), "what was taken was delivered");
    goodbye.let_through(1);
    ending.await.unwrap().unwrap();
}

#[tokio::test]
async fn shutdown_delivers_what_waits() {
    let (here, there) = pair().await;
    load(&there.users, 1, "old").await;
    here.backend.take_messages(false);
    here.users.evict(&1);
    here.backend.take_messages(true);
    here.registry.shutdown().await.unwrap();
    eventually(DEADLINE, || there.users.is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_is_dropped_delivers_what_waits() {
    let (here, there) = pair().await;
    load(&there.users, 1, "old").await;
    let Node { registry, users, backend } = here;
    backend.take_messages(false);
    users.evict(&1);
    drop((registry, users));
    // The engine sees it.
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(there.users.len(), 1);
    backend.take_messages(true);
    eventually(DEADLINE, || there.users.is_empty()).await;
}

/// Each of them is the first of the transaction's caches once.
#[tokio::test(start_paused = true)]
async fn a_commit_over_several_registries_is_confirmed_when_all_their_brokers_have_taken_it() {
    for slow in [0, 1] {
        let nodes = [Node::on(&MemoryBackend::new()).await, Node::on(&MemoryBackend::new()).await];
        let transaction = Transaction::begin();
        transaction.scope(async { nodes.each_ref().map(|node| node.users.evict(&1)) }).await;
        nodes[slow].backend.take_messages(false);
        let committed = transaction.commit();
        nodes[1 - slow].registry.flush().await.unwrap();
        let mut confirmed = pin!(committed.confirmed());
        assert!(poll!(confirmed.as_mut()).is_pending(), "one of them has not taken it: {slow}");
        nodes[slow].backend.take_messages(true);
        within(DEADLINE, confirmed).await.unwrap();
    }
}
