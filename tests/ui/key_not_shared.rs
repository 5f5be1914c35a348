#![allow(dead_code, unused_variables)]

use std::marker::PhantomData;

use cachesync::cacheable;
use serde::{Deserialize, Serialize};

#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Id(u64, PhantomData<*const u8>);

#[cacheable(cache = "users", key = id)]
async fn find(id: &Id) -> Option<u64> { None }

fn main() {}
