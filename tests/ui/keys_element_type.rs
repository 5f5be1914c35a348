#![allow(dead_code, unused_variables)]

use cachesync::cache_evict;

#[cache_evict(cache = "users", keys = scores)]
async fn save(scores: &[f64]) {}

fn main() {}
