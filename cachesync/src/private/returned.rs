//! From a return type to what is cached of it, decided by the type and not by its spelling.
//!
//! `Returns::<R>::new().returned()` picks the first that applies of a row of types, each of which dereferences to the next:
//! of a `Result<Option<T>, E>` the `Ok(Some)` is cached, of a `Result` the `Ok`, of an `Option` the `Some`, of anything else
//! all of it. An error that can be cloned is shared with callers who waited for a load that failed.

use std::{marker::PhantomData, ops::Deref};

use crate::{cache::content::SharedFailure, key::Value};

/// How a return type relates to the value that is cached of it.
pub trait Returned: Copy {
    /// The return type.
    type Output;
    /// The cached type.
    type Value: Value;
    /// What is to be cached of an output.
    fn value(output: &Self::Output) -> Option<&Self::Value>;
    /// The output that a cached value stands for.
    fn output(value: Self::Value) -> Self::Output;
    /// The output that says, without an error, that there is nothing; `None` if this return type cannot.
    fn nothing() -> Option<Self::Output> {
        None
    }
    /// Whether an output is that.
    fn is_nothing(output: &Self::Output) -> bool {
        let _ = output;
        false
    }
    /// The error of an output, cloned.
    fn share(output: &Self::Output) -> Option<SharedFailure> {
        let _ = output;
        None
    }
    /// The output that a shared error stands for; `None` if it is of another type.
    fn restore(shared: &SharedFailure) -> Option<Self::Output> {
        let _ = shared;
        None
    }
    /// Whether there is one.
    fn knows(shared: &SharedFailure) -> bool {
        let _ = shared;
        false
    }
}

/// How an error is shared among callers.
pub trait Sharing<E> {
    /// The error, cloned.
    fn share(error: &E) -> Option<SharedFailure>;
    /// The error that a shared one stands for; `None` if it is of another type.
    fn restore(shared: &SharedFailure) -> Option<E>;
    /// Whether there is one.
    fn knows(shared: &SharedFailure) -> bool;
}

/// The error is cloned for all.
pub struct Cloned;

/// The error is not shared.
pub struct NotCloned;

/// A return type to be looked at; of each step the first that applies.
pub struct Returns<R, const STEP: u8 = 12>(PhantomData<fn() -> R>);

