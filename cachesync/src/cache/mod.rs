//! Caches: named, bounded, typed maps in a registry.

pub(crate) mod admission;
mod answer;
pub(crate) mod batch;
pub(crate) mod content;
mod erased;
pub(crate) mod evict_many;
mod evictions;
pub(crate) mod flight;
mod holds;
pub(crate) mod info;
pub(crate) mod lead;
pub(crate) mod leftovers;
pub(crate) mod load;
mod marks;
mod nesting;
pub(crate) mod place;
mod predicate;
mod puts;
mod reservation;
pub(crate) mod store;
mod stripe;
pub(crate) mod tags;
mod waiter;

use std::{convert::Infallible, fmt, fmt::Display, sync::Arc, time::Duration};

use content::{Content, Terms};
use flight::Outcome;
use load::{How, Miss};
use place::{Entries, Place};
pub use reservation::Reservation;
use store::{Begun, Manner, Store};
use tags::Tag;

use crate::{
    key::{Key, KeyForm, KeyRef, Value},
    mutation::Mutation,
    put::Staged,
    registry::{Registry, slot::Slot},
    statistics::CacheStats,
    transaction,
};

/// A handle on one cache of a [`Registry`].
///
/// Cheap to clone. What annotated functions do can be done by hand with it, under the same rules: inside a
/// [`Transaction`](crate::Transaction)'s scope reads look there first, and [`evict`](Self::evict),
/// [`evict_tag`](Self::evict_tag) and [`insert`](Self::insert) wait for the commit.
///
/// After the registry was shut down nothing is found or kept, and loaders run.
pub struct Cache<K: Key, V: Value> {
    place: Place,
    store: Arc<Store<K, V>>,
    /// Whoever holds the handle keeps the registry running.
    registry: Option<Registry>,
}

impl<K: Key, V: Value> Cache<K, V> {
    pub(crate) fn new(registry: Registry, slot: Arc<Slot>, store: Arc<Store<K, V>>) -> Self {
        let place = Place { node: registry.0.node.clone(), slot };
        Self { place, store, registry: Some(registry) }
    }

    /// A handle that does not keep the registry running.
    pub(crate) fn passing(place: Place, store: Arc<Store<K, V>>) -> Self {
        Self { place, store, registry: None }
    }

    /// The value of a key, if it is cached.
    ///
    /// `key` is a reference to a key, or another of its [borrowed forms](KeyRef).
    pub fn get<Q: KeyRef<K>>(&self, key: Q) -> Option<V> {
        self.look(&key)
    }

    /// As [`get`](Self::get), for a key in any of its forms.
    pub(crate) fn look<Q: KeyForm<K>>(&self, key: &Q) -> Option<V> {
        load::find_here(&self.store, key, None, Content::into_value)
    }

    /// The value of a key; `loader` is run if it is not cached. Callers who want the same key at the same time share
    /// one load.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the load; if others wait for it, one of them runs its own.
    pub async fn get_with<Q, L, F>(&self, key: Q, loader: L) -> V
    where
        Q: KeyForm<K>,
        L: FnOnce() -> F,
        F: Future<Output = V>,
    {
        match self.try_get_with(key, async || Ok::<_, Infallible>(loader().await)).await {
            Ok(value) => value,
        }
    }

    /// As [`get_with`](Self::get_with), for a loader that can fail.
    ///
    /// # Errors
    ///
    /// The loader's, which is not cached. Callers who waited for a load that failed run their own loaders then, a
    /// bounded number at a time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the load; if others wait for it, one of them runs its own.
    pub async fn try_get_with<Q, E, L, F>(&self, key: Q, loader: L) -> Result<V, E>
    where
        Q: KeyForm<K>,
        L: FnOnce() -> F,
        F: Future<Output = Result<V, E>>,
    {
        if let Some(value) = self.look(&key) {
            return Ok(value);
        }
        let miss = match transaction::current() {
            Some(_) if !Mutation::FillInsideTransactions.is_on() => Ok(Miss::alone(&self.store.info, &by_hand())),
            _ => Miss::begin(&self.store, Vec::new(), key.to_key(), &by_hand(), false),
        };
        drop(key);
        match miss {
            Ok(miss) => miss.answer(async { loader().await }).await,
            Err(output) => output,
        }
    }

    /// Stores a value that has changed, and evicts the key on all other nodes; values do not travel.
    ///
    /// Loads of the key that are in flight are overtaken. Inside a transaction it waits for the commit; if the key is
    /// evicted or put by somebody else until then, it is left absent. It is not kept while the key is held, past the
    /// lease, or on a node that only evicts; the others are told all the same.
    ///
    /// The value must be newer than anything cached. If reading or computing it takes time, during which others may
    /// write, use [`reserve`](Self::reserve).
    pub fn insert(&self, key: K, value: V) {
        let Place { node, slot } = &self.place;
        // The ticket first: should another node put the same key now, its eviction takes the ticket away, or this one's
        // eviction reaches it. Two nodes can never both keep theirs.
        let begun = self.store.begin(key.clone(), Manner::ByHand, false, &|_| false);
        if let Some(transaction) = transaction::current() {
            let staged = match begun {
                Begun::Lead(lead) => Some(Box::new(Staged::new(self.store.clone(), lead, value)) as Box<_>),
                _ => None,
            };
            return transaction.put(node, slot, key, staged);
        }
        node.announce(slot, &key, Duration::ZERO);
        match begun {
            Begun::Lead(lead) => _ = self.store.put_reserved(lead, key, Content::Value(value), &Terms::default()),
            _ => self.store.evict(&key, Duration::ZERO),
        }
    }

