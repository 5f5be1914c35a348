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

/// Why the broker takes no messages while [`Link::is_blocked`](crate::link::Link::is_blocked), and where that is seen.
pub(crate) const HELD_BACK: &str = "it holds publishers back because it is short of memory or disk; see its alarms with \
                                    `rabbitmq-diagnostics alarms`";

/// An error of lapin's while a session was being opened.
pub(crate) fn connect_error(url: &BrokerUrl, stage: Stage<'_>, error: &lapin::Error) -> BackendError {
    let Some(kind) = protocol_error(error) else {
        return BackendError::new(BackendErrorKind::Unreachable, broken(url, stage, error));
    };
    let (address, vhost, user) = (url.address(), &url.vhost, &url.user);
    let message = match (kind, stage) {
        // Of a connection limit it says the same.
        (AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED), Stage::Login) => format!(
            "the virtual host `{vhost}` at {address} does not exist, or user `{user}` may not use it: {error}; check the URL's \
             path, or `rabbitmqctl add_vhost`, `rabbitmqctl set_permissions`, and the limits of both"
        ),
        (AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED), _) => not_permitted(url, stage, error),
        (AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED), Stage::Exchange(exchange)) => format!(
            "the exchange `{exchange}` in virtual host `{vhost}` at {address} exists and is not a durable topic exchange; \
             choose another name with `exchange`, or delete it on the broker"
        ),
        (
            AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND | AMQPSoftError::PRECONDITIONFAILED),
            Stage::Stream(stream, _),
        ) => return stream_refusal(url, stream, error),
        // So it ends the connection of who declares or consumes a stream that another node is making: by an internal error, or
        // because it finds none for the queue (both seen on 3.10.8).
        (
            AMQPErrorKind::Hard(AMQPHardError::INTERNALERROR | AMQPHardError::RESOURCEERROR),
            Stage::Stream(stream, _),
        ) => {
            return lost(format!(
                "RabbitMQ at {address} failed over the stream `{stream}`: {error}; see the broker's log"
            ));
        }
        _ => format!("RabbitMQ refuses a session at {url}: {error}"),
    };
    BackendError::new(BackendErrorKind::Refused, message)
}

/// The user lacks a permission, or could not log in at all.
fn not_permitted(url: &BrokerUrl, stage: Stage<'_>, error: &lapin::Error) -> String {
    let (address, vhost, user) = (url.address(), &url.vhost, &url.user);
    match stage {
        Stage::Exchange(exchange) => format!(
            "user `{user}` may not declare the exchange `{exchange}` in virtual host `{vhost}` at {address}; grant configure, \
             write and read on `{exchange}` and on `cachesync.*` with `rabbitmqctl set_permissions`"
        ),
        Stage::Queue(queue, exchange) | Stage::Stream(queue, exchange) => {
            // A session on a stream begins with messages of its own.
            let (publishes, topics) = match stage {
                Stage::Stream(..) => (", or publish to that", "write and read"),
                _ => ("", "read"),
            };
            format!(
                "user `{user}` may not declare the queue `{queue}`, or bind it to `{exchange}`{publishes}, or consume it, in \
                 virtual host `{vhost}` at {address}: {error}; grant configure, write and read on `{exchange}` and on \
                 `cachesync.*` with `rabbitmqctl set_permissions`, and, if the user has topic permissions, {topics} on its \
                 namespace with `rabbitmqctl set_topic_permissions`"
            )
        }
        // Before that nothing is asked for but to log in.
        _ => format!(
            "RabbitMQ at {address} refuses the login of user `{user}`; check user and password in the URL (user `guest` may \
             log in from the broker's own host only)"
        ),
    }
}

