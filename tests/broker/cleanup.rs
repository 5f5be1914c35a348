//! What is left on the broker by sessions that ended. What is left in the process is in `leaks.rs`.

use cachesync_tests::{
    broker::Broker,
    wait::{DEADLINE, eventually},
};

use crate::session::{backend, interest, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_shows_its_node_on_the_broker_and_its_queue_goes_with_it() {
    let broker = Broker::shared_private();
    let mut interest = interest();
    interest.node_name = "host 7/web".to_owned();
    let session = open(&backend(broker.url()), &interest).await;

    let namespace = interest.namespace.to_string();
    let queues =
        broker.ctl(&["list_queues", "--no-table-headers", "name", "durable", "auto_delete", "exclusive", "type"]);
    let queue = queues.lines().find(|line| line.contains(&namespace)).expect("the session's queue");
    let (queue, properties) = queue.split_once('\t').expect("columns");
    assert!(queue.starts_with(&format!("cachesync.{namespace}.host_7_web.")), "{queue}");
    assert_eq!(properties.split('\t').collect::<Vec<_>>(), ["false", "true", "true", "classic"]);
    let connections = broker.ctl(&["list_connections", "client_properties"]);
    assert!(connections.contains("host 7/web"), "{connections}");

    drop(session);
    eventually(DEADLINE, || !broker.ctl(&["list_queues", "--no-table-headers", "name"]).contains(&namespace)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_lives_as_long_as_one_of_its_halves() {
    let broker = Broker::shared_private();
    let interest = interest();
    let queue_exists =
        || broker.ctl(&["list_queues", "--no-table-headers", "name"]).contains(interest.namespace.as_str());
    let session = open(&backend(broker.url()), &interest).await;
    drop(session.publisher);
    assert!(queue_exists());
    drop(session.subscriber);
    eventually(DEADLINE, || !queue_exists()).await;
}
