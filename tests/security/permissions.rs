//! The least permissions: those in cachesync-amqp's README, one missing after the other.

use cachesync_tests::{
    broker::Broker,
    wait::{DEADLINE, eventually},
};

use crate::node;

const EXCHANGE: &str = "^cachesync$";
const QUEUES: &str = r"^cachesync\.shop\..*";
/// As in the README, for the namespace `shop`.
const BOTH: &str = r"^(cachesync|cachesync\.shop\..*)$";

fn user(broker: &Broker, name: &str, [configure, write, read]: [&str; 3]) -> String {
    broker.ctl(&["add_user", name, "hunter2"]);
    broker.ctl(&["set_permissions", name, configure, write, read]);
    broker.url_with(name, "hunter2", "%2f")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_readme_grants_is_enough_and_no_part_of_it_can_be_left_out() {
    let broker = Broker::shared_private();
    let url = user(broker, "least", [BOTH, BOTH, BOTH]);
    broker.ctl(&["set_topic_permissions", "least", "cachesync", r"^shop\.", r"^shop\."]);
    let (one, other) = (node(&url, "shop").start().await.unwrap(), node(&url, "shop").start().await.unwrap());
    let (here, there) = (one.cache::<u64, u64>("users").unwrap(), other.cache::<u64, u64>("users").unwrap());
    here.insert(1, 1);
    one.flush().await.unwrap();
    there.evict(&1);
    eventually(DEADLINE, || here.get(&1).is_none()).await;
    assert_eq!((one.stats().sessions, one.status().last_error), (1, None));

    // The exchange is declared, bound to and published to, the queue declared, bound and consumed.
    for (permissions, text) in [
        ([QUEUES, BOTH, BOTH], "may not declare the exchange `cachesync`"),
        ([EXCHANGE, BOTH, BOTH], "may not declare the queue `cachesync.shop.node"),
        ([BOTH, EXCHANGE, BOTH], "bind it to `cachesync`"),
        ([BOTH, BOTH, QUEUES], "bind it to `cachesync`"),
        ([BOTH, BOTH, EXCHANGE], "consume"),
    ] {
        broker.ctl(&["set_permissions", "least", permissions[0], permissions[1], permissions[2]]);
        let error = node(&url, "shop").start().await.unwrap_err().to_string();
        assert!(error.contains(text) && error.contains("`least`") && error.contains("set_permissions"), "{error}");
        assert!(!error.contains("hunter2"));
    }
    // That it may not publish shows when it does.
    broker.ctl(&["set_permissions", "least", BOTH, QUEUES, BOTH]);
    let registry = node(&url, "shop").start().await.unwrap();
    let mut error = None;
    eventually(DEADLINE, || {
        error = registry.status().last_error.filter(|error| error.contains("set_permissions"));
        error.is_some()
    })
    .await;
    let error = error.unwrap();
    assert!(error.contains("may not write to the exchange") && error.contains("'cachesync'"), "{error}");
    for registry in [one, other, registry] {
        drop(registry);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_topic_permissions_a_tenant_stays_in_its_own_namespace() {
    let broker = Broker::shared_private();
    let own = r"^(cachesync|cachesync\.blog\..*)$";
    let url = user(broker, "blogger", [own, own, own]);
    broker.ctl(&["set_topic_permissions", "blogger", "cachesync", r"^blog\.", r"^blog\."]);
    node(&url, "blog").start().await.unwrap().shutdown().await.unwrap();
    // Not even with the queues of another namespace: it may not bind them, so it hears nothing.
    broker.ctl(&["set_permissions", "blogger", ".*", ".*", ".*"]);
    let error = node(&url, "shop").start().await.unwrap_err().to_string();
    assert!(error.contains("set_topic_permissions") && error.contains("`blogger`"), "{error}");
    // And it may hear and not write.
    broker.ctl(&["set_topic_permissions", "blogger", "cachesync", r"^blog\.", r".*"]);
    let registry = node(&url, "shop").start().await.unwrap();
    let shows = || registry.status().last_error.is_some_and(|error| error.contains("set_topic_permissions"));
    eventually(DEADLINE, shows).await;
}
