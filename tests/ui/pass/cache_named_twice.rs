//! A cache that is named twice, once as text and once as a typed cache: the compiler cannot tell, `start()` does.

use cachesync::{CacheConfig, Registry, cacheable};

cachesync::cache! {
    USERS: "users" => (u64, String)
}

#[cacheable(cache = [USERS, "users"], key = id)]
async fn find(id: u64) -> Option<String> {
    Some(id.to_string())
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let error = Registry::builder().cache(CacheConfig::new("users")).start().await.unwrap_err().to_string();
    assert!(error.contains("::find` ("), "{error}");
    assert!(error.contains("names the cache `users` twice in one attribute: remove one of the two"), "{error}");
    assert_eq!(find(1).await.as_deref(), Some("1"));
}
