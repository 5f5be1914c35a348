//! A slot: one named cache of a registry, whose key and value types are found out in use.
//!
//! Invariant: the types are settled once, by whoever is first: the check at start-up, or the first call. Whoever
//! disagrees runs uncached, and its evictions take the whole cache, since an eviction too many is harmless.

use std::{
    any::{Any, TypeId},
    collections::BTreeSet,
    sync::{Arc, PoisonError},
    time::Duration,
};

use cachesync_core::{codec, frame::EncodedKey, shape::KeyShape};

use crate::{
    cache::{info::CacheInfo, leftovers::Leftovers, store::Store, tags::Tag},
    key::{Key, Value},
    statistics::count,
    sync::{Mutex, OnceLock},
};

/// A key type: which it is, and its shape on the wire.
#[derive(Clone, Copy)]
pub struct KeyType {
    id: TypeId,
    pub(crate) name: &'static str,
    shape: fn() -> KeyShape,
}

impl KeyType {
    pub(crate) fn of<K: Key>() -> Self {
        Self { id: TypeId::of::<K>(), name: std::any::type_name::<K>(), shape: KeyShape::of::<K> }
    }
}

/// A value type.
#[derive(Clone, Copy)]
pub struct ValueType {
    id: TypeId,
    pub(crate) name: &'static str,
}

impl ValueType {
    pub(crate) fn of<V: Value>() -> Self {
        Self { id: TypeId::of::<V>(), name: std::any::type_name::<V>() }
    }
}

impl PartialEq for KeyType {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl PartialEq for ValueType {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// How many different problems of a cache are remembered.
const MAX_PROBLEMS: usize = 32;

pub(crate) struct Slot {
    pub(crate) info: Arc<CacheInfo>,
    /// Whether the application configured it; otherwise it only serves to broadcast evictions.
    pub(crate) declared: bool,
    key: OnceLock<SettledKey>,
    value: OnceLock<ValueType>,
    store: OnceLock<TypedStore>,
    /// Orders the making of the store against evictions that find none, see [`Slot::store`].
    making: Mutex<()>,
    problems: Mutex<BTreeSet<String>>,
}

struct SettledKey {
    key: KeyType,
    shape: KeyShape,
}

struct TypedStore {
    /// An `Arc<Store<K, V>>`.
    store: Arc<dyn Any + Send + Sync>,
    /// An `Arc<dyn Evict<K>>`.
    evict: Box<dyn Any + Send + Sync>,
    untyped: Arc<dyn AnyStore>,
}

/// A store whose value type is not known.
trait Evict<K>: Send + Sync {
    fn evict(&self, key: &K, hold: Duration);
    fn evict_many(&self, keys: &[K], hold: Duration);
}

impl<K: Key, V: Value> Evict<K> for Store<K, V> {
    fn evict(&self, key: &K, hold: Duration) {
        Store::evict(self, key, hold);
    }

    fn evict_many(&self, keys: &[K], hold: Duration) {
        Store::evict_many(self, keys, hold);
    }
}

/// A store of which neither type is known.
pub(crate) trait AnyStore: Send + Sync {
    /// Evicts keys as they travel; fails if one is not a key of this store, and evicts none then.
    fn evict_encoded(&self, keys: &[EncodedKey], hold: Duration) -> Result<(), codec::KeyError>;
    /// The same for keys in JSON.
    fn evict_json(&self, keys: &[serde_json::Value]) -> Result<(), codec::KeyError>;
    fn evict_all(&self, hold: Duration);
    /// Evicts every entry that carries one of these tags.
    fn evict_tags(&self, tags: &[Tag], hold: Duration);
    fn len(&self) -> usize;
}

impl<K: Key, V: Value> AnyStore for Store<K, V> {
    fn evict_encoded(&self, keys: &[EncodedKey], hold: Duration) -> Result<(), codec::KeyError> {
        let too_long = |key: &EncodedKey| key.len() > self.info.longest_key();
        if self.info.key_codec_is_bad() || keys.iter().any(too_long) {
            // What came need not be what was meant, or cannot be read.
            self.evict_all(hold);
            return Ok(());
        }
        let mut decoded = Leftovers(Vec::with_capacity(keys.len()));
        keys.iter().try_for_each(|key| codec::decode_key(key).map(|key: K| decoded.0.push(key)))?;
        self.evict_many(&decoded.0, hold);
        Ok(())
    }

