#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = USERS)]
async fn find(id: u64) -> Option<String> { None }

fn main() {}
