//! Taking a transaction's scope along to other tasks.

use std::{fmt, sync::Arc};

use super::{CURRENT, Inner, Transaction, current};
use crate::{
    registry::{self, Registry},
    scope,
};

/// The scope of a [`Transaction`], to be entered by other tasks; made by [`Transaction::handle`] or, within a scope, by
/// [`TransactionHandle::current`].
///
/// A scope belongs to its task: what a task evicts that was spawned inside it (`tokio::spawn`, a `JoinSet`) is evicted at
/// once, and what it reads may be kept. This takes the scope along, and with it that of
/// [`Registry::scope`](crate::Registry::scope) in which the handle was made, if there was one.
///
/// It neither ends the transaction nor keeps it open; the registry of such a scope it does keep running. Wait for such
/// tasks before the end: what they evict after it joins the enclosing transaction, and without one is evicted with a hold,
/// since nobody knows whether it was committed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cachesync::Error> {
/// use cachesync::{CacheConfig, Registry, Transaction};
///
/// # let registry = Registry::builder().cache(CacheConfig::new("users")).start().await?;
/// let users = registry.cache::<u64, &str>("users")?;
/// users.insert(1, "Ada");
///
/// let transaction = Transaction::begin();
/// let (scope, evicting) = (transaction.handle(), users.clone());
/// tokio::spawn(scope.scope(async move { evicting.evict(&1) })).await.unwrap();
/// assert_eq!(users.get(&1), Some("Ada"), "not yet");
/// transaction.commit();
/// assert_eq!(users.get(&1), None);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "nothing is inside of the transaction that is not run by `scope`"]
pub struct TransactionHandle {
    transaction: Arc<Inner>,
    registry: Option<Registry>,
}

impl TransactionHandle {
    pub(super) fn of(transaction: &Arc<Inner>) -> Self {
        Self { transaction: transaction.clone(), registry: registry::current::scoped() }
    }

    /// That of the innermost scope that the calling task is in; `None` outside of any.
    #[must_use]
    pub fn current() -> Option<Self> {
        current().map(|transaction| Self::of(&transaction))
    }

    /// Runs `future` inside the transaction, as [`Transaction::scope`] does.
    ///
    /// # Cancel safety
    ///
    /// As there: dropping the future drops `future`, and what it evicted stays pending.
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let Self { transaction, registry } = self.clone();
        let inside = scope::mark(CURRENT.scope(transaction, future));
        async move {
            match registry {
                Some(registry) => registry.scope(inside).await,
                None => inside.await,
            }
        }
    }
}

impl Transaction {
    /// The transaction's scope, to take along to other tasks.
    pub fn handle(&self) -> TransactionHandle {
        TransactionHandle::of(&self.inner)
    }
}

impl fmt::Debug for TransactionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransactionHandle").field("registry", &self.registry).finish_non_exhaustive()
    }
}
