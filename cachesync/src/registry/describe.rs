//! Who uses which cache, for people.

use std::{fmt, time::Duration};

use serde::Serialize;

use super::{node::Node, status::problems_of};
use crate::{
    call_site::{Role, annotated_functions},
    config::OnPartition,
    typed::typed_caches,
};

/// The caches of a registry and the functions that use them, as [`Registry::describe`](super::Registry::describe)
/// tells. Serializable, and printed as a table:
///
/// ```text
/// users   u64 => Arc<User>      100000 entries  ttl 10m
///     typed       shop::USERS              src/caches.rs:4
///     loads       shop::users::find        src/users.rs:12
///     evicts key  shop::users::save        src/users.rs:20
///     problem: ...
/// prices  (u32, String) => u64   10000 entries
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Description {
    /// In the order of their names.
    pub caches: Vec<CacheDescription>,
    /// What is wrong with the registry, and not with one of its caches.
    pub problems: Vec<String>,
}

/// One cache of a [`Description`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheDescription {
    /// Its name.
    pub name: String,
    /// How many entries it holds at the most; 0 if this node only evicts from it.
    pub capacity: usize,
    /// How long an entry is served; `None` for without end. Serialized as a text such as `10m`.
    #[serde(with = "humantime_serde")]
    pub ttl: Option<Duration>,
    /// What becomes of it while the lease has run out.
    pub on_partition: OnPartition,
    /// The Rust type of its keys, if it is known yet.
    pub key: Option<String>,
    /// The Rust type of its values, if it is known yet.
    pub value: Option<String>,
    /// Where it is [declared](crate::cache!) with its types, in the order of file and line.
    pub declarations: Vec<CacheDeclaration>,
    /// The annotated functions that name it, in the order of file and line.
    pub functions: Vec<FunctionDescription>,
    /// What is wrong with its use.
    pub problems: Vec<String>,
}

/// One typed cache that stands for a [`CacheDescription`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CacheDeclaration {
    /// The path of its static.
    pub name: String,
    /// The file that it is in.
    pub file: String,
    /// The line of its entry in `cache!`.
    pub line: u32,
}

/// One annotated function of a [`CacheDescription`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FunctionDescription {
    /// Its path.
    pub name: String,
    /// What it does: `loads`, `evicts`.
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
                ttl: slot.info.config.ttl,
                on_partition: slot.info.on_partition(),
                key: slot.key_type().map(str::to_owned),
                value: slot.value_type().map(str::to_owned),
                declarations: declarations_of(slot.info.name.as_str()),
                functions: functions_of(slot.info.name.as_str()),
                problems: slot.problems(),
            })
            .collect();
        Self { caches, problems: problems_of(node) }
    }
}

fn functions_of(cache: &str) -> Vec<FunctionDescription> {
    let mut functions: Vec<_> = annotated_functions()
        .flatten()
        .filter(|site| site.cache() == cache)
        .map(|site| FunctionDescription {
            name: site.function.function.into(),
            role: role_text(site.function.role).into(),
            file: site.function.file.into(),
            line: site.function.line,
            explicit_registry: site.function.explicit_registry,
        })
        .collect();
    functions.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    functions
}

fn declarations_of(cache: &str) -> Vec<CacheDeclaration> {
    let mut declarations: Vec<_> = typed_caches()
        .filter(|info| info.cache == cache)
        .map(|info| CacheDeclaration { name: info.path.into(), file: info.file.into(), line: info.line })
        .collect();
    declarations.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    declarations
}

fn role_text(role: Role) -> &'static str {
    match role {
        Role::Load => "loads",
        Role::Put => "puts",
        Role::EvictKey => "evicts key",
        Role::EvictKeys => "evicts keys",
        Role::EvictTags => "evicts tag",
        Role::EvictAll => "evicts all",
    }
}

/// The order in which functions are printed: by what they do, those who fill first.
const ROLES: [&str; 6] = ["loads", "puts", "evicts key", "evicts keys", "evicts tag", "evicts all"];

/// The table's cells. A cache is a heading over its lines.
struct Heading {
    cells: [String; 4],
    lines: Vec<[String; 3]>,
    problems: Vec<String>,
}

impl Heading {
    fn of(cache: &CacheDescription) -> Self {
        let known = |name: &Option<String>| name.as_deref().map_or_else(|| "not known yet".into(), without_paths);
        let typed =
            |CacheDeclaration { name, file, line }: &_| ["typed".into(), name.clone(), format!("{file}:{line}")];
        let function = |FunctionDescription { name, role, file, line, .. }: &_| {
            [role.clone(), name.clone(), format!("{file}:{line}")]
        };
        let mut functions: Vec<_> = cache.functions.iter().collect();
        // Stable: within a role they stay in the order of file and line.
        functions.sort_by_key(|function| ROLES.iter().position(|role| *role == function.role).unwrap_or(ROLES.len()));
        let entries = if cache.capacity == 0 { "evicts only".into() } else { format!("{} entries", cache.capacity) };
        Self {
            cells: [
                cache.name.clone(),
                format!("{} => {}", known(&cache.key), known(&cache.value)),
                entries,
                cache.ttl.map_or_else(String::new, |ttl| {
                    format!("ttl {}", humantime_serde::re::humantime::format_duration(ttl))
                }),
            ],
            lines: cache.declarations.iter().map(typed).chain(functions.into_iter().map(function)).collect(),
            problems: cache.problems.clone(),
        }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headings: Vec<_> = self.caches.iter().map(Heading::of).collect();
        let heading_widths = widths(headings.iter().map(|heading| &heading.cells));
        let line_widths = widths(headings.iter().flat_map(|heading| &heading.lines));
        for Heading { cells, lines, problems } in &headings {
            write_row(f, "", cells, heading_widths)?;
            for line in lines {
                write_row(f, "    ", line, line_widths)?;
            }
            for problem in problems {
                writeln!(f, "    problem: {problem}")?;
            }
        }
        for problem in &self.problems {
            writeln!(f, "problem: {problem}")?;
        }
        Ok(())
    }
}

