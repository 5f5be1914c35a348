//! A cache with a limit to its loads, for tests of who has to wait for whom.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use cachesync::{Cache, CacheConfig, Registry, Transaction};
use cachesync_tests::gate::Gate;
use tokio::{task::JoinHandle, time::Instant};

use crate::nodes::only;

pub(crate) const LOAD_WAIT: Duration = Duration::from_secs(5);

/// A cache with a limit, and loads that stop at a gate and are counted.
#[derive(Clone)]
pub(crate) struct Limited {
    pub(crate) registry: Registry,
    pub(crate) users: Cache<u64, String>,
    pub(crate) gate: Gate,
    pub(crate) runs: Arc<AtomicUsize>,
    now: Arc<AtomicUsize>,
    pub(crate) most: Arc<AtomicUsize>,
}

/// Counts down when a body ends, however it does.
struct Running<'a>(&'a AtomicUsize);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Limited {
    pub(crate) async fn to(loads: usize) -> Self {
        Self::of(only(Self::config(loads)).await)
    }

    pub(crate) fn config(loads: usize) -> CacheConfig {
        CacheConfig::new("users").max_concurrent_loads(loads).load_wait(LOAD_WAIT)
    }

    pub(crate) fn of(registry: Registry) -> Self {
        let users = registry.cache("users").unwrap();
        Self { registry, users, gate: Gate::new(), runs: Arc::default(), now: Arc::default(), most: Arc::default() }
    }

    pub(crate) async fn run<T>(&self, body: impl Future<Output = T>) -> T {
        self.runs.fetch_add(1, SeqCst);
        self.most.fetch_max(self.now.fetch_add(1, SeqCst) + 1, SeqCst);
        let _running = Running(&self.now);
        body.await
    }

    pub(crate) async fn get(&self, key: u64) -> String {
        let body = || async {
            self.run(self.gate.pass()).await;
            key.to_string()
        };
        self.users.get_with(key, body).await
    }

    pub(crate) fn caller(&self, key: u64) -> JoinHandle<String> {
        let this = self.clone();
        tokio::spawn(async move { this.get(key).await })
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(SeqCst)
    }

    /// Lets nobody know for a while whether these keys have changed.
    pub(crate) async fn hold(&self, keys: &[u64]) {
        let transaction = Transaction::begin();
        transaction.scope(async { self.users.evict_many(keys) }).await;
        transaction.commit_with(async { Err::<(), _>("nobody knows") }).await.unwrap_err();
    }

    /// Nothing is left of those who were admitted.
    pub(crate) async fn assert_free(&self) {
        let start = Instant::now();
        self.gate.let_through(1);
        self.get(u64::MAX).await;
        assert_eq!(start.elapsed(), Duration::ZERO, "somebody was admitted and has not left");
    }
}
