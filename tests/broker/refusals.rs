//! What is said when there is no session to be had.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use cachesync_amqp::AmqpBackend;
use cachesync_core::{BackendError, BackendErrorKind};
use cachesync_tests::{
    broker::Broker,
    wait::{DEADLINE, eventually},
};
use lapin::{Connection, ConnectionProperties, ExchangeKind, options::ExchangeDeclareOptions, types::FieldTable};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpSocket},
};

use crate::session::{backend, everything_shown, interest, open, refusal};

fn assert_says(error: &BackendError, kind: BackendErrorKind, texts: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    let message = error.to_string();
    for text in texts {
        assert!(message.contains(text), "{message}");
    }
    assert!(message.starts_with(|first: char| !first.is_uppercase() || message.starts_with("RabbitMQ")), "{message}");
    assert!(!message.ends_with('.'), "{message}");
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_shown() {
    let url = Broker::shared_private().url_with("guest", "hunter2", "%2f");
    let error = refusal(&backend(&url)).await;
    assert_says(&error, BackendErrorKind::Refused, &["login of user `guest`", "check user and password"]);
    let shown = everything_shown(&error);
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn an_unknown_user_is_refused_and_the_password_not_shown() {
    let url = Broker::shared_private().url_with("nobody", "hunter2", "%2f");
    let error = refusal(&backend(&url)).await;
    assert_says(&error, BackendErrorKind::Refused, &["login of user `nobody`"]);
    assert!(!everything_shown(&error).contains("hunter2"));
}

#[tokio::test]
async fn a_missing_virtual_host_is_named() {
    let url = Broker::shared_private().url_with("guest", "guest", "no%2fsuch");
    let error = refusal(&backend(&url)).await;
    assert_says(&error, BackendErrorKind::Refused, &["virtual host `no/such`", "does not exist", "add_vhost"]);
}

#[tokio::test]
async fn a_virtual_host_that_exists_is_used() {
    let broker = Broker::shared_private();
    broker.ctl(&["add_vhost", "used"]);
    broker.ctl(&["set_permissions", "-p", "used", "guest", ".*", ".*", ".*"]);
    let session = open(&backend(&broker.url_with("guest", "guest", "used")), &interest()).await;
    assert!(broker.ctl(&["list_queues", "-p", "used", "name"]).contains("cachesync."));
    drop(session);
}

#[tokio::test]
async fn a_user_without_permissions_learns_which_are_missing() {
    let broker = Broker::shared_private();
    broker.ctl(&["add_user", "limited", "hunter2"]);
    let url = broker.url_with("limited", "hunter2", "%2f");

    let error = refusal(&backend(&url)).await;
    assert_says(&error, BackendErrorKind::Refused, &["virtual host `/`", "set_permissions"]);

    broker.ctl(&["set_permissions", "limited", "^$", "^$", "^$"]);
    let error = refusal(&backend(&url)).await;
    assert_says(&error, BackendErrorKind::Refused, &["may not declare the exchange `cachesync`", "set_permissions"]);

    broker.ctl(&["set_permissions", "limited", "^cachesync$", "^cachesync$", "^cachesync$"]);
    let error = refusal(&backend(&url)).await;
    assert_says(&error, BackendErrorKind::Refused, &["may not declare the queue `cachesync.broker-", "`cachesync.*`"]);
    assert!(!everything_shown(&error).contains("hunter2"));

    // What the message asks for is enough.
    let granted = r"^cachesync(\..*)?$";
    broker.ctl(&["set_permissions", "limited", granted, granted, granted]);
    open(&backend(&url), &interest()).await;
}

#[tokio::test]
async fn an_exchange_of_another_kind_is_refused() {
    let url = Broker::shared().url();
    let connection = Connection::connect(url, ConnectionProperties::default()).await.expect("a connection");
    let channel = connection.create_channel().await.expect("a channel");
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let transient = ExchangeDeclareOptions::default();
    for (exchange, kind, options) in [
        ("conflicting-kind", ExchangeKind::Fanout, durable),
        ("conflicting-durability", ExchangeKind::Topic, transient),
    ] {
        channel.exchange_declare(exchange.into(), kind, options, FieldTable::default()).await.expect("declared");
        let error = refusal(&backend(url).exchange(exchange)).await;
        channel
            .exchange_delete(exchange.into(), lapin::options::ExchangeDeleteOptions::default())
            .await
            .expect("deleted");
        assert_says(&error, BackendErrorKind::Refused, &[exchange, "is not a durable topic exchange"]);
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    // Bound, so that nobody else gets it, and not listened to.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
    let address = socket.local_addr().expect("its address");
    let error = refusal(&backend(&format!("amqp://shop:hunter2@{address}"))).await;
    assert_says(&error, BackendErrorKind::Unreachable, &[&address.to_string(), "check host, port and firewall"]);
    assert!(!everything_shown(&error).contains("hunter2"));
}

#[tokio::test]
async fn an_unknown_host_is_unreachable() {
    let error = refusal(&backend("amqp://no-such-host.invalid")).await;
    assert_says(&error, BackendErrorKind::Unreachable, &["no-such-host.invalid:5672"]);
}

/// As `localhost` is `::1` too on most machines, where this broker does not listen.
#[tokio::test]
async fn a_host_is_reached_at_whichever_of_its_addresses_answers() {
    let url = Broker::shared_private().url().replace("127.0.0.1", "localhost");
    open(&backend(&url), &interest()).await;
}

#[tokio::test]
async fn a_silent_listener_is_given_up_in_time_and_its_connection_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    let limit = Duration::from_millis(300);
    let start = Instant::now();
    let error = refusal(&backend(&format!("amqp://shop:hunter2@{address}")).connect_timeout(limit)).await;
    // Far less than this backend waits for otherwise.
    assert!(start.elapsed() >= limit && start.elapsed() < DEADLINE / 4, "{:?}", start.elapsed());
    assert_says(&error, BackendErrorKind::Timeout, &[&address.to_string(), "does not speak AMQP within 300ms"]);

    // The client shut its side down: after the protocol header comes the end of the stream.
    let (stream, _) = listener.accept().await.expect("the client's connection");
    let mut header = [0; 64];
    let mut received = 0;
    eventually(DEADLINE, || match stream.try_read(&mut header) {
        Ok(0) => true,
        Ok(len) => {
            received += len;
            false
        }
        Err(_) => false,
    })
    .await;
    assert_eq!(received, 8);
}

#[tokio::test]
async fn a_listener_that_speaks_something_else_is_no_rabbitmq() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("its address");
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.expect("written");
        stream
    });
    let error = refusal(&backend(&format!("amqp://{address}")).connect_timeout(DEADLINE)).await;
    assert!(error.to_string().contains("check that the port"), "{error}");
    drop(serving.await);
}

