//! What the attributes and `cache!` need of typed caches: that they are such, and types that agree.

use super::{BatchReturned, Keyed, Pairs, Returned, SiteTypes};
use crate::{
    call_site::Named,
    key::{Key, Value},
    registry::slot::{KeyType, ValueType},
    typed::TypedCache,
};

/// What `cache!` declares.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a cache",
    label = "not declared by `cachesync::cache!`",
    note = "write the name itself, `cache = \"users\"`, or the static of a cache that `cachesync::cache!` declares"
)]
pub trait TypedStatic: Named {
    /// Its keys.
    type Key: Key;
    /// Its values.
    type Value: Value;
}

impl<K: Key, V: Value> TypedStatic for TypedCache<K, V> {
    type Key = K;
    type Value = V;
}

impl<K: Key, V: Value> Named for TypedCache<K, V> {
    fn name(&self) -> &'static str {
        Self::name(self)
    }
}

/// `cache` as it is, if it is one. Every mention of a typed cache goes through this, so that whatever is none is
/// refused in the same words, which the compiler then says once.
pub const fn typed<C: TypedStatic>(cache: &'static C) -> &'static C {
    cache
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
pub fn typed_key<C: TypedStatic, Q>(cache: &C, keyed: Q) -> Q
where
    Q: Keyed,
    Q::Key: KeyOf<C::Key>,
{
    _ = cache;
    keyed
}

/// `returned` as it is, if the cache has such values.
pub fn typed_value<C: TypedStatic, R>(cache: &C, returned: R) -> R
where
    R: Returned,
    R::Value: ValueOf<C::Value>,
{
    _ = cache;
    returned
}

/// `returned`, of a batch, as it is, if the cache has such values.
pub fn typed_batch<C: TypedStatic, R>(cache: &C, returned: R) -> R
where
    R: BatchReturned,
    <R::Pairs as Pairs>::Value: ValueOf<C::Value>,
{
    _ = cache;
    returned
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        call_site::{CallSite, FunctionInfo, Role},
        private::{PlainValue, probe},
    };

    static USERS: TypedCache<u64, String> = TypedCache::new("users");
    // What the attributes make: a static beside the function, from a static with interior mutability.
    static SITE: CallSite = CallSite::typed(FUNCTION, typed(&USERS));
    const FUNCTION: FunctionInfo = FunctionInfo {
        function: "find",
        file: "",
        line: 1,
        role: Role::Load,
        explicit_registry: false,
        tagged: false,
        requires_transaction: false,
        types: types_of::<u64, String>,
    };

    #[test]
    fn a_call_site_can_be_made_of_a_typed_cache() {
        assert_eq!(SITE.cache(), "users");
    }

    #[test]
    fn keys_and_values_of_the_right_types_pass_unchanged() {
        assert_eq!(super::super::own(typed_key(&USERS, probe(&7u64).keyed())), 7);
        typed_value(&USERS, PlainValue::<String>::new());
    }
}
