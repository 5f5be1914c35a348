#![allow(dead_code, unused_variables)]

use std::borrow::Cow;

use cachesync::{cache_put, cacheable};

#[cacheable(cache = "users", key = id)]
async fn reference<'a>(names: &'a [String], id: usize) -> Option<&'a str> { None }

#[cache_put(cache = "users", key = id)]
async fn elided(names: &[String], id: usize) -> &String { &names[id] }

#[cacheable(cache = "users", key = id)]
async fn lifetime<'a>(names: &'a [String], id: usize) -> Cow<'a, str> { Cow::Borrowed(&names[id]) }

fn main() {}
