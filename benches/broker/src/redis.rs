//! The transport that peers use: Redis pub/sub, by a server of one's own.
//!
//! It confirms nothing: a subscriber that was away has missed what was published, and nobody is told.

use std::{
    env, fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use redis::{Client, aio::MultiplexedConnection};

use crate::raw::fewest;

/// The channel of all messages.
const CHANNEL: &str = "evictions";
/// Ends the server when nothing holds the pipe to its stdin open any more, however this process ends.
const WATCHED: &str = r#"redis-server --port 0 --unixsocket "$1/socket" --dir "$1" --save "" --appendonly no >"$1/log" 2>&1 &
cat >/dev/null
kill $!
wait
rm -r "$1""#;

/// A Redis server on a socket in a folder of its own, which ends with this value.
pub struct Server {
    folder: PathBuf,
    watchdog: Child,
}

impl Server {
    /// Starts it; `None` if `redis-server` is not installed.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn start() -> Result<Option<Self>> {
        let is_there = |folder: PathBuf| folder.join("redis-server").is_file();
        if !env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(is_there)) {
            return Ok(None);
        }
        let folder = env::temp_dir().join(format!("cachesync-redis-{:016x}", fastrand::u64(..)));
        fs::create_dir(&folder)?;
        let mut shell = Command::new("sh");
        shell.args(["-c", WATCHED, "redis"]).arg(&folder).stdin(Stdio::piped());
        let server = Self { watchdog: shell.spawn()?, folder };
        let start = Instant::now();
        while !server.folder.join("socket").exists() {
            ensure!(start.elapsed() < Duration::from_secs(20), "redis-server does not start");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(server))
    }

    fn client(&self) -> Result<Client> {
        let socket = self.folder.join("socket");
        Ok(Client::open(format!("redis+unix://{}", socket.to_str().context("a path in UTF-8")?))?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// A publisher and as many subscribers.
#[derive(Clone)]
pub struct PubSub {
    publisher: MultiplexedConnection,
    received: Vec<Arc<AtomicU64>>,
}

impl PubSub {
    /// Connects; `heard` is called with each message that a subscriber receives.
    ///
    /// # Errors
    ///
    /// What the client says.
    pub async fn connect(
        server: &Server,
        subscribers: usize,
        heard: impl Fn(&[u8]) + Clone + Send + 'static,
    ) -> Result<Self> {
        let client = server.client()?;
        let publisher = client.get_multiplexed_async_connection().await?;
        let mut received = Vec::new();
        for _ in 0..subscribers {
            let mut subscriber = client.get_async_pubsub().await?;
            subscriber.subscribe(CHANNEL).await?;
            let counter = Arc::new(AtomicU64::new(0));
            received.push(counter.clone());
            let heard = heard.clone();
            tokio::spawn(async move {
                let mut messages = subscriber.into_on_message();
                while let Some(message) = messages.next().await {
                    heard(message.get_payload_bytes());
                    counter.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Ok(Self { publisher, received })
    }

    /// Publishes `body` and waits for the server's answer.
    ///
    /// # Errors
    ///
    /// What the client says.
    pub async fn publish(&self, body: &[u8]) -> Result<()> {
        let mut publisher = self.publisher.clone();
        Ok(redis::cmd("PUBLISH").arg(CHANNEL).arg(body).query_async::<()>(&mut publisher).await?)
    }

    /// How many messages the subscriber that has the fewest has received.
    pub fn received(&self) -> u64 {
        fewest(&self.received)
    }
}
