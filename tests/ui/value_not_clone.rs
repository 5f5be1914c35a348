#![allow(dead_code, unused_variables)]

use cachesync::{cache_put, cacheable};

struct User;

#[cacheable(cache = "users")]
async fn result(id: u64) -> Result<User, String> { Ok(User) }

#[cacheable(cache = "users")]
async fn option(id: u64) -> Option<User> { Some(User) }

#[cache_put(cache = "users")]
async fn plain(id: u64) -> User { User }

fn main() {}
