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
    (
        $(#[$doc:meta])*
        $has:ident: [$($needs:tt)*], at $of_reference:literal and $of_value:literal, after [$($before:tt)*],
        $message:literal, $label:literal, $note:literal
    ) => {
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

        impl<T: $($before)*> Refusal<$of_reference, &T> {
            /// Compiles for what has it.
            pub fn keyed<K: Key>(&self) -> NoKey<K>
            where
                T: $has,
            {
                NoKey(PhantomData)
            }
        }

        impl<T: $($before)*> Refusal<$of_value, T> {
            /// Compiles for what has it.
            pub fn keyed<K: Key>(&self) -> NoKey<K>
            where
                T: $has,
            {
                NoKey(PhantomData)
            }
        }
    };
}

lacks! {
    /// Can be sent and shared.
    KeyShared: [Send + Sync], at 11 and 5, after [Clone + Eq + Hash + Serialize + DeserializeOwned],
        "`{Self}` cannot be the key of a cache: it cannot be shared between threads", "not `Send + Sync`",
        "put an `Arc` in place of an `Rc`, and own what is borrowed"
}

lacks! {
    /// Can be received.
    KeyDeserialize: [DeserializeOwned], at 10 and 4, after [Clone + Eq + Hash + Serialize],
        "`{Self}` cannot be the key of a cache: it is not `serde::Deserialize`", "not `serde::Deserialize`",
        "keys travel when they are evicted: add `#[derive(serde::Deserialize)]` to it, and let it own what it is made of"
}

lacks! {
    /// Can be sent to other nodes.
    KeySerialize: [Serialize], at 9 and 3, after [Clone + Eq + Hash],
        "`{Self}` cannot be the key of a cache: it is not `serde::Serialize`", "not `serde::Serialize`",
        "keys travel when they are evicted: add `#[derive(serde::Serialize, serde::Deserialize)]` to it"
}

lacks! {
    /// Can be looked up.
    KeyHash: [Hash], at 8 and 2, after [Clone + Eq],
        "`{Self}` cannot be the key of a cache: it is not `Hash`", "not `Hash`",
        "add `#[derive(Hash)]` to it; a `BTreeMap` or `BTreeSet` is `Hash` where a `HashMap` or `HashSet` is not"
}

lacks! {
    /// Can be compared.
    KeyEq: [Eq], at 7 and 1, after [Clone],
        "`{Self}` cannot be the key of a cache: it is not `Eq`", "not `Eq`",
        "add `#[derive(PartialEq, Eq)]` to it; a floating-point number is not `Eq`, but its `to_bits()` is"
}

lacks! {
    /// Can be kept.
    KeyClone: [Clone], at 6 and 0, after [Sized],
        "`{Self}` cannot be the key of a cache: it is not `Clone`", "not `Clone`",
        "add `#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]` to it"
}
