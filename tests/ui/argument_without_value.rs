#![allow(unused_variables)]

use cachesync::cacheable;

#[cacheable(cache, key = id)]
async fn no_cache(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", key)]
async fn no_key(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", key = )]
async fn no_expression(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", key(id))]
async fn in_parentheses(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", registry, crate)]
async fn no_registry(id: u64) -> Option<u64> { Some(id) }

fn main() {}
