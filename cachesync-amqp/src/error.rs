//! What lapin and RabbitMQ report, as a [`BackendError`] that says what to do.
//!
//! lapin's errors carry the broker's own text and never the URL, so they may be quoted. A message quotes its cause, so the
//! cause is no source besides: who prints the whole chain would read it twice.

use std::{io, time::Duration};

use cachesync_core::{BackendError, BackendErrorKind};
use lapin::{
    ErrorKind,
    protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError},
};

use crate::url::BrokerUrl;

/// What was being done when a session could not be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage<'a> {
    /// The trusted certificates and the client's own, which are files.
    #[cfg(feature = "rustls")]
    Certificates,
    /// Name resolution and the TCP connection.
    Reach,
    /// The TLS handshake.
    Tls,
    /// Protocol header, login, opening the virtual host.
    Login,
    /// Channels and the declaration of this exchange.
    Exchange(&'a str),
    /// The declaration, binding and consumption of this queue, bound to this exchange.
    Queue(&'a str, &'a str),
    /// The same of this stream, and finding a place in it.
    Stream(&'a str, &'a str),
}

/// An I/O error before AMQP was spoken.
pub(crate) fn io_error(url: &BrokerUrl, stage: Stage<'_>, error: &io::Error) -> BackendError {
    let message = match stage {
        #[cfg(feature = "rustls")]
        Stage::Certificates => format!("the certificates cannot be read: {error}"),
        Stage::Tls => format!(
            "no TLS with {}: {error}; check that the port speaks TLS (5671 by default), that its certificate names this \
             host and has not expired, and that its issuer is trusted, or set `ca_file`; if the broker asks for client \
             certificates, set `client_certificate`, with one that has not expired and whose issuer the broker trusts",
            url.address()
        ),
        _ => format!("RabbitMQ cannot be reached at {}: {error}; check host, port and firewall", url.address()),
    };
    let kind = if stage == Stage::Tls { BackendErrorKind::Refused } else { BackendErrorKind::Unreachable };
    BackendError::new(kind, message)
}

/// An error of lapin's while a session was being opened.
pub(crate) fn connect_error(url: &BrokerUrl, stage: Stage<'_>, error: &lapin::Error) -> BackendError {
    let (kind, message) = match (protocol_error(error), stage) {
        (Some(AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED)), _) => (
            BackendErrorKind::Refused,
            format!(
                "the virtual host `{}` at {} does not exist, or user `{}` may not use it; check the URL's path, or \
                 `rabbitmqctl add_vhost` and `rabbitmqctl set_permissions`",
                url.vhost,
                url.address(),
                url.user
            ),
        ),
        (Some(AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)), Stage::Login) => (
            BackendErrorKind::Refused,
            format!(
                "RabbitMQ at {} refuses the login of user `{}`; check user and password in the URL (user `guest` may \
                 log in from the broker's own host only)",
                url.address(),
                url.user
            ),
        ),
        (Some(AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)), Stage::Exchange(exchange)) => (
            BackendErrorKind::Refused,
            format!(
                "user `{}` may not declare the exchange `{exchange}` in virtual host `{}` at {}; grant configure, write \
                 and read on `{exchange}` and on `cachesync.*` with `rabbitmqctl set_permissions`",
                url.user,
                url.vhost,
                url.address()
            ),
        ),
        (Some(AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED)), Stage::Exchange(exchange)) => (
            BackendErrorKind::Refused,
            format!(
                "the exchange `{exchange}` in virtual host `{}` at {} exists and is not a durable topic exchange; \
                 choose another name with `exchange`, or delete it on the broker",
                url.vhost,
                url.address()
            ),
        ),
        (
            Some(AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)),
            Stage::Queue(queue, exchange) | Stage::Stream(queue, exchange),
        ) => (
            BackendErrorKind::Refused,
            format!(
                "user `{}` may not declare the queue `{queue}`, or bind it to `{exchange}`, or consume it, in virtual host `{}` \
                 at {}; grant configure, write and read on `{exchange}` and on `cachesync.*` with `rabbitmqctl \
                 set_permissions`, and, if the user has topic permissions, read on its namespace with `rabbitmqctl \
                 set_topic_permissions`",
                url.user,
                url.vhost,
                url.address()
            ),
        ),
        (
            Some(AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND | AMQPSoftError::PRECONDITIONFAILED)),
            Stage::Stream(stream, _),
        ) => stream_refusal(url, stream, error),
        (Some(_), _) => (BackendErrorKind::Refused, format!("RabbitMQ refuses a session at {url}: {error}")),
        // RabbitMQ answers a wrong protocol, and some brokers a wrong password, by closing the connection.
        (None, Stage::Login) => (BackendErrorKind::Unreachable, closed_during_login(url, error)),
        (None, _) => (
            BackendErrorKind::Unreachable,
            format!(
                "the connection to RabbitMQ at {} broke while the session was being opened: {error}",
                url.address()
            ),
        ),
    };
    BackendError::new(kind, message)
}

