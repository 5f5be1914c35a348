//! What the attributes expand to. Not for people: it changes without notice.

mod keyed;
mod outcome;
mod returned;

use std::{any::Any, pin::Pin};

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

#[cfg(not(target_family = "wasm"))]
pub use crate::call_site::CACHESYNC_SITES_0_1 as SITES;
use crate::{
    cache::{
        flight,
        load::{self, Body},
    },
    key::Key,
};
pub use crate::{
    call_site::{CallSite, Role, SiteInfo, SiteTypes},
    eviction::{AllKeys, Eviction},
    registry::slot::{KeyType, ValueType},
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
    pub(crate) miss: load::Miss<K, R::Value>,
    pub(crate) returned: R,
}

/// Runs `body`, or waits for another caller who does.
///
/// # Cancel safety
///
/// Dropping the future drops the body; if others wait for it, one of them runs its own.
pub async fn load<K, R, E, F>(missed: Missed<K, R>, shared_error: E, body: Pin<&mut F>) -> R::Output
where
    K: Key,
    R: Returned,
    E: SharedError<Output = R::Output>,
    F: Future<Output = R::Output>,
{
    let Missed { miss, returned } = missed;
    load::load(miss, &Annotated { returned, shared_error }, body).await
}

/// The body of an annotated function.
struct Annotated<R, E> {
    returned: R,
    shared_error: E,
}

impl<R: Returned, E: SharedError<Output = R::Output>> Body<R::Value> for Annotated<R, E> {
    type Output = R::Output;

    fn outcome(&self, output: &R::Output) -> flight::Outcome<R::Value> {
        match self.returned.value(output) {
            Some(value) => flight::Outcome::Value(value),
            None if self.returned.is_nothing(output) => flight::Outcome::Nothing,
            None => flight::Outcome::Failed(self.shared_error.share(output)),
        }
    }

    fn output(&self, value: R::Value) -> R::Output {
        self.returned.output(value)
    }

    fn nothing(&self) -> Option<R::Output> {
        self.returned.nothing()
    }

    fn failure(&self, shared: &(dyn Any + Send + Sync)) -> Option<R::Output> {
        self.shared_error.restore(shared)
    }
}
