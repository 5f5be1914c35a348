//! Two programs that do the same: one with annotated functions, one with what a user would write around `quick_cache`.
//!
//! Each function has one of ten shapes, in turn. A family is ten of them, and has caches of its own.

use std::fmt::Write;

/// A program of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Annotated,
    ByHand,
}

/// A function in both forms. In it `N` is the number of its family.
struct Shape {
    /// With its attribute.
    annotated: &'static str,
    /// By hand.
    by_hand: &'static str,
    /// A call of it.
    call: &'static str,
}

/// What both programs begin with.
const COMMON: &str = r#"
use std::{fmt, sync::Arc};

#[derive(Clone, Debug)]
pub struct User { pub id: u64, pub name: String, pub revision: u64 }

#[derive(Clone, Debug)]
pub struct DbError(pub String);

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
}

pub struct Db { pub rows: u64 }

impl Db {
    pub async fn select(&self, id: u64) -> Result<User, DbError> {
        if id > self.rows { return Err(DbError(format!("there is no {id}"))); }
        Ok(User { id, name: format!("user {id}"), revision: REVISION })
    }
    pub async fn find(&self, name: &str) -> Result<Option<User>, DbError> {
        let id = name.len() as u64;
        if id > self.rows { Ok(None) } else { self.select(id).await.map(Some) }
    }
    pub async fn update(&self, user: &User) -> Result<(), DbError> {
        self.select(user.id).await.map(drop)
    }
}

pub struct Repository { pub db: Db }
"#;

/// The configured caches of a family, `name` and type; by hand they are statics.
const CACHES: [(&str, &str, &str); 5] = [
    ("users", "u64", "Arc<User>"),
    ("names", "String", "Arc<User>"),
    ("members", "(u32, String)", "Arc<User>"),
    ("teams", "u64", "Vec<u64>"),
    ("rates", "String", "f64"),
];

