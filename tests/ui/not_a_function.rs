#![allow(unused_variables)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cache = "users")]
struct User;

#[cache_evict(cache = "users")]
impl User {}

#[cacheable(cache = "users")]
const X: u64 = 1;

fn main() {}
