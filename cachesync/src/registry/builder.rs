//! Starting a registry.

use std::{collections::BTreeMap, fmt, pin::Pin, sync::Arc, time::Duration};

use cachesync_core::{Backend, Name};
use tokio::{runtime::Handle, sync::watch};

use super::{
    Core, Registry, check,
    node::{Node, NodeSettings},
    status::UNSIGNED,
};
use crate::{
    clock::{Clock, ManualClock},
    config::{CacheConfig, OnPartition, UnknownCaches},
    engine::{self, Closing, Engine, Pace, Signal},
    error::Error,
    shared_keys::{LEASES_PER_WINDOW, SharedKeys},
};

const HEARTBEAT: Duration = Duration::from_secs(1);
const LEASE: Duration = Duration::from_secs(10);
const SETTLE: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(5);
/// The longest duration of each of these.
const LONGEST: Duration = Duration::from_hours(24);
/// How many heartbeats must fit into a lease.
const HEARTBEATS_PER_LEASE: u32 = 3;

/// Describes a [`Registry`] and starts it; made by [`Registry::builder`].
#[must_use = "a registry does nothing before it is started"]
pub struct RegistryBuilder {
    namespace: Option<String>,
    node_name: Option<String>,
    caches: Vec<CacheConfig>,
    backend: Option<Arc<dyn Backend>>,
    unknown: UnknownCaches,
    pace: Pace,
    settle: Duration,
    limit: Duration,
    on_partition: OnPartition,
    clock: Clock,
    keys: Option<SharedKeys>,
}

impl RegistryBuilder {
    pub(super) fn new() -> Self {
        Self {
            namespace: None,
            node_name: None,
            caches: Vec::new(),
            backend: None,
            unknown: UnknownCaches::default(),
            pace: Pace { heartbeat: HEARTBEAT, lease: LEASE },
            settle: SETTLE,
            limit: LIMIT,
            on_partition: OnPartition::default(),
            clock: Clock::System,
            keys: None,
        }
    }

    /// The name that the nodes of one service share; `[A-Za-z0-9_-]`, at most 100 bytes. Required with a backend.
    ///
    /// Nodes of different namespaces never hear each other, even if their caches have the same names.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The name under which people find this node at the broker; the host's name by default. Need not be unique.
    pub fn node_name(mut self, name: impl Into<String>) -> Self {
        self.node_name = Some(name.into());
        self
    }

    /// Adds a cache.
    pub fn cache(mut self, config: CacheConfig) -> Self {
        self.caches.push(config);
        self
    }

    /// The transport that carries evictions to the other nodes. Left out: this node is alone.
    pub fn backend(mut self, backend: impl Backend) -> Self {
        self.backend = Some(Arc::new(backend));
        self
    }

    /// What becomes of annotated functions that name a cache which is not here; [`UnknownCaches::Fail`] by default.
    pub fn unknown_caches(mut self, unknown: UnknownCaches) -> Self {
        self.unknown = unknown;
        self
    }

    /// How often this node sends itself a heartbeat through the backend; 1 s by default, more than zero, at most 24 h.
    pub fn heartbeat(mut self, every: Duration) -> Self {
        self.pace.heartbeat = every;
        self
    }