    fn evict_json(&self, keys: &[serde_json::Value]) -> Result<(), codec::KeyError> {
        if self.info.key_codec_is_bad() {
            self.evict_all(Duration::ZERO);
            return Ok(());
        }
        keys.iter().try_for_each(|key| codec::decode_json_key(key).map(|key: K| self.evict(&key, Duration::ZERO)))
    }

    fn evict_all(&self, hold: Duration) {
        Store::evict_all(self, hold);
    }

    fn evict_tags(&self, tags: &[Tag], hold: Duration) {
        Store::evict_tags(self, tags, hold);
    }

    fn len(&self) -> usize {
        Store::len(self)
    }
}

/// The types asked for are not those of the cache; the text says so.
pub(crate) struct Mismatch(pub(crate) String);

impl Mismatch {
    pub(crate) fn of(cache: &str, what: &str, has: &str, asked: &str) -> Self {
        Self(format!("cache `{cache}` has {what} of type `{has}`, not `{asked}`"))
    }
}

impl Slot {
    pub(crate) fn new(info: CacheInfo, declared: bool) -> Self {
        Self {
            info: Arc::new(info),
            declared,
            key: OnceLock::new(),
            value: OnceLock::new(),
            store: OnceLock::new(),
            making: Mutex::new(()),
            problems: Mutex::default(),
        }
    }

    /// Settles the key type, or compares it with the settled one.
    pub(crate) fn settle_key(&self, key: KeyType) -> Result<&KeyShape, Mismatch> {
        let settled = self.key.get_or_init(|| SettledKey { key, shape: (key.shape)() });
        if settled.key == key {
            return Ok(&settled.shape);
        }
        Err(self.mismatch("keys", settled.key.name, key.name))
    }

    /// Settles the value type, or compares it with the settled one.
    pub(crate) fn settle_value(&self, value: ValueType) -> Result<(), Mismatch> {
        let settled = self.value.get_or_init(|| value);
        if *settled == value { Ok(()) } else { Err(self.mismatch("values", settled.name, value.name)) }
    }

    /// Compares types with the settled ones, and settles nothing.
    pub(crate) fn compare(&self, key: Option<KeyType>, value: Option<ValueType>) -> Result<(), Mismatch> {
        match (self.key.get().map(|settled| settled.key), key) {
            (Some(has), Some(asked)) if has != asked => return Err(self.mismatch("keys", has.name, asked.name)),
            _ => {}
        }
        match (self.value.get(), value) {
            (Some(has), Some(asked)) if *has != asked => Err(self.mismatch("values", has.name, asked.name)),
            _ => Ok(()),
        }
    }

    fn mismatch(&self, what: &str, has: &str, asked: &str) -> Mismatch {
        Mismatch::of(self.info.name.as_str(), what, has, asked)
    }

    pub(crate) fn key_type(&self) -> Option<&'static str> {
        self.key.get().map(|settled| settled.key.name)
    }

    pub(crate) fn value_type(&self) -> Option<&'static str> {
        self.value.get().map(|settled| settled.name)
    }

    pub(crate) fn shape(&self) -> Option<&KeyShape> {
        self.key.get().map(|settled| &settled.shape)
    }