    /// Begins a load by hand: take the reservation, then read the source, then [fill](Reservation::fill) it.
    pub fn reserve<Q: KeyRef<K>>(&self, key: Q) -> Reservation<K, V> {
        if transaction::current().is_some() {
            return Reservation::new(None);
        }
        match self.store.begin(key.to_key(), Manner::ByHand, false, &|_| false) {
            Begun::Lead(lead) => Reservation::new(Some(lead)),
            _ => Reservation::new(None),
        }
    }

    /// Evicts a key, here and on every node, whether it is cached here or not. Inside a transaction it waits for the
    /// commit.
    ///
    /// It is gone here when this returns; the broadcast is queued. To wait for the broker use [`Registry::flush`].
    ///
    /// # Panics
    ///
    /// When a key does that is hashed or compared; every key is evicted then.
    pub fn evict<Q: KeyRef<K>>(&self, key: Q) {
        self.place.evict(Entries::Key(key.to_key()));
    }

    /// Evicts many keys, as [`evict`](Self::evict) does one.
    ///
    /// # Panics
    ///
    /// When a key does that is hashed or compared; every key is evicted then.
    pub fn evict_many<Q: KeyForm<K>>(&self, keys: impl IntoIterator<Item = Q>) {
        self.place.evict(Entries::Keys(keys.into_iter().map(|key| key.to_key()).collect()));
    }

    /// Evicts every entry that carries a tag, here and on every node, whether there is one here or not. Inside a
    /// transaction it waits for the commit.
    ///
    /// A tag is text: whatever prints alike is the same tag. One of more than 1,024 bytes stands for every entry.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cachesync::Error> {
    /// # use cachesync::{CacheConfig, Registry};
    /// # let registry = Registry::builder().cache(CacheConfig::new("users")).start().await?;
    /// let users = registry.cache::<u64, String>("users")?;
    /// users.evict_tag("team:5");
    /// users.evict_tag(format_args!("team:{}", 5)); // the same
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When the tag's `Display` does; nothing is evicted then.
    pub fn evict_tag(&self, tag: impl Display) {
        self.evict_tags([tag]);
    }

    /// Evicts every entry that carries one of these tags, as [`evict_tag`](Self::evict_tag) does for one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cachesync::Error> {
    /// # use cachesync::{CacheConfig, Registry};
    /// # let registry = Registry::builder().cache(CacheConfig::new("users")).start().await?;
    /// let users = registry.cache::<u64, String>("users")?;
    /// users.evict_tags(["team:5", "team:6"]);
    /// assert_eq!(users.stats().evicted, 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When a tag's `Display` or the iterator does; nothing is evicted then.
    pub fn evict_tags<T: Display>(&self, tags: impl IntoIterator<Item = T>) {
        self.place.evict::<K>(Entries::Tags(tags.into_iter().map(|tag| Tag::new(&tag)).collect()));
    }

    /// Evicts every key here of which `predicate` is true, and every key on all other nodes.
    ///
    /// Others cannot be told a closure, so they lose more than was asked for, and load it again. Where several nodes have
    /// the cache give its entries tags, and use [`evict_tag`](Self::evict_tag), which evicts what is meant on all of them.
    ///
    /// Loads in flight of the keys that are chosen are overtaken, as by [`evict`](Self::evict). Inside a transaction it
    /// waits for the commit, and is every key here, too: until then nothing of this cache is read from memory.
    ///
    /// The predicate is asked once of each key that is cached or being loaded, in no particular order, and maybe of
    /// some that come meanwhile. It may use the cache. Its cost is one pass over the cache with a clone of each key and value.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), cachesync::Error> {
    /// # use cachesync::{CacheConfig, Registry};
    /// # let registry = Registry::builder().cache(CacheConfig::new("prices")).start().await?;
    /// let prices = registry.cache::<(u32, String), u64>("prices")?;
    /// prices.insert((1, "tea".into()), 3);
    /// prices.insert((2, "tea".into()), 4);
    /// prices.evict_if(|(shop, _)| *shop == 1);
    /// assert_eq!((prices.get((1, "tea")), prices.get((2, "tea"))), (None, Some(4)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    ///
    /// When the predicate does; every key is evicted then, here as well.
    pub fn evict_if(&self, predicate: impl FnMut(&K) -> bool) {
        self.place.evict_some(|| self.store.evict_if(predicate));
    }

    /// Evicts every key, here and on every node. Inside a transaction it waits for the commit.
    pub fn evict_all(&self) {
        self.place.evict::<K>(Entries::All);
    }

    /// How many entries there are; some may have expired.
    pub fn len(&self) -> usize {
        self.store.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What this cache has counted.
    pub fn stats(&self) -> CacheStats {
        self.store.info.counters.snapshot(self.len())
    }

    /// The cache's name.
    pub fn name(&self) -> &str {
        self.place.slot.info.name.as_str()
    }
}

impl<K: Key, V: Value> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self { place: self.place.clone(), store: self.store.clone(), registry: self.registry.clone() }
    }
}

impl<K: Key, V: Value> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("name", &self.name()).field("len", &self.len()).finish_non_exhaustive()
    }
}

/// For a loader given by hand: nothing is known of its error.
fn by_hand<V: Value, E>() -> How<Result<V, E>, V> {
    How {
        outcome: |output| output.as_ref().map_or(Outcome::Failed(None), |value| Outcome::Value(value.clone())),
        output: Ok,
        nothing: || None,
        failure: |_| None,
        knows: |_| false,
    }
}
