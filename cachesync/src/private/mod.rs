//! What the attributes expand to. Not for people: it changes without notice.
//!
//! `keyed` finds out what the key of an expression is, `refused` why it is none, `known` what is known of both types
//! before a call, `list` what is in a list of keys or tags, `returned` and `outcome` what is cached of a return type and what
//! counts as success, `policy` what is kept on which terms, `step` looks, leads and settles, `batch` does so for many keys at
//! once, of whose values `pairs` knows, `typed` holds an expansion against the types of its cache.

#[cfg(cachesync_mutations)]
pub use crate::mutation::Mutation;

mod batch;
mod keyed;
mod known;
mod list;
mod outcome;
mod pairs;
mod policy;
mod refused;
mod returned;
mod step;
mod typed;

pub use std::boxed::Box;

pub use batch::{
    BatchLed, BatchLoad, BatchLoading, BatchStep, KeyList, Keyring, MappedKeys, SameKeys, batch, borrow_list,
    key_of_each,
};
pub use core;

pub use keyed::{ByStructure, ByValue, KeyExpr, KeyProbe, Keyed, ReferenceProbe, ValueProbe, own, probe};
pub use known::{KeyIs, KnownKey, KnownValue, Unknown, ValueIs, batch_value_is, key_in, key_is, known, value_is};
#[cfg(not(target_family = "wasm"))]
pub use linkme;
pub use list::{KeysRefused, List, Listed, ManyKeys, ManyTags, NoList, TagsRefused, keys_of};
pub use outcome::{Outcome, PlainOutcome, outcome};
pub use pairs::{
    Batch, BatchOfResult, BatchOk, BatchPlain, BatchRefused, BatchReturned, NameOf, NoBatch, Pairs, Unnamed,
};
pub use policy::{
    CachedError, HasError, HasNone, IntoTtl, Policy, TagText, Tags, error_of, is_none, is_nothing, judge, look,
    shared_failure, ttl_of,
};
pub use refused::{KeyClone, KeyDeserialize, KeyEq, KeyHash, KeyRefused, KeySerialize, KeyShared, NoKey, Refusal};
pub use returned::{
    Cloned, NoValue, NotCloned, PlainValue, PutReturns, Returned, Returns, ReturnsRefused, Sharing, ValueClone,
    ValueShared,
};
pub use step::{Step, begin};

pub use typed::{KeyOf, TypedStatic, ValueOf, typed, typed_batch, typed_key, typed_value, types_of};

pub use crate::{
    __register_call_sites as register,
    cache::load::{Leading, Led, Load, Miss as Loading, Verdict},
    call_site::{Call, CallSite, FunctionInfo, Role, SiteTypes},
    eviction::{AllKeys, Eviction, evict_all, evict_key, evict_keys, evict_tags},
    put::{Put, PutLater, put, put_later},
    registry::slot::{KeyType, ValueType},
    typed::TypedInfo,
};
#[cfg(not(target_family = "wasm"))]
pub use crate::{call_site::CACHESYNC_SITES_0_1 as SITES, typed::CACHESYNC_TYPED_0_1 as TYPED};

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
