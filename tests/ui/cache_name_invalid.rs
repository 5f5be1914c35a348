#![allow(unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users by id")]
async fn space(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users.id")]
async fn dot(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "")]
async fn empty(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789x")]
async fn long(id: u64) -> Option<u64> { Some(id) }

fn main() {}
