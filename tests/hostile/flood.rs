//! All kinds of bad messages at full speed, from several programs that wait for no confirms: the node goes on serving.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use cachesync_tests::{
    broker::Broker,
    flood::Flood,
    wait::{DEADLINE, eventually},
};

use crate::nodes::{BUSY, Node, json};

/// How much memory this process has, in bytes.
fn resident() -> i64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<i64>().expect("a number") << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_garbage_leaves_hits_sessions_and_memory_as_they_are() {
    let _busy = BUSY.write().await;
    let mut node = Node::start().await;
    let role = (7, "admin".to_owned());
    node.fill();
    let flood = Flood::start(Broker::shared().url(), "cachesync", &node.namespace, "users", 3);
    let start = Instant::now();
    eventually(DEADLINE, || node.registry.stats().bad_messages > 1_000).await;
    let before = resident();
    let (mut hits, mut most) = (0u64, 0);
    let loads = Arc::new(AtomicU64::new(0));
    while start.elapsed() < Duration::from_secs(10) || node.registry.stats().bad_messages < 20_000 {
        assert!(start.elapsed() < DEADLINE * 2, "{:?}", node.registry.stats());
        // A cache that the flood does not name keeps what it has.
        let loading = loads.clone();
        let load = async move || {
            loading.fetch_add(1, Relaxed);
            1
        };
        assert_eq!(node.roles.get_with(&role, load).await, 1);
        hits += 1;
        most = most.max(resident() - before);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let heard = node.registry.stats();
    let sent = flood.end().expect("the broker took all of it");
    println!("{sent} sent, {heard:?}, {hits} hits, {loads:?} loads, {most} bytes more, {:?}", node.registry.status());
    assert!(most < 128 << 20, "{most} bytes more than before");
    assert_eq!(heard.sessions, 1, "{heard:?}");
    if heard.gaps == 0 {
        assert_eq!(loads.load(Relaxed), 0, "every read was a hit");
    }

    eventually(DEADLINE, || node.is_coherent()).await;
    node.hears().await;
    node.fill();
    node.publish("users", &json(), br#"{"cache": "users", "all": true}"#);
    eventually(DEADLINE, || node.users.is_empty()).await;
    assert_eq!(node.roles.len(), 1);
}
