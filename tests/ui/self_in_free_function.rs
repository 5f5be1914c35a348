#![allow(dead_code, unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cache = "users", key = self.id)]
async fn key(id: u64) -> Option<u64> { Some(id) }

#[cache_evict(cache = "users", all, condition = self.writes)]
async fn condition() {}

fn main() {}
