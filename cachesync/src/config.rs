//! What an application says of its caches.

use std::time::Duration;

use cachesync_core::Name;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The settings of one cache.
///
/// ```
/// use std::time::Duration;
///
/// use cachesync::CacheConfig;
///
/// let config = CacheConfig::new("users").capacity(100_000).ttl(Duration::from_secs(600));
///
/// // The same from a configuration file; durations are texts such as "90s", "5m" or "1h 30m".
/// let read: CacheConfig = serde_json::from_str(r#"{"name": "users", "capacity": 100000, "ttl": "10m"}"#).unwrap();
/// assert_eq!(read, config);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheConfig {
    pub(crate) name: String,
    #[serde(default = "default_capacity")]
    pub(crate) capacity: usize,
    #[serde(default, with = "humantime_serde")]
    pub(crate) ttl: Option<Duration>,
    #[serde(default = "default_load_wait", with = "humantime_serde")]
    pub(crate) load_wait: Duration,
    #[serde(default = "default_max_concurrent_loads")]
    pub(crate) max_concurrent_loads: usize,
    #[serde(default)]
    pub(crate) evict_only: bool,
    /// In place of the registry's.
    #[serde(default)]
    pub(crate) on_partition: Option<OnPartition>,
}

const fn default_capacity() -> usize {
    10_000
}

const fn default_load_wait() -> Duration {
    Duration::from_secs(5)
}

const fn default_max_concurrent_loads() -> usize {
    256
}

impl CacheConfig {
    /// A cache of 10,000 entries that do not expire.
    ///
    /// The name is `[A-Za-z0-9_-]`, at most 100 bytes; it is checked when the registry starts.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            capacity: default_capacity(),
            ttl: None,
            load_wait: default_load_wait(),
            max_concurrent_loads: default_max_concurrent_loads(),
            evict_only: false,
            on_partition: None,
        }
    }

    /// A cache that this node evicts from and never reads: nothing is kept here, evictions are broadcast.
    pub fn evict_only(name: impl Into<String>) -> Self {
        Self { evict_only: true, ..Self::new(name) }
    }

    /// How many entries it holds; beyond that the least useful ones are displaced. At least 1; 10,000 by default.
    ///
    /// The capacity is divided among shards, so an unlucky distribution displaces a little earlier.
    #[must_use]
    pub fn capacity(mut self, entries: usize) -> Self {
        self.capacity = entries;
        self
    }

    /// How long an entry is served after it was stored; without end by default.
    ///
    /// It is measured by a clock that advances every few milliseconds. Of less than 0.1 ms nothing may be served at all.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How long a caller waits for another caller's load of the same key; 5 s by default.
    ///
    /// After that it runs its own body, and does not keep the value. For as long it waits, if need be, until fewer than
    /// [`max_concurrent_loads`](Self::max_concurrent_loads) run, and as long for another's load to begin that has to wait so
    /// itself: all waits together last at most three times this. It is what ends loads that wait for each other,
    /// so set it above the slowest load that is healthy, not to infinity.
    #[must_use]
    pub fn load_wait(mut self, wait: Duration) -> Self {
        self.load_wait = wait;
        self
    }

    /// How many loads of this cache run at the same time, as long as nobody has to wait for longer than
    /// [`load_wait`](Self::load_wait); at least 1, 256 by default.
    ///
    /// It is what the source sees at the most when everything is absent at once: past the lease, and after a clear. Set it
    /// to what the source can take; well above what healthy misses need, which is their rate times the time that a load
    /// takes. A batch is one load.
    ///
    /// The others wait their turn, for at most `load_wait`, after which they load all the same; so a limit that is too low
    /// costs time and not answers, and a load that never ends is in the way for no longer than that. A future that waits
    /// its turn and is not polled any more, in a `FuturesUnordered` that nobody drives, keeps its turn. Who does not wait is let in beyond the limit: plain functions,
    /// loads inside a transaction, and what a load itself asks for of the same cache.
    #[must_use]
    pub fn max_concurrent_loads(mut self, loads: usize) -> Self {
        self.max_concurrent_loads = loads;
        self
    }

    /// What becomes of this cache while the lease has run out; by default what the
    /// [registry](crate::RegistryBuilder::on_partition) says.
    ///
    /// In a configuration file it is `"bypass"` or `"serve_stale"`. It can be changed while the registry runs, see
    /// [`Registry::set_on_partition_of`](crate::Registry::set_on_partition_of).
    #[must_use]
    pub fn on_partition(mut self, policy: OnPartition) -> Self {
        self.on_partition = Some(policy);
        self
    }

    pub(crate) fn validate(&self) -> Result<Name, Error> {
        let name = Name::new(&self.name)?;
        if self.capacity == 0 {
            return Err(Error::configuration(format!("cache `{name}`: the capacity must be at least 1")));
        }
        if self.max_concurrent_loads == 0 {
            return Err(Error::configuration(format!(
                "cache `{name}`: `max_concurrent_loads` must be at least 1, or nothing could be loaded"
            )));
        }
        if self.ttl == Some(Duration::ZERO) {
            return Err(Error::configuration(format!("cache `{name}`: the ttl must be longer than zero")));
        }
        Ok(name)
    }
}

