#![deny(warnings)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cache = "users")]
pub async fn find(id: u64) -> Option<u64> {
    let mut sum = id;
    let unused = 4;
    Some(sum)
}

#[cacheable(cache = "users", key = id)]
pub async fn parameters(id: u64, unused: u64, mut mutable: u64) -> Option<u64> { Some(mutable) }

#[cache_evict(cache = "users")]
pub async fn unreachable(id: u64) {
    return;
    println!("saved");
}

fn main() {}
