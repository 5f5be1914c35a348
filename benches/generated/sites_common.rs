//! What functions are called by, and the caches of those by hand.

use std::{
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Waker},
};

use quick_cache::sync::Cache;

pub type Function = fn(u64) -> Arc<u64>;

/// What a function returns that need not wait.
pub fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("no body here waits"),
    }
}

macro_rules! bare {
    ($name:ident) => {
        pub static $name: LazyLock<Cache<u64, Arc<u64>>> = LazyLock::new(|| Cache::new(10_000));
    };
}
