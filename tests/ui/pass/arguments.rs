//! Every argument, on every form of a function, without a warning.

#![deny(warnings, clippy::pedantic)]
#![allow(dead_code, clippy::unused_async, clippy::unnecessary_wraps, clippy::needless_pass_by_value)]

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    future::Future,
    pin::Pin,
    time::Duration,
};

use cachesync::{Registry, Transaction, cache_evict, cache_put, cacheable};

cachesync::cache! {
    pub USERS: "users" => (u64, User);
    NAMES: "names" => ((u32, String), u64);
}

const TTL: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct User {
    id: u64,
    team: u32,
    name: String,
    draft: bool,
}

impl User {
    fn new(id: u64) -> Self {
        Self { id, team: 1, name: id.to_string(), draft: false }
    }

    fn ttl(&self) -> Option<Duration> {
        (self.id > 3).then_some(TTL)
    }
}

#[derive(Clone, Debug)]
struct Failure(u8);

fn is_gone(failure: &Failure) -> bool {
    failure.0 == 4
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[cacheable(cache = USERS, key = id, condition = *id > 0, unless = result.draft, ttl = result.ttl())]
async fn policy(id: &u64) -> Option<User> {
    Some(User::new(*id))
}

#[cacheable(cache = [USERS, "archive"], key = id, ttl = User::ttl, tags = ["all", format!("team:{}", result.team), id])]
async fn listed(id: u64) -> Result<User, String> {
    Ok(User::new(id))
}

/// The body moves what is not used after it.
#[cacheable(
    cache = "users", key = id, cache_none, none_ttl = Duration::from_secs(u64::from(name.is_empty())), ttl = TTL,
    cache_err = |failure| failure.0 == id, err_ttl = TTL, tags = [name, result.team], unless = result.name == name,
)]
async fn negative(id: u8, name: String, payload: Vec<u8>) -> Result<Option<User>, Failure> {
    drop(payload);
    Ok(Some(User { name: name.clone(), ..User::new(u64::from(id)) }))
}

#[cacheable(cache = "users", cache_err = is_gone, tags = tags)]
#[cacheable(cache = "more-users", cache_err = self::is_gone, tags = tags.iter().map(|tag| format!("tag:{tag}")))]
fn plain(id: u64, tags: Vec<u32>) -> Result<User, Failure> {
    if id == 0 {
        return Err(Failure(0));
    }
    let tags = tags.iter().max().ok_or(Failure(4))?;
    Ok(User::new(u64::from(*tags)))
}

#[cacheable(cache = "users", cache_value, ttl = Some(TTL), unless = result.is_err())]
fn future(id: u64) -> impl Future<Output = Result<User, String>> + Send {
    async move {
        std::future::ready(()).await;
        Ok(User::new(id))
    }
}

struct Repository {
    tenant: u32,
    registry: Registry,
    transaction: Option<Transaction>,
    written: Vec<u64>,
}

impl Repository {
    #[cacheable(cache = "tenants", key = (self.tenant, id), registry = self.registry, ttl = if self.tenant == 1 { TTL } else { Duration::ZERO })]
    fn boxed<'a>(&'a self, id: &'a u64) -> BoxFuture<'a, Option<User>> {
        if *id == 0 {
            return Box::pin(async { None });
        }
        Box::pin(async move {
            std::future::ready(()).await;
            Some(User { team: self.tenant, ..User::new(*id) })
        })
    }

    /// As `#[async_trait]` would have made it.
    #[cache_evict(cache = "tenants", key = (self.tenant, id), condition = id > 0)]
    fn made<'life0, 'async_trait>(
        &'life0 mut self,
        id: u64,
    ) -> ::core::pin::Pin<Box<dyn ::core::future::Future<Output = Result<u64, String>> + ::core::marker::Send + 'async_trait>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let __self = self;
            __self.written.push(id);
            Ok(id)
        })
    }

    #[cache_evict(cache = "tenants", skip(self, id), always)]
    fn pushed(&mut self, id: u64) -> Result<&mut Vec<u64>, String> {
        self.written.push(id);
        Ok(&mut self.written)
    }

    #[cache_evict(cache = ["tenants", "users"], keys = self.written, requires_transaction)]
    #[cache_put(cache = "tenants", key = (self.tenant, result.id), transaction = transaction, requires_transaction)]
    async fn save(&self, transaction: &Transaction, user: User) -> Result<User, String> {
        Ok(user)
    }
}

#[cache_put(cache = USERS, key = user.id, ttl = user.ttl(), tags = [user.team, result.team], unless = result.draft)]
async fn put(user: User) -> Option<User> {
    Some(user.clone())
}

