//! The cluster splits: a network swallows what its brokers send each other, and each notices in its own time.

use std::time::{Duration, Instant};

use cachesync_tests::{
    broker::Cluster,
    proxy::Proxy,
    wait::{eventually, within},
};

use crate::service::{DEADLINE, LEASE, Service, all_well, backend, cluster, stale_for_at_most};

/// The broker that is cut off.
pub(crate) const ALONE: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_pause_minority_the_majority_goes_on_and_nothing_is_stale_for_longer_than_lease_and_detection() {
    let (_turn, cluster) = cluster().await;
    let urls: Vec<&str> = cluster.urls().collect();
    let service = Service::new();
    // One writes and one reads on each side, since a session in which something is published is lost before a side notices:
    // it is not confirmed while a queue behind the link cannot take it.
    let [writing, reading] = [service.node(backend([urls[0], urls[1]])).await, service.node(backend([urls[1]])).await];
    let [alone_writing, alone] =
        [service.node(backend([urls[ALONE]])).await, service.node(backend([urls[ALONE]])).await];
    // It reaches the majority only when its first broker is lost.
    let way_out = Proxy::before(urls[0]).await;
    way_out.cut();
    let moving = service.node(backend([urls[ALONE], way_out.url()])).await;
    let nodes = [&writing, &reading, &alone_writing, &alone, &moving];
    all_well(&nodes).await;

    cluster.isolate(ALONE);
    way_out.resume();
    let cut = Instant::now();
    let mut writes = Vec::new();
    let paused = || alone.is_partitioned() && alone_writing.is_partitioned();
    while cut.elapsed() < Cluster::DETECTION + LEASE || !(paused() && moving.is_coherent()) {
        assert!(cut.elapsed() < DEADLINE, "the minority pauses, and who can moves");
        writes.extend([writing.write(), alone_writing.write()]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The majority goes on.
    let majority = [&writing, &reading, &moving];
    all_well(&majority).await;
    let hits = || majority.iter().map(|node| node.hits()).sum::<u64>();
    let before = hits();
    eventually(DEADLINE, || hits() > before + 100).await;
    assert!(paused());

    cluster.repair();
    for write in writes {
        within(DEADLINE, write).await.expect("confirmed in the end");
    }
    all_well(&nodes).await;
    stale_for_at_most(LEASE + Cluster::DETECTION, &nodes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_pause_minority_no_broker_goes_on_where_none_is_of_a_majority() {
    let (_turn, cluster) = cluster().await;
    let urls: Vec<&str> = cluster.urls().collect();
    let service = Service::new();
    let [writing, reading] = [service.node(backend([urls[0]])).await, service.node(backend([urls[0]])).await];
    let other = service.node(backend([urls[ALONE]])).await;
    let nodes = [&writing, &reading, &other];
    all_well(&nodes).await;
    // Two of three are left, which is a majority, and then two times one.
    cluster.brokers()[1].kill();
    all_well(&nodes).await;
    cluster.isolate(ALONE);
    let mut writes = Vec::new();
    let cut = Instant::now();
    while !nodes.iter().all(|node| node.is_partitioned()) {
        assert!(cut.elapsed() < DEADLINE, "both sides pause");
        writes.push(writing.write());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.repair();
    for write in writes {
        within(DEADLINE, write).await.expect("confirmed in the end");
    }
    all_well(&nodes).await;
    stale_for_at_most(LEASE + Cluster::DETECTION, &nodes);
}
