#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

cachesync::cache! { USERS: "users" => (u64, String); }

#[cacheable(cache = USERS, key = score)]
async fn find(score: f64) -> Option<String> { None }

fn main() {}
