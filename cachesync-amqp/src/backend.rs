//! [`AmqpBackend`]: where the broker is and how it is used. Connecting itself is in `connect`.

use std::{fmt, time::Duration};

use cachesync_core::{
    Backend, BackendError, BackendErrorKind, BoxFuture, Session,
    backend::{Interest, Position},
};

use crate::{Stream, brokers::Brokers, connect};

/// Nothing here is waited for longer than this.
const MAX_TIMEOUT: Duration = Duration::from_hours(1);

/// The RabbitMQ backend: carries evictions over an AMQP 0-9-1 broker.
///
/// It holds no connection: each session opens its own, and nothing reconnects behind the engine's back. Cloning is cheap
/// enough for start-up.
///
/// ```
/// use std::time::Duration;
/// use cachesync_amqp::AmqpBackend;
///
/// let backend = AmqpBackend::new("amqp://shop:secret@rabbit.internal/%2fshop")?
///     .exchange("shop-caches")
///     .connect_timeout(Duration::from_secs(3));
/// assert!(!format!("{backend:?}").contains("secret"));
/// # Ok::<(), cachesync_core::BackendError>(())
/// ```
#[derive(Clone)]
pub struct AmqpBackend {
    pub(crate) brokers: Brokers,
    pub(crate) exchange: String,
    pub(crate) heartbeat: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) publish_timeout: Duration,
    pub(crate) close_timeout: Duration,
    /// What carries the messages to the nodes; `None` for a queue of each session.
    pub(crate) stream: Option<Stream>,
    #[cfg(feature = "rustls")]
    pub(crate) ca_file: Option<std::path::PathBuf>,
    #[cfg(feature = "rustls")]
    pub(crate) client_certificate: Option<crate::tls::ClientCertificate>,
}

impl AmqpBackend {
    /// A backend for the broker at `url`, `amqp://user:password@host:port/vhost`. Does not connect yet.
    ///
    /// User and password default to `guest`, the port to 5672 (5671 for `amqps://`). Without a path the virtual host is
    /// the default one, `/`, which can be written `/%2f` too; a path of `/` alone would be a virtual host without a
    /// name and is refused. Special characters in user, password and virtual host are percent-encoded. The parameters
    /// `?heartbeat=` (seconds) and `connection_timeout=` (milliseconds) stand for the options of these names.
    ///
    /// The brokers of a cluster are several such URLs with commas between them, `amqp://rabbit-1,amqp://rabbit-2`: see
    /// [`cluster`](Self::cluster).
    ///
    /// # Errors
    ///
    /// A [`Configuration`](BackendErrorKind::Configuration) error that says what is wrong with the URL, without
    /// quoting its password; also for an `amqps://` URL without the feature `amqp-rustls` of `cachesync`.
    pub fn new(url: &str) -> Result<Self, BackendError> {
        Self::with(Brokers::parse_list(url)?)
    }

    /// A backend for the brokers of one RabbitMQ cluster, at these URLs. Does not connect yet.
    ///
    /// Each session is opened with one of them, the first that answers, in an order that is random at each attempt: nodes
    /// spread over the brokers, and over those that are left when one dies. Each has an equal share of what is left of
    /// [`connect_timeout`](Self::connect_timeout), so allow more time for more of them. If none gives a session, the error
    /// says what each answered.
    ///
    /// ```
    /// # use cachesync_amqp::AmqpBackend;
    /// let backend = AmqpBackend::cluster(["amqp://rabbit-1.internal", "amqp://rabbit-2.internal"])?;
    /// # Ok::<(), cachesync_core::BackendError>(())
    /// ```
    ///
    /// They **must be one cluster**: brokers that do not know each other would divide the nodes into groups that do not
    /// hear each other's evictions, and nothing would notice. How a cluster has to be set up so that it does not fall into
    /// such groups by itself is in the documentation of this crate.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), for each URL; also without any URL, and if they differ in their virtual host, in a
    /// parameter that several of them have, or in whether they use TLS. Users and passwords may differ.
    pub fn cluster<U: AsRef<str>>(urls: impl IntoIterator<Item = U>) -> Result<Self, BackendError> {
        let urls: Vec<U> = urls.into_iter().collect();
        Self::with(Brokers::new(urls.iter().map(AsRef::as_ref))?)
    }

    fn with(brokers: Brokers) -> Result<Self, BackendError> {
        if brokers.tls() && cfg!(not(feature = "rustls")) {
            return Err(configuration("an `amqps://` URL needs TLS; enable the feature `amqp-rustls` of `cachesync`"));
        }
        Ok(Self {
            exchange: "cachesync".to_owned(),
            heartbeat: brokers.heartbeat()?.unwrap_or(Duration::from_secs(10)),
            connect_timeout: brokers.connect_timeout()?.unwrap_or(Duration::from_secs(10)),
            publish_timeout: Duration::from_secs(3),
            close_timeout: Duration::from_secs(2),
            stream: None,
            #[cfg(feature = "rustls")]
            ca_file: None,
            #[cfg(feature = "rustls")]
            client_certificate: None,
            brokers,
        })
    }

