//! `crate = path` is the only way that the expansion takes to the crate, whatever kind of path it is.

#![deny(warnings)]
#![allow(dead_code)]

mod deps {
    pub use ::cachesync as renamed;
}

mod absolute {
    #[crate::deps::renamed::cacheable(cache = "users", crate = crate::deps::renamed)]
    pub async fn find(id: u64) -> Option<u64> {
        Some(id)
    }
}

mod relative {
    use super::deps;

    #[deps::renamed::cache_evict(cache = "users", crate = deps::renamed, key = *result)]
    pub async fn save(id: u64) -> Result<u64, ()> {
        Ok(id)
    }
}

struct Users(u64);

impl Users {
    #[deps::renamed::cacheable(crate = deps::renamed, cache = "users", key = self.0)]
    async fn find(&self) -> Option<u64> {
        Some(self.0)
    }
}

fn main() {
    // The name of the crate itself means something else here.
    mod cachesync {}
}
