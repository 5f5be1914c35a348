//! Which registry a call uses: the innermost scope's, else the installed one.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arc_swap::ArcSwapOption;

use super::{Core, Registry};
use crate::{
    error::{Error, Kind},
    scope,
    sync::task_local,
};

task_local! {
    static SCOPED: Registry;
}

static INSTALLED: ArcSwapOption<Core> = ArcSwapOption::const_empty();
/// The id of the installed registry's node, so that a call site can see whether its handle is the right one without
/// touching the registry. 0 for none.
static INSTALLED_ID: AtomicU64 = AtomicU64::new(0);

/// The id of the node that a call would use now; 0 for none.
#[inline]
pub(crate) fn id() -> u64 {
    let scoped = if scope::is_possible() { SCOPED.try_with(Registry::id).ok() } else { None };
    scoped.unwrap_or_else(|| INSTALLED_ID.load(Ordering::Acquire))
}

/// The registry of the innermost scope.
pub(crate) fn scoped() -> Option<Registry> {
    SCOPED.try_with(Registry::clone).ok()
}

/// The registry that a call would use now.
pub(crate) fn registry() -> Option<Registry> {
    scoped().or_else(|| INSTALLED.load_full().map(Registry))
}

pub(super) fn scope<F: Future>(registry: Registry, future: F) -> impl Future<Output = F::Output> {
    scope::mark(SCOPED.scope(registry, future))
}

pub(super) fn install(registry: &Registry) -> Result<(), Error> {
    let mut refused = false;
    INSTALLED.rcu(|installed| {
        // A registry that has ended gives way.
        refused = installed.as_ref().is_some_and(|other| !Arc::ptr_eq(other, &registry.0) && !other.node.is_closed());
        if refused { installed.clone() } else { Some(registry.0.clone()) }
    });
    if refused {
        return Err(Kind::AlreadyInstalled.into());
    }
    // Between the two stores a call site still sees the id of a registry that has ended, and runs uncached.
    INSTALLED_ID.store(registry.id(), Ordering::Release);
    Ok(())
}
