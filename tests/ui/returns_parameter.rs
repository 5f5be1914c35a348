#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cache = "users")]
async fn by_parameter<T: From<u64>>(id: u64) -> T { T::from(id) }

#[cache_evict(cache = "users")]
async fn by_associated<T: Iterator<Item = u64>>(id: u64) -> T::Item { id }

struct Users<T>(T);

impl<T: Iterator<Item = u64>> Users<T> {
    #[cacheable(cache = "users", key = id)]
    async fn of_the_impl(&self, id: u64) -> T { todo!() }

    #[cacheable(cache = "users", key = id)]
    async fn qualified(&self, id: u64) -> <T as Iterator>::Item { id }
}

trait Source {
    type Output;

    #[cacheable(cache = "users", key = id)]
    async fn find(&self, id: u64) -> Self::Output { todo!() }
}

fn main() {}
