cachesync::cache! {
    USERS: "users by id" => (u64, u64);
}

static EMPTY: cachesync::TypedCache<u64, u64> = cachesync::TypedCache::new("");

fn main() {
    let _ = (&USERS, &EMPTY);
}
