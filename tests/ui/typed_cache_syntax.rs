cachesync::cache! {
    USERS: users => (u64, String);
}

cachesync::cache! {
    pub static NAMES: "names" => (u64, String);
}

fn main() {}
