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
    task: JoinHandle<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// Nothing is forwarded; connections stay open, and new ones are accepted and left waiting.
    stalled: bool,
    /// New connections are ended at once.
    refusing: bool,
    /// Counts the cuts: a connection that is older than the last one ends.
    cuts: u64,
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
        let task = tokio::spawn(accept(listener, upstream, receiver));
        Self { url: url.into(), state, task }
    }

    /// The broker's URL by way of this proxy.
    pub fn url(&self) -> &str {
        &self.url
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

async fn accept(listener: TcpListener, upstream: (String, u16), state: watch::Receiver<State>) {
    // Dropped with this future, and then aborts what is left.
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        if state.borrow().refusing {
            continue;
        }
        connections.spawn(forward(client, upstream.clone(), state.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn forward(client: TcpStream, upstream: (String, u16), mut state: watch::Receiver<State>) {
    let born = state.borrow().cuts;
    let mut cut = state.clone();
    let copy = async {
        let _ = state.wait_for(|state| !state.stalled).await;
        let Ok(server) = TcpStream::connect(upstream).await else { return };
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("an open socket");
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = pump(from_client, to_server, state.clone()) => {}
            () = pump(from_server, to_client, state.clone()) => {}
        }
    };
    tokio::select! {
        () = copy => {}
        _ = cut.wait_for(|state| state.cuts != born) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        // While stalled nothing is read either, so that the sender's own buffers fill, as they would.
        let _ = state.wait_for(|state| !state.stalled).await;
        let Ok(len @ 1..) = from.read(&mut buffer).await else { return };
        let _ = state.wait_for(|state| !state.stalled).await;
        if to.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}
