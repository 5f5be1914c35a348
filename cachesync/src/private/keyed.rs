//! From a key expression to a key: which type the cache's key is, and how to look it up without making one.
//!
//! The attribute wraps the expression, `probe(&(expression)).keyed()`, and method resolution picks the first of three that
//! applies, each of which dereferences to the next: [`KeyProbe`] for what has a borrowed form (`&str` for `String`),
//! [`ReferenceProbe`] for a reference to any other key, [`ValueProbe`] for any other key. What is no key goes on to `refused`.
//!
//! Methods of types and not of traits: these need not be imported into each function, and the compiler finds the first at
//! once, where it asks every trait in scope about every step.
#![expect(clippy::inline_always, reason = "a hash is inlined as a whole, see `crate::key`")]

use std::{borrow::Cow, hash::Hasher, marker::PhantomData, ops::Deref};

use crate::key::{Key, KeyForm};

/// A form of a key that knows which key.
pub trait Keyed: KeyForm<Self::Key> {
    /// The key of the cache.
    type Key: Key;
}

/// The key itself.
pub fn own<Q: Keyed>(keyed: Q) -> Q::Key {
    keyed.to_key()
}

/// A key expression whose form is found by its structure.
pub trait KeyExpr {
    /// The key of the cache.
    type Key: Key;
    /// The form in which it is looked up.
    type Form<'a>: KeyForm<Self::Key>
    where
        Self: 'a;
    /// Its form.
    fn form(&self) -> Self::Form<'_>;
}

macro_rules! scalars {
    ($($scalar:ty)*) => {$(
        impl KeyExpr for $scalar {
            type Key = $scalar;
            type Form<'a> = $scalar;

            #[inline]
            fn form(&self) -> $scalar {
                *self
            }
        }
    )*};
}

scalars! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize bool char }

impl KeyExpr for () {
    type Key = ();
    type Form<'a> = ();

    fn form(&self) {}
}

impl KeyExpr for str {
    type Key = String;
    type Form<'a> = &'a str;

    #[inline]
    fn form(&self) -> &str {
        self
    }
}

impl KeyExpr for String {
    type Key = Self;
    type Form<'a> = &'a str;

    #[inline]
    fn form(&self) -> &str {
        self
    }
}

/// Whether it is borrowed makes no other key.
impl KeyExpr for Cow<'_, str> {
    type Key = String;
    type Form<'a>
        = &'a str
    where
        Self: 'a;

    #[inline]
    fn form(&self) -> &str {
        self
    }
}

impl<T: Key> KeyExpr for [T] {
    type Key = Vec<T>;
    type Form<'a> = &'a [T];

    #[inline]
    fn form(&self) -> &[T] {
        self
    }
}

impl<T: Key> KeyExpr for Vec<T> {
    type Key = Self;
    type Form<'a> = &'a [T];

    #[inline]
    fn form(&self) -> &[T] {
        self
    }
}

impl<T: KeyExpr + ?Sized> KeyExpr for &T {
    type Key = T::Key;
    type Form<'a>
        = T::Form<'a>
    where
        Self: 'a;

    #[inline]
    fn form(&self) -> T::Form<'_> {
        (**self).form()
    }
}

impl<T: KeyExpr> KeyExpr for Option<T> {
    type Key = Option<T::Key>;
    type Form<'a>
        = Option<T::Form<'a>>
    where
        Self: 'a;

    #[inline]
    fn form(&self) -> Self::Form<'_> {
        self.as_ref().map(KeyExpr::form)
    }
}

macro_rules! tuples {
    ($($part:ident $index:tt),*) => {
        impl<$($part: KeyExpr),*> KeyExpr for ($($part,)*) {
            type Key = ($($part::Key,)*);
            type Form<'a> = ($($part::Form<'a>,)*) where Self: 'a;

            #[inline]
            fn form(&self) -> Self::Form<'_> {
                ($(self.$index.form(),)*)
            }
        }

        impl<$($part: Keyed),*> Keyed for ($($part,)*) {
            type Key = ($($part::Key,)*);
        }
    };
}

tuples!(A 0);
tuples!(A 0, B 1);
tuples!(A 0, B 1, C 2);
tuples!(A 0, B 1, C 2, D 3);
tuples!(A 0, B 1, C 2, D 3, E 4);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuples!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);

impl Keyed for () {
    type Key = ();
}

/// A form found by structure.
pub struct ByStructure<K, Q>(Q, PhantomData<fn() -> K>);

/// A reference to a key.
pub struct ByValue<'a, K>(&'a K);

