//! Who uses which cache, for people.

use std::fmt;

use serde::Serialize;

use super::node::Node;
use crate::call_site::{Role, annotated_functions};

/// The caches of a registry and the functions that use them, as [`Registry::describe`](super::Registry::describe)
/// tells. Printed as a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Description {
    /// In the order of their names.
    pub caches: Vec<CacheDescription>,
}

/// One cache of a [`Description`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheDescription {
    /// Its name.
    pub name: String,
    /// How many entries it holds at the most; 0 if this node only evicts from it.
    pub capacity: usize,
    /// The Rust type of its keys, if it is known yet.
    pub key: Option<String>,
    /// The Rust type of its values, if it is known yet.
    pub value: Option<String>,
    /// The annotated functions that name it, in the order of file and line.
    pub functions: Vec<FunctionDescription>,
    /// What is wrong with its use.
    pub problems: Vec<String>,
}

/// One annotated function of a [`CacheDescription`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FunctionDescription {
    /// Its path.
    pub name: String,
    /// Whether it `loads` or `evicts`.
    pub role: String,
    /// The file that it is in.
    pub file: String,
    /// The line of its attribute.
    pub line: u32,
    /// Whether it names its registry itself, and so may use the cache of this name in another one.
    pub explicit_registry: bool,
}

impl Description {
    pub(super) fn of(node: &Node) -> Self {
        let caches = node
            .slots()
            .iter()
            .map(|slot| CacheDescription {
                name: slot.info.name.to_string(),
                capacity: if slot.info.config.evict_only { 0 } else { slot.info.config.capacity },
                key: slot.key_type().map(str::to_owned),
                value: slot.value_type().map(str::to_owned),
                functions: functions_of(slot.info.name.as_str()),
                problems: slot.problems(),
            })
            .collect();
        Self { caches }
    }
}

fn functions_of(cache: &str) -> Vec<FunctionDescription> {
    let mut functions: Vec<_> = annotated_functions()
        .filter(|site| site.cache == cache)
        .map(|site| FunctionDescription {
            name: site.function.function.into(),
            role: match site.function.role {
                Role::Load => "loads".into(),
                Role::Put => "puts".into(),
                Role::EvictKey => "evicts key".into(),
                Role::EvictKeys => "evicts keys".into(),
                Role::EvictTags => "evicts tag".into(),
                Role::EvictAll => "evicts all".into(),
            },
            file: site.function.file.into(),
            line: site.function.line,
            explicit_registry: site.function.explicit_registry,
        })
        .collect();
    functions.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    functions
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for cache in &self.caches {
            let unknown = "not known yet";
            writeln!(
                f,
                "{:<24} {} => {}",
                cache.name,
                cache.key.as_deref().unwrap_or(unknown),
                cache.value.as_deref().unwrap_or(unknown)
            )?;
            for function in &cache.functions {
                writeln!(f, "    {:<6} {}  {}:{}", function.role, function.name, function.file, function.line)?;
            }
            for problem in &cache.problems {
                writeln!(f, "    problem: {problem}")?;
            }
        }
        Ok(())
    }
}
