//! From a return type to what is cached of it, decided by the type and not by its spelling.
//!
//! `(&&&&&&&&Returns::<R>::new()).returned()` picks the first trait that applies (autoref specialization): of a
//! `Result<Option<T>, E>` the `Ok(Some)` is cached, of a `Result` the `Ok`, of an `Option` the `Some`, of anything
//! else all of it. Likewise `(&&Returns::<R>::new()).shared_error()` finds out whether the error can be cloned for
//! callers who waited for a load that failed.

use std::marker::PhantomData;

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
}

/// How an error is shared among callers.
pub trait SharedError {
    /// The return type.
    type Output;
    /// The error of an output, cloned.
    fn share(output: &Self::Output) -> Option<SharedFailure>;
    /// The output that a shared error stands for; `None` if it is of another type.
    fn restore(shared: &SharedFailure) -> Option<Self::Output>;
    /// Whether there is one.
    fn knows(shared: &SharedFailure) -> bool;
}

/// A return type to be looked at.
pub struct Returns<R>(PhantomData<fn() -> R>);

macro_rules! markers {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        pub struct $name<R>(PhantomData<fn() -> R>);

        impl<R> $name<R> {
            /// Of this type.
            pub const fn new() -> Self {
                Self(PhantomData)
            }
        }

        impl<R> Default for $name<R> {
            fn default() -> Self {
                Self::new()
            }
        }

        impl<R> Clone for $name<R> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<R> Copy for $name<R> {}
    )*};
}

markers! {
    /// All of it is cached.
    PlainValue;
    /// The `Some` is cached.
    SomeValue;
    /// The `Ok` is cached.
    OkValue;
    /// The `Ok(Some)` is cached.
    OkSomeValue;
    /// The error is cloned for all.
    Cloned;
    /// The error is not shared.
    NotCloned;
}

impl<R> Returns<R> {
    /// Of this type.
    #[expect(clippy::new_without_default, reason = "only the attributes make it")]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident $method:ident;)*) => {$(
        $(#[$doc])*
        pub trait $name {
            /// What was chosen.
            type Choice;
            /// What was chosen.
            fn $method(&self) -> Self::Choice;
        }
    )*};
}

choices! {
    /// First: `Result<Option<T>, E>`.
    ReturnsResultOfOption returned;
    /// Second: `Result<T, E>`.
    ReturnsResult returned;
    /// Third: `Option<T>`.
    ReturnsOption returned;
    /// Last: anything.
    ReturnsPlain returned;
    /// First: a `Result` whose error can be cloned and sent.
    ErrorCloned shared_error;
    /// Last: anything.
    ErrorNotCloned shared_error;
}

impl<T: Value, E> ReturnsResultOfOption for &&&&&&&Returns<Result<Option<T>, E>> {
    type Choice = OkSomeValue<Result<Option<T>, E>>;

    fn returned(&self) -> Self::Choice {
        OkSomeValue::new()
    }
}

impl<T: Value, E> ReturnsResult for &&&&&&Returns<Result<T, E>> {
    type Choice = OkValue<Result<T, E>>;

    fn returned(&self) -> Self::Choice {
        OkValue::new()
    }
}

impl<T: Value> ReturnsOption for &&&&&Returns<Option<T>> {
    type Choice = SomeValue<Option<T>>;

    fn returned(&self) -> Self::Choice {
        SomeValue::new()
    }
}

impl<T: Value> ReturnsPlain for &&&&Returns<T> {
    type Choice = PlainValue<T>;

