//! What a cache is, apart from the types of its keys and values.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use cachesync_core::{
    Name,
    codec::{self, KeyError, MAX_KEY_BYTES},
    frame::EncodedKey,
    shape::KeyShape,
};
use tokio::runtime::Handle;

use super::admission::Admissions;
use crate::{
    clock::{Clock, Moment},
    config::{CacheConfig, OnPartition},
    key::Key,
    lease::Lease,
    mutation::Mutation,
    statistics::Counters,
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
};

/// The untyped part of a cache, shared by its slot in the registry and its store.
pub(crate) struct CacheInfo {
    /// Unique in the process, over all registries.
    pub(crate) id: u64,
    pub(crate) name: Name,
    pub(crate) config: CacheConfig,
    pub(crate) clock: Clock,
    pub(crate) lease: Arc<Lease>,
    /// An [`OnPartition`].
    on_partition: AtomicU8,
    /// Whether a hit has to know the time.
    timed: bool,
    /// Whether that is its own, and not the registry's. Changed under the registry's lock alone.
    has_own_policy: AtomicBool,
    pub(crate) counters: Counters,
    pub(crate) admissions: Admissions,
    /// The runtime that keeps the time of bounded waits, whatever executor runs the caller.
    pub(crate) runtime: Handle,
    /// Until then no load of any key is kept.
    pub(crate) all_held_until: AtomicU64,
    /// Until then no load that may carry tags is kept.
    tagged_held_until: AtomicU64,
    /// How many evictions of this cache there were: each has a number. One atomic counter orders them against loads and
    /// puts that note it: what happens before the note has a lower number, what happens after it a higher one.
    evictions: AtomicU64,
    /// The number of the last eviction that found no store. See [`Slot::store`](crate::registry::slot::Slot::store).
    last_without_store: AtomicU64,
    key_codec: AtomicU8,
    longest_key: AtomicUsize,
}

/// The longest key of a type of which not all could be seen. Each level of nesting takes a byte at least, so this bounds
/// the stack that reading one takes.
const LONGEST_UNSEEN: usize = 512;

const UNTRIED: u8 = 0;
const GOOD: u8 = 1;
const BAD: u8 = 2;