    /// The store, made if it is the first time that somebody asks.
    ///
    /// An eviction that finds no store has nothing to remove, and no load in flight to overtake. That must stay true
    /// of a load that begins meanwhile: so such an eviction passes through `making` once. Either it sees the store
    /// then, or the store is made after it, and every load in the store begins after the eviction.
    pub(crate) fn store<K: Key, V: Value>(&self) -> Result<Arc<Store<K, V>>, Mismatch> {
        self.settle_key(KeyType::of::<K>())?;
        self.settle_value(ValueType::of::<V>())?;
        let typed = if let Some(typed) = self.store.get() {
            typed
        } else {
            // Before the lock is taken: it runs the key's `Deserialize`, and may log, and whoever listens to that may use
            // this cache.
            self.info.check_key_type::<K>();
            let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
            self.store.get_or_init(|| {
                let store = Store::<K, V>::new(self.info.clone());
                let evict: Arc<dyn Evict<K>> = store.clone();
                TypedStore { evict: Box::new(evict), untyped: store.clone(), store }
            })
        };
        typed.store.clone().downcast().map_err(|_| self.mismatch("entries", "another type", std::any::type_name::<V>()))
    }

    /// The store, for an eviction; every eviction on this node comes by here.
    fn to_evict_from(&self, hold: Duration) -> Option<&TypedStore> {
        if self.store.get().is_none() {
            self.evicted_without_store(hold);
            drop(self.making.lock().unwrap_or_else(PoisonError::into_inner));
        }
        self.store.get()
    }

    /// Somebody evicts, and there is no store that could take note of it. What a store that is made from now on has to
    /// know of it is noted here, before the eviction passes through `making`.
    fn evicted_without_store(&self, hold: Duration) {
        // A put that finds its key in the result has no ticket in a store. If it began before this eviction and makes
        // the store after it, it sees this; if it makes the store before, the eviction sees the store.
        self.info.evicted_without_store();
        if !hold.is_zero() {
            self.info.hold_all(self.info.clock.now().after(hold));
        }
    }

    /// The store without its types; `None` if nothing was ever cached. A hold applies nevertheless.
    pub(crate) fn any_store(&self, hold: Duration) -> Option<&dyn AnyStore> {
        self.to_evict_from(hold).map(|typed| &*typed.untyped)
    }

    /// Evicts a key, of the type that was settled, on this node.
    pub(crate) fn evict<K: Key>(&self, key: &K, hold: Duration) {
        if let Some(typed) = self.to_evict_from(hold)
            && let Some(store) = typed.evict.downcast_ref::<Arc<dyn Evict<K>>>()
        {
            store.evict(key, hold);
        }
    }

    /// Evicts keys, of the type that was settled, on this node.
    pub(crate) fn evict_many<K: Key>(&self, keys: &[K], hold: Duration) {
        if let Some(typed) = self.to_evict_from(hold)
            && let Some(store) = typed.evict.downcast_ref::<Arc<dyn Evict<K>>>()
        {
            store.evict_many(keys, hold);
        }
    }

    /// Evicts every key on this node.
    pub(crate) fn evict_all(&self, hold: Duration) {
        if let Some(store) = self.any_store(hold) {
            store.evict_all(hold);
        }
    }

    /// Evicts every entry that carries one of these tags on this node. A tag that is too long to be remembered stands
    /// for all.
    pub(crate) fn evict_tags(&self, tags: &[Tag], hold: Duration) {
        if tags.iter().any(Tag::is_too_long) {
            return self.evict_all(hold);
        }
        if !tags.is_empty()
            && let Some(store) = self.any_store(hold)
        {
            store.evict_tags(tags, hold);
        }
    }

    /// Removes everything, since evictions may have been missed.
    pub(crate) fn clear(&self) {
        if let Some(store) = self.any_store(Duration::ZERO) {
            store.evict_all(Duration::ZERO);
            count(&self.info.counters.cleared, 1);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.store.get().map_or(0, |typed| typed.untyped.len())
    }

    /// Remembers what is wrong with this cache's use, and says it once. The text must not vary without end.
    pub(crate) fn problem(&self, text: String) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if problems.len() < MAX_PROBLEMS && problems.insert(text.clone()) {
            drop(problems);
            tracing::error!(cache = %self.info.name, "{text}");
        }
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems: Vec<_> =
            self.problems.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        if self.info.key_codec_is_bad() {
            problems.push("the key type does not survive serde: nothing more is cached".into());
        }
        problems
    }
}
