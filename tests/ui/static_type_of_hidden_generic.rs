#![allow(unused_variables)]

use cachesync::cacheable;

// An associated function that never says `Self` passes for a free function, so the type of its key is written in a
// static. Where the `impl` is generic that cannot be; to say `Self` anywhere, as in `where Self: Sized`, cures it.
trait Database {
    fn id(&self) -> u64;
}

struct Users<Db>(Db);

impl<Db: Database> Users<Db> {
    #[cacheable(cache = "users", key = db.id())]
    async fn find(db: &Db) -> Option<u64> { Some(db.id()) }
}

fn main() {}
