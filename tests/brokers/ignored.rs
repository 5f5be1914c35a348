//! The cluster splits, and its brokers ignore it, as RabbitMQ does unless told otherwise: each side goes on by itself.

use std::time::{Duration, Instant};

use cachesync::amqp::{AmqpBackend, Stream};
use cachesync_tests::{
    broker::{Broker, Cluster},
    wait::{eventually, within},
};

use crate::{
    service::{DEADLINE, LEASE, SLACK, Service, all_well, backend, cluster, stale_for_at_most},
    split::ALONE,
};

/// The backend of a node that hears a stream with a replica on each broker.
fn streaming<'a>(urls: impl IntoIterator<Item = &'a str>) -> AmqpBackend {
    backend(urls).stream(Stream::new().replicas(3))
}

/// A confirm of a stream needs a majority of its replicas, and so do the heartbeats by which a node serves: none comes back on
/// the side that is no majority. A queue is on one broker: its node's heartbeats come back, and evictions that other
/// brokers have confirmed do not come. That is what `pause_minority` is for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replicated_stream_keeps_to_the_lease_and_queues_hide_confirmed_evictions_for_as_long_as_the_split_lasts() {
    let (_turn, cluster) = cluster().await;
    let urls: Vec<&str> = cluster.urls().collect();
    let on_queues = Service::new();
    let queue = on_queues.node(backend([urls[0]])).await;
    let queue_alone = on_queues.node(backend([urls[ALONE]])).await;
    // A stream is led by the broker of who declares it first: one is led on each side.
    let [led_there, led_alone] = [Service::new(), Service::new()];
    let writing = led_there.node(streaming([urls[0], urls[1]])).await;
    let reading = led_there.node(streaming([urls[1]])).await;
    let alone_writing = led_there.node(streaming([urls[ALONE]])).await;
    let alone = led_there.node(streaming([urls[ALONE]])).await;
    let other_alone = led_alone.node(streaming([urls[ALONE]])).await;
    let other_writing = led_alone.node(streaming([urls[0], urls[1]])).await;
    let other_reading = led_alone.node(streaming([urls[1]])).await;
    let queues = [&queue, &queue_alone];
    let streams = [&writing, &reading, &alone_writing, &alone];
    let other_streams = [&other_writing, &other_reading, &other_alone];
    for nodes in [&queues[..], &streams, &other_streams] {
        all_well(nodes).await;
    }
    cluster.set_partition_handling("ignore");
    cluster.brokers().iter().for_each(Broker::write_out);

    cluster.isolate(ALONE);
    let cut = Instant::now();
    let mut writes = Vec::new();
    let without_majority = [&alone_writing, &alone, &other_alone];
    while cut.elapsed() < Cluster::DETECTION + LEASE || !without_majority.iter().all(|node| node.is_partitioned()) {
        assert!(cut.elapsed() < DEADLINE, "no heartbeat comes back without a majority");
        writes.extend([writing.write(), alone_writing.write(), other_writing.write()]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The majority goes on, with another leader where there was none on its side.
    all_well(&[&writing, &reading]).await;
    all_well(&[&other_writing, &other_reading]).await;

    // With queues both sides go on, each taking the other for dead.
    for node in queues {
        node.write_confirmed().await;
        eventually(DEADLINE, || node.is_coherent()).await;
    }
    // It has to hold something that can become stale.
    eventually(DEADLINE, || queue_alone.holds_the_newest()).await;
    queue_alone.oldest_read();
    let sessions = queue_alone.sessions();
    queue.write_confirmed().await;
    let beyond = LEASE + Cluster::DETECTION + SLACK;
    eventually(DEADLINE, || queue_alone.oldest_so_far() > beyond).await;
    // It is in the session in which it was, its heartbeats come back, and it serves what is long gone.
    assert!(queue_alone.is_coherent() && !queue_alone.is_up_to_date(), "{:?}", queue_alone.registry.status());
    assert_eq!(queue_alone.sessions(), sessions);
    assert!(without_majority.iter().all(|node| node.is_partitioned()));

    // What the broker has missed it does not learn by itself.
    cluster.brokers()[ALONE].kill();
    cluster.repair();
    cluster.set_partition_handling("pause_minority");
    for write in writes {
        within(DEADLINE, write).await.expect("confirmed in the end");
    }
    for nodes in [&queues[..], &streams, &other_streams] {
        all_well(nodes).await;
    }
    stale_for_at_most(LEASE, &streams);
    stale_for_at_most(LEASE, &other_streams);
}
