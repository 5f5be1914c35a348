//! A gate in the middle of a load, so that a test can tell an interleaving step by step.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Where a loader stops until the test lets it through. Clones are the same gate.
#[derive(Clone)]
pub struct Gate {
    reached: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self { reached: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }

    /// For the loader: says that it is here, and waits to be let through.
    pub async fn pass(&self) {
        self.reached.add_permits(1);
        take(&self.open, 1).await;
    }

    /// For the test: waits until `loaders` are here.
    pub async fn reached_by(&self, loaders: u32) {
        take(&self.reached, loaders).await;
    }

    /// Lets `loaders` through, now or when they come.
    pub fn let_through(&self, loaders: usize) {
        self.open.add_permits(loaders);
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

async fn take(semaphore: &Semaphore, permits: u32) {
    semaphore.acquire_many(permits).await.expect("a gate's semaphores are never closed").forget();
}