/// Nobody listens at that address, and nothing is sent there: what cannot be is known before.
#[tokio::test]
async fn each_impossible_option_is_refused_at_connect_as_configuration() {
    let (zero, too_long) = (Duration::ZERO, Duration::from_hours(2));
    // What a URL says counts where no option is set.
    let backend = |url: &str| AmqpBackend::new(url).expect("a URL");
    let plain = |parameters: &str| backend(&format!("amqp://localhost:1{parameters}"));
    for (backend, text) in [
        (plain("").exchange("amq.topic"), "`amq.topic`"),
        (plain("").exchange(""), "an exchange's name"),
        (plain("").exchange("line\nbreak"), r"`line\nbreak`"),
        (plain("").heartbeat(Duration::from_millis(100)), "`heartbeat`"),
        (plain("").connect_timeout(zero), "`connect_timeout`"),
        (plain("").publish_timeout(zero), "`publish_timeout`"),
        (plain("").close_timeout(too_long), "`close_timeout`"),
        (plain("?heartbeat=0"), "`heartbeat`"),
        (plain("?connection_timeout=0"), "`connect_timeout`"),
        (backend("amqps://localhost:1").ca_file("no/such.pem"), "no/such.pem"),
        (backend("amqps://local..host:1"), "`local..host`"),
    ] {
        assert_says(&refusal(&backend).await, BackendErrorKind::Configuration, &[text]);
    }
}
