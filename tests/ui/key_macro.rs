#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", key = format!("user:{idd}"))]
async fn format(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", key = no_such_macro!(id))]
async fn unknown(id: u64) -> Option<u64> { Some(id) }

fn main() {}
