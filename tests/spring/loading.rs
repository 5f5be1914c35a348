//! What runs a body, and what is kept of what it returned.

use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt, future::join_all};

use crate::{
    Refused,
    fixture::{Fixture, for_both_services},
    services::Service,
};

for_both_services! {
    a_second_call_is_answered_from_the_cache
    a_none_is_remembered_where_the_attribute_says_so
    an_argument_that_is_none_is_a_key_like_any_other
    calls_at_the_same_time_share_one_body
    an_error_reaches_the_caller_and_is_not_kept
    callers_at_the_same_time_all_see_the_error
    a_panic_reaches_the_caller_and_leaves_nothing_behind
    a_panic_reaches_the_caller_it_belongs_to_and_no_other
}

/// `cacheable`, `classCacheCacheable`; `spr11592GetSimple`.
async fn a_second_call_is_answered_from_the_cache(it: Fixture<impl Service>) {
    assert_eq!(it.cache.get(&7), None);
    let first = it.service.cache(7).await;
    assert_eq!(it.cache.get(&7), Some(first));
    assert_eq!(it.service.cache(7).await, first);
    assert_eq!(it.service.cache(7).await, first);
    assert_eq!(it.calls(), 1);
}

/// `cacheableNull`, `nullValue`, `classNullValue`.
async fn a_none_is_remembered_where_the_attribute_says_so(it: Fixture<impl Service>) {
    assert!(it.cache.is_empty());
    for _ in 0..3 {
        assert_eq!(it.service.cache_none(7).await, None);
    }
    assert_eq!((it.calls(), it.cache.len(), it.cache.get(&7)), (1, 1, None));
    assert_eq!(it.service.cache_none(8).await, None);
    assert_eq!((it.calls(), it.cache.len()), (2, 2));
    it.cache.evict(&7);
    assert_eq!(it.service.cache_none(7).await, None);
    assert_eq!(it.calls(), 3, "it is evicted as a value is");
}

/// `nullArg`, `classNullArg`.
async fn an_argument_that_is_none_is_a_key_like_any_other(it: Fixture<impl Service>) {
    let first = it.service.cache_optional(None).await;
    assert_eq!(it.service.cache_optional(None).await, first);
    assert_eq!(it.cache.get(&0), Some(first));
    assert_ne!(it.service.cache_optional(Some(0)).await, first);
}

/// `cacheableSync`, `cacheableSyncNull`; `cacheGetSynchronized`.
async fn calls_at_the_same_time_share_one_body(it: Fixture<impl Service>) {
    let values = join_all((0..10).map(|_| it.service.cache(7))).await;
    assert_eq!(values, [1; 10]);
    assert_eq!((it.calls(), it.cache.get(&7)), (1, Some(1)));
    let nothing = join_all((0..10).map(|_| it.service.cache_none(8))).await;
    assert_eq!(nothing, [None; 10]);
    assert_eq!((it.calls(), it.cache.len()), (2, 2));
}

/// `checkedException`, `classCheckedException`.
async fn an_error_reaches_the_caller_and_is_not_kept(it: Fixture<impl Service>) {
    assert_eq!(it.service.refuse(7).await, Err(Refused(7)));
    assert!(it.cache.is_empty());
    assert_eq!(it.service.refuse(7).await, Err(Refused(7)));
    assert_eq!(it.calls(), 2);
}

/// `checkedExceptionSync`, `classCheckedExceptionSync`.
async fn callers_at_the_same_time_all_see_the_error(it: Fixture<impl Service>) {
    let errors = join_all((0..5).map(|_| it.service.refuse(7))).await;
    assert_eq!(errors, vec![Err(Refused(7)); 5]);
    assert!(it.cache.is_empty());
}

/// `uncheckedException`, `classUncheckedException`.
async fn a_panic_reaches_the_caller_and_leaves_nothing_behind(it: Fixture<impl Service>) {
    let panic = AssertUnwindSafe(it.service.panic(7)).catch_unwind().await.expect_err("the body panics");
    assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("no number 7"));
    assert!(it.cache.is_empty());
    assert_eq!(it.service.cache(7).await, 2, "nobody waits for what panicked");
}

/// `uncheckedExceptionSync`, `classUncheckedExceptionSync`.
async fn a_panic_reaches_the_caller_it_belongs_to_and_no_other(it: Fixture<impl Service>) {
    let panicking = AssertUnwindSafe(it.service.panic(7)).catch_unwind();
    let (panicked, value) = tokio::join!(biased; panicking, it.service.cache(7));
    assert!(panicked.is_err());
    assert_eq!((value, it.calls()), (2, 2), "whoever waited runs a body of its own");
    assert_eq!(it.cache.get(&7), Some(2));
}
