#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", time = 60, size = 100, option = true, sync_writes = true, convert = r#"{ id }"#)]
async fn find(id: u64) -> Option<u64> { Some(id) }

fn main() {}
