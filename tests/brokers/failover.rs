//! Brokers of the cluster die, and come back.

use std::time::Duration;

use cachesync_core::BackendErrorKind;
use cachesync_tests::{
    broker::{Broker, Cluster},
    proxy::Proxy,
    wait::{eventually, within},
};

use crate::service::{DEADLINE, LEASE, Node, Service, all_well, backend, cluster, stale_for_at_most};

/// The broker that has most connections.
fn busiest(cluster: &Cluster) -> &Broker {
    let connections = |broker: &&Broker| {
        broker.ctl(&["eval", "length(rabbit_networking:local_connections())."]).trim().parse::<u32>().expect("a number")
    };
    cluster.brokers().iter().filter(|broker| broker.answers()).max_by_key(connections).expect("one is left")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_move_when_their_broker_is_killed_and_nothing_is_stale_for_longer_than_the_lease() {
    let (_turn, cluster) = cluster().await;
    let service = Service::new();
    let mut nodes = Vec::new();
    for _ in 0..4 {
        nodes.push(service.node(backend(cluster.urls())).await);
    }
    let nodes: Vec<&Node> = nodes.iter().collect();
    all_well(&nodes).await;

    let sessions = || nodes.iter().map(|node| node.sessions()).sum::<u64>();
    let before = sessions();
    busiest(cluster).kill();
    let during: Vec<_> = nodes.iter().map(|node| node.write()).collect();
    eventually(DEADLINE, || sessions() > before).await;
    for write in during {
        within(DEADLINE, write).await.expect("confirmed by another broker");
    }
    all_well(&nodes).await;

    // Of three, one is no majority: it pauses, and there is no broker left.
    busiest(cluster).kill();
    for node in &nodes {
        eventually(DEADLINE, || node.is_partitioned()).await;
    }
    let during: Vec<_> = nodes.iter().map(|node| node.write()).collect();
    cluster.repair();
    for write in during {
        within(DEADLINE, write).await.expect("confirmed after the outage");
    }
    all_well(&nodes).await;
    stale_for_at_most(LEASE, &nodes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_silent_or_gone_is_passed_over() {
    let (_turn, cluster) = cluster().await;
    let url = cluster.brokers()[0].url();
    let (silent, gone) = (Proxy::before(url).await, Proxy::before(url).await);
    silent.stall();
    gone.cut();
    // In whatever order they are asked.
    for _ in 0..6 {
        let node = Service::new().node(backend([silent.url(), gone.url(), url])).await;
        node.write_confirmed().await;
    }
}

#[tokio::test]
async fn without_a_broker_the_error_names_each_with_its_reason_and_no_password() {
    let (_turn, cluster) = cluster().await;
    let url = cluster.brokers()[0].url();
    let (silent, gone) = (Proxy::before(url).await, Proxy::before(url).await);
    silent.stall();
    gone.cut();
    let wrong = url.replace("guest:guest", "guest:hunter2");
    let urls = [&silent.url().replace("guest:guest", "guest:hunter2"), gone.url(), &wrong];
    // A third of it is what the silent one costs, and what a busy one that answers has.
    let backend = backend(urls).connect_timeout(Duration::from_secs(30));
    let interest = cachesync_core::backend::Interest {
        namespace: cachesync_core::Name::new("nowhere").expect("a name"),
        node_name: "tests".to_owned(),
        node: cachesync_core::frame::NodeId::random(),
        caches: cachesync_core::backend::Caches::All,
    };
    let connecting = cachesync_core::Backend::connect(&backend, interest, None);
    let error = within(DEADLINE, connecting).await.expect_err("no session");
    // Somebody has to mend the password, whatever becomes of the others.
    assert_eq!(error.kind(), BackendErrorKind::Refused, "{error}");
    let shown = format!("{error} {error:?}");
    for url in urls {
        let address = url.rsplit('@').next().expect("an address");
        assert!(shown.contains(address), "{address}: {shown}");
    }
    for reason in ["none of the 3 brokers", "does not speak AMQP within", "login of user `guest`"] {
        assert!(shown.contains(reason), "{shown}");
    }
    assert!(!shown.contains("hunter2"), "{shown}");
}
