#![allow(dead_code, unused_variables)]

use cachesync::{cache_config, cacheable};

struct Users;

#[cache_config(cache = "users", condition = true, key = id)]
impl Users {
    #[cacheable(key = id)]
    async fn find(&self, id: u64) -> Option<u64> { Some(id) }
}

fn main() {}