fn closed_during_login(url: &BrokerUrl, error: &lapin::Error) -> String {
    // In TLS 1.3 a client hears what the broker thinks of its certificate after the handshake.
    let certificates = if url.tls {
        "; if the broker asks for client certificates, set `client_certificate`, with one that has not expired and whose \
         issuer the broker trusts"
    } else {
        ""
    };
    format!(
        "{} closed the connection during the login: {error}; check that the port speaks AMQP 0-9-1 (5672 by default, 5671 \
         with TLS), and user and password{certificates}",
        url.address()
    )
}

/// A stream cannot be declared as it is asked for, or is not to be had now.
fn stream_refusal(url: &BrokerUrl, stream: &str, error: &lapin::Error) -> (BackendErrorKind, String) {
    let vhost = &url.vhost;
    // RabbitMQ answers alike where the stream has no replica on it, as while it is being made.
    if error.to_string().contains("inequivalent arg") {
        let message = format!(
            "the stream `{stream}` in virtual host `{vhost}` cannot be declared: {error}; where it exists with other \
             arguments, give all nodes the same `Stream`, or another `name`, or delete it on the broker: the nodes clear then"
        );
        return (BackendErrorKind::Configuration, message);
    }
    let message = format!(
        "the stream `{stream}` in virtual host `{vhost}` is not there: {error}; it is back when the brokers are that have it; \
         should it stay away, see the broker's log, or delete it with `rabbitmqctl delete_queue`: the nodes make it anew then, \
         and clear"
    );
    (BackendErrorKind::Refused, message)
}

/// The time for opening a session was over at `stage`.
pub(crate) fn connect_timeout(url: &BrokerUrl, stage: Stage<'_>, timeout: Duration) -> BackendError {
    let address = url.address();
    // A share of some time has nanoseconds, which nobody wants to read.
    let timeout = Duration::from_millis(u64::try_from((timeout.as_micros() + 500) / 1000).unwrap_or(u64::MAX));
    let message = match stage {
        #[cfg(feature = "rustls")]
        Stage::Certificates => {
            format!("the certificates could not be read within {timeout:?}; check the disk of `ca_file`")
        }
        Stage::Reach => {
            format!("no connection to {address} within {timeout:?}; check host, port and firewall, or allow more time")
        }
        Stage::Tls => {
            format!(
                "no TLS handshake with {address} within {timeout:?}; check that the port speaks TLS (5671 by default)"
            )
        }
        Stage::Login => format!(
            "{address} accepts connections and does not speak AMQP within {timeout:?}; check that the port is RabbitMQ's \
             (5672 by default; with TLS, use `amqps://`)"
        ),
        Stage::Exchange(_) | Stage::Queue(..) | Stage::Stream(..) => {
            format!(
                "RabbitMQ at {address} did not open a session within {timeout:?}; check its load, or allow more time"
            )
        }
    };
    BackendError::new(BackendErrorKind::Timeout, message)
}

/// The end of a session that had been open.
pub(crate) fn lost(reason: impl Into<String>) -> BackendError {
    BackendError::new(BackendErrorKind::Lost, reason)
}

