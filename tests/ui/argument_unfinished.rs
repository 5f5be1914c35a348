#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

struct User {
    id: u64,
}

#[cacheable(cache = "users", key = user.)]
async fn member(user: &User) -> Option<u64> { Some(user.id) }

#[cacheable(cache = "users", key = id, condition = id > )]
async fn operator(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", key = self::)]
async fn path(id: u64) -> Option<u64> { Some(id) }

// The functions are there, so that this is no second mistake.
async fn calls() -> Option<u64> {
    Some(member(&User { id: 1 }).await? + operator(2).await? + path(3).await?)
}

fn main() {}
