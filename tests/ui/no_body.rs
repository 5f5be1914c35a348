#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

trait Users {
    #[cacheable(cache = "users", key = id)]
    async fn find(&self, id: u64) -> Option<u64>;
}

unsafe extern "C" {
    #[cacheable(cache = "users")]
    fn find(id: u64) -> u64;
}

fn main() {}
