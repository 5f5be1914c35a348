//! What is no key: refused once, with the error that says what it lacks.
//!
//! After the probes of `keyed`, method resolution finds one of these. In a function with type parameters that is
//! [`KeyRefused`], which asks for a [`Key`], so that the compiler offers to bound the parameter by it. In any other, the
//! probe dereferences to [`Refusal`]s, one for each thing that a key is, and the first that the type lacks is named.
//! Whatever is refused goes on as [`NoKey`], so that nothing else is wrong with it.

use std::{
    hash::{Hash, Hasher},
    marker::PhantomData,
    ops::Deref,
};

use serde::{Serialize, de::DeserializeOwned};

use super::keyed::{Keyed, ValueProbe};
use crate::key::{Key, KeyForm};

/// In place of what is no key: whatever key is asked for.
pub struct NoKey<K>(PhantomData<fn() -> K>);

impl<K: Key> Keyed for NoKey<K> {
    type Key = K;
}

impl<K: Key> KeyForm<K> for NoKey<K> {
    fn hash_key<H: Hasher>(&self, _: &mut H) {}

    fn is_key(&self, _: &K) -> bool {
        false
    }

    fn to_key(&self) -> K {
        unreachable!("it does not compile")
    }
}

/// In a function with type parameters: what is no key.
pub trait KeyRefused<T> {
    /// Compiles for a key only.
    fn keyed<K: Key>(&self) -> NoKey<K>
    where
        T: Key;
}

impl<T> KeyRefused<T> for Refusal<13, &T> {
    fn keyed<K: Key>(&self) -> NoKey<K>
    where
        T: Key,
    {
        NoKey(PhantomData)
    }
}

impl<T> KeyRefused<T> for Refusal<12, T> {
    fn keyed<K: Key>(&self) -> NoKey<K>
    where
        T: Key,
    {
        NoKey(PhantomData)
    }
}

/// The end of the search, step by step: each is asked before the one that it dereferences to.
pub struct Refusal<const STEP: u8, T>(PhantomData<fn() -> T>);

impl<T> Deref for ValueProbe<'_, T> {
    type Target = Refusal<13, T>;

    fn deref(&self) -> &Self::Target {
        unreachable!("it is there for its type")
    }
}

macro_rules! steps {
    ($($step:literal -> $next:literal)*) => {$(
        impl<T> Deref for Refusal<$step, T> {
            type Target = Refusal<$next, T>;

            fn deref(&self) -> &Self::Target {
                unreachable!("it is there for its type")
            }
        }
    )*};
}

steps! { 13 -> 12 12 -> 11 11 -> 10 10 -> 9 9 -> 8 8 -> 7 7 -> 6 6 -> 5 5 -> 4 4 -> 3 3 -> 2 2 -> 1 1 -> 0 }

macro_rules! lacks {
    ($(#[$doc:meta])* $has:ident: [$($needs:tt)*], $message:literal, $label:literal, $note:literal) => {
        $(#[$doc])*
        #[diagnostic::on_unimplemented(
            message = $message,
            label = $label,
            note = $note,
            note = "a key is `Clone + Eq + Hash + serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static`",
            note = "or say what else is the key with `key = ...`, or leave a parameter out of it with `skip(...)`"
        )]
        pub trait $has {}

        #[diagnostic::do_not_recommend]
        impl<T: $($needs)*> $has for T {}
    };
}

lacks! {
    /// Can be sent and shared.
    KeyShared: [Send + Sync],
        "`{Self}` cannot be the key of a cache: it cannot be shared between threads", "not `Send + Sync`",
        "put an `Arc` in place of an `Rc`, and own what is borrowed"
}

lacks! {
    /// Can be received.
    KeyDeserialize: [DeserializeOwned],
        "`{Self}` cannot be the key of a cache: it is not `serde::Deserialize`", "not `serde::Deserialize`",
        "keys travel when they are evicted: add `#[derive(serde::Deserialize)]` to it, and let it own what it is made of"
}

lacks! {
    /// Can be sent to other nodes.
    KeySerialize: [Serialize],
        "`{Self}` cannot be the key of a cache: it is not `serde::Serialize`", "not `serde::Serialize`",
        "keys travel when they are evicted: add `#[derive(serde::Serialize, serde::Deserialize)]` to it"
}

