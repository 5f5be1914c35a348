#![allow(dead_code, unused_variables)]

use std::rc::Rc;

use cachesync::cache_put;

fn spawn<F: Future + Send>(future: F) {}

#[cache_put(cache = "users", key = id, unless = *limit > 3)]
async fn save(id: u64, limit: Rc<u64>) -> u64 { id }

fn main() {
    spawn(save(1, Rc::new(1)));
}
