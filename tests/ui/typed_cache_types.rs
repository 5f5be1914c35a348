use cachesync::__private as p;

struct NoKey;

cachesync::cache! {
    USERS: "users" => (u64, String);
    NO_KEYS: "no-keys" => (NoKey, String);
}

fn main() {
    let text = "Ada";
    let _ = p::typed_key(&USERS, p::probe(&text).keyed());
    let _ = p::typed_value(&USERS, p::PlainValue::<u64>::new());
    let _ = USERS.get("Ada");
}
