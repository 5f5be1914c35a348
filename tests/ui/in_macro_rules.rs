#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

macro_rules! find {
    ($name:ident, $cache:literal, $key:expr, $body:block) => {
        #[cacheable(cache = $cache, key = $key)]
        async fn $name(id: u64) -> Option<u64> $body
    };
}

find!(cache, "us ers", self::ID, { None });
find!(key, "users", idd, { None });
find!(body, "users", self::ID, { 3 });

const ID: u64 = 1;

fn main() {}
