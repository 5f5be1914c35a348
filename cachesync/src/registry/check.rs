//! The check at start-up: what do the annotated functions ask for, and is it here?

use std::sync::Arc;

use super::{
    node::Node,
    slot::{Mismatch, Slot},
};
use crate::{
    call_site::{CallSite, annotated_functions as linked},
    config::UnknownCaches,
    error::{Error, Kind},
};

/// Settles the types of every cache by the functions that name it; returns what is wrong, all of it.
///
/// Functions that name their registry themselves may mean another one, so they are left out.
pub(super) fn annotated_functions(node: &Arc<Node>) -> Vec<Error> {
    let mut functions: Vec<_> = linked().filter(|site| !site.function.explicit_registry).collect();
    // The linker's order is not the programmer's.
    functions.sort_by_key(|site| (site.function.file, site.function.line));
    functions.into_iter().filter_map(|site| check(node, site)).collect()
}

fn check(node: &Arc<Node>, site: &'static CallSite) -> Option<Error> {
    let Some(slot) = node.slot(site.cache) else {
        return matches!(node.unknown, UnknownCaches::Fail).then(|| unknown(node, site));
    };
    settle(&slot, site).err().map(|Mismatch(text)| {
        Kind::TypeMismatch(format!(
            "{text} as {site} asks; the type was settled by {}",
            first_user(site).map_or_else(|| "another function".to_owned(), ToString::to_string)
        ))
        .into()
    })
}

fn settle(slot: &Slot, site: &CallSite) -> Result<(), Mismatch> {
    let types = (site.function.types)();
    if let Some(key) = types.key {
        slot.settle_key(key)?;
    }
    if let Some(value) = types.value {
        slot.settle_value(value)?;
    }
    Ok(())
}

/// The first function of the same cache, whose types were settled on.
fn first_user(site: &CallSite) -> Option<&'static CallSite> {
    linked()
        .filter(|other| !other.function.explicit_registry && other.cache == site.cache)
        .min_by_key(|other| (other.function.file, other.function.line))
}

fn unknown(node: &Node, site: &CallSite) -> Error {
    Kind::UnknownCache(format!(
        "cache `{}` is not configured, but {site} uses it; {}",
        site.cache,
        known(node, "add `.cache(CacheConfig::new(...))`, or say what is to happen by `.unknown_caches(...)`")
    ))
    .into()
}

/// What there is, for an error about what there is not.
pub(super) fn known(node: &Node, advice: &str) -> String {
    let names: Vec<_> =
        node.slots().iter().filter(|slot| slot.declared).map(|slot| format!("`{}`", slot.info.name)).collect();
    if names.is_empty() { advice.to_owned() } else { format!("configured are {}; {advice}", names.join(", ")) }
}