    /// The topic exchange that carries the messages; `cachesync` unless set. It is declared as durable.
    ///
    /// 1 to 255 bytes without control characters, not beginning with `amq.`; all nodes must use the same one.
    #[must_use]
    pub fn exchange(mut self, name: impl Into<String>) -> Self {
        self.exchange = name.into();
        self
    }

    /// How often the connection shows that it is alive; 10 s unless set, here or in the URL.
    ///
    /// Whole seconds, from 1 s to 1 h; the broker may ask for less. A connection on which nothing was heard for twice
    /// this time has ended. cachesync's lease, which rests on heartbeats of its own, notices earlier.
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }

    /// How long opening a session may take, from name resolution to the bound queue or stream, over all brokers; 10 s unless
    /// set, here or in the URL. More than zero, at most 1 h. On a stream, half of what a broker has left of it may be spent on
    /// looking for the place at which to resume.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long the broker may take to confirm what was published before the session is given up; 3 s unless set.
    /// More than zero, at most 1 h.
    ///
    /// It counts anew for every 256 messages, or 1 MiB, of what is published at once. The registry's lease, 10 s unless set,
    /// must be three times as long, or the registry does not start.
    #[must_use]
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = timeout;
        self
    }

    /// How long the goodbye to the broker may take before the connection is cut; 2 s unless set. More than zero, at
    /// most 1 h.
    #[must_use]
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// All nodes of a namespace hear one durable stream, and a node that was away for a while resumes where it was, without
    /// clearing its caches. Without this each session has a queue of its own, and clears.
    ///
    /// See [`Stream`] for when to choose it, and for its options. Nodes with and without it hear each other.
    #[must_use]
    pub fn stream(mut self, stream: Stream) -> Self {
        self.stream = Some(stream);
        self
    }

    /// A PEM file of certificates that are trusted besides the system's, for an `amqps://` URL. It is read at each
    /// connect, so that it may be exchanged; a file that cannot be read then, or that holds no certificate, is a
    /// [`Configuration`](BackendErrorKind::Configuration) error of that connect. So is this with an `amqp://` URL.
    ///
    /// A registry that starts reports that error. One that runs, and finds a file gone when it opens its next session, tries
    /// again and again, and shows the error in its status.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn ca_file(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.ca_file = Some(path.into());
        self
    }

    /// The certificate by which this client proves to the broker who it is (`ssl_options.verify = verify_peer` there), for an
    /// `amqps://` URL: a PEM file with the certificate first and those of its issuers after it, and one with its private
    /// key (PKCS #8, SEC 1 or PKCS #1), which may be the same file. User and password are needed all the same.
    ///
    /// Both are read at each connect, as [`ca_file`](Self::ca_file) is, so that they may be renewed on the disk. What is wrong with
    /// them is a [`Configuration`](BackendErrorKind::Configuration) error of that connect; it names the files and never shows
    /// what is in them.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn client_certificate(
        mut self,
        certificate_file: impl Into<std::path::PathBuf>,
        key_file: impl Into<std::path::PathBuf>,
    ) -> Self {
        let (certificate_file, key_file) = (certificate_file.into(), key_file.into());
        self.client_certificate = Some(crate::tls::ClientCertificate { certificate_file, key_file });
        self
    }

    /// The heartbeat as AMQP negotiates it, once all options have been found possible.
    pub(crate) fn validate(&self) -> Result<u16, BackendError> {
        // RabbitMQ drops line breaks from the name that it declares, and then does not find what is published to.
        if !(1..=255).contains(&self.exchange.len())
            || self.exchange.starts_with("amq.")
            || self.exchange.contains(char::is_control)
        {
            return Err(configuration(&format!(
                "`{}` cannot be an exchange's name; use 1 to 255 bytes that do not begin with `amq.`, without control \
                 characters",
                self.exchange.escape_debug()
            )));
        }
        for (option, timeout) in [
            ("connect_timeout", self.connect_timeout),
            ("publish_timeout", self.publish_timeout),
            ("close_timeout", self.close_timeout),
        ] {
            if timeout.is_zero() || timeout > MAX_TIMEOUT {
                return Err(configuration(&format!("`{option}` is {timeout:?}; use more than zero and at most 1 h")));
            }
        }
        let seconds = self.heartbeat.as_secs();
        if self.heartbeat.subsec_nanos() != 0 || !(1..=MAX_TIMEOUT.as_secs()).contains(&seconds) {
            return Err(configuration(&format!(
                "`heartbeat` is {:?}; use whole seconds from 1 s to 1 h",
                self.heartbeat
            )));
        }
        self.stream.as_ref().map_or(Ok(()), Stream::validate)?;
        #[cfg(feature = "rustls")]
        for (option, is_set) in
            [("ca_file", self.ca_file.is_some()), ("client_certificate", self.client_certificate.is_some())]
        {
            if is_set && !self.brokers.tls() {
                return Err(configuration(&format!(
                    "`{option}` is set and the broker's URL is without TLS, so it would protect nothing; use `amqps://`, or \
                     leave the option out"
                )));
            }
        }
        #[cfg(feature = "rustls")]
        for url in self.brokers.iter().filter(|url| url.tls) {
            if rustls_pki_types::ServerName::try_from(url.host.as_str()).is_err() {
                return Err(configuration(&format!(
                    "no certificate can be issued to the host `{}`; use a DNS name or an IP address in the broker's URL",
                    url.host.escape_debug()
                )));
            }
        }
        u16::try_from(seconds).map_err(|_| configuration("`heartbeat` is too long; use at most 1 h"))
    }
}

