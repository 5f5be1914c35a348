#![allow(unused_variables)]

use cachesync::cacheable;

#[cacheable(cache = "users", skip(database))]
async fn find(db: &str, id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", skip(self))]
async fn no_receiver(id: u64) -> Option<u64> { Some(id) }

#[cacheable(cache = "users", skip(db))]
async fn no_parameters() -> Option<u64> { None }

#[cacheable(cache = "users", skip(db, db))]
async fn twice(db: &str) -> Option<u64> { None }

fn main() {}