/// The connection has ended, without a reason of the broker's.
fn broken(url: &BrokerUrl, stage: Stage<'_>, error: &lapin::Error) -> String {
    let address = url.address();
    if stage != Stage::Login {
        return format!("the connection to RabbitMQ at {address} broke while the session was being opened: {error}");
    }
    // RabbitMQ answers a wrong protocol, and some brokers a wrong password, by closing the connection.
    format!(
        "{address} closed the connection during the login: {error}; check that the port speaks AMQP 0-9-1 (5672 by default, \
         5671 with TLS), and user and password{}",
        // In TLS 1.3 a client hears what the broker thinks of its certificate after the handshake.
        if url.tls {
            "; if the broker asks for client certificates, set `client_certificate`, with one that has not expired and whose \
             issuer the broker trusts"
        } else {
            ""
        }
    )
}

/// A stream cannot be declared as it is asked for, or is not to be had now.
fn stream_refusal(url: &BrokerUrl, stream: &str, error: &lapin::Error) -> BackendError {
    let (vhost, text) = (&url.vhost, error.to_string());
    if text.contains(OTHER_ARGUMENTS) {
        let message = format!(
            "the stream `{stream}` in virtual host `{vhost}` cannot be declared: {error}; where it exists with other \
             arguments, give all nodes the same `Stream`, or another `name`, or delete it on the broker: the nodes clear then"
        );
        return BackendError::new(BackendErrorKind::Configuration, message);
    }
    // A broker without replica of the stream answers like one where it is being made, and neither says that it is not found.
    let message = if is_not_found(error) || text.contains("replica") {
        format!(
            "the stream `{stream}` in virtual host `{vhost}` is not there: {error}; it is back when the brokers are that have \
             it; should it stay away, see the broker's log, or delete it with `rabbitmqctl delete_queue`: the nodes make it \
             anew then, and clear"
        )
    } else {
        format!(
            "the stream `{stream}` in virtual host `{vhost}` cannot be made: {error}; streams need RabbitMQ 3.9 or later, with \
             its feature flag `stream_queue` enabled, and a virtual host that is not at its limit of queues"
        )
    };
    BackendError::new(BackendErrorKind::Refused, message)
}

/// What RabbitMQ says where a queue exists with arguments other than those with which it is declared.
const OTHER_ARGUMENTS: &str = "inequivalent arg";

/// The time for opening a session was over while the broker held back what a session on a stream begins with.
pub(crate) fn connect_held_back(url: &BrokerUrl, timeout: Duration) -> BackendError {
    let message =
        format!("RabbitMQ at {} did not open a session within {:?}: {HELD_BACK}", url.address(), rounded(timeout));
    BackendError::new(BackendErrorKind::Timeout, message)
}

/// A share of some time has nanoseconds, which nobody wants to read.
fn rounded(time: Duration) -> Duration {
    Duration::from_millis(u64::try_from((time.as_micros() + 500) / 1000).unwrap_or(u64::MAX))
}

/// The time for opening a session was over at `stage`.
pub(crate) fn connect_timeout(url: &BrokerUrl, stage: Stage<'_>, timeout: Duration) -> BackendError {
    let (address, timeout) = (url.address(), rounded(timeout));
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

/// Whether the broker says that somebody else has the queue.
pub(crate) fn is_locked(error: &lapin::Error) -> bool {
    protocol_error(error) == Some(AMQPSoftError::RESOURCELOCKED.into())
}

/// Whether this is what the broker says of a stream that is being made or deleted.
pub(crate) fn is_not_there(error: &lapin::Error) -> bool {
    let is_not_ready = protocol_error(error) == Some(AMQPSoftError::PRECONDITIONFAILED.into());
    is_not_found(error) || is_not_ready && !error.to_string().contains(OTHER_ARGUMENTS)
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
    fn a_stream_that_is_being_made_is_no_refusal() {
        for kind in [AMQPHardError::INTERNALERROR, AMQPHardError::RESOURCEERROR] {
            let error = connect_error(&url(), Stage::Stream("s", "cs"), &refused(kind.into()));
            assert_eq!(error.kind(), BackendErrorKind::Lost, "{error}");
            assert!(error.to_string().contains("the stream `s`"), "{error}");
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
