//! The registry: the named caches of a node, their backend, and the task that keeps them coherent.

mod builder;
mod changes;
mod check;
pub(crate) mod current;
mod describe;
pub(crate) mod node;
pub(crate) mod slot;
mod status;

use std::{fmt, sync::Arc, time::Duration};

pub use builder::RegistryBuilder;
pub use changes::StatusChanges;
pub use describe::{CacheDeclaration, CacheDescription, Description, FunctionDescription};
use node::{MAX_CREATED, Node};
use slot::{Mismatch, Slot};
pub use status::{Coherence, Status};
use tokio::sync::watch;

use crate::{
    cache::Cache,
    config::{OnPartition, UnknownCaches},
    engine::{Signal, outbox::Outbox},
    error::{Error, Kind},
    key::{Key, Value},
    statistics::RegistryStats,
    timer,
};

/// The named caches of a node, kept coherent with those of all other nodes.
///
/// Cheap to clone; all clones are the same registry. It ends with [`shutdown`](Self::shutdown), with the last clone,
/// or with the Tokio runtime that it was started on; annotated functions run uncached from then on.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cachesync::Error> {
/// use std::time::Duration;
///
/// use cachesync::{CacheConfig, Registry, memory::MemoryBackend};
///
/// let hub = MemoryBackend::new();
/// let registry = Registry::builder()
///     .namespace("shop")
///     .cache(CacheConfig::new("users").capacity(100_000).ttl(Duration::from_secs(600)))
///     .backend(hub)
///     .start()
///     .await?;
///
/// let users = registry.cache::<u64, String>("users")?;
/// users.insert(1, "Ada".into());
/// assert_eq!(users.get(&1).as_deref(), Some("Ada"));
///
/// registry.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Registry(pub(crate) Arc<Core>);

/// Dropping it ends the engine.
pub(crate) struct Core {
    pub(crate) node: Arc<Node>,
    signal: watch::Sender<Signal>,
    limit: Duration,
}