impl fmt::Debug for AmqpBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("AmqpBackend");
        debug.field("brokers", &self.brokers).field("exchange", &self.exchange);
        #[cfg(feature = "rustls")]
        if let Some(files) = &self.client_certificate {
            debug.field("client_certificate", files);
        }
        debug.finish_non_exhaustive()
    }
}

impl Backend for AmqpBackend {
    /// Opens a session on a connection of its own. Without a [`Stream`] nothing can be replayed, and `resume` is ignored.
    fn connect(&self, interest: Interest, resume: Option<Position>) -> BoxFuture<'_, Result<Session, BackendError>> {
        Box::pin(connect::open_session(self, interest, resume))
    }

    fn confirm_timeout(&self) -> Option<Duration> {
        Some(self.publish_timeout)
    }
}

pub(crate) fn configuration(message: &str) -> BackendError {
    BackendError::new(BackendErrorKind::Configuration, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend() -> AmqpBackend {
        AmqpBackend::new("amqp://shop:hunter2@localhost?heartbeat=7").unwrap()
    }

    #[test]
    fn options_out_of_range_are_refused_by_name() {
        assert_eq!(backend().validate().unwrap(), 7);
        let hour = Duration::from_hours(1);
        assert_eq!(backend().heartbeat(hour).validate().unwrap(), 3600);
        for (backend, option) in [
            (backend().exchange(""), "exchange"),
            (backend().exchange("amq.topic"), "amq.topic"),
            (backend().exchange("x".repeat(256)), "exchange"),
            (backend().exchange("a\nb"), r"a\nb"),
            (AmqpBackend::new("amqp://localhost?heartbeat=0").unwrap(), "heartbeat"),
            (AmqpBackend::new("amqp://localhost?connection_timeout=0").unwrap(), "connect_timeout"),
            (backend().heartbeat(Duration::ZERO), "heartbeat"),
            (backend().heartbeat(Duration::from_millis(1500)), "heartbeat"),
            (backend().heartbeat(hour * 2), "heartbeat"),
            (backend().connect_timeout(Duration::ZERO), "connect_timeout"),
            (backend().publish_timeout(Duration::MAX), "publish_timeout"),
            (backend().close_timeout(Duration::MAX), "close_timeout"),
        ] {
            let error = backend.validate().expect_err(option);
            assert_eq!(error.kind(), BackendErrorKind::Configuration);
            assert!(error.to_string().contains(option), "{error}");
        }
    }

    #[cfg(feature = "rustls")]
    #[test]
    fn a_host_without_possible_certificate_is_refused_before_anything_is_sent() {
        for host in ["localhost", "rabbit.internal.", "rabbit_1.internal", "192.0.2.1", "[2001:db8::1]"] {
            assert!(AmqpBackend::new(&format!("amqps://{host}")).unwrap().validate().is_ok(), "{host}");
        }
        let error = AmqpBackend::new("amqps://rabbit..internal").unwrap().validate().unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Configuration);
        assert!(error.to_string().contains("`rabbit..internal`"), "{error}");
    }

    #[cfg(not(feature = "rustls"))]
    #[test]
    fn tls_without_its_feature_is_refused_instead_of_sending_the_password_in_clear() {
        let error = AmqpBackend::new("amqps://shop:hunter2@localhost").unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Configuration);
        assert!(error.to_string().contains("`amqp-rustls`"), "{error}");
    }

    #[test]
    fn debug_shows_no_password() {
        assert_eq!(
            format!("{:?}", backend()),
            r#"AmqpBackend { brokers: [amqp://shop@localhost:5672/%2F], exchange: "cachesync", .. }"#
        );
        let several = AmqpBackend::cluster(["amqp://shop:hunter2@a", "amqp://shop:hunter2@b"]).unwrap();
        assert!(!format!("{several:?}").contains("hunter2"), "{several:?}");
    }
}
