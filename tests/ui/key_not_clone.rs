#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

struct Session;

#[cacheable(cache = "users")]
async fn find(session: &Session, id: u64) -> Option<u64> { Some(id) }

fn main() {}
