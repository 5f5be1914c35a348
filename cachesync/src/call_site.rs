//! Call sites: where an annotated function meets the registry.
//!
//! Every annotated function has a static [`CallSite`] for each of its caches. It remembers the handle of the cache that it
//! used, tagged with the id of the registry; as long as that is still the registry to use, a hit looks nothing up.
//! The static of a generic function is shared by all its instances, so the handle is type-erased, and an instance whose
//! types are not those of the handle takes the slow path.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    cache::{
        place::{Place, Target},
        store::Store,
    },
    key::{Key, Value},
    registry::{
        Registry, current,
        slot::{KeyType, Mismatch, Slot, ValueType},
    },
    remembered::Remembered,
    scope,
    transaction::{self, Inner, Transaction},
};

/// The annotated functions that are linked into this program, each with its call sites. The name carries the version of
/// this crate, since two incompatible versions may be linked, and the linker would make one slice of them.
#[cfg(not(target_family = "wasm"))]
#[linkme::distributed_slice]
pub static CACHESYNC_SITES_0_1: [&'static [CallSite]];

/// Enters the call sites of an annotated function into the list of all. What the attributes make names this alone, so that
/// a wrong `crate = path` is reported once.
#[doc(hidden)]
#[macro_export]
macro_rules! __register_call_sites {
    ($sites:expr) => {
        #[cfg(not(target_family = "wasm"))]
        #[$crate::__private::linkme::distributed_slice($crate::__private::SITES)]
        #[linkme(crate = $crate::__private::linkme)]
        static REGISTRATION: &[$crate::__private::CallSite] = &$sites;
    };
}

/// The functions that are linked into this program, each with its call sites; on targets without linker sections, none.
pub(crate) fn annotated_functions() -> impl Iterator<Item = &'static [CallSite]> {
    #[cfg(not(target_family = "wasm"))]
    return CACHESYNC_SITES_0_1.iter().copied();
    #[cfg(target_family = "wasm")]
    return std::iter::empty();
}

const ENDED: &str = "the registry was shut down, or its runtime has ended";

/// What an annotated function does with its caches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It reads and fills.
    Load,
    /// It puts.
    Put,
    /// It evicts one key.
    EvictKey,
    /// It evicts many keys.
    EvictKeys,
    /// It evicts by tag.
    EvictTags,
    /// It evicts everything.
    EvictAll,
}

/// What the attribute says of its function.
#[derive(Clone, Copy)]
pub struct FunctionInfo {
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
    /// Whether what it keeps may carry tags.
    pub tagged: bool,
    /// Whether to call it outside of a transaction is a mistake.
    pub requires_transaction: bool,
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

/// An annotated function and one of its caches.
pub struct CallSite {
    pub(crate) function: FunctionInfo,
    cache: CacheName,
    handle: Remembered<Handle>,
    warned: AtomicBool,
}

/// The cache of a call site.
enum CacheName {
    Text(&'static str),
    Of(&'static dyn Named),
}

/// A cache that knows its name.
pub trait Named: Send + Sync + 'static {
    /// Its name.
    fn name(&self) -> &'static str;
}

/// An `Arc<Store<K, V>>`.
type Handle = Box<dyn Any + Send + Sync>;

/// One call of an annotated function: where it finds its caches, and its transaction.
///
/// Two words, which are passed in registers: a third would be written to memory by each hit.
#[derive(Clone, Copy, Default)]
pub struct Call<'a> {
    registry: Option<&'a Registry>,
    transaction: Option<&'a Transaction>,
}

impl<'a> Call<'a> {
    /// With the registry and the transaction of the calling task.
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self { registry: None, transaction: None }
    }

    /// With this registry.
    #[must_use]
    #[inline]
    pub const fn registry(self, registry: &'a Registry) -> Self {
        Self { registry: Some(registry), ..self }
    }

    /// In this transaction.
    #[must_use]
    #[inline]
    pub const fn transaction(self, transaction: &'a Transaction) -> Self {
        Self { transaction: Some(transaction), ..self }
    }

    /// The transaction that it is in.
    #[inline]
    pub(crate) fn current_transaction(&self) -> Option<Arc<Inner>> {
        match self.transaction {
            Some(transaction) => Some(transaction.inner().clone()),
            None => transaction::current(),
        }
    }

    /// The transaction that the attribute names.
    #[inline]
    pub(crate) fn explicit_transaction(&self) -> Option<&Transaction> {
        self.transaction
    }