/// The value of a key expression, to be looked at.
#[inline]
pub const fn probe<T: ?Sized>(value: &T) -> KeyProbe<'_, T> {
    KeyProbe(ReferenceProbe(ValueProbe(value)))
}

/// First: what has a borrowed form.
pub struct KeyProbe<'a, T: ?Sized>(ReferenceProbe<'a, T>);

/// Second: a reference to any other key.
pub struct ReferenceProbe<'a, T: ?Sized>(ValueProbe<'a, T>);

/// Third: any other key.
pub struct ValueProbe<'a, T: ?Sized>(&'a T);

impl<'a, T: KeyExpr + ?Sized> KeyProbe<'a, T> {
    /// The form.
    #[inline]
    pub fn keyed(self) -> ByStructure<T::Key, T::Form<'a>> {
        ByStructure(self.0.0.0.form(), PhantomData)
    }
}

impl<'a, T: Key> ReferenceProbe<'a, &T> {
    /// The form.
    #[inline]
    pub fn keyed(self) -> ByValue<'a, T> {
        ByValue(self.0.0)
    }
}

impl<'a, T: Key> ValueProbe<'a, T> {
    /// The form.
    #[inline]
    pub fn keyed(self) -> ByValue<'a, T> {
        ByValue(self.0)
    }
}

macro_rules! probes {
    ($($probe:ident -> $next:ident)*) => {$(
        impl<'a, T: ?Sized> Deref for $probe<'a, T> {
            type Target = $next<'a, T>;

            #[inline]
            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }
    )*};
}

probes! { KeyProbe -> ReferenceProbe ReferenceProbe -> ValueProbe }

macro_rules! copies {
    ($($probe:ident)*) => {$(
        impl<T: ?Sized> Clone for $probe<'_, T> {
            #[inline]
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T: ?Sized> Copy for $probe<'_, T> {}
    )*};
}

copies! { KeyProbe ReferenceProbe ValueProbe }

impl<K: Key, Q: KeyForm<K>> Keyed for ByStructure<K, Q> {
    type Key = K;
}

impl<K, Q: KeyForm<K>> KeyForm<K> for ByStructure<K, Q> {
    #[inline(always)]
    fn hash_key<H: Hasher>(&self, state: &mut H) {
        self.0.hash_key(state);
    }

    #[inline]
    fn is_key(&self, key: &K) -> bool {
        self.0.is_key(key)
    }

    fn to_key(&self) -> K {
        self.0.to_key()
    }
}

impl<K: Key> Keyed for ByValue<'_, K> {
    type Key = K;
}

impl<K: Key> KeyForm<K> for ByValue<'_, K> {
    #[inline(always)]
    fn hash_key<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }

    #[inline]
    fn is_key(&self, key: &K) -> bool {
        self.0 == key
    }

    fn to_key(&self) -> K {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Debug)]
    struct UserId(u64);

    macro_rules! own {
        ($expression:expr) => {
            super::own(probe(&($expression)).keyed())
        };
    }

    #[test]
    fn the_key_is_the_owned_form_of_the_expression() {
        let (id, name) = (7u64, String::from("ada"));
        let (by_ref, borrowed): (&u64, &str) = (&id, &name);
        let _: u64 = own!(id);
        let _: u64 = own!(by_ref);
        let _: String = own!(borrowed);
        let _: String = own!(name);
        let _: String = own!(&name);
        let _: String = own!(Cow::Borrowed(borrowed));
        let _: String = own!(Cow::<str>::Owned(String::new()));
        let _: (u64, String) = own!((id, borrowed));
        let _: Option<String> = own!(Some(borrowed));
        let _: Vec<u8> = own!(&[1u8, 2][..]);
        let _: () = own!(());
    }

    #[test]
    fn a_type_of_the_users_is_its_own_key_by_value_or_reference() {
        let id = UserId(7);
        let by_ref = &id;
        assert_eq!(own!(id), UserId(7));
        assert_eq!(own!(by_ref), UserId(7));
        assert_eq!(own!(std::net::Ipv4Addr::LOCALHOST), std::net::Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn a_tuple_is_probed_part_by_part() {
        let (id, name) = (UserId(7), "ada");
        let key: (UserId, String) = super::own((probe(&id).keyed(), probe(&name).keyed()));
        assert_eq!(key, (UserId(7), String::from("ada")));
    }

    #[test]
    fn a_generic_key_resolves_by_its_bounds() {
        fn of<K: Key>(key: &K) -> K {
            own!(key)
        }
        assert_eq!(of(&7u64), 7);
        assert_eq!(of(&UserId(7)), UserId(7));
    }
}
