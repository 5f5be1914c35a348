#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

cachesync::cache! { USERS: "users" => (u64, u64); }

#[cacheable(cache = ["users", "names", "users", USERS, USERS])]
async fn find(id: u64) -> Option<u64> { Some(id) }

fn main() {}
