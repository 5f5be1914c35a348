#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Id(u64);

#[cacheable(cache = "users", key = id)]
async fn find(id: Id) -> Option<u64> { None }

fn main() {}