/// The widest of each column, in characters.
fn widths<'a, const N: usize>(rows: impl Iterator<Item = &'a [String; N]>) -> [usize; N] {
    rows.fold([0; N], |widths, row| std::array::from_fn(|column| widths[column].max(row[column].chars().count())))
}

fn write_row<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    indent: &str,
    cells: &[String; N],
    widths: [usize; N],
) -> fmt::Result {
    let padded: Vec<_> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
    writeln!(f, "{}", (indent.to_owned() + &padded.join("  ")).trim_end())
}

/// A type's name as people write it: `alloc::sync::Arc<shop::User>` is `Arc<User>`.
fn without_paths(type_name: &str) -> String {
    let mut short = String::new();
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut rest = type_name;
    while let Some(next) = rest.chars().next() {
        let end = if is_path(next) { rest.find(|c| !is_path(c)).unwrap_or(rest.len()) } else { next.len_utf8() };
        let (token, after) = rest.split_at(end);
        short += token.rsplit("::").next().unwrap_or(token);
        rest = after;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(role: &str, name: &str, line: u32) -> FunctionDescription {
        FunctionDescription {
            name: name.into(),
            role: role.into(),
            file: "src/users.rs".into(),
            line,
            explicit_registry: false,
        }
    }

    fn description() -> Description {
        let users = CacheDescription {
            name: "users".into(),
            capacity: 100_000,
            ttl: Some(Duration::from_mins(10)),
            on_partition: OnPartition::Bypass,
            key: Some("u64".into()),
            value: Some("alloc::sync::Arc<shop::model::User>".into()),
            declarations: vec![CacheDeclaration { name: "shop::USERS".into(), file: "src/caches.rs".into(), line: 4 }],
            functions: vec![
                function("evicts all", "shop::users::import", 3),
                function("loads", "shop::users::find", 12),
                function("evicts key", "shop::users::rename", 20),
                function("puts", "shop::users::save", 30),
                function("loads", "shop::users::find_all", 40),
            ],
            problems: vec!["something".into()],
        };
        let names = CacheDescription {
            name: "names-by-tenant".into(),
            capacity: 0,
            ttl: None,
            on_partition: OnPartition::Bypass,
            key: None,
            value: None,
            declarations: Vec::new(),
            functions: Vec::new(),
            problems: Vec::new(),
        };
        Description { caches: vec![names, users], problems: vec!["of all".into()] }
    }

    #[test]
    fn a_description_is_an_aligned_table_grouped_by_what_functions_do() {
        let expected = "\
names-by-tenant  not known yet => not known yet  evicts only
users            u64 => Arc<User>                100000 entries  ttl 10m
    typed       shop::USERS            src/caches.rs:4
    loads       shop::users::find      src/users.rs:12
    loads       shop::users::find_all  src/users.rs:40
    puts        shop::users::save      src/users.rs:30
    evicts key  shop::users::rename    src/users.rs:20
    evicts all  shop::users::import    src/users.rs:3
    problem: something
problem: of all
";
        let printed = description().to_string();
        assert_eq!(printed, expected, "\n{printed}");
    }

    #[test]
    fn a_description_is_serialized_with_its_ttl_as_in_a_configuration() {
        let json = serde_json::to_value(description()).unwrap();
        assert_eq!(json["caches"][1]["ttl"], "10m");
        assert_eq!(json["caches"][0]["ttl"], serde_json::Value::Null);
        assert_eq!(json["caches"][1]["functions"][3]["role"], "puts");
        assert_eq!(json["caches"][1]["declarations"][0]["name"], "shop::USERS");
    }

    #[test]
    fn every_role_has_its_place_in_the_table() {
        for role in [Role::Load, Role::Put, Role::EvictKey, Role::EvictKeys, Role::EvictTags, Role::EvictAll] {
            assert!(ROLES.contains(&role_text(role)), "{role:?}");
        }
    }

    #[test]
    fn types_are_printed_without_their_paths() {
        for (full, short) in [
            ("u64", "u64"),
            ("alloc::sync::Arc<shop::User>", "Arc<User>"),
            ("(u32, alloc::string::String)", "(u32, String)"),
            ("core::option::Option<&'static str>", "Option<&'static str>"),
            ("[alloc::vec::Vec<a::B>; 3]", "[Vec<B>; 3]"),
            ("std::collections::hash::map::HashMap<a::b::C, dyn d::E>", "HashMap<C, dyn E>"),
        ] {
            assert_eq!(without_paths(full), short);
        }
    }
}
