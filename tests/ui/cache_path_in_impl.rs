#![allow(dead_code, unused_variables)]

use cachesync::cache_evict;

struct Users;

impl Users {
    #[cache_evict(cache = Self::USERS, all)]
    async fn save(&self) {}
}

fn main() {}
