//! Typed caches: a cache's name and types, declared once.
//!
//! A [`TypedCache`] is a static. Like a call site it remembers the handle that it used last, tagged with the id of the
//! registry, and it never keeps a registry running.

use std::{
    fmt::{self, Display},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cachesync_core::Name;

use crate::{
    cache::{
        Cache,
        place::{Entries, Place},
        tags::Tag,
    },
    config::CacheConfig,
    error::Error,
    key::{Key, KeyForm, KeyRef, Value},
    private::SiteTypes,
    registry::{Registry, current, node::Node, slot::Mismatch},
    remembered::Remembered,
};

/// The typed caches that are linked into this program. The name carries the version of this crate, as that of the call
/// sites does.
#[cfg(not(target_family = "wasm"))]
#[linkme::distributed_slice]
pub static CACHESYNC_TYPED_0_1: [&'static TypedInfo];

/// The typed caches that are linked into this program; on targets without linker sections, none.
pub(crate) fn typed_caches() -> impl Iterator<Item = &'static TypedInfo> {
    #[cfg(not(target_family = "wasm"))]
    return CACHESYNC_TYPED_0_1.iter().copied();
    #[cfg(target_family = "wasm")]
    return std::iter::empty();
}

/// What `cache!` says of one of its caches.
pub struct TypedInfo {
    /// The cache's name.
    pub cache: &'static str,
    /// The path of its static.
    pub path: &'static str,
    /// Where it is.
    pub file: &'static str,
    /// Where it is.
    pub line: u32,
    /// Its types.
    pub types: fn() -> SiteTypes,
}

/// Declares caches together with their types, as statics.
///
/// Whoever names such a cache by its static, in an attribute (`cache = USERS`) or by hand, gets its types checked by the
/// compiler. `start()` reports functions that name the same cache by text and disagree.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cachesync::Error> {
/// use cachesync::Registry;
///
/// cachesync::cache! {
///     /// Users by id.
///     pub USERS: "users" => (u64, String);
///     NAMES: "names" => ((u32, String), u64);
/// }
///
/// let registry = Registry::builder().cache(USERS.config().capacity(100_000)).cache(NAMES.config()).start().await?;
/// registry.install()?;
///
/// let ada = USERS.get_with(1, async || "Ada".to_owned()).await;
/// assert_eq!(USERS.get(&1), Some(ada));
/// NAMES.insert((7, "ada".into()), 1);
/// assert_eq!(NAMES.get((7, "ada")), Some(1));
/// USERS.evict(&1);
/// assert_eq!(USERS.get(&1), None);
/// # Ok(())
/// # }
/// ```
///
/// Each entry is a visibility, the name of the static, the name of the cache as a literal, and the types of its keys and
/// values; attributes and documentation in front of it belong to the static. A name that is not valid is an error at
/// compile time:
///
/// ```compile_fail
/// cachesync::cache! { USERS: "users.by-id" => (u64, String) }
/// ```
#[macro_export]
macro_rules! cache {
    ($(
        $(#[$attribute:meta])*
        $visibility:vis $cache:ident : $name:literal => ($key:ty, $value:ty $(,)?)
    );+ $(;)?) => {$(
        $(#[$attribute])*
        $visibility static $cache: $crate::TypedCache<$key, $value> = {
            #[cfg(not(target_family = "wasm"))]
            #[$crate::__private::linkme::distributed_slice($crate::__private::TYPED)]
            #[linkme(crate = $crate::__private::linkme)]
            static REGISTRATION: &$crate::__private::TypedInfo = &$crate::__private::TypedInfo {
                cache: $name,
                path: $crate::__private::core::concat!(
                    $crate::__private::core::module_path!(),
                    "::",
                    $crate::__private::core::stringify!($cache)
                ),
                file: $crate::__private::core::file!(),
                line: $crate::__private::core::line!(),
                types: $crate::__private::types_of::<$key, $value>,
            };
            $crate::TypedCache::new($name)
        };
    )+};
}

/// A cache that is known by its static: made by [`cache!`](crate::cache!), it stands for the cache of this name in
/// whatever registry the call uses, that of the innermost [`Registry::scope`], else the
/// [installed](Registry::install) one.
///
/// What it does is what a [`Cache`] does. Without a registry, or if the registry does not have the cache, nothing is
/// found or kept, and loaders run; a warning says so once. Evictions from a registry that does not have the cache are
/// broadcast nevertheless.
///
/// It does not keep a registry running.
pub struct TypedCache<K: Key, V: Value> {
    name: &'static str,
    handle: Remembered<Cache<K, V>>,
    warned: AtomicBool,
}

impl<K: Key, V: Value> TypedCache<K, V> {
    /// The cache of this name; meant for statics, see [`cache!`](crate::cache!).
    ///
    /// `start()` knows only what `cache!` has declared.
    ///
    /// # Panics
    ///
    /// When the name is not 1 to 100 letters, digits, `_` or `-`. In a static that is an error at compile time.
    pub const fn new(name: &'static str) -> Self {
        assert!(Name::is_valid(name), "this is not a valid name of a cache: use 1 to 100 letters, digits, `_` or `-`");
        Self { name, handle: Remembered::new(), warned: AtomicBool::new(false) }
    }

    /// The cache's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The settings of a cache of this name, for [`RegistryBuilder::cache`](crate::RegistryBuilder::cache).
    pub fn config(&self) -> CacheConfig {
        CacheConfig::new(self.name)
    }

    /// The handle on this cache in `registry`.
    ///
    /// # Errors
    ///
    /// When the registry does not have the cache, or has it with keys or values of other types.
    pub fn of(&self, registry: &Registry) -> Result<Cache<K, V>, Error> {
        registry.cache(self.name)
    }

    /// The value of a key, if it is cached; see [`Cache::get`].
    pub fn get<Q: KeyRef<K>>(&self, key: Q) -> Option<V> {
        // No clone of the handle: this is the hit path.
        match self.handle.with(current::id(), |cache| cache.look(&key)) {
            Some(found) => found,
            None => self.resolve()?.get(key),
        }
    }

    /// The value of a key; `loader` is run if it is not cached. See [`Cache::get_with`].
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
        match self.look(&key) {
            Ok(value) => value,
            Err(Some(cache)) => cache.get_with(key, loader).await,
            Err(None) => loader().await,
        }
    }

    /// As [`get_with`](Self::get_with), for a loader that can fail. See [`Cache::try_get_with`].
    ///
    /// # Errors
    ///
    /// The loader's, which is not cached.
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
        match self.look(&key) {
            Ok(value) => Ok(value),
            Err(Some(cache)) => cache.try_get_with(key, loader).await,
            Err(None) => loader().await,
        }
    }

    /// The value, or the handle to load it with. A hit does not clone the handle, which all threads share.
    fn look<Q: KeyForm<K>>(&self, key: &Q) -> Result<V, Option<Cache<K, V>>> {
        let look = |cache: &Cache<K, V>| cache.look(key).ok_or_else(|| Some(cache.clone()));
        self.handle.with(current::id(), look).unwrap_or_else(|| Err(self.resolve()))
    }

    /// Stores a value that has changed, and evicts the key on all other nodes; see [`Cache::insert`].
    ///
    /// If the registry does not have the cache, the key is evicted on the nodes that have it.
    pub fn insert(&self, key: K, value: V) {
        let Some(place) = self.place() else { return };
        match self.cache() {
            Some(cache) => cache.insert(key, value),
            None => place.evict(Entries::Key(key)),
        }
    }

    /// Evicts a key, here and on every node; see [`Cache::evict`].
    pub fn evict<Q: KeyRef<K>>(&self, key: Q) {
        if let Some(place) = self.place() {
            place.evict(Entries::Key(key.to_key()));
        }
    }

    /// Evicts many keys; see [`Cache::evict_many`].
    pub fn evict_many<Q: KeyForm<K>>(&self, keys: impl IntoIterator<Item = Q>) {
        if let Some(place) = self.place() {
            place.evict(Entries::Keys(keys.into_iter().map(|key| key.to_key()).collect()));
        }
    }

    /// Evicts every key, here and on every node; see [`Cache::evict_all`].
    pub fn evict_all(&self) {
        if let Some(place) = self.place() {
            place.evict::<K>(Entries::All);
        }
    }

    /// Evicts every key here of which `predicate` is true, and every key on all other nodes; see [`Cache::evict_if`].
    ///
    /// # Panics
    ///
    /// When the predicate does; every key is evicted then, here as well.
    pub fn evict_if(&self, predicate: impl FnMut(&K) -> bool) {
        match self.cache() {
            Some(cache) => cache.evict_if(predicate),
            // Nothing is kept here that it could be asked of.
            None => self.evict_all(),
        }
    }

    /// Evicts every entry that carries a tag, here and on every node; see [`Cache::evict_tag`].
    pub fn evict_tag(&self, tag: impl Display) {
        if let Some(place) = self.place() {
            place.evict::<K>(Entries::Tags(vec![Tag::new(&tag)]));
        }
    }

    /// The handle in the registry that a call uses now, if there is one.
    fn cache(&self) -> Option<Cache<K, V>> {
        self.handle.with(current::id(), Clone::clone).or_else(|| self.resolve())
    }

    /// Finds the cache in the registry and remembers it; says what is wrong if that cannot be.
    #[cold]
    fn resolve(&self) -> Option<Cache<K, V>> {
        let node = self.open()?;
        let Some(slot) = node.slot(self.name) else {
            self.warn(format_args!("the registry has no such cache"));
            return None;
        };
        match slot.store::<K, V>() {
            Ok(store) => {
                let cache = Cache::passing(Place { node: node.clone(), slot }, store);
                self.handle.remember(node.id, cache.clone());
                Some(cache)
            }
            Err(Mismatch(text)) => {
                slot.problem(format!("{text} as the typed cache asks, which goes without"));
                None
            }
        }
    }

    /// Where to evict, whether the registry has the cache or not.
    fn place(&self) -> Option<Place> {
        let node = self.open()?;
        let slot = node.slot_for_eviction(self.name)?;
        Some(Place { node, slot })
    }

    /// The node of the registry that a call uses now, if that has not ended.
    fn open(&self) -> Option<Arc<Node>> {
        let Some(registry) = current::registry() else {
            self.warn(format_args!("no registry is installed or in scope"));
            return None;
        };
        if registry.0.node.is_closed() {
            self.warn(format_args!("the registry was shut down, or its runtime has ended"));
            return None;
        }
        Some(registry.0.node.clone())
    }

    /// Says once that this goes without a cache.
    fn warn(&self, why: fmt::Arguments<'_>) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!("the typed cache `{}` goes without: {why}", self.name);
        }
    }
}

impl<K: Key, V: Value> fmt::Debug for TypedCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedCache").field("name", &self.name).finish_non_exhaustive()
    }
}
