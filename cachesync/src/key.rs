//! Keys, and the borrowed forms in which they are looked up.
//!
//! `Equivalent` alone does not reach `(u32, &str)` for `(u32, String)`, nor `Option<&str>` for
//! `Option<String>`; [`KeyForm`] does. It is implemented for the *argument* of a lookup, by value: a reference, a
//! scalar, or a tuple or `Option` of these. That is why `&K` can stand for every `K` without overlapping with the
//! structural forms.
//!
//! Hashing a form is inlined into the lookup, whatever the compiler thinks of its length: as long as one part of it is a call,
//! the hasher lies in memory, and the hash of a pair of a number and a text takes twice as many instructions.
#![expect(clippy::inline_always, reason = "as said above; `cargo xtask bench --check` counts")]

use std::{
    hash::{Hash, Hasher},
    marker::PhantomData,
    mem,
    sync::Arc,
};

use quick_cache::Equivalent;
use serde::{Serialize, de::DeserializeOwned};

/// What the key of a cache must be. Implemented for every type that has the supertraits.
///
/// `Serialize` and `DeserializeOwned` are needed since evictions travel; values never do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a cache",
    label = "not a cache key",
    note = "a key is `Clone + Eq + Hash + serde::Serialize + serde::de::DeserializeOwned + Send + Sync + 'static`",
    note = "say what the key is with `key = ...`, or leave this parameter out of it with `skip(...)`"
)]
pub trait Key: Hash + Eq + Clone + Serialize + DeserializeOwned + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<K: Hash + Eq + Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Key for K {}

/// What the value of a cache must be. Implemented for every type that has the supertraits.
///
/// A hit clones the value while a lock is held, so make that cheap: `Arc<User>` rather than `User`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a cache",
    label = "not a cache value",
    note = "a value is `Clone + Send + Sync + 'static`; put it into an `Arc` to make it so, cheaply"
)]
pub trait Value: Clone + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<V: Clone + Send + Sync + 'static> Value for V {}

/// A form in which a key `K` can be given without making one: a [borrowed form](KeyRef), or a scalar as it is.
///
/// | key | its forms |
/// |---|---|
/// | any `K` | `&K` |
/// | numbers, `bool`, `char`, `()`, `String` | themselves |
/// | `String`, `Box<str>`, `Arc<str>` | `&str` |
/// | `Vec<T>` | `&[T]` |
/// | `Option<K>` | `Option` of a form of `K` |
/// | tuples up to eight | a tuple of forms |
///
/// # Implementing it
///
/// [`hash_key`](KeyForm::hash_key) must feed the hasher exactly as `K`'s own `Hash` does for an equal key. Implement
/// [`KeyRef`] too if the form is borrowed.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a form of the key `{K}`",
    label = "not a form of `{K}`",
    note = "pass a reference to the key: `&key`"
)]
pub trait KeyForm<K> {
    /// Hashes as an equal `K` does.
    fn hash_key<H: Hasher>(&self, state: &mut H);
    /// Whether this stands for `key`.
    fn is_key(&self, key: &K) -> bool;
    /// The key itself.
    fn to_key(&self) -> K;
}

/// A borrowed form of a key `K`: what a lookup takes.
///
/// These are the [forms](KeyForm) but for plain values, which are passed by reference as any other key is.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cachesync::Error> {
/// # use cachesync::{CacheConfig, Registry};
/// # let registry = Registry::builder().cache(CacheConfig::new("users")).start().await?;
/// let users = registry.cache::<(u32, String), u64>("users")?;
/// users.insert((7, "ada".into()), 1);
/// assert_eq!(users.get((7, "ada")), Some(1));
/// assert_eq!(users.get(&(7, String::from("ada"))), Some(1));
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a borrowed form of the key `{K}`",
    label = "not a borrowed form of `{K}`",
    note = "pass a reference to the key: `&key`"
)]
pub trait KeyRef<K>: KeyForm<K> {}

impl<K: Hash + Eq + Clone> KeyRef<K> for &K {}

impl<K: Hash + Eq + Clone> KeyForm<K> for &K {
    #[inline(always)]
    fn hash_key<H: Hasher>(&self, state: &mut H) {
        (*self).hash(state);
    }

    #[inline]
    fn is_key(&self, key: &K) -> bool {
        *self == key
    }

    fn to_key(&self) -> K {
        (*self).clone()
    }
}

/// `()` in a place where only a name can stand.
type Unit = ();

macro_rules! by_value {
    ($($scalar:ty)*) => {$(
        impl KeyForm<$scalar> for $scalar {
            #[inline(always)]
            fn hash_key<H: Hasher>(&self, state: &mut H) {
                self.hash(state);
            }

            #[inline]
            fn is_key(&self, key: &$scalar) -> bool {
                self == key
            }

            fn to_key(&self) -> $scalar {
                self.clone()
            }
        }
    )*};
}

// A scalar alone is no `KeyRef`: then `get(&1)` would be one needless borrow, and the linters would say so.
by_value! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize bool char Unit String }