impl Registry {
    /// Describes a registry that is to be started.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::new()
    }

    /// Makes this the default of the process: annotated functions use it wherever no other is in scope.
    ///
    /// # Errors
    ///
    /// When another registry is installed and has not ended.
    pub fn install(&self) -> Result<(), Error> {
        current::install(self)
    }

    /// Runs `future` with this registry in place of the installed one.
    ///
    /// The scope belongs to the task: a task spawned inside it is outside. A
    /// [`TransactionHandle`](crate::TransactionHandle) takes it along. Scopes nest; the innermost counts.
    ///
    /// # Cancel safety
    ///
    /// That of `future`.
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        current::scope(self.clone(), future)
    }

    /// A handle on a cache.
    ///
    /// # Errors
    ///
    /// When there is no such cache, or its keys or values are of other types.
    pub fn cache<K: Key, V: Value>(&self, name: &str) -> Result<Cache<K, V>, Error> {
        let slot = self.slot(name)?;
        let store = slot.store().map_err(|Mismatch(text)| Error::from(Kind::TypeMismatch(text)))?;
        Ok(Cache::new(self.clone(), slot, store))
    }

    fn slot(&self, name: &str) -> Result<Arc<Slot>, Error> {
        let node = &self.0.node;
        node.slot(name).ok_or_else(|| {
            let advice = match node.unknown {
                UnknownCaches::Create(_) => {
                    format!("no more than {MAX_CREATED} are made at their first use: put what varies into the key")
                }
                _ => "add `.cache(CacheConfig::new(...))` to the builder".to_owned(),
            };
            Kind::UnknownCache(format!("there is no cache `{name}`; {}", check::known(node, &advice))).into()
        })
    }

    /// Changes what becomes of the caches while the lease has run out, from now on: of all that have no policy of their
    /// own, whether they are there already or not.
    pub fn set_on_partition(&self, policy: OnPartition) {
        self.0.node.set_on_partition(policy);
    }

    /// Gives one cache a policy of its own, whatever its configuration says, or takes it away with `None`, so that the
    /// cache has that of the registry.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cachesync::Error> {
    /// # use cachesync::{CacheConfig, OnPartition, Registry};
    /// # let registry = Registry::builder().cache(CacheConfig::new("rates")).start().await?;
    /// // The broker will be away for a while: rates of an hour ago are better than none.
    /// registry.set_on_partition_of("rates", OnPartition::ServeStale)?;
    /// # assert_eq!(registry.describe().caches[0].on_partition, OnPartition::ServeStale);
    /// // All is well again.
    /// registry.set_on_partition_of("rates", None)?;
    /// # assert_eq!(registry.describe().caches[0].on_partition, OnPartition::Bypass);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When there is no such cache.
    pub fn set_on_partition_of(&self, cache: &str, policy: impl Into<Option<OnPartition>>) -> Result<(), Error> {
        self.0.node.set_on_partition_of(&*self.slot(cache)?, policy.into());
        Ok(())
    }

    /// Waits until every eviction queued so far has been confirmed by the broker; at most the
    /// [flush timeout](RegistryBuilder::flush_timeout). Without a backend there is nothing to wait for.
    ///
    /// # Errors
    ///
    /// When that takes longer ([`Error::is_timeout`]; the evictions stay queued), or the registry ends before
    /// ([`Error::is_shut_down`]; they are lost). The text says how many keys and tags of which caches have not been confirmed,
    /// [`Error::unconfirmed`] how many of all.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the evictions go out all the same.
    pub async fn flush(&self) -> Result<(), Error> {
        let Core { node, limit, .. } = &*self.0;
        let Some(outbox) = &node.outbox else { return Ok(()) };
        tokio::select! {
            biased;
            confirmed = outbox.confirmed(outbox.last_ticket()) => {
                confirmed.map_err(|_| Kind::Lost { left: outbox.left() }.into())
            }
            () = timer::elapsed(&node.runtime, &node.lease, *limit) => {
                let left = outbox.left();
                let why = if node.is_closed() { Kind::Lost { left } } else { Kind::Unconfirmed { left, after: *limit } };
                Err(why.into())
            }
        }
    }

    /// How this node is doing.
    pub fn status(&self) -> Status {
        Status::of(&self.0.node)
    }

    /// Tells from now on when this node begins or ceases to hear the others, for readiness probes and the like.
    pub fn status_changes(&self) -> StatusChanges {
        StatusChanges::of(&self.0.node)
    }

    /// What this node has counted.
    pub fn stats(&self) -> RegistryStats {
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
        let Node { counters, .. } = &*self.0.node;
        let slots = self.0.node.slots();
        let caches = slots.iter().map(|slot| (slot.info.name.to_string(), slot.info.counters.snapshot(slot.len())));
        RegistryStats {
            caches: caches.collect(),
            frames_sent: read(&counters.frames_sent),
            frames_applied: read(&counters.frames_applied),
            json_applied: read(&counters.json_applied),
            bad_messages: read(&counters.bad_messages),
            refused: counters.refused.snapshot(),
            unsigned: read(&counters.unsigned),
            sessions: read(&counters.sessions),
            resumed: read(&counters.resumed),
            gaps: read(&counters.gaps),
            overflows: self.0.node.outbox.as_ref().map_or(0, Outbox::overflows),
        }
    }

    /// Which caches there are, and which annotated functions use them.
    pub fn describe(&self) -> Description {
        Description::of(&self.0.node)
    }

    /// Ends the registry: evictions that wait go out first, for at most the
    /// [flush timeout](RegistryBuilder::flush_timeout). Annotated functions run uncached from then on.
    ///
    /// Evictions of unknown outcome, which are told again when their hold is over, are told again now. Calling it again, on
    /// any clone, waits for the same end.
    ///
    /// # Errors
    ///
    /// When evictions were left that the broker had not confirmed ([`Error::is_timeout`]). They are lost; other nodes
    /// may serve the old values until these expire. The text says how many keys and tags of which caches they are,
    /// [`Error::unconfirmed`] how many of all.
    ///
    /// # Cancel safety
    ///
    /// Once polled, the registry ends even if the future is dropped.
    pub async fn shutdown(&self) -> Result<(), Error> {
        let Core { node, signal, limit, .. } = &*self.0;
        signal.send_if_modified(|signal| {
            let first = *signal == Signal::Run;
            if first {
                *signal = Signal::Drain(*limit);
            }
            first
        });
        node.status.stopped().await;
        match &node.outbox {
            Some(outbox) if !outbox.is_empty() => Err(Kind::Undelivered { left: outbox.left(), after: *limit }.into()),
            _ => Ok(()),
        }
    }

    pub(crate) fn id(&self) -> u64 {
        self.0.node.id
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("node", &self.0.node).finish_non_exhaustive()
    }
}
