#![allow(dead_code, unused_variables)]

use cachesync::cache_config;

struct Users;

#[cache_config(cache = "users")]
impl Users {
    async fn nothing(&self) {}
}

fn main() {}
