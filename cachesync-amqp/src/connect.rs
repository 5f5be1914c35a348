//! How a session is opened, step by step: certificates, TCP, TLS, login, exchange, and then its `queue` or `stream`.
//!
//! Invariant: one TCP connection per session. lapin is handed a stream that is already open, once, so it could not
//! reconnect if it tried; lapin's own recovery would hide lost messages. An attempt that breaks before there is a session, as
//! another node makes or deletes its stream, is begun again on another connection, a few times. Every step with a broker is
//! under one deadline, and dropping the future at any step takes the connection along.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_compat::Compat;
use cachesync_core::{
    BackendError, BackendErrorKind, Session,
    backend::{Interest, Position},
};
use lapin::{
    AsyncTcpStream, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{ConfirmSelectOptions, ExchangeDeclareOptions},
    types::FieldTable,
};
use tokio::{
    net::{TcpStream, lookup_host},
    time::{Instant, sleep, timeout_at},
};

use crate::{
    AmqpBackend,
    error::{Stage, connect_error, connect_held_back, connect_timeout, io_error},
    link::{Link, Socket},
    publisher::AmqpPublisher,
    queue, stream,
    url::BrokerUrl,
    wire::{self, Screened, Wire},
};

/// The longest connection name that is sent, in characters.
const MAX_CONNECTION_NAME: usize = 200;

/// How often a session is begun with one broker, if its stream is made or deleted meanwhile, and how long to wait between.
const MAX_TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(100);

/// Opens a session with one of the brokers.
pub(crate) async fn open_session(
    backend: &AmqpBackend,
    interest: Interest,
    resume: Option<Position>,
) -> Result<Session, BackendError> {
    let heartbeat_seconds = backend.validate()?;
    let (interest, resume) = (&interest, &resume);
    let open = |url, allowed| async move {
        let attempt = Attempt { backend, url, allowed, deadline: Instant::now() + allowed };
        let mut tries = 1;
        loop {
            match open_at(&attempt, heartbeat_seconds, interest.clone(), resume.clone()).await {
                // What had been found was lost: another node makes the stream, or deletes it.
                Err(error) if error.kind() == BackendErrorKind::Lost && tries < MAX_TRIES => {
                    tracing::debug!(%url, %error, "this stream was not ready; it is looked for again");
                    sleep(PAUSE.min(attempt.left())).await;
                    tries += 1;
                }
                result => return result,
            }
        }
    };
    backend.brokers.first_that_opens(backend.connect_timeout, open).await
}

/// Opens a session with one broker: when it returns, its queue or stream is bound and consumed, and confirms are on.
async fn open_at(
    attempt: &Attempt<'_>,
    heartbeat_seconds: u16,
    interest: Interest,
    resume: Option<Position>,
) -> Result<Session, BackendError> {
    let backend = attempt.backend;

    let (wire, socket) = attempt.open_stream().await?;
    let connection = attempt.login(wire, &interest.node_name, heartbeat_seconds).await?;
    let link = Arc::new(Link::new(connection, socket));
    let exchange = attempt.exchange();
    let publishing =
        attempt.amqp(Stage::Exchange(exchange), open_publishing_channel(link.connection(), exchange)).await?;
    let namespace = interest.namespace.clone();
    let (subscriber, resumed) = match &backend.stream {
        None => (queue::subscribe(attempt, &link, interest).await?, false),
        Some(options) => stream::subscribe(attempt, &link, &publishing, options, &interest, resume).await?,
    };
    let publisher = Box::new(AmqpPublisher::new(publishing, link, namespace, backend));
    Ok(Session { publisher, subscriber, resumed })
}

/// One attempt to open a session with one broker.
pub(crate) struct Attempt<'a> {
    backend: &'a AmqpBackend,
    url: &'a BrokerUrl,
    /// How much time it had at its beginning, and when that is over.
    allowed: Duration,
    deadline: Instant,
}