/// The end of a session that had been open, as lapin reports it.
pub(crate) fn lost_by(what: &str, error: &lapin::Error) -> BackendError {
    let advice = match protocol_error(error) {
        // Of all that is done in an open session only this needs a permission.
        Some(AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED)) => {
            "; the user may not write to the exchange: grant it with `rabbitmqctl set_permissions`, and, if the user has topic \
             permissions, its namespace with `rabbitmqctl set_topic_permissions`"
        }
        _ => "",
    };
    lost(format!("the session with RabbitMQ has ended while {what}: {error}{advice}"))
}

/// Whether the broker says that what was asked for does not exist.
pub(crate) fn is_not_found(error: &lapin::Error) -> bool {
    protocol_error(error) == Some(AMQPSoftError::NOTFOUND.into())
}

fn protocol_error(error: &lapin::Error) -> Option<AMQPErrorKind> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.kind().clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use lapin::protocol::AMQPError;

    use super::*;

    fn url() -> BrokerUrl {
        "amqp://shop:hunter2@example.com/orders".parse().unwrap()
    }

    fn refused(kind: AMQPErrorKind) -> lapin::Error {
        ErrorKind::ProtocolError(AMQPError::new(kind, "the broker's text".into())).into()
    }

    #[test]
    fn each_refusal_names_what_was_refused_and_what_to_do() {
        let stages: [(AMQPErrorKind, _, _); 8] = [
            (AMQPSoftError::ACCESSREFUSED.into(), Stage::Login, "check user and password"),
            (AMQPHardError::NOTALLOWED.into(), Stage::Login, "the virtual host `orders` at example.com:5672"),
            (
                AMQPSoftError::PRECONDITIONFAILED.into(),
                Stage::Exchange("cs"),
                "`cs` in virtual host `orders` at example.com:5672 exists",
            ),
            (AMQPSoftError::ACCESSREFUSED.into(), Stage::Exchange("cs"), "may not declare the exchange `cs`"),
            (AMQPSoftError::ACCESSREFUSED.into(), Stage::Queue("q", "cs"), "may not declare the queue `q`"),
            (AMQPSoftError::ACCESSREFUSED.into(), Stage::Stream("s", "cs"), "may not declare the queue `s`"),
            (
                AMQPSoftError::NOTFOUND.into(),
                Stage::Stream("s", "cs"),
                "the stream `s` in virtual host `orders` is not there",
            ),
            (AMQPHardError::INTERNALERROR.into(), Stage::Login, "the broker's text"),
        ];
        for (kind, stage, expected) in stages {
            let error = connect_error(&url(), stage, &refused(kind));
            assert_eq!(error.kind(), BackendErrorKind::Refused, "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn a_share_of_the_time_is_told_in_milliseconds() {
        for (nanoseconds, told) in [(999_999_496, "within 1s"), (647_351_680, "within 647ms")] {
            let error = connect_timeout(&url(), Stage::Login, Duration::from_nanos(nanoseconds));
            assert!(error.to_string().contains(told), "{error}");
        }
    }

    #[test]
    fn a_cause_is_quoted_once() {
        let cause = || io::Error::other("the cause");
        for error in [
            io_error(&url(), Stage::Reach, &cause()),
            io_error(&url(), Stage::Tls, &cause()),
            connect_error(&url(), Stage::Login, &cause().into()),
            lost_by("publishing", &cause().into()),
        ] {
            assert_eq!(error.to_string().matches("the cause").count(), 1, "{error}");
            assert!(std::error::Error::source(&error).is_none(), "{error}");
        }
    }

    #[test]
    fn a_broken_connection_is_not_a_refusal() {
        let aborted = || lapin::Error::from(io::Error::from(io::ErrorKind::ConnectionAborted));
        let error = connect_error(&url(), Stage::Login, &aborted());
        assert_eq!(error.kind(), BackendErrorKind::Unreachable);
        assert!(error.to_string().contains("speaks AMQP 0-9-1"), "{error}");
        assert_eq!(connect_error(&url(), Stage::Exchange("cs"), &aborted()).kind(), BackendErrorKind::Unreachable);
    }
}
