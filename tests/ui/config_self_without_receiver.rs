#![allow(dead_code, unused_variables)]

use cachesync::{cache_config, cacheable};

struct Users;

#[cache_config(cache = "users", registry = self.registry)]
impl Users {
    #[cacheable(key = id)]
    async fn find(id: u64) -> Option<u64> { Some(id) }
}

fn main() {}
