#![allow(unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users")]
async fn find(id: u64) -> ! { loop {} }

fn main() {}
