#![allow(unused_variables)]

use cachesync::{cache_config, cache_evict, cacheable};

struct Users;

#[cache_config(cache = "us ers", ttl = 60, condition = true, registry = self.registry()?, regsitry = x)]
impl Users {
    #[cacheable(key = id)]
    async fn find(&self, id: u64) -> Option<u64> { Some(id) }

    #[cache_evict(key = id)]
    async fn save(&self, id: u64) {}
}

#[cache_config(cache = "users")]
impl Users {
    async fn nothing(&self) {}
}

#[cache_config(cache = "users")]
struct Other;

#[cache_config(cache = "users", registry = self.registry)]
impl Other {
    #[cacheable(key = id)]
    async fn no_receiver(id: u64) -> Option<u64> { Some(id) }

    #[cacheable(key = idd)]
    async fn unknown(&self, id: u64) -> Option<u64> { Some(id) }
}

fn main() {}