impl Attempt<'_> {
    /// The exchange of the session.
    pub(crate) fn exchange(&self) -> &str {
        &self.backend.exchange
    }

    /// What is left of the time.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Opens the connection, with TLS where the URL asks for it, and a second handle of its socket.
    async fn open_stream(&self) -> Result<(Wire, Socket), BackendError> {
        let url = self.url;
        // First of all: a file that cannot be read is reported whether or not the broker runs.
        #[cfg(feature = "rustls")]
        let connector = if url.tls { Some(self.tls_connector().await?) } else { None };
        let (stream, socket) = self
            .io(Stage::Reach, async {
                let addresses = lookup_host((url.host.as_str(), url.port)).await?.collect();
                let stream = first_that_answers(addresses, self.deadline, TcpStream::connect).await?;
                stream.set_nodelay(true)?;
                let stream = stream.into_std()?;
                let socket = Socket(stream.try_clone()?);
                Ok((TcpStream::from_std(stream)?, socket))
            })
            .await?;
        let stream = AsyncTcpStream::Plain(Compat::new(stream));
        #[cfg(feature = "rustls")]
        if let Some(connector) = connector {
            return Ok((self.io(Stage::Tls, stream.into_rustls(&connector, &url.host)).await?, socket));
        }
        Ok((stream, socket))
    }

    /// Reads the certificates, on a thread for what blocks: they may be many, or on a network's disk.
    #[cfg(feature = "rustls")]
    async fn tls_connector(&self) -> Result<lapin::tcp::RustlsConnector, BackendError> {
        let ca_file = self.backend.ca_file.clone();
        let client = self.backend.client_certificate.clone();
        let reading = tokio::task::spawn_blocking(move || crate::tls::connector(ca_file.as_deref(), client.as_ref()));
        self.io(Stage::Certificates, async { Ok(reading.await?) }).await?
    }

    /// Runs lapin's handshake over `wire`, of which lapin reads what it can take.
    async fn login(&self, wire: Wire, node_name: &str, heartbeat: u16) -> Result<Connection, BackendError> {
        if tracing::enabled!(target: "lapin::io_loop", tracing::Level::TRACE) {
            tracing::warn!(
                "the login with its password is about to be logged by lapin; keep the target `lapin` above the level of TRACE"
            );
        }
        let name: String = node_name.chars().take(MAX_CONNECTION_NAME).collect();
        let properties = ConnectionProperties::default()
            .with_connection_name(name.into())
            .with_client_property("product".into(), "cachesync".into())
            .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
        let wire = Mutex::new(Some(AsyncTcpStream::Plain(Screened::new(wire))));
        // Boxed, as lapin's handshake is a large future.
        let handshake = Box::pin(async move {
            let hand_over = async move |_, _| {
                let wire = wire.lock().unwrap_or_else(PoisonError::into_inner).take();
                wire.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected).into())
            };
            Connection::connector(self.url.to_lapin(heartbeat), wire::runtime(), hand_over, properties).await
        });
        self.amqp(Stage::Login, handshake).await
    }

    async fn io<T>(&self, stage: Stage<'_>, step: impl Future<Output = io::Result<T>>) -> Result<T, BackendError> {
        match timeout_at(self.deadline, step).await {
            Ok(result) => result.map_err(|error| io_error(self.url, stage, &error)),
            Err(_) => Err(self.out_of_time(stage)),
        }
    }

    /// A step that lapin does.
    pub(crate) async fn amqp<T>(
        &self,
        stage: Stage<'_>,
        step: impl Future<Output = lapin::Result<T>>,
    ) -> Result<T, BackendError> {
        let step = async { step.await.map_err(|error| connect_error(self.url, stage, &error)) };
        self.in_time(stage, step).await
    }

    /// A step whose errors say enough.
    pub(crate) async fn in_time<T>(
        &self,
        stage: Stage<'_>,
        step: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        timeout_at(self.deadline, step).await.unwrap_or_else(|_| Err(self.out_of_time(stage)))
    }

    /// The error of a step that lapin has refused.
    pub(crate) fn refused(&self, stage: Stage<'_>, error: &lapin::Error) -> BackendError {
        connect_error(self.url, stage, error)
    }

    /// That the broker takes no messages, and so the time was over.
    pub(crate) fn held_back(&self) -> BackendError {
        connect_held_back(self.url, self.allowed)
    }

    fn out_of_time(&self, stage: Stage<'_>) -> BackendError {
        connect_timeout(self.url, stage, self.allowed)
    }
}

