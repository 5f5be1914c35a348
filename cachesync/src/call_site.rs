//! Call sites: where an annotated function meets the registry.
//!
//! Every annotated function has one static [`CallSite`]. It remembers the handle of the cache it used last, tagged
//! with the id of the registry; as long as that is still the registry to use, a hit looks nothing up. The static of a
//! generic function is shared by all its instances, so the handle is type-erased, and an instance whose types are not
//! those of the handle takes the slow path.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwapOption;

use crate::{
    cache::{
        load::{self, Found, Miss},
        store::Store,
    },
    eviction::{AllKeys, Eviction},
    key::{Key, Value},
    private::{Keyed, Missed, Returned, Step},
    registry::{
        Registry, current,
        slot::{KeyType, Mismatch, ValueType},
    },
};

/// The annotated functions that are linked into this program. The name carries the version of this crate, since two
/// incompatible versions may be linked, and the linker would make one slice of them.
#[cfg(not(target_family = "wasm"))]
#[linkme::distributed_slice]
pub static CACHESYNC_SITES_0_1: [&'static CallSite];

/// The annotated functions that are linked into this program; on targets without linker sections, none.
pub(crate) fn annotated_functions() -> impl Iterator<Item = &'static CallSite> {
    #[cfg(not(target_family = "wasm"))]
    return CACHESYNC_SITES_0_1.iter().copied();
    #[cfg(target_family = "wasm")]
    return std::iter::empty();
}

const ENDED: &str = "the registry was shut down, or its runtime has ended";

/// What an annotated function does with its cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It is loaded from.
    Load,
    /// It evicts.
    Evict,
}

/// What the attribute says of its function.
pub struct SiteInfo {
    /// The cache's name.
    pub cache: &'static str,
    /// The function's path.
    pub function: &'static str,
    /// Where it is.
    pub file: &'static str,
    /// Where it is.
    pub line: u32,
    /// What it does.
    pub role: Role,
    /// Whether it says which registry to use.
    pub explicit_registry: bool,
    /// The types, as far as they are known without a call.
    pub types: fn() -> SiteTypes,
}

/// The types that an annotated function uses; `None` where they are known only at the first call.
#[derive(Clone, Copy)]
pub struct SiteTypes {
    /// Of the key.
    pub key: Option<KeyType>,
    /// Of the value.
    pub value: Option<ValueType>,
}

/// The static of one annotated function.
pub struct CallSite {
    pub(crate) info: SiteInfo,
    handle: ArcSwapOption<Handle>,
    warned: AtomicBool,
}

/// The cache that a call site used last.
struct Handle {
    registry: u64,
    /// An `Arc<Store<K, V>>`.
    store: Box<dyn Any + Send + Sync>,
}

impl CallSite {
    /// The static of a function.
    pub const fn new(info: SiteInfo) -> Self {
        Self { info, handle: ArcSwapOption::const_empty(), warned: AtomicBool::new(false) }
    }

    /// Looks the key up in the registry of the calling task.
    pub fn begin<Q: Keyed, R: Returned>(&'static self, keyed: Q, returned: R) -> Step<Q::Key, R> {
        self.step(current::id(), current::registry, &keyed, returned)
    }

    /// Looks the key up in `registry`.
    pub fn begin_in<Q: Keyed, R: Returned>(
        &'static self,
        registry: &Registry,
        keyed: Q,
        returned: R,
    ) -> Step<Q::Key, R> {
        self.step(registry.id(), || Some(registry.clone()), &keyed, returned)
    }

    #[inline]
    fn step<Q: Keyed, R: Returned>(
        &'static self,
        id: u64,
        registry: impl FnOnce() -> Option<Registry>,
        keyed: &Q,
        returned: R,
    ) -> Step<Q::Key, R> {
        let handle = self.handle.load();
        let remembered = handle
            .as_deref()
            .filter(|handle| handle.registry == id)
            .and_then(|handle| handle.store.downcast_ref::<Arc<Store<Q::Key, R::Value>>>());
        let found = match remembered {
            Some(store) => load::find(store, keyed),
            None => match self.resolve(registry()) {
                Some(store) => load::find(&store, keyed),
                None => Found::Miss(Miss::Uncached),
            },
        };
        match found {
            Found::Hit(value) => Step::Hit(R::output(value)),
            Found::Miss(miss) => {
                self.warn_if_ended(&miss);
                Step::Miss(Missed { miss, returned })
            }
        }
    }

    /// A handle that was remembered may be of a registry that has ended since.
    #[cold]
    fn warn_if_ended<K: Key, V: Value>(&self, miss: &Miss<K, V>) {
        if let Miss::Alone(info) = miss
            && info.lease.is_closed()
        {
            self.warn(format_args!("{ENDED}"));
        }
    }

    /// Finds the cache in the registry and remembers it; says what is wrong if that cannot be.
    #[cold]
    fn resolve<K: Key, V: Value>(&'static self, registry: Option<Registry>) -> Option<Arc<Store<K, V>>> {
        let node = &self.open(registry.as_ref())?.0.node;
        let Some(slot) = node.slot(self.info.cache) else {
            self.warn(format_args!("the registry has no cache `{}`", self.info.cache));
            return None;
        };
        match slot.store::<K, V>() {
            Ok(store) => {
                let handle = Handle { registry: node.id, store: Box::new(store.clone()) };
                self.handle.store(Some(Arc::new(handle)));
                Some(store)
            }
            Err(Mismatch(text)) => {
                slot.problem(format!("{text} as {self} asks: it runs uncached"));
                None
            }
        }
    }

    /// The registry, if there is one that has not ended.
    fn open<'a>(&self, registry: Option<&'a Registry>) -> Option<&'a Registry> {
        match registry {
            None => self.warn(format_args!("no registry is installed or in scope")),
            Some(registry) if registry.0.node.is_closed() => {
                self.warn(format_args!("{ENDED}"));
            }
            Some(registry) => return Some(registry),
        }
        None
    }

    /// Says once that this function does without a cache.
    fn warn(&self, why: fmt::Arguments<'_>) {
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!("{self} runs without its cache: {why}");
        }
    }

    /// Gets ready to evict a key in the registry of the calling task.
    pub fn evict_key<Q: Keyed>(&'static self, keyed: Q) -> Eviction<Q::Key> {
        self.eviction(current::registry().as_ref(), Some(keyed.to_key()))
    }

    /// Gets ready to evict a key in `registry`.
    pub fn evict_key_in<Q: Keyed>(&'static self, registry: &Registry, keyed: Q) -> Eviction<Q::Key> {
        self.eviction(Some(registry), Some(keyed.to_key()))
    }

    /// Gets ready to evict all keys in the registry of the calling task.
    pub fn evict_all(&'static self) -> Eviction<AllKeys> {
        self.eviction(current::registry().as_ref(), None)
    }

    /// Gets ready to evict all keys in `registry`.
    pub fn evict_all_in(&'static self, registry: &Registry) -> Eviction<AllKeys> {
        self.eviction(Some(registry), None)
    }

    fn eviction<K: Key>(&'static self, registry: Option<&Registry>, key: Option<K>) -> Eviction<K> {
        let found = self.open(registry).and_then(|registry| {
            let node = registry.0.node.clone();
            let slot = node.slot_for_eviction(self.info.cache)?;
            Some((node, slot))
        });
        Eviction::new(found, key)
    }
}

/// As `a::b::find (src/b.rs:7)`.
impl fmt::Display for CallSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({}:{})", self.info.function, self.info.file, self.info.line)
    }
}