#[cache_put(cache = ["users", "archive"], key = id, cache_none, none_ttl = TTL, condition = id > 3)]
fn put_plain(id: u64) -> Result<Option<User>, Failure> {
    Ok((id > 4).then(|| User::new(id)))
}

#[cache_put(cache = NAMES, key = (result.to_string().len() as u32, name), condition = !name.is_empty())]
#[allow(clippy::cast_possible_truncation)]
async fn put_name(name: &str) -> u64 {
    name.len() as u64
}

#[cache_evict(cache = USERS, keys = ids)]
#[cache_evict(cache = USERS, keys = ids.iter().map(|id| id + 1), unless = *result > 3)]
#[cache_evict(cache = "pairs", keys = [(1u8, name), (2u8, name)], condition = !name.is_empty(), before)]
#[cache_evict(cache = USERS, tag = format!("team:{result}"), always)]
#[cache_evict(cache = [USERS, "users"], tag = ["all", name], unless = name.is_empty())]
async fn evict(ids: Vec<u64>, name: &str) -> Result<u64, String> {
    ids.into_iter().max().ok_or_else(|| name.to_owned())
}

#[cache_evict(cache = "users", keys = result)]
fn evict_result(ids: &[u64]) -> Vec<u64> {
    ids.to_vec()
}

#[cache_evict(cache = "users", keys = result.iter().map(|user| user.id), always, condition = id > 2)]
async fn evict_fields(id: u64) -> Result<Vec<User>, String> {
    Ok(vec![User::new(id)])
}

#[cacheable(cache = USERS, keys = ids, tags = [result.team], unless = result.draft || ids.is_empty(), ttl = |user| user.ttl().or(Some(TTL)))]
async fn many(ids: &[u64]) -> HashMap<u64, User> {
    ids.iter().map(|id| (*id, User::new(*id))).collect()
}

#[cacheable(cache = "tenants", keys = ids, key = |id| (tenant, id), cache_none, none_ttl = TTL, ttl = TTL)]
async fn mapped(tenant: u32, mut ids: Vec<u64>) -> Result<Vec<(u64, User)>, Failure> {
    ids.sort_unstable();
    Ok(ids.into_iter().map(|id| (id, User { team: tenant, ..User::new(id) })).collect())
}

#[cacheable(cache = "texts", keys = names, condition = !names.is_empty())]
fn texts(names: &[&str]) -> BTreeMap<String, usize> {
    names.iter().map(|name| ((*name).to_owned(), name.len())).collect()
}

#[cacheable(cache = "tenants", keys = ids, key = |&id| { let tenant = tenant + 1; (tenant, id) })]
fn in_future<'a>(tenant: u32, ids: &'a BTreeSet<u64>) -> BoxFuture<'a, Result<BTreeMap<u64, User>, String>> {
    Box::pin(async move { Ok(ids.iter().map(|id| (*id, User::new(*id + u64::from(tenant)))).collect()) })
}

#[cacheable(cache = USERS, keys = ids)]
fn in_impl(ids: HashSet<u64>) -> impl Future<Output = HashMap<u64, User>> + Send {
    async move { ids.iter().map(|id| (*id, User::new(*id))).collect() }
}

/// # Safety
///
/// None is needed.
#[cacheable(cache = "numbers")]
unsafe fn not_safe(id: u64) -> Option<u64> {
    Some(id)
}

#[cacheable(cache = "numbers")]
extern "C" fn foreign(id: u64) -> u64 {
    id
}

#[cache_evict(cache = "numbers", all)]
fn nothing() {}

fn sendable<T: Send>(_: T) {}

fn futures_can_be_sent(repository: &Repository) {
    sendable(policy(&1));
    sendable(listed(1));
    sendable(negative(1, String::new(), Vec::new()));
    sendable(future(1));
    sendable(repository.boxed(&1));
    sendable(put(User::new(1)));
    sendable(put_name(""));
    sendable(evict(Vec::new(), ""));
    sendable(evict_fields(1));
    sendable(many(&[]));
    sendable(mapped(1, Vec::new()));
    sendable(in_future(1, &BTreeSet::new()));
    sendable(in_impl(HashSet::new()));
    sendable(not_sync(Cell::new(1)));
}

#[cacheable(cache = "numbers", key = number.get(), tags = [*result])]
async fn not_sync(number: Cell<u64>) -> Option<u64> {
    std::future::ready(()).await;
    Some(number.get())
}

fn main() {}