const SHAPES: [Shape; 10] = [
    Shape {
        annotated: r#"
#[cacheable(cache = "users-N", key = id)]
pub async fn user_N(db: &Db, id: u64) -> Result<Arc<User>, DbError> {
    let user = db.select(id).await?;
    Ok(Arc::new(user))
}"#,
        by_hand: r"
pub async fn user_N(db: &Db, id: u64) -> Result<Arc<User>, DbError> {
    if let Some(user) = USERS_N.get(&id) { return Ok(user); }
    let user = Arc::new(db.select(id).await?);
    USERS_N.insert(id, user.clone());
    Ok(user)
}",
        call: "user_N(db, id).await.is_ok()",
    },
    Shape {
        annotated: r#"
#[cacheable(cache = "names-N", key = name)]
pub async fn by_name_N(db: &Db, name: &str) -> Result<Option<Arc<User>>, DbError> {
    Ok(db.find(name).await?.map(Arc::new))
}"#,
        by_hand: r"
pub async fn by_name_N(db: &Db, name: &str) -> Result<Option<Arc<User>>, DbError> {
    if let Some(user) = NAMES_N.get(name) { return Ok(Some(user)); }
    let user = db.find(name).await?.map(Arc::new);
    if let Some(user) = &user { NAMES_N.insert(name.to_owned(), user.clone()); }
    Ok(user)
}",
        call: "by_name_N(db, name).await.is_ok()",
    },
    Shape {
        annotated: r#"
#[cacheable(cache = "members-N", key = (tenant, name))]
pub async fn member_N(db: &Db, tenant: u32, name: &str) -> Option<Arc<User>> {
    let user = db.select(u64::from(tenant)).await.ok()?;
    (user.name == name).then(|| Arc::new(user))
}"#,
        by_hand: r"
pub async fn member_N(db: &Db, tenant: u32, name: &str) -> Option<Arc<User>> {
    if let Some(user) = MEMBERS_N.get(&Member(tenant, name)) { return Some(user); }
    let user = db.select(u64::from(tenant)).await.ok()?;
    let user = (user.name == name).then(|| Arc::new(user));
    if let Some(user) = &user { MEMBERS_N.insert((tenant, name.to_owned()), user.clone()); }
    user
}",
        call: "member_N(db, 7, name).await.is_some()",
    },
    Shape {
        annotated: r#"
#[cacheable(cache = "teams-N", key = id)]
pub async fn team_N(db: &Db, id: u64) -> Vec<u64> {
    (0..db.rows).map(|row| row * id).collect()
}"#,
        by_hand: r"
pub async fn team_N(db: &Db, id: u64) -> Vec<u64> {
    if let Some(team) = TEAMS_N.get(&id) { return team; }
    let team: Vec<u64> = (0..db.rows).map(|row| row * id).collect();
    TEAMS_N.insert(id, team.clone());
    team
}",
        call: "team_N(db, id).await.is_empty()",
    },
    Shape {
        annotated: r#"
#[cacheable(cache = "rates-N")]
pub async fn rate_N(currency: &str) -> f64 {
    currency.len() as f64 / 3.0
}"#,
        by_hand: r"
pub async fn rate_N(currency: &str) -> f64 {
    if let Some(rate) = RATES_N.get(currency) { return rate; }
    let rate = currency.len() as f64 / 3.0;
    RATES_N.insert(currency.to_owned(), rate);
    rate
}",
        call: "rate_N(name).await > 1.0",
    },
    Shape {
        annotated: r#"
impl Repository {
    #[cacheable(cache = "users-N", key = id)]
    pub async fn user_N(&self, id: u64) -> Result<Arc<User>, DbError> {
        self.db.select(id).await.map(Arc::new)
    }
}"#,
        by_hand: r"
impl Repository {
    pub async fn user_N(&self, id: u64) -> Result<Arc<User>, DbError> {
        if let Some(user) = USERS_N.get(&id) { return Ok(user); }
        let user = self.db.select(id).await.map(Arc::new)?;
        USERS_N.insert(id, user.clone());
        Ok(user)
    }
}",
        call: "repository.user_N(id).await.is_ok()",
    },
    Shape {
        annotated: r#"
#[cache_evict(cache = "users-N", key = user.id)]
pub async fn save_N(db: &Db, user: &User) -> Result<(), DbError> {
    db.update(user).await
}"#,
        by_hand: r"
pub async fn save_N(db: &Db, user: &User) -> Result<(), DbError> {
    db.update(user).await?;
    USERS_N.remove(&user.id);
    Ok(())
}",
        call: "save_N(db, user).await.is_ok()",
    },
    Shape {
        annotated: r#"
#[cache_evict(cache = "members-N", key = (tenant, name))]
pub async fn rename_N(db: &Db, tenant: u32, name: &str) -> Result<User, DbError> {
    let user = db.select(u64::from(tenant)).await?;
    db.update(&user).await?;
    Ok(User { name: name.to_owned(), ..user })
}"#,
        by_hand: r"
pub async fn rename_N(db: &Db, tenant: u32, name: &str) -> Result<User, DbError> {
    let user = db.select(u64::from(tenant)).await?;
    db.update(&user).await?;
    MEMBERS_N.remove(&Member(tenant, name));
    Ok(User { name: name.to_owned(), ..user })
}",
        call: "rename_N(db, 7, name).await.is_ok()",
    },
    Shape {
        annotated: r#"
#[cache_evict(cache = "teams-N", all)]
pub async fn reorganize_N(db: &Db) -> Result<u64, DbError> {
    Ok(db.select(1).await?.revision)
}"#,
        by_hand: r"
pub async fn reorganize_N(db: &Db) -> Result<u64, DbError> {
    let revision = db.select(1).await?.revision;
    TEAMS_N.clear();
    Ok(revision)
}",
        call: "reorganize_N(db).await.is_ok()",
    },
    Shape {
        annotated: r#"
#[cache_evict(cache = "names-N", key = name)]
pub async fn remove_N(db: &Db, name: &str) -> Result<bool, DbError> {
    Ok(db.find(name).await?.is_some())
}"#,
        by_hand: r"
pub async fn remove_N(db: &Db, name: &str) -> Result<bool, DbError> {
    let found = db.find(name).await?.is_some();
    NAMES_N.remove(name);
    Ok(found)
}",
        call: "remove_N(db, name).await.is_ok()",
    },
];