/// Connects to the first of `addresses` that answers, in their order.
///
/// Each has an equal share of what is left of the time: one that swallows packets, as IPv6 without a route or a dead
/// member of a headless service does, must not cost the others their turn. If none answers, the last refusal says more
/// than that the time was over; without one, this waits for its caller to say so at `deadline`.
async fn first_that_answers<T, F: Future<Output = io::Result<T>>>(
    addresses: Vec<SocketAddr>,
    deadline: Instant,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "this name has no address"));
    }
    let mut refusal = None;
    let mut left = u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    for address in addresses {
        let now = Instant::now();
        let share = deadline.saturating_duration_since(now) / left.max(1);
        left = left.saturating_sub(1);
        match timeout_at(now + share, connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => refusal = Some(error),
            Err(_) => {
                tracing::debug!(%address, ?share, "RabbitMQ does not answer at this address in its share of time");
            }
        }
    }
    match refusal {
        Some(refusal) => Err(refusal),
        None => std::future::pending().await,
    }
}

async fn open_publishing_channel(connection: &Connection, exchange: &str) -> lapin::Result<Channel> {
    let channel = connection.create_channel().await?;
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(exchange.into(), ExchangeKind::Topic, durable, FieldTable::default()).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(12);

    /// What comes of connecting to addresses with these ports, and when.
    async fn connect(
        ports: &[u16],
        answer: impl AsyncFn(u16) -> io::Result<()>,
    ) -> (Option<Result<u16, io::ErrorKind>>, Duration) {
        let start = Instant::now();
        let addresses = ports.iter().map(|port| SocketAddr::from(([192, 0, 2, 1], *port))).collect();
        let connecting = first_that_answers(addresses, start + LIMIT, async |address: SocketAddr| {
            answer(address.port()).await.map(|()| address.port())
        });
        let result = timeout_at(start + LIMIT, connecting).await.ok();
        (result.map(|result| result.map_err(|error| error.kind())), start.elapsed())
    }

    /// Port 1 swallows packets, port 2 refuses, port 3 answers after 5 s, any other at once.
    async fn network(port: u16) -> io::Result<()> {
        match port {
            1 => std::future::pending().await,
            2 => return Err(io::ErrorKind::ConnectionRefused.into()),
            3 => tokio::time::sleep(Duration::from_secs(5)).await,
            _ => {}
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_address_costs_its_share_of_the_time_and_no_more() {
        let seconds = Duration::from_secs;
        assert_eq!(connect(&[4], network).await, (Some(Ok(4)), seconds(0)));
        assert_eq!(connect(&[1, 4], network).await, (Some(Ok(4)), seconds(6)));
        assert_eq!(connect(&[1, 1, 4], network).await, (Some(Ok(4)), seconds(8)));
        // What a refusal leaves of its share is there for the others.
        assert_eq!(connect(&[2, 2, 3], network).await, (Some(Ok(3)), seconds(5)));
        assert_eq!(connect(&[1, 3, 4], network).await, (Some(Ok(4)), seconds(8)));
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_answer_a_refusal_is_told_and_else_that_the_time_was_over() {
        let refused = Some(Err(io::ErrorKind::ConnectionRefused));
        assert_eq!(connect(&[2], network).await, (refused, Duration::ZERO));
        assert_eq!(connect(&[1, 2], network).await, (refused, LIMIT / 2));
        assert_eq!(connect(&[1, 1], network).await, (None, LIMIT));
        assert_eq!(connect(&[], network).await.0, Some(Err(io::ErrorKind::NotFound)));
    }
}
