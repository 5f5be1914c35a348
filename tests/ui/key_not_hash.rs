#![allow(dead_code, unused_variables)]

use cachesync::cacheable;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Id(u64);

#[cacheable(cache = "users", key = id)]
async fn value(id: Id) -> Option<u64> { None }

#[cacheable(cache = "users", key = (1u8, id))]
async fn reference(id: &Id) -> Option<u64> { None }

fn main() {}