    /// Whether it may be in one; if not, that is known at once.
    #[inline]
    pub(crate) fn may_be_in_transaction(&self) -> bool {
        self.transaction.is_some() || scope::is_possible()
    }

    #[inline]
    pub(crate) fn registry_id(&self) -> u64 {
        self.registry.map_or_else(current::id, Registry::id)
    }

    fn current_registry(&self) -> Option<Registry> {
        self.registry.cloned().or_else(current::registry)
    }
}

impl CallSite {
    /// The static of a function for one of its caches.
    pub const fn new(function: FunctionInfo, cache: &'static str) -> Self {
        Self::with_name(function, CacheName::Text(cache))
    }

    /// The same for a typed cache.
    pub const fn typed<C: Named>(function: FunctionInfo, cache: &'static C) -> Self {
        Self::with_name(function, CacheName::Of(cache))
    }

    const fn with_name(function: FunctionInfo, cache: CacheName) -> Self {
        Self { function, cache, handle: Remembered::new(), warned: AtomicBool::new(false) }
    }

    /// The cache's name.
    pub(crate) fn cache(&self) -> &'static str {
        match self.cache {
            CacheName::Text(name) => name,
            CacheName::Of(cache) => cache.name(),
        }
    }

    /// The cache, if it is remembered as that of the first registry.
    #[inline]
    pub(crate) fn first<K: Key, V: Value>(&'static self, registry: u64) -> Option<&'static Arc<Store<K, V>>> {
        self.handle.first(registry)?.downcast_ref()
    }

    /// Runs `look` on the cache, if the handle on it is remembered.
    #[inline]
    pub(crate) fn remembered<K: Key, V: Value, T>(
        &'static self,
        registry: u64,
        look: impl FnOnce(&Arc<Store<K, V>>) -> T,
    ) -> Option<T> {
        self.handle.with(registry, |store| store.downcast_ref::<Arc<Store<K, V>>>().map(look)).flatten()
    }

    /// Finds the cache of this call and remembers it; says what is wrong if that cannot be.
    #[cold]
    pub(crate) fn find<K: Key, V: Value>(&'static self, call: &Call<'_>) -> Option<Arc<Store<K, V>>> {
        if let Some(store) = self.remembered(call.registry_id(), Arc::clone) {
            if store.info.lease.is_closed() {
                self.warn(format_args!("{ENDED}"));
            }
            return Some(store);
        }
        let (id, slot) = self.slot(call)?;
        let store = self.store_of::<K, V>(&slot)?;
        self.handle.remember(id, Box::new(store.clone()));
        Some(store)
    }

    /// The cache of this call, whatever its types, and the id of its registry.
    fn slot(&self, call: &Call<'_>) -> Option<(u64, Arc<Slot>)> {
        let registry = call.current_registry();
        let node = &self.open(registry.as_ref())?.0.node;
        let slot = node.slot(self.cache());
        if slot.is_none() {
            self.warn(format_args!("the registry has no cache `{}`", self.cache()));
        }
        Some((node.id, slot?))
    }

    /// The store of a slot, if its types are those of this function.
    pub(crate) fn store_of<K: Key, V: Value>(&self, slot: &Slot) -> Option<Arc<Store<K, V>>> {
        match slot.store::<K, V>() {
            Ok(store) => Some(store),
            Err(Mismatch(text)) => {
                self.differs(slot, &text);
                None
            }
        }
    }

    #[cold]
    fn differs(&self, slot: &Slot, text: &str) {
        slot.problem(format!("{text} as {self} asks: it runs uncached"));
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

    /// Where a write takes effect; this node need not hold the cache.
    pub(crate) fn target(&self, call: &Call<'_>) -> Option<Target> {
        let registry = call.current_registry();
        let node = self.open(registry.as_ref())?.0.node.clone();
        let slot = node.slot_for_eviction(self.cache())?;
        let transaction = call.current_transaction();
        if self.function.requires_transaction && transaction.is_none() {
            slot.problem(format!(
                "{self} was called outside of a transaction, which it requires: other nodes may load the old value again \
                 before the database commits; call it within `Transaction::scope`"
            ));
        }
        Some(Target { place: Place { node, slot }, transaction })
    }
}

/// As `a::b::find (src/b.rs:7)`.
impl fmt::Display for CallSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FunctionInfo { function, file, line, .. } = &self.function;
        write!(f, "`{function}` ({file}:{line})")
    }
}
