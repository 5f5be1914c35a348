//! A broker that is silent, falls silent, is stopped, or short of memory, also several of these at once: `start` says what
//! happened, and `start`, `flush` and `shutdown` end within the time that their documentation says.

use std::{
    fs,
    time::{Duration, Instant},
};

use cachesync::{Cache, Error, Registry, amqp::AmqpBackend};
use cachesync_core::BackendErrorKind;
use cachesync_tests::{
    broker::Broker,
    proxy::Proxy,
    wait::{DEADLINE, eventually, within},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, sink},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::nodes::{BUSY, builder, namespace};

/// For a step of connecting, for a flush, for a shutdown.
const LIMIT: Duration = Duration::from_secs(1);
/// A busy machine may take this long besides.
const SLACK: Duration = Duration::from_secs(3);
/// What cannot be tried again may take this long on a machine that stands still. Where nothing limits it, there is no end.
const LONG: Duration = Duration::from_mins(1);

fn backend(url: &str) -> AmqpBackend {
    AmqpBackend::new(url).expect("a URL").connect_timeout(LIMIT).publish_timeout(LIMIT).close_timeout(LIMIT)
}

/// What comes of an attempt that ends in time. There may be several, since the machine may stand still during one; but for
/// that each does.
async fn in_time<T>(what: &str, attempt: impl AsyncFn() -> T) -> T {
    let start = Instant::now();
    loop {
        let began = Instant::now();
        let output = within(DEADLINE, attempt()).await;
        if began.elapsed() < LIMIT + SLACK {
            return output;
        }
        assert!(start.elapsed() < DEADLINE, "{what} never ends in time; now it took {:?}", began.elapsed());
    }
}

async fn start(backend: AmqpBackend) -> Result<Registry, Error> {
    in_time("start", async || {
        let builder = builder(backend.clone(), &namespace());
        builder.heartbeat(LIMIT).lease(LIMIT * 4).flush_timeout(LIMIT).start().await
    })
    .await
}

/// The error of a start that must fail.
async fn refusal(backend: AmqpBackend) -> Error {
    let error = start(backend).await.map(drop).expect_err("no session");
    assert!(error.is_backend(), "{error}");
    error
}

/// Evicts, and waits for a flush that must fail, in its time and not before.
async fn flush_fails(registry: &Registry, users: &Cache<u64, u64>, what: &str) {
    users.evict(&1);
    in_time(what, async || {
        let began = Instant::now();
        let error = registry.flush().await.expect_err(what);
        assert!(error.is_timeout() && began.elapsed() >= LIMIT, "{what}: after {:?} {error}", began.elapsed());
        assert!(error.unconfirmed().is_some_and(|left| !left.is_empty()), "{what}: {error}");
    })
    .await;
}

async fn shutdown_fails(registry: &Registry, what: &str) {
    let began = Instant::now();
    let error = within(DEADLINE, registry.shutdown()).await.expect_err(what);
    let took = began.elapsed();
    assert!(error.is_timeout() && took < LONG, "{what}: after {took:?} {error}");
}

/// In front of the broker: of what that says each client hears so many bytes, and then nothing any more. What clients say
/// goes on being read, or is not.
struct Falls {
    url: String,
    _tasks: JoinSet<()>,
}

