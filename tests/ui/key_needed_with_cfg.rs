#![allow(unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users")]
async fn find(#[cfg(unix)] tenant: u32, id: u64) -> Option<u64> { Some(id) }

fn main() {}
