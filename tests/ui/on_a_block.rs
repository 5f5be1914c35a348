#![allow(dead_code, unused_variables)]

use cachesync::{cache_evict, cacheable};

struct User;

#[cache_evict(cache = "users")]
impl User {}

#[cacheable(cache = "users")]
pub trait Users {}

fn main() {}