/// The text of a program with this many functions, a multiple of ten. Nothing else changes with `revision`.
pub(crate) fn program(way: Way, functions: usize, revision: u64) -> String {
    let families = functions / SHAPES.len();
    let mut text = format!("#![allow(dead_code)]\n\nconst REVISION: u64 = {revision};\n{COMMON}\n{}\n", preamble(way));
    for family in 0..families {
        let number = family.to_string();
        if way == Way::ByHand {
            for (name, key, value) in CACHES {
                let name = name.to_uppercase();
                writeln!(text, "static {name}_{number}: Caches<{key}, {value}> = Caches::new(|| Cache::new(10_000));")
                    .expect("a text");
            }
        }
        let mut all =
            format!("\nasync fn all_{number}(repository: &Repository, user: &User, id: u64, name: &str) -> usize {{\n");
        all += "    let db = &repository.db;\n    let mut count = 0;\n";
        for Shape { annotated, by_hand, call } in &SHAPES {
            let function = if way == Way::Annotated { annotated } else { by_hand };
            text.extend([&numbered(function, &number), "\n"]);
            writeln!(all, "    count += usize::from({});", numbered(call, &number)).expect("a text");
        }
        text.extend([&all, "    count\n}\n\n"]);
    }
    text + &main(way, families)
}

fn numbered(text: &str, number: &str) -> String {
    text.replace("_N", &format!("_{number}")).replace("-N\"", &format!("-{number}\""))
}

/// What only one of the two begins with.
fn preamble(way: Way) -> &'static str {
    match way {
        Way::Annotated => "use cachesync::{CacheConfig, Registry, cache_evict, cacheable};",
        Way::ByHand => {
            r"use std::sync::LazyLock as Caches_;
use quick_cache::{Equivalent, sync::Cache};

type Caches<K, V> = Caches_<Cache<K, V>>;

#[derive(Hash)]
struct Member<'a>(u32, &'a str);

impl Equivalent<(u32, String)> for Member<'_> {
    fn equivalent(&self, key: &(u32, String)) -> bool { self.0 == key.0 && self.1 == key.1 }
}"
        }
    }
}

/// Calls all of them.
fn main(way: Way, families: usize) -> String {
    let mut text = String::from("#[tokio::main(flavor = \"current_thread\")]\nasync fn main() {\n");
    if way == Way::Annotated {
        text += "    let mut builder = Registry::builder();\n";
        let names = CACHES.map(|(name, ..)| format!("\"{name}\"")).join(", ");
        write!(text, "    for number in 0..{families} {{\n        for name in [{names}] {{\n").expect("a text");
        text +=
            "            builder = builder.cache(CacheConfig::new(format!(\"{name}-{number}\")));\n        }\n    }\n";
        text += "    builder.start().await.expect(\"a registry\").install().expect(\"the only one\");\n";
    }
    text += "    let repository = Repository { db: Db { rows: 100 } };\n";
    text += "    let user = repository.db.select(1).await.expect(\"a user\");\n    let mut count = 0;\n";
    text += "    for _ in 0..2 {\n";
    for family in 0..families {
        writeln!(text, "        count += all_{family}(&repository, &user, 7, \"user 7\").await;").expect("a text");
    }
    text + "    }\n    println!(\"{count}\");\n}\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_programs_have_the_same_functions() {
        let names = |way| {
            let text = program(way, 30, 0);
            let names = text.lines().filter_map(|line| line.trim().strip_prefix("pub async fn ")?.split('(').next());
            names.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(names(Way::Annotated), names(Way::ByHand));
        // Three of the database.
        assert_eq!(names(Way::Annotated).len(), 33);
    }

    #[test]
    fn every_function_is_annotated_or_none() {
        let count = |way| program(way, 30, 0).matches("#[cache").count();
        assert_eq!((count(Way::Annotated), count(Way::ByHand)), (30, 0));
    }

    #[test]
    fn another_revision_is_another_constant_and_nothing_else() {
        let (first, second) = (program(Way::Annotated, 20, 1), program(Way::Annotated, 20, 2));
        let changed: Vec<_> = first.lines().zip(second.lines()).filter(|(first, second)| first != second).collect();
        assert_eq!(changed, [("const REVISION: u64 = 1;", "const REVISION: u64 = 2;")]);
    }
}
