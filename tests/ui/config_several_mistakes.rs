#![allow(dead_code, unused_variables)]

use cachesync::{cache_config, cache_evict, cacheable};

struct Users;

#[cache_config(cache = "us ers", ttl = 60, registry = self.registry()?, regsitry = x)]
impl Users {
    #[cacheable(key = id)]
    async fn find(&self, id: u64) -> Option<u64> { Some(id) }

    #[cache_evict(key = id)]
    async fn save(&self, id: u64) {}
}

fn main() {}
