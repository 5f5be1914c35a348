//! What sessions, abandoned attempts and registries leave in the process: nothing. Threads are counted, so these tests are
//! alone in their binary, and run one after the other.

use std::{
    fs,
    time::{Duration, Instant},
};

use cachesync::{CacheConfig, Registry, UnknownCaches};
use cachesync_amqp::{AmqpBackend, Stream};
use cachesync_core::{
    Backend, Name,
    backend::{Caches, Interest, Message, Topic},
    frame::NodeId,
};
use cachesync_tests::{
    broker::Broker,
    patient,
    proxy::Proxy,
    wait::{DEADLINE, eventually},
};
use tokio::{net::TcpListener, runtime::Handle, sync::Mutex};

/// Held by the test that counts.
static ALONE: Mutex<()> = Mutex::const_new(());

fn interest() -> Interest {
    Interest {
        namespace: Name::new("leaks").expect("a valid name"),
        node_name: "leaks".to_owned(),
        node: NodeId::random(),
        caches: Caches::All,
    }
}

/// lapin runs a thread per connection.
fn connection_threads() -> usize {
    let names = fs::read_dir("/proc/self/task").expect("Linux").flatten().map(|task| task.path().join("comm"));
    names.filter_map(|comm| fs::read_to_string(comm).ok()).filter(|comm| comm.starts_with("lapin")).count()
}

fn sockets() -> usize {
    let links = fs::read_dir("/proc/self/fd").expect("Linux").flatten().map(|fd| fs::read_link(fd.path()));
    links.flatten().filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn neither_ended_sessions_nor_abandoned_attempts_leave_threads_tasks_or_sockets() {
    let _alone = ALONE.lock().await;
    // A connection that is dropped outside of Tokio may start the one fallback runtime of `async-compat`, which has a
    // socket. It is started now, so that it is not taken for a leak.
    std::thread::spawn(|| pollster::block_on(async_compat::Compat::new(async {}))).join().expect("no panic");
    let broker = Broker::shared();
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let silent = format!("amqp://{}", silent.local_addr().expect("its address"));
    let proxy = Proxy::before(broker.url()).await;
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let before = (tasks(), sockets());
    assert_eq!(connection_threads(), 0);

    // A task of lapin's ends at its next beat.
    let beat = Duration::from_secs(5);
    let backend = patient::backend(broker.url()).heartbeat(beat);
    let on_stream = backend.clone().stream(Stream::new());
    let node = NodeId::random();
    let interest = || Interest { node, ..interest() };
    let stalling = patient::backend(proxy.url()).heartbeat(beat);
    for round in 0..5 {
        let mut closed = backend.connect(interest(), None).await.expect("a session");
        closed.publisher.close().await;
        let dropped = backend.connect(interest(), None).await.expect("a session");
        let mut streaming = on_stream.connect(interest(), None).await.expect("a session");
        let beat = Message { topic: Topic::Heartbeat(node), body: vec![1] };
        streaming.publisher.publish(&[beat]).await.expect("published");
        let heard = streaming.subscriber.next().await.expect("its heartbeat").position;
        let resumed = on_stream.connect(interest(), heard).await.expect("a session");
        assert!(resumed.resumed);
        let stalled = stalling.connect(interest(), None).await.expect("a session");
        assert!(connection_threads() >= 2);
        proxy.stall();
        drop((closed, dropped, streaming, resumed, stalled));
        proxy.resume();

        let limit = Duration::from_millis(50);
        let abandoned = AmqpBackend::new(&silent).expect("a URL").connect_timeout(limit);
        assert!(abandoned.connect(interest(), None).await.is_err());
        // Dropped by its caller, at a different step each time.
        let patience = Duration::from_millis(2 * round);
        let _ = tokio::time::timeout(patience, backend.connect(interest(), None)).await;
    }

    eventually(DEADLINE, || connection_threads() == 0).await;
    let more_than_before = || tasks() > before.0 || sockets() > before.1;
    let start = Instant::now();
    while more_than_before() && start.elapsed() < DEADLINE {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The numbers tell which of the two is left.
    let after = (tasks(), sockets());
    assert!(!more_than_before(), "tasks and sockets: {before:?} before, {after:?} after");
}

/// With or without a goodbye, and whatever the broker does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_that_is_dropped_or_shut_down_ends_the_threads_of_its_sessions() {
    let _alone = ALONE.lock().await;
    let broker = Broker::start();
    let limit = Duration::from_millis(500);
    let proxy = Proxy::before(broker.url()).await;
    let start = async |namespace: &str| {
        // Whose session is lost before the broker stops is the machine's affair, so that takes long.
        let backend = AmqpBackend::new(proxy.url()).expect("a URL").connect_timeout(DEADLINE / 2).close_timeout(limit);
        let builder = Registry::builder().namespace(namespace).cache(CacheConfig::new("users"));
        let builder = builder.unknown_caches(UnknownCaches::Bypass).backend(backend);
        builder.flush_timeout(limit).start().await.expect("the broker runs")
    };
    assert_eq!(connection_threads(), 0);
    for what in ["runs", "stalls", "is stopped", "is stopped, with something to tell"] {
        let [dropped, shut_down] = [start("leaks-1").await, start("leaks-2").await];
        eventually(DEADLINE, || connection_threads() == 2).await;
        match what {
            "runs" => {}
            "stalls" => proxy.stall(),
            _ => broker.stop(),
        }
        if what.ends_with("to tell") {
            for registry in [&dropped, &shut_down] {
                registry.cache::<u64, u64>("users").expect("configured").evict(&1);
            }
        }
        drop(dropped);
        // An error says what it could not tell.
        _ = shut_down.shutdown().await;
        eventually(DEADLINE, || connection_threads() == 0).await;
        match what {
            "runs" => {}
            "stalls" => proxy.resume(),
            _ => broker.cont(),
        }
    }
}
