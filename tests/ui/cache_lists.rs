#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

cachesync::cache! { USERS: "users" => (u64, u64); }

#[cacheable(cache = [])]
async fn empty(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = ["users", "names", "users", USERS, USERS])]
async fn twice(id: u64) -> Option<u64> { Some(id) }

#[cache_evict(cache = ["a", "b", "c", "d", "e", "f", "g", "h", "i"], all)]
async fn many(id: u64) {}

struct Users;

impl Users {
    #[cache_evict(cache = Self::USERS, all)]
    async fn in_impl(&self) {}
}

fn main() {}
