#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cache = "users", key = idd)]
async fn find_user(db: &str, id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", key = (tenant, id))]
async fn one(id: u64) -> Option<u64> { Some(id) }

#[cache_evict(cache = "users", key = id)]
async fn none() {}

#[cacheable(cache = "users", key = self.id)]
async fn no_receiver(id: u64) -> Option<u64> { Some(id) }

fn main() {}
