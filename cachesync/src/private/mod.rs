//! What the attributes expand to. Not for people: it changes without notice.
//!
//! `keyed` finds out what the key of an expression is, `returned` and `outcome` what is cached of a return type and
//! what counts as success, `policy` what is kept on which terms, `step` looks, leads and settles, `batch` does so for many
//! keys at once, `typed` holds an expansion against the types of its cache.

#[cfg(cachesync_mutations)]
pub use crate::mutation::Mutation;

mod batch;
mod keyed;
mod outcome;
mod policy;
mod returned;
mod step;
mod typed;

pub use std::boxed::Box;

pub use batch::{
    Batch, BatchLed, BatchLoad, BatchLoading, BatchOfResult, BatchOk, BatchPlain, BatchReturned, BatchStep, KeyList,
    Keyring, MappedKeys, Pairs, SameKeys, batch, batch_value_type, borrow_list, key_of_each,
};
pub use core;

pub use keyed::{
    ByStructure, ByValue, KeyByReference, KeyByStructure, KeyByValue, KeyExpr, KeyProbe, KeyRefused, Keyed, Keys,
    NoKey, own,
};
#[cfg(not(target_family = "wasm"))]
pub use linkme;
pub use outcome::{Outcome, OutcomeOfResult, OutcomePlain};
pub use policy::{
    CachedError, HasError, HasNone, IntoTtl, Policy, Tags, error_of, is_none, is_nothing, judge, look, shared_failure,
    ttl_of,
};
pub use returned::{
    ErrorCloned, ErrorNotCloned, NoValue, PlainValue, Returned, Returns, ReturnsOption, ReturnsPlain, ReturnsRefused,
    ReturnsResult, ReturnsResultOfOption, SharedError,
};
pub use step::{Step, begin};

pub use typed::{KeyOf, ValueOf, name_of, typed_batch, typed_key, typed_value, types_of};

use crate::key::Key;
pub use crate::{
    cache::load::{Led, Load, Miss as Loading, Verdict},
    call_site::{Call, CallSite, FunctionInfo, Role, SiteTypes},
    eviction::{AllKeys, Eviction, evict_all, evict_key, evict_keys, evict_tags},
    put::{Put, PutLater, put, put_later},
    registry::slot::{KeyType, ValueType},
    typed::TypedInfo,
};
#[cfg(not(target_family = "wasm"))]
pub use crate::{call_site::CACHESYNC_SITES_0_1 as SITES, typed::CACHESYNC_TYPED_0_1 as TYPED};

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

/// Runs a body that is a closure. What it is passed to makes it a closure that is run once, and may so return what it took.
#[inline]
pub fn run<T>(body: impl FnOnce() -> T) -> T {
    body()
}

/// A value of any type, for the type checker alone: it is never made.
///
/// # Panics
///
/// Always.
pub fn never<T>() -> T {
    unreachable!("this stands behind `if false`")
}
