#![allow(unused_variables)]

use std::collections::HashMap;

use cachesync::{cache_put, cacheable};

#[cacheable(cache = ["a", "b"], keys = ids, key = tenant, skip(tenant))]
async fn arguments(tenant: u64, ids: &[u64]) -> HashMap<u64, u64> { HashMap::new() }

#[cacheable(cache = "users", keys = idz)]
async fn unknown(ids: &[u64]) -> HashMap<u64, u64> { HashMap::new() }

#[cacheable(cache = "users", keys = ids.iter())]
async fn iterator(ids: &[u64]) -> HashMap<u64, u64> { HashMap::new() }

#[cacheable(cache = "users", keys = ids, key = |a, b| a)]
async fn closure(ids: &[u64]) -> HashMap<u64, u64> { HashMap::new() }

#[cacheable(cache = "users", keys = ids)]
async fn returns(ids: &[u64]) -> Option<u64> { None }

#[cacheable(cache = "users", keys = ids)]
async fn list(ids: impl Iterator<Item = u64>) -> HashMap<u64, u64> { HashMap::new() }

#[cache_put(cache = "users", keys = ids)]
async fn put(ids: &[u64]) -> HashMap<u64, u64> { HashMap::new() }

fn main() {}
