//! The expansion relies on no name of the user's crate: no prelude, other types of the same names, variables with names
//! that the expansion might use, and every lint is an error.

#![no_implicit_prelude]
#![forbid(unsafe_code)]
#![deny(warnings, clippy::pedantic)]
#![allow(dead_code, clippy::missing_errors_doc, clippy::must_use_candidate, clippy::redundant_closure_for_method_calls)]

use ::cachesync::{cache_config, cache_evict, cache_put, cacheable};

pub struct Result;
pub struct Option;
pub struct Some;
pub struct None;
pub struct Ok;
pub struct Err;
pub struct Arc;
pub struct CallSite;
pub struct Returns;
pub trait Future {}
pub trait Clone {}
pub mod core {}
pub mod std {}
pub mod linkme {}

pub struct Box;
pub struct Policy;
pub struct Call;
pub trait Display {}
pub trait IntoIterator {}
#[allow(non_camel_case_types)]
pub struct bool;

::cachesync::cache! {
    TYPED: "typed" => (u64, u64);
}

const TTL: ::core::time::Duration = ::core::time::Duration::from_millis(60);

type Loaded = ::core::result::Result<u64, ::std::string::String>;

#[cacheable(cache = "users", key = id)]
pub async fn find(id: u64) -> Loaded {
    let id = load(id).await?;
    if id == 0 {
        return ::core::result::Result::Err(::std::string::String::new());
    }
    ::core::result::Result::Ok(id)
}

#[cacheable(cache = "names")]
pub async fn names(result: u64, cache: &str, key: &str, step: u8, miss: u8, output: u8) -> ::core::option::Option<u64> {
    _ = (cache, key, step, miss, output);
    ::core::option::Option::Some(load(result).await.ok()?)
}

#[cache_evict(cache = "users", key = (result, cache), always)]
#[cache_evict(cache = "users", all, before)]
#[cache_evict(cache = "users", key = eviction, cache_value)]
pub async fn save(result: u64, cache: &str, mut eviction: ::std::string::String) -> Loaded {
    eviction.push_str(cache);
    load(result).await
}

pub struct User {
    id: u64,
}

#[cache_evict(cache = "users", key = (result.id, user.id))]
pub async fn create(user: &User) -> ::core::result::Result<User, ::std::string::String> {
    let id = load(user.id).await?;
    ::core::result::Result::Ok(User { id })
}

#[cacheable(cache = "users", cache_value, key = self::limit)]
pub async fn plain() -> u64 {
    load_all().await
}

#[cacheable(
    cache = [TYPED, "users"], key = policy, condition = policy > 1, unless = *result == value, ttl = |_| TTL,
    tags = ["all", ::std::format!("user:{result}")], cache_err = |error| error.is_empty(), err_ttl = TTL,
)]
pub async fn policies(policy: u64, value: u64) -> Loaded {
    load(policy).await
}

#[cacheable(cache = "names", key = call, cache_none, none_ttl = TTL, ttl = ::core::option::Option::Some(TTL), tags = tags)]
pub fn plain_none(call: u64, tags: &[u64]) -> ::core::option::Option<u64> {
    if tags.len() > 3 {
        return ::core::option::Option::None;
    }
    ::core::option::Option::Some(call)
}

#[cacheable(cache = TYPED, keys = missing, tags = [result], unless = *result > item, cache_none)]
pub async fn batch(mut missing: ::std::vec::Vec<u64>, item: u64) -> ::std::collections::BTreeMap<u64, u64> {
    missing.push(item);
    ::core::iter::Iterator::collect(::core::iter::Iterator::map(::core::iter::IntoIterator::into_iter(missing), |id| (id, id)))
}

#[cacheable(cache = "pairs", keys = list, key = |load| (*load, kept))]
pub fn mapped(list: &[u64], kept: u64) -> ::core::result::Result<::std::vec::Vec<(u64, u64)>, ::std::string::String> {
    _ = (list, kept);
    ::core::result::Result::Err(::std::string::String::new())
}

#[cache_put(cache = TYPED, key = put, condition = put > 0, unless = *result > 3, ttl = TTL, requires_transaction)]
#[cache_put(cache = "users", key = (*result, put))]
pub fn put(put: u64) -> impl ::core::future::Future<Output = Loaded> + ::core::marker::Send {
    async move { load(put).await }
}

#[cache_evict(cache = "users", keys = keys, unless = *result > keys.len() as u64, always)]
#[cache_evict(cache = "users", keys = [*result], condition = !keys.is_empty())]
#[cache_evict(cache = [TYPED, "users"], tag = ["all", ::std::format!("user:{result}")])]
pub fn evict(keys: &[u64]) -> ::core::pin::Pin<::std::boxed::Box<dyn ::core::future::Future<Output = Loaded> + '_>> {
    ::std::boxed::Box::pin(async move { load(keys.len() as u64).await })
}

#[cache_config(cache = "users", ttl = TTL)]
impl User {
    #[cacheable(key = self.id)]
    pub async fn load(&self) -> Loaded {
        load(self.id).await
    }
}

#[allow(non_upper_case_globals)]
const limit: u64 = 3;

async fn load(id: u64) -> Loaded {
    load_all().await;
    ::core::result::Result::Ok(id)
}

async fn load_all() -> u64 {
    ::core::future::ready(7).await
}

fn main() {}
