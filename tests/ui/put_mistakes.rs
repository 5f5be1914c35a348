#![allow(unused_variables)]

use cachesync::cache_put;

struct User { id: u64 }

#[cache_put(cache = "users", key = result.id, cache_none)]
async fn none(id: u64) -> Option<u64> { Some(id) }

#[cache_put(cache = "users", key = id, before, cache_err = |_| true)]
async fn others(id: u64) -> Option<u64> { Some(id) }

#[cache_put(cache = "users", key = id)]
async fn borrow(id: &u64) -> &u64 { id }

#[cache_put(cache = "users", key = user.id)]
async fn not_a_value(user: &User) -> User { User { id: user.id } }

fn main() {}
