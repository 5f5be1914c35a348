//! Keys, and names of caches, that may look like something else.

#![deny(warnings, clippy::pedantic)]
#![allow(dead_code, clippy::unused_async)]

use std::borrow::Cow;

use cachesync::{cache_evict, cacheable};

struct User {
    id: u64,
}

/// The fragments of a macro are groups that cannot be seen.
macro_rules! annotated {
    ($cache:literal, $other:expr, $key:expr, $check:expr, $find:ident, $save:ident, $id:ident: $id_ty:ty, $ty:ty) => {
        #[cacheable(cache = $cache, key = $key)]
        async fn $find($id: $id_ty) -> $ty {
            Some($id)
        }

        #[cache_evict(cache = $other, key = $check($id))]
        async fn $save($id: $id_ty) -> Result<$id_ty, String> {
            Ok($id)
        }
    };
}

fn check(id: u64) -> u64 {
    id
}

annotated!("made", ("made"), (id, (id, 1)), check, find, save, id: u64, Option<u64>);

/// A key that may be borrowed or owned.
#[cacheable(cache = "texts")]
async fn cow(text: Cow<'_, str>) -> Option<usize> {
    Some(text.len())
}

#[cache_evict(cache = "pairs", key = (String::from_utf8_lossy(text), result.id))]
async fn lossy(text: &[u8]) -> Result<User, String> {
    Ok(User { id: text.len() as u64 })
}

/// What leaves a closure or a block stays in the key.
#[cache_evict(cache = "ids", key = ids.first().and_then(|id| { if *id == 0 { return None; } Some(id.checked_sub(1)? * 2) }))]
async fn closure(ids: &[u64]) -> Result<(), String> {
    assert!(!ids.is_empty());
    Ok(())
}

mod renamed {
    use cachesync::cache_evict as evict;

    use super::User;

    #[evict(cache = "names", key = name)]
    #[evict(cache = "users", key = (result.id, name))]
    async fn create(name: String) -> Result<User, String> {
        Ok(User { id: name.len() as u64 })
    }
}

fn main() {}
