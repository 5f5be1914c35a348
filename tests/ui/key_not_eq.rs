#![allow(dead_code, unused_variables)]

use cachesync::{cache_evict, cacheable};

struct User {
    score: f64,
}

#[cacheable(cache = "scores", key = user.score)]
async fn explicit(user: &User) -> Option<u64> { None }

#[cacheable(cache = "scores")]
async fn default(score: Option<f32>, id: u64) -> Option<u64> { None }

#[cache_evict(cache = "users", key = (id, (id, user.score)))]
async fn part(user: &User, id: u64) {}

fn main() {}