    fn returned(&self) -> Self::Choice {
        PlainValue::new()
    }
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

/// The same in any other function, where what is missing can be named.
pub trait ReturnsLacking<R, T> {
    /// Compiles for a value only.
    fn returned<V>(&self) -> NoValue<R, V>
    where
        T: ValueClone + ValueShared;
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
    ($([$($generics:ident)*] $probe:ty => $output:ty;)*) => {$(
        impl<$($generics),*> ReturnsRefused<$output, T> for $probe {
            fn returned<V>(&self) -> NoValue<$output, V>
            where
                T: Value,
            {
                NoValue(PhantomData)
            }
        }

        impl<$($generics),*> ReturnsLacking<$output, T> for $probe {
            fn returned<V>(&self) -> NoValue<$output, V>
            where
                T: ValueClone + ValueShared,
            {
                NoValue(PhantomData)
            }
        }
    )*};
}

refused! {
    [T E] &&&Returns<Result<Option<T>, E>> => Result<Option<T>, E>;
    [T E] &&Returns<Result<T, E>> => Result<T, E>;
    [T] &Returns<Option<T>> => Option<T>;
    [T] Returns<T> => T;
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

impl<T, E: Clone + Send + Sync + 'static> ErrorCloned for &Returns<Result<T, E>> {
    type Choice = Cloned<Result<T, E>>;

    fn shared_error(&self) -> Self::Choice {
        Cloned::new()
    }
}

impl<R> ErrorNotCloned for Returns<R> {
    type Choice = NotCloned<R>;

    fn shared_error(&self) -> Self::Choice {
        NotCloned::new()
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

impl<T: Value, E> Returned for OkValue<Result<T, E>> {
    type Output = Result<T, E>;
    type Value = T;

    fn value(output: &Result<T, E>) -> Option<&T> {
        output.as_ref().ok()
    }

    #[inline]
    fn output(value: T) -> Result<T, E> {
        Ok(value)
    }
}

impl<T: Value, E> Returned for OkSomeValue<Result<Option<T>, E>> {
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
}

impl<T, E: Clone + Send + Sync + 'static> SharedError for Cloned<Result<T, E>> {
    type Output = Result<T, E>;

    fn share(output: &Result<T, E>) -> Option<SharedFailure> {
        output.as_ref().err().map(|error| SharedFailure::new(error.clone()))
    }

    fn restore(shared: &SharedFailure) -> Option<Result<T, E>> {
        shared.get::<E>().cloned().map(Err)
    }

    fn knows(shared: &SharedFailure) -> bool {
        shared.get::<E>().is_some()
    }
}

impl<R> SharedError for NotCloned<R> {
    type Output = R;

    fn share(_: &R) -> Option<SharedFailure> {
        None
    }

    fn restore(_: &SharedFailure) -> Option<R> {
        None
    }

    fn knows(_: &SharedFailure) -> bool {
        false
    }
}

#[cfg(test)]
#[expect(clippy::needless_borrow, reason = "the number of references chooses the trait")]
mod tests {
    use super::*;

    struct NotClone;
    type Alias = Result<u8, String>;

    fn value<R: Returned>(_: &R, output: &R::Output) -> Option<R::Value> {
        R::value(output).cloned()
    }

    fn share<E: SharedError>(_: &E, output: &E::Output) -> Option<SharedFailure> {
        E::share(output)
    }

    fn restore<E: SharedError>(_: &E, shared: &SharedFailure) -> Option<E::Output> {
        E::restore(shared)
    }

    macro_rules! value_of {
        ($type:ty, $output:expr) => {{
            #[allow(unused_imports, reason = "the type decides which of them is used")]
            use super::{ReturnsOption as _, ReturnsPlain as _, ReturnsResult as _, ReturnsResultOfOption as _};
            value(&(&&&&&&&&Returns::<$type>::new()).returned(), &$output)
        }};
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
    }

    #[test]
    fn an_error_is_shared_if_it_can_be_cloned() {
        use super::{ErrorCloned as _, ErrorNotCloned as _};
        let cloned = (&&Returns::<Alias>::new()).shared_error();
        let shared = share(&cloned, &Err("down".into())).expect("a String can be cloned");
        assert_eq!(restore(&cloned, &shared), Some(Err("down".into())));
        assert_eq!(restore(&cloned, &SharedFailure::new(7u8)), None, "another function's error");
        let not_cloned = (&&Returns::<Result<u8, NotClone>>::new()).shared_error();
        assert!(share(&not_cloned, &Err(NotClone)).is_none());
    }
}