macro_rules! markers {
    ($($(#[$doc:meta])* $name:ident $(<$sharing:ident>)?;)*) => {$(
        $(#[$doc])*
        pub struct $name<R $(, $sharing)?>(PhantomData<fn() -> (R, $($sharing)?)>);

        impl<R $(, $sharing)?> $name<R $(, $sharing)?> {
            /// Of this type.
            pub const fn new() -> Self {
                Self(PhantomData)
            }
        }

        impl<R $(, $sharing)?> Default for $name<R $(, $sharing)?> {
            fn default() -> Self {
                Self::new()
            }
        }

        impl<R $(, $sharing)?> Clone for $name<R $(, $sharing)?> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<R $(, $sharing)?> Copy for $name<R $(, $sharing)?> {}
    )*};
}

markers! {
    /// All of it is cached.
    PlainValue;
    /// The `Some` is cached.
    SomeValue;
    /// The `Ok` is cached.
    OkValue<S>;
    /// The `Ok(Some)` is cached.
    OkSomeValue<S>;
}

impl<R> Returns<R, 12> {
    /// Of this type.
    #[expect(clippy::new_without_default, reason = "only the attributes make it")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

macro_rules! steps {
    ($($step:literal -> $next:literal)*) => {$(
        impl<R> Deref for Returns<R, $step> {
            type Target = Returns<R, $next>;

            #[inline]
            fn deref(&self) -> &Self::Target {
                &Returns(PhantomData)
            }
        }
    )*};
}

steps! { 12 -> 11 11 -> 10 10 -> 9 9 -> 8 8 -> 7 7 -> 6 6 -> 5 5 -> 4 4 -> 3 3 -> 2 2 -> 1 1 -> 0 }

macro_rules! choices {
    ($($(#[$doc:meta])* $step:literal [$($generics:tt)*] $returns:ty => $choice:ty;)*) => {$(
        impl<$($generics)*> Returns<$returns, $step> {
            $(#[$doc])*
            #[inline]
            pub fn returned(&self) -> $choice {
                <$choice>::new()
            }
        }
    )*};
}

choices! {
    /// First: `Option<T>`.
    12 [T: Value] Option<T> => SomeValue<Option<T>>;
    /// Likewise: `Result<Option<T>, E>` whose error can be cloned and sent.
    12 [T: Value, E: Clone + Send + Sync + 'static] Result<Option<T>, E> => OkSomeValue<Result<Option<T>, E>, Cloned>;
    /// Second: any other `Result<Option<T>, E>`.
    11 [T: Value, E] Result<Option<T>, E> => OkSomeValue<Result<Option<T>, E>, NotCloned>;
    /// Third: `Result<T, E>` whose error can be cloned and sent.
    10 [T: Value, E: Clone + Send + Sync + 'static] Result<T, E> => OkValue<Result<T, E>, Cloned>;
    /// Fourth: any other `Result<T, E>`.
    9 [T: Value, E] Result<T, E> => OkValue<Result<T, E>, NotCloned>;
    /// Last: anything.
    8 [T: Value] T => PlainValue<T>;
}

/// After all others, in a function with type parameters: what has no value. It is refused here, once, and goes on as
/// [`NoValue`], so that nothing else is wrong with it. It asks for a [`Value`], so that the compiler offers to bound the
/// type parameter by that.
pub trait ReturnsRefused<R, T> {
    /// Compiles for a value only.
    fn returned<V>(&self) -> NoValue<R, V>
    where
        T: Value;
}

/// Can be given to many.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a cache: it is not `Clone`",
    label = "not `Clone`",
    note = "every caller is given a clone: return an `Arc` of it, or add `#[derive(Clone)]` to it"
)]
pub trait ValueClone {}

#[diagnostic::do_not_recommend]
impl<T: Clone> ValueClone for T {}

/// Can be given to callers in any thread.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a cache: it cannot be shared between threads",
    label = "not `Send + Sync`",
    note = "make it of what is: an `Arc` for an `Rc`, a `Mutex` for a `RefCell`, `dyn Trait + Send + Sync` for `dyn Trait`"
)]
pub trait ValueShared {}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync> ValueShared for T {}

macro_rules! refused {
    ($([$($generics:ident)*] $output:ty, at $step:literal;)*) => {$(
        impl<$($generics),*> ReturnsRefused<$output, T> for Returns<$output, $step> {
            fn returned<V>(&self) -> NoValue<$output, V>
            where
                T: Value,
            {
                NoValue(PhantomData)
            }
        }
    )*};
}

refused! {
    [T E] Result<Option<T>, E>, at 7;
    [T E] Result<T, E>, at 6;
    [T] Option<T>, at 5;
    [T] T, at 4;
}

// In any other function, where what is missing can be named. Each by itself and not made by a macro, since the compiler shows
// them.

impl<T, E> Returns<Result<Option<T>, E>, 3> {
    /// Compiles for a value only.
    pub fn returned<V>(&self) -> NoValue<Result<Option<T>, E>, V>
    where
        T: ValueClone + ValueShared,
    {
        NoValue(PhantomData)
    }
}

impl<T, E> Returns<Result<T, E>, 2> {
    /// Compiles for a value only.
    pub fn returned<V>(&self) -> NoValue<Result<T, E>, V>
    where
        T: ValueClone + ValueShared,
    {
        NoValue(PhantomData)
    }
}

impl<T> Returns<Option<T>, 1> {
    /// Compiles for a value only.
    pub fn returned<V>(&self) -> NoValue<Option<T>, V>
    where
        T: ValueClone + ValueShared,
    {
        NoValue(PhantomData)
    }
}

impl<T> Returns<T, 0> {
    /// Compiles for a value only.
    pub fn returned<V>(&self) -> NoValue<T, V>
    where
        T: ValueClone + ValueShared,
    {
        NoValue(PhantomData)
    }
}

/// In place of what has no value: whatever value is asked for.
pub struct NoValue<R, V>(PhantomData<fn() -> (R, V)>);

impl<R, V> Clone for NoValue<R, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, V> Copy for NoValue<R, V> {}

impl<R, V: Value> Returned for NoValue<R, V> {
    type Output = R;
    type Value = V;

    fn value(_: &R) -> Option<&V> {
        None
    }

    fn output(_: V) -> R {
        unreachable!("it does not compile")
    }
}

impl<T: Value> Returned for PlainValue<T> {
    type Output = T;
    type Value = T;

    fn value(output: &T) -> Option<&T> {
        Some(output)
    }

    #[inline]
    fn output(value: T) -> T {
        value
    }
}

impl<T: Value> Returned for SomeValue<Option<T>> {
    type Output = Option<T>;
    type Value = T;

    fn value(output: &Option<T>) -> Option<&T> {
        output.as_ref()
    }

    #[inline]
    fn output(value: T) -> Option<T> {
        Some(value)
    }

    fn nothing() -> Option<Option<T>> {
        Some(None)
    }

    fn is_nothing(output: &Option<T>) -> bool {
        output.is_none()
    }
}

impl<T: Value, E, S: Sharing<E>> Returned for OkValue<Result<T, E>, S> {
    type Output = Result<T, E>;
    type Value = T;

    fn value(output: &Result<T, E>) -> Option<&T> {
        output.as_ref().ok()
    }

    #[inline]
    fn output(value: T) -> Result<T, E> {
        Ok(value)
    }

    fn share(output: &Self::Output) -> Option<SharedFailure> {
        S::share(output.as_ref().err()?)
    }

    fn restore(shared: &SharedFailure) -> Option<Self::Output> {
        S::restore(shared).map(Err)
    }

    fn knows(shared: &SharedFailure) -> bool {
        S::knows(shared)
    }
}

impl<T: Value, E, S: Sharing<E>> Returned for OkSomeValue<Result<Option<T>, E>, S> {
    type Output = Result<Option<T>, E>;
    type Value = T;

    fn value(output: &Result<Option<T>, E>) -> Option<&T> {
        output.as_ref().ok()?.as_ref()
    }

    #[inline]
    fn output(value: T) -> Result<Option<T>, E> {
        Ok(Some(value))
    }

    fn nothing() -> Option<Result<Option<T>, E>> {
        Some(Ok(None))
    }

    fn is_nothing(output: &Result<Option<T>, E>) -> bool {
        matches!(output, Ok(None))
    }

    fn share(output: &Self::Output) -> Option<SharedFailure> {
        S::share(output.as_ref().err()?)
    }

    fn restore(shared: &SharedFailure) -> Option<Self::Output> {
        S::restore(shared).map(Err)
    }

    fn knows(shared: &SharedFailure) -> bool {
        S::knows(shared)
    }
}

impl<E: Clone + Send + Sync + 'static> Sharing<E> for Cloned {
    fn share(error: &E) -> Option<SharedFailure> {
        Some(SharedFailure::new(error.clone()))
    }

    fn restore(shared: &SharedFailure) -> Option<E> {
        shared.get::<E>().cloned()
    }

    fn knows(shared: &SharedFailure) -> bool {
        shared.get::<E>().is_some()
    }
}

impl<E> Sharing<E> for NotCloned {
    fn share(_: &E) -> Option<SharedFailure> {
        None
    }

    fn restore(_: &SharedFailure) -> Option<E> {
        None
    }

    fn knows(_: &SharedFailure) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct NotClone;
    type Alias = Result<u8, String>;

    fn value<R: Returned>(_: &R, output: &R::Output) -> Option<R::Value> {
        R::value(output).cloned()
    }

    fn share<R: Returned>(_: &R, output: &R::Output) -> Option<SharedFailure> {
        R::share(output)
    }

    fn restore<R: Returned>(_: &R, shared: &SharedFailure) -> Option<R::Output> {
        R::restore(shared)
    }

    macro_rules! value_of {
        ($type:ty, $output:expr) => {
            value(&Returns::<$type, 12>::new().returned(), &$output)
        };
    }

    #[test]
    fn what_is_cached_is_decided_by_the_type() {
        assert_eq!(value_of!(u8, 1), Some(1));
        assert_eq!(value_of!(Option<u8>, Some(1)), Some(1));
        assert_eq!(value_of!(Option<u8>, None), None);
        assert_eq!(value_of!(Alias, Ok(1)), Some(1));
        assert_eq!(value_of!(Alias, Err(String::new())), None);
        assert_eq!(value_of!(Result<Option<u8>, NotClone>, Ok(Some(1))), Some(1));
        assert_eq!(value_of!(Result<Option<u8>, NotClone>, Ok(None)), None);
        assert_eq!(value_of!(Result<Option<u8>, NotClone>, Err(NotClone)), None);
        assert_eq!(value_of!(Result<Option<u8>, String>, Ok(Some(1))), Some(1));
        assert_eq!(value_of!(Result<u8, NotClone>, Err(NotClone)), None);
    }

    #[test]
    fn an_error_is_shared_if_it_can_be_cloned() {
        let cloned = Returns::<Alias, 12>::new().returned();
        let shared = share(&cloned, &Err("down".into())).expect("a String can be cloned");
        assert_eq!(restore(&cloned, &shared), Some(Err("down".into())));
        assert_eq!(restore(&cloned, &SharedFailure::new(7u8)), None, "another function's error");
        assert!(share(&Returns::<Result<Option<u8>, String>, 12>::new().returned(), &Err("down".into())).is_some());
        assert!(share(&Returns::<Result<u8, NotClone>, 12>::new().returned(), &Err(NotClone)).is_none());
        assert!(share(&Returns::<Result<Option<u8>, NotClone>, 12>::new().returned(), &Err(NotClone)).is_none());
    }
}
