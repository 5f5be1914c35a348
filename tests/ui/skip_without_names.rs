#![allow(unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", skip)]
async fn bare(db: &str, id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", skip())]
async fn empty(db: &str, id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", skip = db)]
async fn equals(db: &str, id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", skip("db"))]
async fn literal(db: &str, id: u64) -> Option<u64> { Some(id) }

fn main() {}
