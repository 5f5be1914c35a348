use cachesync::cacheable;

#[derive(Clone)]
struct X(u64);

#[cacheable(cache = "users")]
async fn concrete(id: u64) -> X { X(id) }

fn main() {}