impl Falls {
    async fn silent_after(bytes: u64, reads_on: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (_, broker) = Broker::shared().url().rsplit_once('@').expect("user and password");
        let url = Broker::shared().url().replace(broker, &listener.local_addr().expect("its address").to_string());
        let broker = broker.split('/').next().expect("an address").to_owned();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("a client");
                let broker = broker.clone();
                connections.spawn(async move {
                    let server = TcpStream::connect(broker).await.expect("the broker runs");
                    let (mut from_client, mut to_client) = client.into_split();
                    let (from_server, mut to_server) = server.into_split();
                    let mut heard = from_server.take(bytes);
                    tokio::select! {
                        // The end of the client is the end of this.
                        _ = copy(&mut from_client, &mut to_server) => return,
                        _ = copy(&mut heard, &mut to_client) => {}
                    }
                    if reads_on {
                        _ = copy(&mut from_client, &mut sink()).await;
                    } else {
                        std::future::pending::<()>().await;
                    }
                    _ = to_server.shutdown().await;
                });
            }
        });
        Self { url, _tasks: tasks }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_falls_silent_at_any_moment_of_a_start_fails_it_in_time() {
    let _quiet = BUSY.read().await;
    Broker::shared();
    let (mut bytes, mut said) = (0, Vec::new());
    // In steps that end within frames; a handshake is some hundred bytes.
    loop {
        let falls = Falls::silent_after(bytes, bytes % 2 == 0).await;
        match start(backend(&falls.url)).await {
            Err(error) => {
                assert_eq!(error.backend_kind(), Some(BackendErrorKind::Timeout), "after {bytes} bytes: {error}");
                assert!(error.to_string().contains(" within "), "after {bytes} bytes: {error}");
                said.push(error.to_string());
            }
            Ok(_) => break,
        }
        bytes += 37;
        assert!(bytes < 10_000, "{said:?}");
    }
    for stage in ["does not speak AMQP", "did not open a session"] {
        assert!(said.iter().any(|said| said.contains(stage)), "{stage}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_never_answers_fails_a_start_in_time_with_tls_too() {
    let _quiet = BUSY.read().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    let error = refusal(backend(&format!("amqp://{address}"))).await;
    assert!(error.to_string().contains("does not speak AMQP within "), "{error}");

    let issuer = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let ca_file = std::env::temp_dir().join(format!("cachesync-{}.pem", namespace()));
    fs::write(&ca_file, issuer.cert.pem()).expect("written");
    let over_tls = cachesync_amqp::AmqpBackend::new(&format!("amqps://{address}")).expect("a URL");
    let error = refusal(over_tls.ca_file(&ca_file).connect_timeout(LIMIT).publish_timeout(LIMIT)).await;
    fs::remove_file(&ca_file).expect("removed");
    assert!(error.to_string().contains("no TLS handshake"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lazy_start_at_a_silent_listener_says_so_and_shuts_down_in_time() {
    let _quiet = BUSY.read().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("amqp://{}", listener.local_addr().expect("its address"));
    let builder = builder(backend(&url), &namespace()).heartbeat(LIMIT).lease(LIMIT * 4).flush_timeout(LIMIT);
    let registry = builder.start_lazy().await.expect("starts without");
    let users = registry.cache("users").expect("configured");
    eventually(DEADLINE, || registry.status().last_error.is_some_and(|error| error.contains("speak AMQP"))).await;
    flush_fails(&registry, &users, "a silent listener").await;
    shutdown_fails(&registry, "a silent listener").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alarm_a_stopped_broker_and_a_stalled_network_one_after_the_other_and_all_at_once_end_in_time() {
    let _quiet = BUSY.read().await;
    let broker = Broker::start();
    let proxy = Proxy::before(broker.url()).await;
    let node = async || {
        // This one has to succeed, however busy the machine is.
        let builder = builder(backend(proxy.url()).connect_timeout(DEADLINE), &namespace());
        let builder = builder.heartbeat(LIMIT).lease(LIMIT * 4).flush_timeout(LIMIT);
        let registry = builder.start().await.expect("a session");
        let users = registry.cache::<u64, u64>("users").expect("configured");
        (registry, users)
    };
    // Each of them by itself, with a registry of its own.
    let (registry, users) = node().await;
    broker.set_short_of_memory(true);
    // Its connections hear of the alarm by and by; until then what is evicted is confirmed.
    eventually(DEADLINE, || {
        users.evict(&1);
        registry.status().last_error.is_some_and(|error| error.contains("short of memory"))
    })
    .await;
    flush_fails(&registry, &users, "an alarm").await;
    shutdown_fails(&registry, "an alarm").await;

    // Under an alarm a session can be had, and nothing be told.
    let (under_alarm, users_under_alarm) = node().await;
    flush_fails(&under_alarm, &users_under_alarm, "an alarm from the start").await;
    broker.stop();
    flush_fails(&under_alarm, &users_under_alarm, "an alarm, stopped").await;
    refusal(backend(proxy.url())).await;
    proxy.stall();
    flush_fails(&under_alarm, &users_under_alarm, "an alarm, stopped, and stalled").await;
    refusal(backend(proxy.url())).await;
    shutdown_fails(&under_alarm, "an alarm, stopped, and stalled").await;

    broker.cont();
    broker.set_short_of_memory(false);
    proxy.resume();
    let (registry, users) = node().await;
    users.evict(&1);
    // All is well, and may be slow.
    within(DEADLINE, async { while registry.flush().await.is_err() {} }).await;
    proxy.stall();
    flush_fails(&registry, &users, "a stalled network").await;
    shutdown_fails(&registry, "a stalled network").await;
    proxy.resume();

    // With nothing to tell, a shutdown is in time and no error, whatever the broker does.
    let (registry, _users) = node().await;
    broker.stop();
    let began = Instant::now();
    within(DEADLINE, registry.shutdown()).await.expect("nothing waited");
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    broker.cont();
}
