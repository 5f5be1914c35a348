//! The stream over which lapin speaks with the broker: the socket, with TLS or without, behind a [`Screen`].
//!
//! lapin takes streams of the type that its runtime opens, so there is a reactor of our own besides. It opens none: lapin
//! is handed a stream that is open already, and could not reconnect if it tried.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use async_compat::Compat;
use async_rs::{Runtime, Tokio, traits::Reactor, util::RuntimeParts};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Stream;
use lapin::AsyncTcpStream;
use tokio::net::TcpStream;

use crate::screen::Screen;

/// The socket, with TLS or without.
pub(crate) type Wire = AsyncTcpStream<Compat<TcpStream>>;

/// How much is read at once of what has to be looked at, in bytes.
const CHUNK: usize = 16 * 1024;

/// lapin's runtime: this task's, with streams that are screened.
pub(crate) fn runtime() -> Runtime<RuntimeParts<Tokio, ScreenedReactor>> {
    Runtime::new(RuntimeParts::new(Tokio::current(), ScreenedReactor(Tokio::current())))
}

/// A stream of which lapin reads only what its parser can take.
pub(crate) struct Screened {
    wire: Wire,
    screen: Screen,
    /// What came last, before it was looked at.
    chunk: Box<[u8]>,
    /// What has been looked at, and how much of that was read.
    ready: Vec<u8>,
    read: usize,
}

impl Screened {
    pub(crate) fn new(wire: Wire) -> Self {
        Self { wire, screen: Screen::default(), chunk: vec![0; CHUNK].into(), ready: Vec::new(), read: 0 }
    }
}

impl AsyncRead for Screened {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        loop {
            if this.read < this.ready.len() {
                let len = buffer.len().min(this.ready.len() - this.read);
                buffer[..len].copy_from_slice(&this.ready[this.read..this.read + len]);
                this.read += len;
                return Poll::Ready(Ok(len));
            }
            this.ready.clear();
            this.read = 0;
            let wire = Pin::new(&mut this.wire);
            // The body of a message goes straight through.
            if this.screen.passing() > 0 {
                let len = buffer.len().min(this.screen.passing());
                let len = ready!(wire.poll_read(context, &mut buffer[..len]))?;
                this.screen.passed(len);
                return Poll::Ready(Ok(len));
            }
            let len = ready!(wire.poll_read(context, &mut this.chunk))?;
            if len == 0 {
                return Poll::Ready(Ok(0));
            }
            this.screen.take(&this.chunk[..len], &mut this.ready)?;
        }
    }
}

impl AsyncWrite for Screened {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.wire).poll_write_vectored(context, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_close(context)
    }
}

/// tokio's timers, and streams that are screened.
#[derive(Clone, Debug)]
pub(crate) struct ScreenedReactor(Tokio);

impl Reactor for ScreenedReactor {
    type TcpStream = Screened;
    type Sleep = <Tokio as Reactor>::Sleep;

    // lapin registers nothing and connects nowhere: the stream is handed to it. Nor may it, so this is an error.
    fn register<H: Read + Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Screened, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(&self, _: SocketAddr) -> impl Future<Output = io::Result<Screened>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
