#![allow(dead_code, unused_variables)]

use cachesync::{cache_put, cacheable};

#[cacheable(cache = "users")]
struct User;

#[cacheable(cache = "users")]
enum Kind {}

#[cacheable(cache = "users")]
mod users {}

#[cacheable(cache = "users")]
const X: u64 = 1;

#[cache_put(cache = "users")]
type Id = u64;

fn main() {
    #[cacheable(cache = "users")]
    let x = 1;
}
