#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

struct User { id: u64 }

#[cacheable(cache = "users", key = user.idd)]
async fn find(user: &User) -> Option<u64> { None }

#[cache_evict(cache = "users", key = result.idd)]
async fn save(id: u64) -> Result<User, ()> { Ok(User { id }) }

fn main() {}
