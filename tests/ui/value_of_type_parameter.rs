#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users")]
async fn find<T: Default>(id: u64) -> Option<T> { None }

fn main() {
    _ = find::<u64>(1);
}
