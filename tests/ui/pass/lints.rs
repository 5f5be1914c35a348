//! Lints say of an annotated function what they say of any other.

#![deny(warnings, clippy::pedantic)]

use cachesync::{cache_evict, cacheable};

#[cacheable(cache = "users")]
#[expect(dead_code, reason = "nobody calls it")]
async fn never_called(id: u64) -> u64 {
    id
}

struct Users;

impl Users {
    #[cache_evict(cache = "users", key = id)]
    #[expect(dead_code, reason = "nobody calls it")]
    #[expect(clippy::unused_self, reason = "it has no use for it")]
    fn never_called(&self, id: u64) {
        drop(id.to_string());
    }
}

#[cacheable(cache = "users", key = id)]
#[expect(unused_variables, reason = "neither the parameter nor the variable is used")]
#[expect(unused_mut, reason = "nothing changes")]
fn called(id: u64, unused: u64, mut mutable: u64) -> u64 {
    let variable = 4;
    id + mutable
}

fn main() {
    _ = (Users, called(1, 2, 3));
}
