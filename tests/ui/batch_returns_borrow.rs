#![allow(dead_code, unused_variables)]

use std::collections::HashMap;

use cachesync::cacheable;

#[cacheable(cache = "users", keys = names)]
async fn find<'a>(names: &[&'a str]) -> HashMap<&'a str, u64> { HashMap::new() }

fn main() {}
