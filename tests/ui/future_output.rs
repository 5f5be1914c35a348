#![allow(unused_variables)]

use std::{future::Future, pin::Pin};

use cachesync::cacheable;

#[cacheable(cache = "users")]
fn opaque(id: u64) -> impl Future<Output = Option<u64>> { async move { id } }

#[cacheable(cache = "users")]
fn boxed(id: u64) -> Pin<Box<dyn Future<Output = Option<u64>> + Send>> { Box::pin(async move { id }) }

#[cacheable(cache = "users")]
fn plain(id: u64) -> Option<u64> { id }

fn main() {}
