//! Loads whose futures are dropped while their bodies run.

use std::{
    cell::RefCell,
    future::pending,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Waker},
    thread,
};

use cachesync::Cache;
use cachesync_tests::wait::within;
use futures_util::FutureExt;

use crate::nodes::{DEADLINE, alone};

/// Asks for what is being loaded where it is dropped.
struct Asking {
    users: Cache<u64, String>,
    answer: Arc<Mutex<Option<String>>>,
}

impl Drop for Asking {
    fn drop(&mut self) {
        *self.answer.lock().unwrap() = self.users.get_with(1, async || "in the drop".to_owned()).now_or_never();
    }
}

#[tokio::test]
async fn a_body_is_dropped_as_a_part_of_its_load_which_ends_after_it() {
    let (_registry, users) = alone().await;
    let answer = Arc::default();
    let asking = Asking { users: users.clone(), answer: Arc::clone(&answer) };
    let mut load = Box::pin(users.get_with(1, async || {
        let _asking = asking;
        pending().await
    }));
    assert!(load.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(load);
    assert_eq!(answer.lock().unwrap().as_deref(), Some("in the drop"), "it does not wait for itself");
    assert_eq!(users.get(&1), None, "and keeps nothing: the load was not over");
}

#[test]
fn a_thread_that_ends_drops_a_load_as_any_other() {
    thread_local! {
        static LEFT: RefCell<Option<Pin<Box<dyn Future<Output = String>>>>> = const { RefCell::new(None) };
    }

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_registry, users) = runtime.block_on(alone());
    let loading = users.clone();
    let thread = thread::spawn(move || {
        LEFT.with_borrow_mut(|left| {
            // The place before the load has any of its own in this thread: so it is dropped after those.
            let load = left.insert(Box::pin(async move { loading.get_with(1, pending).await }));
            assert!(load.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        });
    });
    thread.join().unwrap();
    let next = runtime.block_on(within(DEADLINE, users.get_with(1, async || "next".to_owned())));
    assert_eq!((next.as_str(), users.stats().shared), ("next", 0));
}
