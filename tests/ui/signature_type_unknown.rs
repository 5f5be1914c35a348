#![allow(unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", key = user.id)]
async fn find(user: &Usr) -> Option<u64> { None }

#[cacheable(cache = "users")]
async fn load(id: u64) -> Option<Usr> { None }

fn main() {}
