#![allow(dead_code, unused_variables)]

use cachesync::cache_config;

#[cache_config(cache = "users")]
struct Users;

fn main() {}
