#![allow(unused_variables)]

use cachesync::cacheable;

trait Users {
    #[cacheable(cache = "users", key = id)]
    async fn find(&self, id: u64) -> Option<u64>;
}

fn main() {}
