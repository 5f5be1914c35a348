#![allow(unused_variables)]

use std::future::Future;

use cachesync::{cache_evict, cacheable};

struct MyFuture<T>(T);

#[cacheable(cache = "users")]
fn named(id: u64) -> MyFuture<Option<u64>> { MyFuture(Some(id)) }

#[cacheable(cache = "users")]
fn opaque(id: u64) -> impl IntoFuture<Output = u64> { async move { id } }

#[cache_evict(cache = "users")]
fn boxed(id: u64) -> Box<dyn Future<Output = u64> + Unpin> { Box::new(std::future::ready(id)) }

#[cacheable(cache = "users")]
const fn constant(id: u64) -> u64 { id }

fn main() {}
