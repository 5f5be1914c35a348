//! What a batch returns: a value for each key, or a `Result` of that, decided by the type.
//!
//! `(&&&&Returns::<R>::new()).returned_batch()` picks the first trait that applies (autoref specialization).

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash},
    marker::PhantomData,
};

use super::Returns;
use crate::key::Value;

/// A value for each key.
#[diagnostic::on_unimplemented(
    message = "a function with `keys` returns a value for each key, and `{Self}` is not such a type",
    label = "not values by key",
    note = "return `HashMap<K, V>`, `BTreeMap<K, V>` or `Vec<(K, V)>`, or a `Result` of one of these"
)]
pub trait Pairs {
    /// The keys.
    type Name;
    /// The values.
    type Value;
    /// The pairs.
    fn into_pairs(self) -> Vec<(Self::Name, Self::Value)>;
    /// Of these pairs.
    fn of_pairs(pairs: Vec<(Self::Name, Self::Value)>) -> Self;
}

impl<N: Eq + Hash, V, S: BuildHasher + Default> Pairs for HashMap<N, V, S> {
    type Name = N;
    type Value = V;

    fn into_pairs(self) -> Vec<(N, V)> {
        self.into_iter().collect()
    }

    fn of_pairs(pairs: Vec<(N, V)>) -> Self {
        pairs.into_iter().collect()
    }
}

impl<N: Ord, V> Pairs for BTreeMap<N, V> {
    type Name = N;
    type Value = V;

    fn into_pairs(self) -> Vec<(N, V)> {
        self.into_iter().collect()
    }

    fn of_pairs(pairs: Vec<(N, V)>) -> Self {
        pairs.into_iter().collect()
    }
}

impl<N, V> Pairs for Vec<(N, V)> {
    type Name = N;
    type Value = V;

    fn into_pairs(self) -> Self {
        self
    }

    fn of_pairs(pairs: Self) -> Self {
        pairs
    }
}

/// What the body's answer calls a key; only the type that the list calls it by is one.
#[diagnostic::on_unimplemented(
    message = "the list has keys of type `{N}`, and the values that are returned go by `{Self}`",
    label = "values by `{Self}`",
    note = "return values by the elements of `keys`, `HashMap<{N}, V>` for example; of text, by `String`"
)]
pub trait NameOf<N> {
    /// As the list calls it.
    fn to_listed(name: Self) -> N;
    /// As the body's answer calls it.
    fn of_listed(name: N) -> Self;
}

#[diagnostic::do_not_recommend]
impl<N> NameOf<N> for N {
    fn to_listed(name: N) -> N {
        name
    }

    fn of_listed(name: N) -> N {
        name
    }
}

/// A second implementation, for nobody: with the first alone the compiler would guess `N`, and what is no key would be
/// refused a second time.
impl<M> NameOf<Unnamed<M>> for M {
    fn to_listed(name: M) -> Unnamed<M> {
        Unnamed(name)
    }

    fn of_listed(Unnamed(name): Unnamed<M>) -> M {
        name
    }
}

/// What no list has.
pub struct Unnamed<M>(M);

/// How a return type relates to values by key.
pub trait BatchReturned: Copy {
    /// The return type.
    type Output;
    /// The values by key.
    type Pairs: Pairs;
    /// The pairs of a success; the failure, if it is one.
    ///
    /// # Errors
    ///
    /// The output itself.
    fn pairs(output: Self::Output) -> Result<Self::Pairs, Self::Output>;
    /// The output that is these pairs.
    fn output(pairs: Self::Pairs) -> Self::Output;
}

/// The pairs are in the `Ok`.
pub struct BatchOk<R>(PhantomData<fn() -> R>);

/// The output is the pairs.
pub struct Batch<R>(PhantomData<fn() -> R>);

impl<R> Clone for BatchOk<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for BatchOk<R> {}

impl<R> Clone for Batch<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Batch<R> {}

/// First: a `Result` of values by key.
pub trait BatchOfResult {
    /// What was chosen.
    type Choice;
    /// What was chosen.
    fn returned_batch(&self) -> Self::Choice;
}

/// Second: values by key.
pub trait BatchPlain {
    /// What was chosen.
    type Choice;
    /// What was chosen.
    fn returned_batch(&self) -> Self::Choice;
}

/// After these: what is no batch. It is refused here, once, and goes on as [`NoBatch`], so that nothing else is wrong
/// with it.
pub trait BatchRefused<R, C> {
    /// Compiles for values by key only.
    fn returned_batch<N>(&self) -> NoBatch<R, N>
    where
        C: Pairs,
        C::Value: Value;
}

impl<C: Pairs<Value: Value>, E> BatchOfResult for &&&Returns<Result<C, E>> {
    type Choice = BatchOk<Result<C, E>>;

    fn returned_batch(&self) -> Self::Choice {
        BatchOk(PhantomData)
    }
}

impl<C: Pairs<Value: Value>> BatchPlain for &&Returns<C> {
    type Choice = Batch<C>;

    fn returned_batch(&self) -> Self::Choice {
        Batch(PhantomData)
    }
}

impl<C, E> BatchRefused<Result<C, E>, C> for &Returns<Result<C, E>> {
    fn returned_batch<N>(&self) -> NoBatch<Result<C, E>, N>
    where
        C: Pairs,
        C::Value: Value,
    {
        NoBatch(PhantomData)
    }
}

impl<C> BatchRefused<C, C> for Returns<C> {
    fn returned_batch<N>(&self) -> NoBatch<C, N>
    where
        C: Pairs,
        C::Value: Value,
    {
        NoBatch(PhantomData)
    }
}

/// In place of what is no batch; `N` is whatever the list calls its keys.
pub struct NoBatch<R, N>(PhantomData<fn() -> (R, N)>);

impl<R, N> Clone for NoBatch<R, N> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, N> Copy for NoBatch<R, N> {}

impl<R, N> BatchReturned for NoBatch<R, N> {
    type Output = R;
    type Pairs = Vec<(N, ())>;

    fn pairs(output: R) -> Result<Self::Pairs, R> {
        Err(output)
    }

    fn output(_: Self::Pairs) -> R {
        unreachable!("it does not compile")
    }
}

impl<C: Pairs, E> BatchReturned for BatchOk<Result<C, E>> {
    type Output = Result<C, E>;
    type Pairs = C;

    fn pairs(output: Result<C, E>) -> Result<C, Result<C, E>> {
        output.map_err(Err)
    }

    fn output(pairs: C) -> Result<C, E> {
        Ok(pairs)
    }
}

impl<C: Pairs> BatchReturned for Batch<C> {
    type Output = C;
    type Pairs = C;

    fn pairs(output: C) -> Result<C, C> {
        Ok(output)
    }

    fn output(pairs: C) -> C {
        pairs
    }
}
