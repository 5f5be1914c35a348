#![allow(dead_code, unused_variables)]

use cachesync::{Registry, cacheable};

#[cacheable(cache = "users", key = id, registry = 5)]
async fn number(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", key = id, registry = registry)]
async fn option(id: u64, registry: Option<Registry>) -> Option<u64> { Some(id) }

fn main() {}
