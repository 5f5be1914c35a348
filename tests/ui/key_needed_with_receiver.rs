#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

struct Users { tenant: u32 }

impl Users {
    #[cacheable(cache = "users")]
    async fn find(&self, id: u64) -> Option<u64> { Some(id) }

    #[cache_evict(cache = "users", skip(id))]
    async fn save(&mut self, id: u64) {}
}

fn main() {}
