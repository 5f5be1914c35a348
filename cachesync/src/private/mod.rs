//! What the attributes expand to. Not for people: it changes without notice.

mod keyed;
mod outcome;
mod returned;
mod typed;

use std::pin::Pin;

pub use core;

pub use keyed::{
    ByStructure, ByValue, KeyByReference, KeyByStructure, KeyByValue, KeyExpr, KeyProbe, KeyRefused, Keyed, NoKey, own,
};
#[cfg(not(target_family = "wasm"))]
pub use linkme;
pub use outcome::{Outcome, OutcomeOfResult, OutcomePlain};
pub use returned::{
    ErrorCloned, ErrorNotCloned, NoValue, PlainValue, Returned, Returns, ReturnsOption, ReturnsPlain, ReturnsRefused,
    ReturnsResult, ReturnsResultOfOption, SharedError,
};

pub use typed::{KeyOf, ValueOf, name_of, typed_key, typed_value, types_of};

use crate::{
    cache::{
        flight,
        load::{self, How, Miss},
    },
    key::{Key, Value},
};
#[cfg(not(target_family = "wasm"))]
pub use crate::{call_site::CACHESYNC_SITES_0_1 as SITES, typed::CACHESYNC_TYPED_0_1 as TYPED};
pub use crate::{
    call_site::{CallSite, Role, SiteInfo, SiteTypes},
    eviction::{AllKeys, Eviction},
    registry::slot::{KeyType, ValueType},
    typed::TypedInfo,
};

/// The type of the key that `expression` makes, which is never called.
pub fn key_type<K: Key>(expression: &impl FnOnce() -> K) -> Option<KeyType> {
    _ = expression;
    Some(KeyType::of::<K>())
}

/// The type of the value that a function caches.
pub fn value_type<R: Returned>(returned: &R) -> Option<ValueType> {
    _ = returned;
    Some(ValueType::of::<R::Value>())
}

/// What an annotated function found.
pub enum Step<K: Key, R: Returned> {
    /// The answer.
    Hit(R::Output),
    /// What [`load()`] goes on with.
    Miss(Missed<K, R>),
}

/// A key that was not found.
pub struct Missed<K: Key, R: Returned> {
    pub(crate) miss: Miss<K, R::Value>,
    pub(crate) returned: R,
}

impl<K: Key, R: Returned> Missed<K, R> {
    /// Adds how an error reaches those who waited.
    pub fn sharing<E: SharedError<Output = R::Output>>(self, shared_error: E) -> Loading<K, R::Value, R::Output> {
        let Self { miss, returned } = self;
        _ = (returned, shared_error);
        let how = How { outcome: outcome::<R, E>, output: R::output, nothing: R::nothing, failure: E::restore };
        Loading { miss, how }
    }
}

fn outcome<R: Returned, E: SharedError<Output = R::Output>>(output: &R::Output) -> flight::Outcome<R::Value> {
    match R::value(output) {
        Some(value) => flight::Outcome::Value(value),
        None if R::is_nothing(output) => flight::Outcome::Nothing,
        None => flight::Outcome::Failed(E::share(output)),
    }
}

/// A load that is about to begin.
pub struct Loading<K: Key, V: Value, O> {
    miss: Miss<K, V>,
    how: How<O, V>,
}

/// Runs `body`, or waits for another caller who does.
///
/// # Cancel safety
///
/// Dropping the future drops the body; if others wait for it, one of them runs its own.
pub async fn load<K: Key, V: Value, F: Future>(loading: Loading<K, V, F::Output>, body: Pin<&mut F>) -> F::Output {
    let Loading { miss, how } = loading;
    load::load(miss, how, body).await
}

/// A value of any type, for the type checker alone: it is never made.
///
/// # Panics
///
/// Always.
pub fn never<T>() -> T {
    unreachable!("this stands behind `if false`")
}