lacks! {
    /// Can be looked up.
    KeyHash: [Hash],
        "`{Self}` cannot be the key of a cache: it is not `Hash`", "not `Hash`",
        "add `#[derive(Hash)]` to it; a `BTreeMap` or `BTreeSet` is `Hash` where a `HashMap` or `HashSet` is not"
}

lacks! {
    /// Can be compared.
    KeyEq: [Eq],
        "`{Self}` cannot be the key of a cache: it is not `Eq`", "not `Eq`",
        "add `#[derive(PartialEq, Eq)]` to it; a floating-point number is not `Eq`, but its `to_bits()` is"
}

lacks! {
    /// Can be kept.
    KeyClone: [Clone],
        "`{Self}` cannot be the key of a cache: it is not `Clone`", "not `Clone`",
        "add `#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]` to it"
}

// Each by itself and not made by a macro, since the compiler shows them.

/// First: what cannot be sent and shared, and is given by reference.
impl<T: Clone + Eq + Hash + Serialize + DeserializeOwned> Refusal<11, &T> {
    /// Compiles for what can.
    pub fn keyed<K: Key>(&self) -> NoKey<K>
    where
        T: KeyShared,
    {
        NoKey(PhantomData)
    }
}

/// Second: what cannot be received, and is given by reference.
impl<T: Clone + Eq + Hash + Serialize> Refusal<10, &T> {
    /// Compiles for what can.
    pub fn keyed<K: Key>(&self) -> NoKey<K>
    where
        T: KeyDeserialize,
    {
        NoKey(PhantomData)
    }
}

/// Third: what cannot be sent to other nodes, and is given by reference.
impl<T: Clone + Eq + Hash> Refusal<9, &T> {
    /// Compiles for what can.
    pub fn keyed<K: Key>(&self) -> NoKey<K>
    where
        T: KeySerialize,
    {
        NoKey(PhantomData)
    }
}

/// Fourth: what cannot be looked up, and is given by reference.
impl<T: Clone + Eq> Refusal<8, &T> {
    /// Compiles for what can.
    pub fn keyed<K: Key>(&self) -> NoKey<K>
    where
        T: KeyHash,
    {
        NoKey(PhantomData)
    }
}

/// Fifth: what cannot be compared, and is given by reference.
impl<T: Clone> Refusal<7, &T> {
    /// Compiles for what can.
    pub fn keyed<K: Key>(&self) -> NoKey<K>
    where
        T: KeyEq,
    {
        NoKey(PhantomData)
    }
}

/// Last: what cannot be kept, and is given by reference.
impl<T> Refusal<6, &T> {
    /// Compiles for what can.
    pub fn keyed<K: Key>(&self) -> NoKey<K>
    where
        T: KeyClone,
    {
        NoKey(PhantomData)
    }
}

/// First: what cannot be sent and shared.
impl<T: Clone + Eq + Hash + Serialize + DeserializeOwned> Refusal<5, T> {
    /// Compiles for what can.
    pub fn keyed<K: Key>(&self) -> NoKey<K>
    where
        T: KeyShared,
    {
        NoKey(PhantomData)
    }
}

/// Second: what cannot be received.
impl<T: Clone + Eq + Hash + Serialize> Refusal<4, T> {
    /// Compiles for what can.
    pub fn keyed<K: Key>(&self) -> NoKey<K>
    where
        T: KeyDeserialize,
    {
        NoKey(PhantomData)
    }
}

/// Third: what cannot be sent to other nodes.
impl<T: Clone + Eq + Hash> Refusal<3, T> {
    /// Compiles for what can.
    pub fn keyed<K: Key>(&self) -> NoKey<K>
    where
        T: KeySerialize,
    {
        NoKey(PhantomData)
    }
}

/// Fourth: what cannot be looked up.
impl<T: Clone + Eq> Refusal<2, T> {
    /// Compiles for what can.
    pub fn keyed<K: Key>(&self) -> NoKey<K>
    where
        T: KeyHash,
    {
        NoKey(PhantomData)
    }
}

/// Fifth: what cannot be compared.
impl<T: Clone> Refusal<1, T> {
    /// Compiles for what can.
    pub fn keyed<K: Key>(&self) -> NoKey<K>
    where
        T: KeyEq,
    {
        NoKey(PhantomData)
    }
}

/// Last: what cannot be kept.
impl<T> Refusal<0, T> {
    /// Compiles for what can.
    pub fn keyed<K: Key>(&self) -> NoKey<K>
    where
        T: KeyClone,
    {
        NoKey(PhantomData)
    }
}
