#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", key = id)]
async fn find(id: u64, mut list: Vec<u64>) -> Option<u64> {
    let first = &list[0];
    list.push(id);
    Some(*first)
}

fn main() {}
