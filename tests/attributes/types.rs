//! What a registry knows of annotated functions before the first call.

use std::sync::Arc;

use cachesync::{CacheConfig, Registry, UnknownCaches, cache_evict, cacheable};

use crate::registry;

struct User {
    id: u64,
}

#[cacheable(cache = "types-load", key = (user.id, name))]
async fn load<'a>(user: &'a User, name: &'a str) -> Result<Arc<u64>, String> {
    Ok(Arc::new(user.id + name.len() as u64))
}

#[cacheable(cache = "types-generic", key = id)]
async fn generic<T: Into<String>>(id: &u64, text: T) -> Option<String> {
    Some(format!("{id}{}", text.into()))
}

#[cacheable(cache = "types-hidden", key = text.len())]
async fn hidden<T: AsRef<[u8]>>(text: &[T]) -> Option<char> {
    text.first()?.as_ref().first().map(|byte| char::from(*byte))
}

#[cache_evict(cache = "types-evict", key = result.id)]
async fn evict(id: u64) -> Result<User, String> {
    Ok(User { id })
}

#[cacheable(cache = "types-macro", key = format!("{}-{name}", user.id))]
async fn in_macro(user: &User, name: &str) -> Option<u64> {
    Some(user.id + name.len() as u64)
}

macro_rules! with_two_of_a_name {
    ($id:ident) => {
        #[cacheable(cache = "types-two-of-a-name", key = (id, $id))]
        async fn two_of_a_name(id: &str, $id: u64) -> Option<usize> {
            Some(id.len() + usize::try_from($id).ok()?)
        }
    };
}

// The compiler tells the one that the macro writes from the one that it is given.
with_two_of_a_name!(id);

struct Repository<T>(T);

impl<T: Clone + Send + Sync + 'static> Repository<T> {
    #[cacheable(cache = "types-method", key = id)]
    async fn method(&self, id: &str) -> Option<Vec<T>> {
        (!id.is_empty()).then(|| vec![self.0.clone()])
    }

    #[cacheable(cache = "types-associated", key = values.len())]
    async fn associated(values: &[T]) -> Option<String> {
        Some(values.len().to_string())
    }
}

#[tokio::test]
async fn types_are_known_at_start_where_they_can_be_written() {
    const EXPECTED: [(&str, Option<&str>, Option<&str>); 8] = [
        ("types-load", Some("(u64, alloc::string::String)"), Some("alloc::sync::Arc<u64>")),
        ("types-generic", Some("u64"), Some("alloc::string::String")),
        ("types-hidden", None, Some("char")),
        ("types-evict", Some("u64"), None),
        ("types-macro", Some("alloc::string::String"), Some("u64")),
        ("types-two-of-a-name", Some("(alloc::string::String, u64)"), Some("usize")),
        ("types-method", Some("alloc::string::String"), None),
        ("types-associated", None, Some("alloc::string::String")),
    ];
    let registry = registry(&EXPECTED.map(|(name, ..)| name)).await;
    let caches = registry.describe().caches;
    for (name, key, value) in EXPECTED {
        let cache = caches.iter().find(|cache| cache.name == name).expect(name);
        assert_eq!((cache.key.as_deref(), cache.value.as_deref()), (key, value), "{name}");
    }
    // They are called, so that they are as they are in use.
    let user = User { id: 1 };
    let calls = async {
        load(&user, "a").await.expect("Ok");
        generic(&1, "a").await.expect("Some");
        hidden(&["a"]).await.expect("Some");
        evict(1).await.expect("Ok");
        in_macro(&user, "a").await.expect("Some");
        two_of_a_name("a", 1).await.expect("Some");
        Repository(1u8).method("a").await.expect("Some");
        Repository::<u8>::associated(&[]).await.expect("Some");
    };
    registry.scope(calls).await;
    let caches = registry.describe().caches;
    let cache = |name| caches.iter().find(|cache| cache.name == name).expect(name);
    assert_eq!(cache("types-method").value.as_deref(), Some("alloc::vec::Vec<u8>"), "known by the first call");
    assert!(caches.iter().all(|cache| cache.problems.is_empty()), "{caches:?}");
}

#[cacheable(cache = "types-disagree", key = id)]
async fn by_number(id: u64) -> Option<u64> {
    Some(id)
}

#[cache_evict(cache = "types-disagree", key = name)]
async fn by_name(name: &str) {
    _ = name;
}

#[tokio::test]
async fn functions_that_disagree_are_named_with_their_place() {
    let builder = Registry::builder().unknown_caches(UnknownCaches::Bypass);
    let error = builder.cache(CacheConfig::new("types-disagree")).start().await.expect_err("u64 is not String");
    let error = error.to_string();
    for part in ["types::by_number", "types::by_name", "attributes/types.rs:", "u64", "String"] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
    by_number(1).await;
    by_name("a").await;
}

#[tokio::test]
async fn a_function_is_described_by_its_path_its_place_and_its_role() {
    let registry = registry(&["types-evict", "types-method"]).await;
    let caches = registry.describe().caches;
    let function = |cache: &str| caches.iter().find(|known| known.name == cache).expect(cache).functions[0].clone();
    let described = function("types-evict");
    assert!(described.name.ends_with("::types::evict"), "{}", described.name);
    assert!(described.file.ends_with("types.rs"), "{}", described.file);
    assert_eq!(described.role, "evicts key");
    assert_eq!(function("types-method").role, "loads");
    let line = u32::try_from(
        include_str!("types.rs").lines().position(|line| line.contains("key = result.id")).expect("above"),
    );
    assert_eq!(Ok(described.line), line.map(|index| index + 1));
}
