//! The expansion relies on no name of the user's crate: no prelude, other types of the same names, variables with names
//! that the expansion might use, and every lint is an error.

#![no_implicit_prelude]
#![forbid(unsafe_code)]
#![deny(warnings, clippy::pedantic)]
#![allow(dead_code)]

use ::cachesync::{cache_evict, cacheable};

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