    /// For how long this node serves its caches without a heartbeat coming back; 10 s by default, at most 24 h, at least
    /// three heartbeats, and at least three times what the backend allows for a confirmation
    /// ([`Backend::confirm_timeout`]), or twice that and a heartbeat if that is longer.
    ///
    /// This is the bound of staleness when the network fails: no node serves a value later than this after its
    /// eviction was confirmed.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.pace.lease = lease;
        self
    }

    /// What becomes of the caches while the lease has run out; [`OnPartition::Bypass`] by default.
    ///
    /// A cache can have a policy of its own, see [`CacheConfig::on_partition`], and both can be changed while the
    /// registry runs: [`Registry::set_on_partition`], [`Registry::set_on_partition_of`].
    pub fn on_partition(mut self, policy: OnPartition) -> Self {
        self.on_partition = policy;
        self
    }

    /// For how long loads are not kept after an eviction of unknown outcome; 5 s by default, at most 24 h.
    ///
    /// During that time nothing is kept on any node, and callers of the key share only a load that has yet to begin: the
    /// database may commit at any moment.
    ///
    /// Set it above the longest time that a database commit, whose answer never came, may still take.
    pub fn settle(mut self, settle: Duration) -> Self {
        self.settle = settle;
        self
    }

    /// The longest that [`Registry::flush`] and [`Registry::shutdown`] wait for the broker; 5 s by default, at most
    /// 24 h.
    pub fn flush_timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Signs what this node sends, and refuses whatever comes that is not signed by a holder of these keys.
    ///
    /// For brokers that have other tenants. Whoever may write to the exchange can otherwise evict what he likes, which costs loads
    /// and never makes a stale read. With keys he can neither do that nor play back what nodes have sent; what is refused
    /// changes nothing, and [`RegistryStats::refused`](crate::RegistryStats::refused) counts it. He can still read: messages are
    /// signed, not encrypted. SECURITY.md says what else is and is not protected.
    ///
    /// All nodes of the namespace need them, and so do programs in other languages that evict: the README has
    /// what they send.
    /// Clocks must agree, see [`SharedKeys::window`].
    pub fn shared_keys(mut self, keys: SharedKeys) -> Self {
        self.keys = Some(keys);
        self
    }

    /// Takes the time from `clock`, for tests.
    pub fn clock(mut self, clock: ManualClock) -> Self {
        self.clock = Clock::Manual(clock);
        self
    }

    /// Starts the registry; with a backend, once the first session is open.
    ///
    /// Its tasks run on the Tokio runtime of the caller. When that runtime ends, calls run uncached.
    ///
    /// # Errors
    ///
    /// All mistakes at once: settings that cannot work; annotated functions that disagree about the types of a cache
    /// that is configured; caches that are named and not configured, see [`unknown_caches`](Self::unknown_caches).
    /// Of these, functions with `registry = ...` are left out, since they may mean another registry. Attributes that
    /// name a cache twice, by its name and as a typed cache. And, with a backend, that it cannot be reached, after the
    /// time that the backend allows.
    ///
    /// # Panics
    ///
    /// On a runtime without a time driver, see `tokio::runtime::Builder::enable_time`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future starts nothing.
    pub async fn start(self) -> Result<Registry, Error> {
        self.started().await
    }

    /// In a box, and so compiled here: the engine would otherwise be in each program that starts a registry.
    fn started(self) -> Pin<Box<dyn Future<Output = Result<Registry, Error>> + Send>> {
        Box::pin(async move {
            let (registry, engine) = self.prepare()?;
            if let Some(mut engine) = engine {
                let first = engine.open().await?;
                tokio::spawn(engine.run(Some(first)));
            }
            Ok(registry)
        })
    }

    /// As [`start`](Self::start), without waiting for the backend: it is tried again and again. Until the first
    /// session is open, every call runs its body (unless its cache [serves stale values](OnPartition::ServeStale)), and
    /// evictions wait.
    ///
    /// # Errors
    ///
    /// As `start`, except those of the backend.
    ///
    /// # Panics
    ///
    /// On a runtime without a time driver.
    // `async` as `start` is, although there is nothing to wait for today.
    #[expect(clippy::unused_async, reason = "the two ways to start are called alike")]
    pub async fn start_lazy(self) -> Result<Registry, Error> {
        self.started_lazily()
    }

    fn started_lazily(self) -> Result<Registry, Error> {
        let (registry, engine) = self.prepare()?;
        if let Some(engine) = engine {
            tokio::spawn(engine.run(None));
        }
        Ok(registry)
    }

    fn prepare(self) -> Result<(Registry, Option<Engine>), Error> {
        let runtime = Handle::try_current()
            .map_err(|_| Error::configuration("start the registry on a Tokio runtime: its tasks run there"))?;
        // On a runtime without timers this panics, now and not at the first wait.
        drop(tokio::time::sleep(Duration::ZERO));
        let mut errors = Vec::new();
        let mut caches = BTreeMap::new();
        for config in &self.caches {
            match config.validate() {
                Ok(name) if caches.contains_key(&name) => {
                    errors.push(Error::configuration(format!("cache `{name}` is configured twice")));
                }
                Ok(name) => _ = caches.insert(name, config.clone()),
                Err(error) => errors.push(error),
            }
        }
        let namespace = self.namespace.as_deref().map(Name::new).transpose().unwrap_or_else(|error| {
            errors.push(error.into());
            None
        });
        errors.extend(self.contradictions());
        let settings = NodeSettings {
            name: self.node_name.unwrap_or_else(host_name),
            namespace,
            clock: self.clock,
            runtime,
            keys: self.keys.clone(),
            settle: self.settle,
            unknown: self.unknown,
            has_backend: self.backend.is_some(),
            on_partition: self.on_partition,
            lease: self.pace.lease,
        };
        if settings.keys.as_ref().is_some_and(SharedKeys::accepts_unsigned) {
            tracing::warn!("what is not signed by a shared key is accepted all the same: {UNSIGNED}");
        }
        let node = Arc::new(Node::new(settings, caches));
        errors.extend(check::types_and_names(&node));
        if let Some(error) = Error::of_all(errors) {
            return Err(error);
        }

        let (signal, signals) = watch::channel(Signal::Run);
        let engine = self.backend.map(|backend| Engine::new(node.clone(), backend, self.pace, signals.clone()));
        if engine.is_none() {
            tokio::spawn(engine::attend(Closing(node.clone()), signals));
        }
        let core = Core { node, signal, limit: self.limit };
        Ok((Registry(Arc::new(core)), engine))
    }

    fn contradictions(&self) -> Vec<Error> {
        let Pace { heartbeat, lease } = self.pace;
        let mut errors = Vec::new();
        if self.backend.is_some() && self.namespace.is_none() {
            errors.push(Error::configuration(
                "a registry with a backend needs a namespace, the name that the nodes of one service share: \
                 `.namespace(\"shop\")`",
            ));
        }
        if heartbeat.is_zero() || lease < heartbeat.saturating_mul(HEARTBEATS_PER_LEASE) {
            errors.push(Error::configuration(format!(
                "a lease of {lease:?} is too short for a heartbeat every {heartbeat:?}: make it at least \
                 {HEARTBEATS_PER_LEASE} heartbeats, and the heartbeat longer than zero"
            )));
        }
        if let Some(confirm) = self.backend.as_ref().and_then(|backend| backend.confirm_timeout()) {
            // Between two heartbeats there are the first one's confirmation and that of other frames, or else a beat and the
            // latter, and then the second one has to come back.
            let least = heartbeat.max(confirm).saturating_add(confirm.saturating_mul(2));
            if lease < least {
                errors.push(Error::configuration(format!(
                    "a lease of {lease:?} is too short for a heartbeat every {heartbeat:?} and a backend that allows {confirm:?} \
                     for a confirmation: a broker that is slow and well would cost this node its caches; make the lease at \
                     least {least:?}, or shorten the backend's timeout (of `AmqpBackend`, `publish_timeout`)"
                )));
            }
        }
        if let Some(keys) = &self.keys {
            let (window, least) = (keys.length_of_window(), lease.saturating_mul(LEASES_PER_WINDOW));
            if window < least || window > LONGEST.saturating_mul(LEASES_PER_WINDOW) {
                errors.push(Error::configuration(format!(
                    "a window of {window:?} for the dates of signed messages does not suit a lease of {lease:?}: make it at \
                     least {least:?}, since messages may wait for as long as the lease, and at most 48 h"
                )));
            }
        }
        let too_long = |(what, duration): &(&str, Duration)| {
            (*duration > LONGEST)
                .then(|| Error::configuration(format!("a {what} of {duration:?} is too long: at most {LONGEST:?}")))
        };
        let durations =
            [("heartbeat", heartbeat), ("lease", lease), ("settle time", self.settle), ("flush timeout", self.limit)];
        errors.extend(durations.iter().filter_map(too_long));
        if let UnknownCaches::Create(config) = &self.unknown
            && let Err(error) = (CacheConfig { name: "any".into(), ..config.clone() }).validate()
        {
            errors.push(error);
        }
        errors
    }
}

impl fmt::Debug for RegistryBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryBuilder")
            .field("namespace", &self.namespace)
            .field("node_name", &self.node_name)
            .field("caches", &self.caches)
            .field("backend", &self.backend.is_some())
            .field("shared_keys", &self.keys)
            .finish_non_exhaustive()
    }
}

fn host_name() -> String {
    hostname::get().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "unnamed".into())
}
