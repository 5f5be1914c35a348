#![allow(dead_code, unused_variables)]

use cachesync::cacheable;
use serde::Serialize;

#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
struct Id(u64);

#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
struct Name<'a>(&'a str);

#[cacheable(cache = "users", key = id)]
async fn underived(id: Id) -> Option<u64> { None }

#[cacheable(cache = "users", key = name)]
async fn borrowed(name: Name<'_>) -> Option<u64> { None }

fn main() {}
