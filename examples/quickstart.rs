//! The example of the README as a program: `cargo run --example quickstart`.

use std::{
    collections::HashMap,
    error::Error,
    io,
    sync::{Arc, Mutex},
};

use cachesync::{CacheConfig, Registry, Transaction, cache_evict, cacheable, memory::MemoryBackend};

struct Users {
    db: Arc<Db>,
    caches: Registry,
}

impl Users {
    #[cacheable(cache = "users", key = id, registry = self.caches)]
    async fn find(&self, id: u64) -> Option<Arc<str>> {
        self.db.rows.lock().unwrap().get(&id).cloned()
    }

    #[cache_evict(cache = "users", key = id, registry = self.caches)]
    async fn rename(&self, id: u64, name: &str) {
        self.db.rows.lock().unwrap().insert(id, name.into());
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let db = Arc::new(Db { rows: Mutex::new(HashMap::from([(1, "Ada".into())])) });
    let hub = MemoryBackend::new(); // in production `AmqpBackend::new("amqp://rabbitmq")?`, in every process
    let start = || Registry::builder().namespace("shop").cache(CacheConfig::new("users")).backend(hub.clone()).start();
    let one = Users { db: db.clone(), caches: start().await? };
    let other = Users { db: db.clone(), caches: start().await? };
    assert_eq!(other.find(1).await.as_deref(), Some("Ada")); // loaded once, then answered from memory

    let transaction = Transaction::begin();
    transaction.scope(one.rename(1, "Ada Lovelace")).await; // the eviction waits
    assert_eq!(other.find(1).await.as_deref(), Some("Ada"));
    transaction.commit_with(db.commit()).await?; // the database first, then the caches of every node

    while other.find(1).await.as_deref() != Some("Ada Lovelace") {
        tokio::task::yield_now().await; // a moment, in which the eviction travels
    }
    Ok(())
}

/// Stands in for your database.
struct Db {
    rows: Mutex<HashMap<u64, Arc<str>>>,
}

impl Db {
    async fn commit(&self) -> io::Result<()> {
        tokio::task::yield_now().await;
        Ok(())
    }
}
