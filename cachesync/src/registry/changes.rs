//! Waiting for a node's coherence to change.

use std::{
    fmt,
    mem::{Discriminant, discriminant},
    sync::Arc,
    time::Duration,
};

use tokio::sync::watch;

use super::{
    node::Node,
    status::{Coherence, Status},
};
use crate::timer;

/// How often the lease is looked at while it runs, since nobody tells that it has run out.
const INTERVAL: Duration = Duration::from_secs(1);

/// Tells when the [coherence](Coherence) of a node changes, made by [`Registry::status_changes`](super::Registry::status_changes).
///
/// Only the kind counts: that a `lag` is another is no change. Changes that follow each other faster than they are waited
/// for are seen as one. It does not keep the registry running.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cachesync::Error> {
/// use cachesync::{CacheConfig, Coherence, Registry};
///
/// # let registry = Registry::builder().cache(CacheConfig::new("users")).start().await?;
/// let mut changes = registry.status_changes();
/// let probe = tokio::spawn(async move {
///     while let Some(status) = changes.changed().await {
///         let ready = matches!(status.coherence, Coherence::Local | Coherence::Coherent { .. });
///         println!("ready: {ready}");
///     }
/// });
/// registry.shutdown().await?;
/// probe.await.unwrap();
/// # Ok(())
/// # }
/// ```
#[must_use = "it does nothing unless it is waited for"]
pub struct StatusChanges {
    node: Arc<Node>,
    seen: Discriminant<Coherence>,
    events: watch::Receiver<()>,
}

impl StatusChanges {
    pub(super) fn of(node: &Arc<Node>) -> Self {
        let events = node.status.events();
        Self { seen: discriminant(&Status::of(node).coherence), node: node.clone(), events }
    }

    /// How the node is doing now.
    pub fn current(&self) -> Status {
        Status::of(&self.node)
    }

    /// Waits until the node is doing otherwise than it was when this last returned, or at first when this was made, and
    /// tells how. `None` once it has told that the registry has ended: nothing changes any more.
    ///
    /// That the lease has run out is noticed within a second; everything else at once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was not returned is returned by the next call.
    pub async fn changed(&mut self) -> Option<Status> {
        if self.seen == discriminant(&Coherence::ShutDown) {
            return None;
        }
        loop {
            // Before looking, so that a change in between is not missed.
            self.events.mark_unchanged();
            let status = self.current();
            let now = discriminant(&status.coherence);
            if now != self.seen {
                self.seen = now;
                return Some(status);
            }
            // Also when nothing is left: it may have been renewed in the moment in which it ran out, which nobody tells.
            let lease = status.lease_left.map(|left| if left.is_zero() { INTERVAL } else { left.min(INTERVAL) });
            // The sender is in the node.
            let event = self.events.changed();
            match lease {
                None => _ = event.await,
                Some(left) => tokio::select! {
                    _ = event => {}
                    () = timer::elapsed(&self.node.runtime, &self.node.lease, left) => {}
                },
            }
        }
    }
}

impl fmt::Debug for StatusChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatusChanges").field("node", &self.node).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use cachesync_core::{Backend, BackendError, BoxFuture, Session, backend};

    use super::*;
    use crate::{CacheConfig, Registry};

    /// Neither opens a session nor says that it cannot, so nothing happens.
    struct Silent;

    impl Backend for Silent {
        fn connect(
            &self,
            _: backend::Interest,
            _: Option<backend::Position>,
        ) -> BoxFuture<'_, Result<Session, BackendError>> {
            Box::pin(std::future::pending())
        }
    }

    /// As a heartbeat does that comes in the very moment in which the lease runs out.
    #[tokio::test(start_paused = true)]
    async fn a_lease_that_is_renewed_without_a_word_is_noticed() {
        let registry = Registry::builder().namespace("test").cache(CacheConfig::new("users")).backend(Silent);
        let registry = registry.start_lazy().await.unwrap();
        let mut changes = registry.status_changes();
        assert!(matches!(changes.current().coherence, Coherence::Partitioned { .. }));
        let node = changes.node.clone();
        let renew = async {
            tokio::time::sleep(INTERVAL / 2).await;
            node.lease.renew(&node.clock, node.clock.boot());
        };
        let changed = tokio::time::timeout(2 * INTERVAL, changes.changed());
        let (status, ()) = tokio::join!(changed, renew);
        assert!(matches!(status.expect("in time").unwrap().coherence, Coherence::Suspect { .. }));
    }
}
