#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", key = id)]
async fn find(id: u64, list: Vec<u64>) -> Option<Vec<u64>> {
    drop(list);
    Some(list)
}

fn main() {}
