//! The cluster splits under registries that hear a replicated stream.

use std::time::{Duration, Instant};

use cachesync::amqp::{AmqpBackend, Stream};
use cachesync_tests::{
    broker::{Broker, Cluster},
    wait::{eventually, within},
};

use crate::{
    service::{DEADLINE, LEASE, Service, all_well, backend, cluster},
    split::{ALONE, stale_for_at_most},
};

/// The backend of a node that hears a stream with a replica on each broker.
fn streaming<'a>(urls: impl IntoIterator<Item = &'a str>) -> AmqpBackend {
    backend(urls).stream(Stream::new().replicas(3))
}

/// The confirm of a stream needs a majority of its replicas, and so do the heartbeats by which a node serves: splits may be
/// ignored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_replicated_stream_nothing_is_stale_for_longer_than_the_lease_even_if_a_split_is_ignored() {
    let (_turn, cluster) = cluster().await;
    let urls: Vec<&str> = cluster.urls().collect();
    // A stream is led by the broker of who declares it first: one is led on each side.
    let [led_there, led_alone] = [Service::new(), Service::new()];
    let writing = led_there.node(streaming([urls[0], urls[1]])).await;
    let reading = led_there.node(streaming([urls[1]])).await;
    let alone_writing = led_there.node(streaming([urls[ALONE]])).await;
    let alone = led_there.node(streaming([urls[ALONE]])).await;
    let other_alone = led_alone.node(streaming([urls[ALONE]])).await;
    let other_writing = led_alone.node(streaming([urls[0], urls[1]])).await;
    let other_reading = led_alone.node(streaming([urls[1]])).await;
    let nodes = [&writing, &reading, &alone_writing, &alone];
    let others = [&other_writing, &other_reading, &other_alone];
    all_well(&nodes).await;
    all_well(&others).await;
    cluster.set_partition_handling("ignore");
    cluster.brokers().iter().for_each(Broker::write_out);

    cluster.isolate(ALONE);
    let cut = Instant::now();
    let mut writes = Vec::new();
    let isolated = [&alone_writing, &alone, &other_alone];
    while cut.elapsed() < Cluster::DETECTION + LEASE || !isolated.iter().all(|node| node.is_partitioned()) {
        assert!(cut.elapsed() < DEADLINE, "no heartbeat comes back without a majority");
        writes.extend([writing.write(), alone_writing.write(), other_writing.write()]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The majority goes on, with another leader where there was none on its side.
    all_well(&[&writing, &reading]).await;
    all_well(&[&other_writing, &other_reading]).await;
    println!("goes on after {:?}", cut.elapsed());
    assert!(isolated.iter().all(|node| node.is_partitioned()));

    // The rest of the broker does not know that it has missed something.
    cluster.brokers()[ALONE].kill();
    cluster.repair();
    cluster.set_partition_handling("pause_minority");
    for write in writes {
        within(DEADLINE, write).await.expect("confirmed in the end");
    }
    all_well(&nodes).await;
    all_well(&others).await;
    for node in nodes.iter().chain(&others) {
        let stats = node.registry.stats();
        println!("{} sessions, {} resumed, {} gaps", stats.sessions, stats.resumed, stats.gaps);
    }
    stale_for_at_most(LEASE, &nodes);
    stale_for_at_most(LEASE, &others);
    eventually(DEADLINE, || nodes.iter().all(|node| node.is_coherent())).await;
}
