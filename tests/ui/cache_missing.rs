#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(key = id)]
async fn find(id: u64) -> Option<u64> { Some(id) }

#[cacheable]
async fn bare(id: u64) -> Option<u64> { Some(id) }

#[cache_evict()]
async fn empty(id: u64) {}

fn main() {}
