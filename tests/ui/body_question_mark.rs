#![allow(dead_code, unused_variables)]

use cachesync::cacheable;

struct Failure;

#[cacheable(cache = "users")]
async fn find(id: u64) -> Result<u64, Failure> {
    let id = "7".parse::<u64>()?;
    Ok(id)
}

fn main() {}
