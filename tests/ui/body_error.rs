#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

use std::sync::Arc;

#[derive(Clone)]
struct User { id: u64 }

struct Failure;

#[cacheable(cache = "users")]
async fn tail(id: u64) -> Arc<User> { User { id } }

#[cacheable(cache = "users")]
async fn early(id: u64) -> Option<u64> {
    if id == 0 {
        return 0;
    }
    Some(id)
}

#[cacheable(cache = "users")]
async fn question(id: u64) -> Result<u64, Failure> {
    let id = "7".parse::<u64>()?;
    Ok(id)
}

#[cacheable(cache = "users")]
async fn unknown(id: u64) -> Option<u64> { Some(idd) }

#[cache_evict(cache = "users")]
async fn evict(id: u64) -> Result<(), String> { id }

#[cacheable(cache = "users")]
async fn nothing(id: u64) -> Option<u64> {
    Some(id);
}

fn main() {}
