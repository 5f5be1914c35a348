#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

struct Session;

struct User { score: f64 }

#[cacheable(cache = "users")]
async fn default(session: &Session, id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "scores", key = user.score)]
async fn explicit(user: &User) -> Option<u64> { None }

#[cache_evict(cache = "users", key = (user.score, id))]
async fn evict(user: &User, id: u64) {}

fn main() {}
