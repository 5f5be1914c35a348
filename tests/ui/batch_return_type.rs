#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

struct Users;

#[cacheable(cache = "users", keys = ids)]
async fn find(ids: &[u64]) -> Users { Users }

fn main() {}
