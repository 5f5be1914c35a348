//! The types of a function as far as they are known without a call, from a closure that is never called.
//!
//! What such a closure would return are markers: the compiler finds their types out, and nothing of it is compiled any
//! further.

use std::marker::PhantomData;

use super::{BatchReturned, Keyed, Pairs, Returned, SiteTypes};
use crate::{
    key::{Key, Value},
    registry::slot::{KeyType, ValueType},
};

/// What may be known of a key's type.
pub trait KnownKey {
    /// The type.
    fn key() -> Option<KeyType>;
}

/// What may be known of a value's type.
pub trait KnownValue {
    /// The type.
    fn value() -> Option<ValueType>;
}

/// It is known at the first call, or there is none.
pub struct Unknown;

/// This is the key's type.
pub struct KeyIs<K>(PhantomData<fn() -> K>);

/// This is the value's type.
pub struct ValueIs<V>(PhantomData<fn() -> V>);

impl KnownKey for Unknown {
    fn key() -> Option<KeyType> {
        None
    }
}

impl KnownValue for Unknown {
    fn value() -> Option<ValueType> {
        None
    }
}

impl<K: Key> KnownKey for KeyIs<K> {
    fn key() -> Option<KeyType> {
        Some(KeyType::of::<K>())
    }
}

impl<V: Value> KnownValue for ValueIs<V> {
    fn value() -> Option<ValueType> {
        Some(ValueType::of::<V>())
    }
}

/// The key that a form is of.
pub fn key_is<Q: Keyed>(keyed: Q) -> KeyIs<Q::Key> {
    _ = keyed;
    KeyIs(PhantomData)
}

/// The key that one in a list is.
pub fn key_in<K: Key>(keys: &[K]) -> KeyIs<K> {
    _ = keys;
    KeyIs(PhantomData)
}

/// The value that is cached of what a function returns.
pub fn value_is<R: Returned>(returned: R) -> ValueIs<R::Value> {
    _ = returned;
    ValueIs(PhantomData)
}

/// The value that is cached of what a batch returns.
pub fn batch_value_is<R: BatchReturned>(returned: R) -> ValueIs<<R::Pairs as Pairs>::Value>
where
    R::Pairs: Pairs<Value: Value>,
{
    _ = returned;
    ValueIs(PhantomData)
}

/// What tells the types that `function` would return, which is never called.
pub const fn known<K: KnownKey, V: KnownValue>(function: &impl FnOnce() -> (K, V)) -> fn() -> SiteTypes {
    _ = function;
    types::<K, V>
}

fn types<K: KnownKey, V: KnownValue>() -> SiteTypes {
    SiteTypes { key: K::key(), value: V::value() }
}
