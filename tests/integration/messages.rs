//! How many messages evictions take: what a broker has to carry grows with commits and not with keys.

use std::time::Duration;

use cachesync::{CacheConfig, Registry, Transaction, UnknownCaches};
use cachesync_tests::counting::CountingBackend;

async fn nodes(backend: &CountingBackend, count: usize) -> Vec<Registry> {
    let mut nodes = Vec::new();
    for _ in 0..count {
        let node = Registry::builder().namespace("shop").unknown_caches(UnknownCaches::Bypass);
        let node = node.cache(CacheConfig::new("users")).backend(backend.clone());
        // Far between, since the first after a silence brings a trailer along, which is a message.
        let node = node.heartbeat(Duration::from_hours(1)).lease(Duration::from_hours(3));
        nodes.push(node.start().await.expect("the hub is there"));
    }
    nodes
}

#[tokio::test(start_paused = true)]
async fn fifty_thousand_evictions_take_fifty_messages_however_they_are_made() {
    let backend = CountingBackend::default();
    let nodes = nodes(&backend, 2).await;
    let users = nodes[0].cache::<u64, ()>("users").expect("declared");
    let many = || users.evict_many(0..50_000u64);
    let single = || (0..50_000u64).for_each(|key| users.evict(&key));
    let twice = || {
        single();
        single();
    };
    let ways: [&dyn Fn(); 3] = [&many, &single, &twice];
    for evict in ways {
        let before = backend.counts();
        evict();
        nodes[0].flush().await.expect("the hub takes them");
        assert_eq!((backend.counts() - before).published, 50);
    }
    let before = backend.counts();
    let transaction = Transaction::begin();
    transaction.scope(async { single() }).await;
    transaction.commit().confirmed().await.expect("the hub takes them");
    assert_eq!((backend.counts() - before).published, 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_while_the_rest_is_still_being_evicted_is_whole_messages() {
    let backend = CountingBackend::default();
    let nodes = nodes(&backend, 2).await;
    let users = nodes[0].cache::<u64, ()>("users").expect("declared");
    for _ in 0..20 {
        let before = backend.counts();
        // Not on a worker, which would have nobody else take up what it wakes.
        let users = users.clone();
        tokio::task::spawn_blocking(move || users.evict_many(0..50_000u64)).await.expect("it evicts");
        nodes[0].flush().await.expect("the hub takes them");
        assert_eq!((backend.counts() - before).published, 50);
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_one_message_to_the_broker_at_any_number_of_nodes_and_one_from_it_to_each() {
    for count in [2, 20, 200] {
        let backend = CountingBackend::default();
        let nodes = nodes(&backend, count).await;
        let users = nodes[1].cache::<u64, ()>("users").expect("declared");
        let before = backend.counts();
        for key in 0..10 {
            let transaction = Transaction::begin();
            transaction.scope(async { users.evict(&key) }).await;
            transaction.commit().confirmed().await.expect("the hub takes it");
        }
        // Time goes on when nobody has anything left to do.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let counts = backend.counts() - before;
        assert_eq!((counts.published, counts.delivered), (10, 10 * count as u64), "{counts:?}");
    }
}
