#![allow(dead_code, unused_variables)]

use std::collections::HashMap;

use cachesync::cacheable;

#[cacheable(cache = "scores", keys = scores)]
async fn element(scores: &[f64]) -> HashMap<u64, u64> { HashMap::new() }

#[cacheable(cache = "users", keys = ids, key = |id| (weight, id))]
async fn made(weight: f32, ids: &[u64]) -> HashMap<u64, u64> { HashMap::new() }

fn main() {}
