//! What is left of a transaction after its commit: the promise of a broadcast.

use std::{fmt, sync::Arc};

use super::{Inner, State};
use crate::{
    error::{Error, Kind},
    registry::node::Queued,
};

/// A committed transaction. Its evictions are applied here, and on their way to the other nodes.
///
/// It may be dropped: the broadcast goes out all the same. Clones are the same promise.
#[derive(Clone)]
pub struct Committed {
    transaction: Arc<Inner>,
}

enum Next {
    Wait,
    Outer(Arc<Inner>),
    Queued(Vec<Queued>),
    RolledBack,
}

impl Committed {
    pub(super) fn new(transaction: Arc<Inner>) -> Self {
        Self { transaction }
    }

    /// Waits until the broker has taken the broadcast; without a backend, not at all.
    ///
    /// Every other node has then applied the evictions or will do so, in the order of the broker, or has lost its
    /// session and clears its caches. Of an inner transaction it waits for the outer one's commit, and its broadcast.
    ///
    /// There is no limit to how long it waits: while the broker is away it has not taken anything. Of an inner
    /// transaction, do not wait inside the scope of the outer one: that cannot commit as long as you wait.
    ///
    /// # Errors
    ///
    /// When the registry was shut down before; when the outer transaction was rolled back.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropping the future stops nothing but the waiting.
    pub async fn confirmed(&self) -> Result<(), Error> {
        let mut transaction = self.transaction.clone();
        loop {
            let next = {
                // Registered before the state is read, so that an end in between is not missed.
                let ended = transaction.ended.notified();
                tokio::pin!(ended);
                ended.as_mut().enable();
                let next = match &*transaction.state() {
                    State::Open(_) | State::Ending => Next::Wait,
                    State::HandedOver(outer) => Next::Outer(outer.clone()),
                    State::Committed(queued) => Next::Queued(queued.clone()),
                    State::RolledBack => Next::RolledBack,
                };
                if matches!(next, Next::Wait) {
                    ended.await;
                }
                next
            };
            match next {
                Next::Wait => {}
                Next::Outer(outer) => transaction = outer,
                Next::RolledBack => return Err(Kind::RolledBack.into()),
                Next::Queued(queued) => {
                    for Queued { node, ticket } in queued {
                        if let Some(outbox) = &node.outbox {
                            outbox.confirmed(ticket).await.map_err(|_| Error::from(Kind::ShutDown))?;
                        }
                    }
                    return Ok(());
                }
            }
        }
    }
}

impl fmt::Debug for Committed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committed").finish_non_exhaustive()
    }
}
