#![allow(dead_code, unused_variables)]

use cachesync::{cache_evict, cacheable};

cachesync::cache! {
    USERS: "users" => (u64, String);
    NAMES: "names" => ((u32, String), u64);
}

#[cacheable(cache = USERS, key = id)]
async fn number(id: u32) -> Option<String> { None }

#[cache_evict(cache = [USERS, NAMES], key = name)]
async fn text(name: &str) {}

#[cacheable(cache = NAMES, key = (tenant, name))]
async fn first_of_two(tenant: u64, name: &str) -> Option<u64> { None }

#[cacheable(cache = NAMES, key = (name, tenant))]
async fn order(tenant: u32, name: &str) -> Option<u64> { None }

#[cache_evict(cache = USERS, keys = names)]
async fn many(names: &[&str]) {}

fn main() {}
