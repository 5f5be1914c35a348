#![allow(unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", key = (a, a, a, a, a, a, a, a, a))]
async fn explicit(a: u64) -> Option<u64> { None }

#[cacheable(cache = "users")]
async fn default(a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8) -> Option<u64> { None }

fn main() {}