macro_rules! by_slice {
    ($([$($generics:tt)*] $borrowed:ty => $key:ty;)*) => {$(
        impl<$($generics)*> KeyRef<$key> for $borrowed {}

        impl<$($generics)*> KeyForm<$key> for $borrowed {
            #[inline(always)]
            fn hash_key<H: Hasher>(&self, state: &mut H) {
                (**self).hash(state);
            }

            #[inline]
            fn is_key(&self, key: &$key) -> bool {
                **self == **key
            }

            fn to_key(&self) -> $key {
                (*self).into()
            }
        }
    )*};
}

by_slice! {
    [] &str => String;
    [] &str => Box<str>;
    [] &str => Arc<str>;
    [T: Hash + Eq + Clone] &[T] => Vec<T>;
}

impl<K, Q: KeyForm<K>> KeyRef<Option<K>> for Option<Q> {}

impl<K, Q: KeyForm<K>> KeyForm<Option<K>> for Option<Q> {
    #[inline(always)]
    fn hash_key<H: Hasher>(&self, state: &mut H) {
        // As the derived `Hash` of `Option` does; the unit tests hold it to that.
        mem::discriminant(self).hash(state);
        if let Some(key) = self {
            key.hash_key(state);
        }
    }

    #[inline]
    fn is_key(&self, key: &Option<K>) -> bool {
        match (self, key) {
            (Some(this), Some(key)) => this.is_key(key),
            (None, None) => true,
            _ => false,
        }
    }

    fn to_key(&self) -> Option<K> {
        self.as_ref().map(KeyForm::to_key)
    }
}

macro_rules! by_tuple {
    ($($key:ident $form:ident $index:tt),*) => {
        impl<$($key, $form: KeyForm<$key>),*> KeyRef<($($key,)*)> for ($($form,)*) {}

        impl<$($key, $form: KeyForm<$key>),*> KeyForm<($($key,)*)> for ($($form,)*) {
            #[inline(always)]
            fn hash_key<H: Hasher>(&self, state: &mut H) {
                $(self.$index.hash_key(state);)*
            }

            #[inline]
            fn is_key(&self, key: &($($key,)*)) -> bool {
                $(self.$index.is_key(&key.$index))&&*
            }

            fn to_key(&self) -> ($($key,)*) {
                ($(self.$index.to_key(),)*)
            }
        }
    };
}

by_tuple!(A QA 0);
by_tuple!(A QA 0, B QB 1);
by_tuple!(A QA 0, B QB 1, C QC 2);
by_tuple!(A QA 0, B QB 1, C QC 2, D QD 3);
by_tuple!(A QA 0, B QB 1, C QC 2, D QD 3, E QE 4);
by_tuple!(A QA 0, B QB 1, C QC 2, D QD 3, E QE 4, F QF 5);
by_tuple!(A QA 0, B QB 1, C QC 2, D QD 3, E QE 4, F QF 5, G QG 6);
by_tuple!(A QA 0, B QB 1, C QC 2, D QD 3, E QE 4, F QF 5, G QG 6, I QI 7);

/// Makes a form of `K` what hash tables look up by.
pub(crate) struct Probe<'a, K, Q> {
    form: &'a Q,
    key: PhantomData<fn() -> K>,
}

impl<'a, K, Q: KeyForm<K>> Probe<'a, K, Q> {
    #[inline]
    pub(crate) fn new(form: &'a Q) -> Self {
        Self { form, key: PhantomData }
    }
}

impl<K, Q: KeyForm<K>> Hash for Probe<'_, K, Q> {
    #[inline(always)]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.form.hash_key(state);
    }
}

impl<K, Q: KeyForm<K>> Equivalent<K> for Probe<'_, K, Q> {
    #[inline]
    fn equivalent(&self, key: &K) -> bool {
        self.form.is_key(key)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;

    #[track_caller]
    fn stands_for<K: Key + std::fmt::Debug, Q: KeyForm<K>>(form: Q, key: K) {
        let hasher = RandomState::new();
        assert_eq!(hasher.hash_one(Probe::<K, _>::new(&form)), hasher.hash_one(&key), "{key:?}");
        assert!(form.is_key(&key));
        assert_eq!(form.to_key(), key);
    }

    #[test]
    fn every_form_hashes_and_compares_as_its_key_does() {
        stands_for(7u64, 7u64);
        stands_for::<u64, &u64>(&7, 7);
        stands_for((), ());
        stands_for("ada", String::from("ada"));
        stands_for("ada", Box::<str>::from("ada"));
        stands_for(String::from("ada"), String::from("ada"));
        stands_for(&[1u8, 2][..], vec![1u8, 2]);
        stands_for(Some("ada"), Some(String::from("ada")));
        stands_for(None::<&str>, None::<String>);
        stands_for((7u32, "ada"), (7u32, String::from("ada")));
        stands_for((&7u32, Some((1i8, "x"))), (7u32, Some((1i8, String::from("x")))));
        stands_for((1u8, 2u8, 3u8, 4u8, 5u8, 6u8, 7u8, "8"), (1u8, 2u8, 3u8, 4u8, 5u8, 6u8, 7u8, String::from("8")));
    }

    #[test]
    fn a_form_does_not_stand_for_another_key() {
        assert!(!"ada".is_key(&String::from("bob")));
        assert!(!Some("ada").is_key(&None::<String>));
        assert!(!(7u32, "ada").is_key(&(8u32, String::from("ada"))));
    }
}
