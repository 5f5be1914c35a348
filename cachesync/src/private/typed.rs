//! What the attributes and `cache!` need of typed caches: the name at compile time, and types that agree.

use super::{BatchReturned, Keyed, Pairs, Returned, SiteTypes};
use crate::{
    key::{Key, Value},
    registry::slot::{KeyType, ValueType},
    typed::TypedCache,
};

/// The name of a typed cache, for the initializer of another static.
///
/// Call it there and not in a `const`: a constant must not read a static that can change, and a typed cache remembers
/// its handle.
pub const fn name_of<K: Key, V: Value>(cache: &TypedCache<K, V>) -> &'static str {
    cache.name()
}

/// The types of a typed cache.
pub fn types_of<K: Key, V: Value>() -> SiteTypes {
    SiteTypes { key: Some(KeyType::of::<K>()), value: Some(ValueType::of::<V>()) }
}

/// The key type of a cache; only the type itself is.
#[diagnostic::on_unimplemented(
    message = "the keys of this cache are `{K}`, not `{Self}`",
    label = "this makes a key `{Self}`",
    note = "say how to make a `{K}` with `key = ...`, or name a cache with keys of type `{Self}`"
)]
pub trait KeyOf<K> {}

impl<K> KeyOf<K> for K {}

/// The value type of a cache; only the type itself is.
#[diagnostic::on_unimplemented(
    message = "the values of this cache are `{V}`, not `{Self}`",
    label = "of this a `{Self}` is cached",
    note = "return a `{V}`, or name a cache with values of type `{Self}`"
)]
pub trait ValueOf<V> {}

impl<V> ValueOf<V> for V {}

/// `keyed` as it is, if the cache has such keys.
pub fn typed_key<K: Key, V: Value, Q>(cache: &TypedCache<K, V>, keyed: Q) -> Q
where
    Q: Keyed,
    Q::Key: KeyOf<K>,
{
    _ = cache;
    keyed
}

/// `returned` as it is, if the cache has such values.
pub fn typed_value<K: Key, V: Value, R>(cache: &TypedCache<K, V>, returned: R) -> R
where
    R: Returned,
    R::Value: ValueOf<V>,
{
    _ = cache;
    returned
}

/// `returned`, of a batch, as it is, if the cache has such values.
pub fn typed_batch<K: Key, V: Value, R>(cache: &TypedCache<K, V>, returned: R) -> R
where
    R: BatchReturned,
    <R::Pairs as Pairs>::Value: ValueOf<V>,
{
    _ = cache;
    returned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::private::{KeyProbe, PlainValue};

    static USERS: TypedCache<u64, String> = TypedCache::new("users");
    // What the attributes make: a static beside the function, from the name of a static with interior mutability.
    static SITES: [&str; 2] = [name_of(&USERS), "names"];

    #[test]
    fn a_static_can_be_made_with_the_name_of_a_typed_cache() {
        assert_eq!(SITES, ["users", "names"]);
    }

    #[test]
    fn keys_and_values_of_the_right_types_pass_unchanged() {
        use crate::private::KeyByStructure as _;

        assert_eq!(super::super::own(typed_key(&USERS, (&&&&&KeyProbe(&7u64)).keyed())), 7);
        typed_value(&USERS, PlainValue::<String>::new());
    }
}
