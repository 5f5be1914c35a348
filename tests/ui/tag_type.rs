#![allow(dead_code, unused_variables)]

use cachesync::cache_evict;

#[cache_evict(cache = "users", tag = teams)]
async fn save(teams: Vec<String>) {}

fn main() {}
