//! The check at start-up: what do annotated functions and typed caches ask for, and is it here?

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    sync::Arc,
};

use super::{
    node::Node,
    slot::{KeyType, Mismatch, Slot, ValueType},
};
use crate::{
    call_site::{CallSite, SiteTypes, annotated_functions},
    config::UnknownCaches,
    error::{Error, Kind},
    typed::{TypedInfo, typed_caches},
};

/// Whoever asks for a cache: an annotated function, or a declaration of `cache!`.
#[derive(Clone, Copy)]
struct Asking {
    cache: &'static str,
    path: &'static str,
    file: &'static str,
    line: u32,
    types: fn() -> SiteTypes,
}

impl Asking {
    /// Functions that name their registry themselves may mean another one, so they are left out.
    fn function(site: &'static CallSite) -> Option<Self> {
        let info = &site.function;
        let asking =
            Self { cache: site.cache(), path: info.function, file: info.file, line: info.line, types: info.types };
        (!info.explicit_registry).then_some(asking)
    }

    fn typed(info: &'static TypedInfo) -> Self {
        let TypedInfo { cache, path, file, line, types } = *info;
        Self { cache, path, file, line, types }
    }

    fn disagrees(&self, mismatch: &Mismatch, settled_by: Option<&Self>) -> Error {
        Kind::TypeMismatch(format!(
            "{} as {self} asks; the type was settled by {}",
            mismatch.0,
            settled_by.map_or_else(|| "another function".to_owned(), ToString::to_string)
        ))
        .into()
    }
}

/// As `a::b::find (src/b.rs:7)`.
impl fmt::Display for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({}:{})", self.path, self.file, self.line)
    }
}

/// Settles the types of every cache by the functions that name it; returns what is wrong, all of it.
///
/// Declarations of typed caches are compared and settle nothing: a program may declare what another registry has.
pub(super) fn types_and_names(node: &Arc<Node>) -> Vec<Error> {
    let mut functions: Vec<_> = annotated_functions().flatten().filter_map(Asking::function).collect();
    let mut typed: Vec<_> = typed_caches().map(Asking::typed).collect();
    // The linker's order is not the programmer's.
    for list in [&mut functions, &mut typed] {
        list.sort_by_key(|asking| (asking.file, asking.line));
    }
    let settled_by = |cache| functions.iter().find(|function| function.cache == cache);
    let mut errors = Vec::new();
    let mut unknown = BTreeMap::<_, Unknown<'_>>::new();
    for function in &functions {
        let settled = match node.slot(function.cache) {
            Some(slot) => settle(&slot, function),
            None if matches!(node.unknown, UnknownCaches::Fail) => {
                unknown.entry(function.cache).or_default().settle(function)
            }
            None => Ok(()),
        };
        errors.extend(settled.err().map(|error| function.disagrees(&error, settled_by(function.cache))));
    }
    let last = unknown.len().saturating_sub(1);
    errors.extend(unknown.iter().enumerate().map(|(index, (cache, asked))| {
        // Once is enough.
        let advice = (index == last).then(|| {
            known(node, "add `.cache(CacheConfig::new(...))`, or say what is to happen by `.unknown_caches(...)`")
        });
        asked.error(cache, advice)
    }));
    errors.extend(typed.iter().filter_map(|typed| {
        let slot = node.existing_slot(typed.cache)?;
        let SiteTypes { key, value } = (typed.types)();
        let disagreement = slot.compare(key, value).err()?;
        Some(typed.disagrees(&disagreement, settled_by(typed.cache)))
    }));
    errors.extend(named_twice());
    errors
}

/// Functions that name a cache twice, by its name and as a typed cache: they would overtake themselves.
fn named_twice() -> impl Iterator<Item = Error> {
    let again = |sites: &'static [CallSite]| {
        let mut seen = HashSet::new();
        sites.iter().filter(move |site| !seen.insert(site.cache()))
    };
    annotated_functions().flat_map(again).map(|site| {
        Error::configuration(format!(
            "{site} names the cache `{}` twice in one attribute: remove one of the two",
            site.cache()
        ))
    })
}

fn settle(slot: &Slot, function: &Asking) -> Result<(), Mismatch> {
    let types = (function.types)();
    if let Some(key) = types.key {
        slot.settle_key(key)?;
    }
    if let Some(value) = types.value {
        slot.settle_value(value)?;
    }
    Ok(())
}

/// A cache that is not configured.
#[derive(Default)]
struct Unknown<'a> {
    functions: Vec<&'a Asking>,
    key: Option<KeyType>,
    value: Option<ValueType>,
}

impl<'a> Unknown<'a> {
    /// Its functions can disagree all the same.
    fn settle(&mut self, function: &'a Asking) -> Result<(), Mismatch> {
        self.functions.push(function);
        let SiteTypes { key, value } = (function.types)();
        if let Some(key) = key {
            let has = *self.key.get_or_insert(key);
            if has != key {
                return Err(Mismatch::of(function.cache, "keys", has.name, key.name));
            }
        }
        if let Some(value) = value {
            let has = *self.value.get_or_insert(value);
            if has != value {
                return Err(Mismatch::of(function.cache, "values", has.name, value.name));
            }
        }
        Ok(())
    }

    fn error(&self, cache: &str, advice: Option<String>) -> Error {
        let functions: Vec<_> = self.functions.iter().map(ToString::to_string).collect();
        let uses = if functions.len() == 1 { "uses" } else { "use" };
        let advice = advice.map_or_else(String::new, |advice| format!("; {advice}"));
        Kind::UnknownCache(format!("cache `{cache}` is not configured, but {} {uses} it{advice}", functions.join(", ")))
            .into()
    }
}

/// How many caches an error names.
const MAX_NAMED: usize = 30;

/// What there is, for an error about what there is not.
pub(super) fn known(node: &Node, advice: &str) -> String {
    let mut names: Vec<_> =
        node.slots().iter().filter(|slot| slot.declared).map(|slot| format!("`{}`", slot.info.name)).collect();
    if names.is_empty() {
        return advice.to_owned();
    }
    let more = names.len().saturating_sub(MAX_NAMED);
    names.truncate(MAX_NAMED);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("configured are {}{more}; {advice}", names.join(", "))
}
