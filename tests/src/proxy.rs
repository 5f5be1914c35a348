//! A TCP link between a client and a broker that a test can break.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use url::Url;

/// A proxy on the loopback interface, in front of a broker. Dropping it ends its connections.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    state: watch::Sender<State>,
    /// How many connections are forwarded.
    connections: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// What the client sends.
    ToBroker,
    /// What the broker sends.
    ToClient,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Nothing is forwarded; connections stay open, and new ones are accepted and left waiting.
    stalled: bool,
    /// New connections are ended at once.
    refusing: bool,
    /// Counts the cuts: a connection that is older than the last one ends.
    cuts: u64,
    /// Counts, for each [`Way`], how often it was closed: in a connection that is older than the last time it ends.
    half_closes: [u64; 2],
    /// The same for connections that are cut in the middle of a frame.
    torn: [u64; 2],
}

impl Proxy {
    /// A proxy in front of the broker at this `amqp://` URL.
    pub async fn before(url: &str) -> Self {
        let mut url: Url = url.parse().expect("the broker's URL");
        let upstream = (url.host_str().expect("a host").to_owned(), url.port().unwrap_or(5672));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let SocketAddr::V4(address) = listener.local_addr().expect("its own address") else {
            unreachable!("it was bound to an IPv4 address");
        };
        url.set_host(Some("127.0.0.1")).expect("an address is a host");
        url.set_port(Some(address.port())).expect("the URL has a host");
        let (state, receiver) = watch::channel(State::default());
        let (count, connections) = watch::channel(0);
        let task = tokio::spawn(accept(listener, upstream, receiver, count));
        Self { url: url.into(), state, connections, task }
    }

    /// The broker's URL by way of this proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until a connection is forwarded, so that what breaks connections has one to break.
    pub async fn connected(&self) {
        let mut connections = self.connections.clone();
        // An error says that the proxy has ended.
        let _ = connections.wait_for(|count| *count > 0).await;
    }

    /// Ends every connection, and new ones at once, until [`resume`](Self::resume).
    pub fn cut(&self) {
        self.state.send_modify(|state| {
            state.cuts += 1;
            state.refusing = true;
        });
    }

    /// Keeps connections open and forwards nothing, until [`resume`](Self::resume). What was sent meanwhile waits.
    pub fn stall(&self) {
        self.state.send_modify(|state| state.stalled = true);
    }

    /// Ends one direction of every connection, as a peer does that has nothing more to say; the other one stays open.
    pub fn half_close(&self, way: Way) {
        self.state.send_modify(|state| state.half_closes[way as usize] += 1);
    }

    /// Cuts every connection in the middle of the next frame that goes this way: all that comes is forwarded but for its
    /// last byte, which is the last of a frame. New connections are accepted.
    pub fn cut_within_frame(&self, way: Way) {
        self.state.send_modify(|state| state.torn[way as usize] += 1);
    }

    /// Forwards again, and accepts again.
    pub fn resume(&self) {
        self.state.send_modify(|state| {
            state.stalled = false;
            state.refusing = false;
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(
    listener: TcpListener,
    upstream: (String, u16),
    state: watch::Receiver<State>,
    count: watch::Sender<usize>,
) {
    // Dropped with this future, and then aborts what is left.
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        // One look, so that a cut from now on is one of this connection.
        let State { refusing, cuts, .. } = *state.borrow();
        if refusing {
            continue;
        }
        connections.spawn(forward(client, cuts, upstream.clone(), state.clone(), count.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// A connection that is forwarded, for as long as this lives.
struct Counted(watch::Sender<usize>);

impl Counted {
    fn new(count: watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Forwards a connection, until the proxy was cut more often than so many times.
async fn forward(
    client: TcpStream,
    born: u64,
    upstream: (String, u16),
    mut state: watch::Receiver<State>,
    count: watch::Sender<usize>,
) {
    let mut cut = state.clone();
    let copy = async {
        let _ = state.wait_for(|state| !state.stalled).await;
        let Ok(server) = TcpStream::connect(upstream).await else { return };
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("an open socket");
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        // Before it is counted: what is broken after that is broken in this one, too.
        let born = *state.borrow();
        let _counted = Counted::new(count);
        tokio::select! {
            () = pump(from_client, to_server, Way::ToBroker, born, state.clone()) => {}
            () = pump(from_server, to_client, Way::ToClient, born, state.clone()) => {}
        }
    };
    tokio::select! {
        () = copy => {}
        _ = cut.wait_for(|state| state.cuts != born) => {}
    }
}

/// Forwards one way of a connection; `born` is the state of the proxy when that began.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    way: Way,
    born: State,
    mut state: watch::Receiver<State>,
) {
    let mut buffer = vec![0; 64 * 1024];
    let State { half_closes, torn, .. } = born;
    let mut closing = state.clone();
    loop {
        // While stalled nothing is read either, so that the sender's own buffers fill, as they would.
        let _ = state.wait_for(|state| !state.stalled).await;
        let read = tokio::select! {
            read = from.read(&mut buffer) => Some(read),
            _ = closing.wait_for(|state| state.half_closes[way as usize] != half_closes[way as usize]) => None,
        };
        let Some(read) = read else {
            // An error says that it is closed already. The connection ends when the other direction does.
            let _ = to.shutdown().await;
            return std::future::pending().await;
        };
        let Ok(len @ 1..) = read else { return };
        let _ = state.wait_for(|state| !state.stalled).await;
        let is_torn = state.borrow().torn[way as usize] != torn[way as usize];
        if is_torn {
            let _ = to.write_all(&buffer[..len - 1]).await;
            return;
        }
        if to.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// A connection through a proxy: both ends.
    async fn connected() -> (Proxy, TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its own address").port();
        let proxy = Proxy::before(&format!("amqp://127.0.0.1:{port}")).await;
        let url: Url = proxy.url().parse().expect("a URL");
        let mut client = TcpStream::connect(("127.0.0.1", url.port().expect("a port"))).await.expect("it listens");
        let (mut server, _) = listener.accept().await.expect("the proxy connects");
        // What has gone both ways shows that the connection is forwarded, and is older than what comes.
        for (from, to) in [(&mut client, &mut server)] {
            from.write_all(b"a").await.expect("forwarded");
            assert_eq!(to.read_u8().await.expect("forwarded"), b'a');
            to.write_all(b"b").await.expect("forwarded");
            assert_eq!(from.read_u8().await.expect("forwarded"), b'b');
        }
        (proxy, client, server)
    }

    #[tokio::test]
    async fn a_way_that_is_closed_ends_and_the_other_one_goes_on() {
        let (proxy, mut client, mut server) = connected().await;
        proxy.half_close(Way::ToClient);
        assert_eq!(client.read(&mut [0]).await.expect("an end, and no error"), 0);
        client.write_all(b"c").await.expect("forwarded");
        assert_eq!(server.read_u8().await.expect("forwarded"), b'c');
    }

    #[tokio::test]
    async fn a_proxy_is_connected_from_the_first_connection_to_the_end_of_the_last() {
        let (proxy, client, _server) = connected().await;
        proxy.connected().await;
        drop(client);
        let mut connections = proxy.connections.clone();
        connections.wait_for(|count| *count == 0).await.expect("it lives");
        assert!(proxy.connected().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_connection_is_cut_before_the_last_byte_of_what_comes_next() {
        let (proxy, mut client, mut server) = connected().await;
        proxy.cut_within_frame(Way::ToBroker);
        client.write_all(b"frame").await.expect("sent");
        let mut got = Vec::new();
        server.read_to_end(&mut got).await.expect("an end");
        assert_eq!(got, b"fram");
    }
}
