//! The connection of one session, and how it ends.
//!
//! Invariant: when the last half of a session is gone, so is the connection, whatever the broker does. lapin alone would
//! not do: under a memory alarm, or with a silent peer, its close waits without bound, and a handshake that is
//! abandoned leaves its thread and socket behind. So we keep a handle of the socket, and shut it down; lapin's thread
//! and tasks end when they read the end of the stream.

use std::{
    net::{Shutdown, TcpStream},
    time::Duration,
};

use lapin::Connection;
use tokio::time::timeout;

/// Shuts the socket down when dropped.
#[derive(Debug)]
pub(crate) struct Socket(pub(crate) TcpStream);

impl Drop for Socket {
    fn drop(&mut self) {
        // An error says that it is no longer connected.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// An open connection; shared by the halves of a session.
#[derive(Debug)]
pub(crate) struct Link {
    // Dropped first, so that lapin does not begin a goodbye that nobody waits for.
    _socket: Socket,
    connection: Connection,
}

impl Link {
    pub(crate) fn new(connection: Connection, socket: Socket) -> Self {
        Self { _socket: socket, connection }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether the broker asks publishers to wait, because it is short of memory or disk.
    pub(crate) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Says goodbye, and waits at most `limit` for the answer.
    pub(crate) async fn close(&self, limit: Duration) {
        match timeout(limit, self.connection.close(200, "OK".into())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the connection to RabbitMQ had ended before it was closed"),
            Err(_) => tracing::debug!("RabbitMQ did not answer the goodbye; the connection is cut"),
        }
    }
}