impl CacheInfo {
    pub(crate) fn new(name: Name, config: CacheConfig, clock: Clock, lease: Arc<Lease>, runtime: Handle) -> Self {
        static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let (on_partition, has_own_policy) = (config.on_partition.unwrap_or_default(), config.on_partition.is_some());
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            name,
            clock,
            on_partition: AtomicU8::new(on_partition as u8),
            timed: config.ttl.is_some() || !lease.is_endless(),
            lease,
            has_own_policy: AtomicBool::new(has_own_policy),
            counters: Counters::default(),
            admissions: Admissions::new(config.max_concurrent_loads),
            config,
            runtime,
            all_held_until: AtomicU64::new(Moment::PAST.0),
            tagged_held_until: AtomicU64::new(Moment::PAST.0),
            evictions: AtomicU64::new(0),
            last_without_store: AtomicU64::new(0),
            key_codec: AtomicU8::new(UNTRIED),
            longest_key: AtomicUsize::new(MAX_KEY_BYTES),
        }
    }

    /// The moment at which this cache was found to be allowed to serve, or `None`. See [`Lease::valid_at`].
    #[inline]
    pub(crate) fn serves_at(&self) -> Option<Moment> {
        self.lease.valid_at(self.on_partition(), &self.clock, self.timed)
    }

    #[inline]
    pub(crate) fn on_partition(&self) -> OnPartition {
        // Relaxed: a caller may see the old policy for a moment, which is as if it had come before the change.
        match self.on_partition.load(Ordering::Relaxed) & 1 {
            0 => OnPartition::Bypass,
            _ => OnPartition::ServeStale,
        }
    }

    /// The registry's policy is now this one.
    pub(crate) fn follow_on_partition(&self, registrys: OnPartition) {
        if !self.has_own_policy.load(Ordering::Relaxed) {
            self.set(registrys);
        }
    }

    /// From now on it has this policy of its own, or that of the registry.
    pub(crate) fn set_own_on_partition(&self, own: Option<OnPartition>, registrys: OnPartition) {
        self.has_own_policy.store(own.is_some(), Ordering::Relaxed);
        self.set(own.unwrap_or(registrys));
    }

    fn set(&self, policy: OnPartition) {
        if policy == OnPartition::ServeStale || !Mutation::KeepServingStale.is_on() {
            self.on_partition.store(policy as u8, Ordering::Relaxed);
        }
    }

    pub(crate) fn hold_all(&self, until: Moment) {
        self.all_held_until.fetch_max(until.0, Ordering::AcqRel);
    }

    pub(crate) fn hold_tagged(&self, until: Moment) {
        self.tagged_held_until.fetch_max(until.0, Ordering::AcqRel);
    }

    pub(crate) fn tagged_are_held(&self) -> bool {
        let until = Moment(self.tagged_held_until.load(Ordering::Acquire));
        until > Moment::PAST && until > self.clock.now() && !Mutation::IgnoreHolds.is_on()
    }

    /// The number of the last eviction.
    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Acquire)
    }

    /// The number of a new eviction.
    pub(crate) fn next_eviction(&self) -> u64 {
        self.evictions.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Remembers an eviction that found no store, for puts that began before it.
    pub(crate) fn evicted_without_store(&self) {
        self.last_without_store.fetch_max(self.next_eviction(), Ordering::AcqRel);
    }

    pub(crate) fn last_without_store(&self) -> u64 {
        self.last_without_store.load(Ordering::Acquire)
    }

    /// Refuses key types that the wire cannot carry whatever their values are; asked when the store is made.
    pub(crate) fn check_key_type<K: Key>(&self) {
        let shape = KeyShape::of::<K>();
        if !shape.is_bounded() {
            self.key_is_bad::<K>("it nests without bound, or too deeply, or is a list of what takes no bytes");
        }
        if !shape.is_complete() {
            self.longest_key.store(LONGEST_UNSEEN, Ordering::Relaxed);
        }
    }

    /// The longest encoded key, in bytes, that is read or sent; a longer one stands for all keys.
    pub(crate) fn longest_key(&self) -> usize {
        self.longest_key.load(Ordering::Relaxed)
    }

    /// Says that code of the user's panicked.
    #[cold]
    pub(super) fn report(&self, problem: &str) {
        tracing::error!(cache = %self.name, "{problem}");
    }

    /// Whether the cache's key type survives the wire, found out with its first key (rule R10).
    ///
    /// A key that does not come back equal would be evicted here and stay cached elsewhere.
    pub(crate) fn key_survives_the_wire<K: Key>(&self, key: &K) -> bool {
        match self.key_codec.load(Ordering::Relaxed) {
            GOOD => true,
            BAD => false,
            // A key that is merely too long says nothing about the type; it travels as "all".
            _ => !matches!(self.round_trip(key), Err(KeyFault::Type)),
        }
    }

    pub(crate) fn key_codec_is_bad(&self) -> bool {
        self.key_codec.load(Ordering::Relaxed) == BAD
    }

    fn key_is_bad<K>(&self, why: &str) -> KeyFault {
        if self.key_codec.swap(BAD, Ordering::Relaxed) != BAD {
            tracing::error!(
                cache = %self.name,
                key = std::any::type_name::<K>(),
                "the key type does not survive serde, so nothing more is cached and evictions travel as \"all\"; \
                 mend its Serialize and Deserialize: {why}"
            );
        }
        KeyFault::Type
    }

    /// The key as it travels, or `None` if it cannot.
    ///
    /// Each key is read back: a type may lose a part of itself that the first key did not have.
    pub(crate) fn encode_key<K: Key>(&self, key: &K) -> Option<EncodedKey> {
        if self.key_codec_is_bad() {
            return None;
        }
        self.round_trip(key).ok()
    }

    /// Runs `Serialize` and `Deserialize` of the user's; a panic in them must not cost the eviction.
    fn round_trip<K: Key>(&self, key: &K) -> Result<EncodedKey, KeyFault> {
        let tried = catch_unwind(AssertUnwindSafe(|| self.try_round_trip(key)));
        tried.unwrap_or_else(|_| Err(self.key_is_bad::<K>("it panics over one of its keys")))
    }

    fn try_round_trip<K: Key>(&self, key: &K) -> Result<EncodedKey, KeyFault> {
        let encoded = match codec::encode_key(key) {
            Ok(encoded) if encoded.len() > self.longest_key() => {
                return Err(KeyFault::Length);
            }
            Ok(encoded) => encoded,
            Err(KeyError::TooLong(bytes)) => {
                tracing::debug!(cache = %self.name, bytes, "evicting all in place of a key that is too long");
                return Err(KeyFault::Length);
            }
            Err(error) => return Err(self.key_is_bad::<K>(&error.to_string())),
        };
        match codec::decode_key::<K>(&encoded) {
            Ok(back) if back == *key => {
                // Not over a key that was found to be bad meanwhile.
                let _ = self.key_codec.compare_exchange(UNTRIED, GOOD, Ordering::Relaxed, Ordering::Relaxed);
                Ok(encoded)
            }
            Ok(_) => Err(self.key_is_bad::<K>("it comes back as another key")),
            Err(error) => Err(self.key_is_bad::<K>(&error.to_string())),
        }
    }
}

/// Why a key cannot travel.
enum KeyFault {
    /// This one is too long.
    Length,
    /// None of its type can.
    Type,
}