/// What becomes of a cache while its node does not hear the others and the [lease](crate::RegistryBuilder::lease) has run
/// out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[repr(u8)]
pub enum OnPartition {
    /// Nothing is served from memory and nothing is kept, so that staleness is bounded by the lease. The default.
    ///
    /// Callers of one key share a load as long as that is younger than the lease, and at most
    /// [`max_concurrent_loads`](CacheConfig::max_concurrent_loads) of a cache run at the same time.
    #[default]
    Bypass = 0,
    /// Entries are served all the same, and loads are kept, however long it takes: for data of which an old version is
    /// better than none.
    ///
    /// What is served then may be as old as the partition. Entries still expire by their ttl, evictions of this node
    /// still apply, and a session that is back clears as ever before anything is served in it.
    ServeStale = 1,
}

/// What becomes of annotated functions that name a cache which the registry does not have.
///
/// Every annotated function that is linked into the program counts, also those of libraries and of other tests in the
/// same test binary; since edition 2024 that includes other doctests, unless they are marked `standalone_crate`. Those
/// with `registry = ...` do not, since they may mean another registry: where they find no cache they run uncached, and
/// a warning is logged once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum UnknownCaches {
    /// `start()` fails and names them, with file and line. The default.
    #[default]
    Fail,
    /// They run uncached; evictions are still broadcast.
    Bypass,
    /// The cache is made at its first use, with these settings and the name asked for; unless there are 1,024 caches
    /// already, since names may be made up without end. Caches are never made for evictions of other nodes.
    Create(CacheConfig),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_setting_is_an_error_and_not_ignored() {
        let error = serde_json::from_str::<CacheConfig>(r#"{"name": "users", "tll": "5m"}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `tll`"), "{error}");
    }

    #[test]
    fn the_policy_past_the_lease_can_be_read_from_a_file() {
        let read = |text: &str| serde_json::from_str::<CacheConfig>(text);
        let config = read(r#"{"name": "users", "on_partition": "serve_stale"}"#).unwrap();
        assert_eq!(config, CacheConfig::new("users").on_partition(OnPartition::ServeStale));
        assert_eq!(read(r#"{"name": "users"}"#).unwrap().on_partition, None);
        let error = read(r#"{"name": "users", "on_partition": "stale"}"#).unwrap_err().to_string();
        assert!(error.contains("unknown variant `stale`"), "{error}");
    }

    #[test]
    fn settings_that_cannot_work_are_refused_with_the_cache_named() {
        for (config, part) in [
            (CacheConfig::new("users").capacity(0), "capacity must be at least 1"),
            (CacheConfig::new("users").max_concurrent_loads(0), "`max_concurrent_loads` must be at least 1"),
            (CacheConfig::new("users").ttl(Duration::ZERO), "ttl must be longer than zero"),
            (CacheConfig::new("us.ers"), "is not a valid name"),
        ] {
            let error = config.validate().unwrap_err();
            assert!(error.is_configuration());
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
