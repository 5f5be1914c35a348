#![allow(unused_variables)]

use async_trait::async_trait;
use cachesync::cacheable;

struct Users;

#[async_trait]
trait Repository {
    async fn find(&self, pair: (u32, u64)) -> Option<u64>;
}

#[async_trait]
impl Repository for Users {
    #[cacheable(cache = "users", key = (tenant, id))]
    async fn find(&self, (tenant, id): (u32, u64)) -> Option<u64> { Some(id) }
}

fn main() {}
