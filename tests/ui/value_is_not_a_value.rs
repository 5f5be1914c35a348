#![allow(unused_variables)]

use cachesync::cacheable;

struct User;

#[cacheable(cache = "users")]
async fn result(id: u64) -> Result<User, String> { Ok(User) }

#[cacheable(cache = "users")]
async fn option(id: u64) -> Option<User> { Some(User) }

#[cacheable(cache = "users")]
async fn plain(id: u64) -> User { User }

fn main() {}
