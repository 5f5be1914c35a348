//! The futures of annotated functions: what they are made of beside the body.

use std::{cell::Cell, rc::Rc};

use cachesync::{cache_evict, cacheable};

/// Can be sent, but not shared.
type NotSync = Cell<u64>;

#[cacheable(cache = "future-send", key = number.get())]
async fn load(number: NotSync) -> Result<u64, String> {
    tokio::task::yield_now().await;
    Ok(number.get())
}

#[cache_evict(cache = "future-send", key = number.get())]
async fn evict(number: NotSync) -> Result<u64, String> {
    tokio::task::yield_now().await;
    Ok(number.get())
}

#[cache_evict(cache = "future-send", key = *result)]
async fn evict_result(number: NotSync) -> Result<u64, String> {
    tokio::task::yield_now().await;
    Ok(number.get())
}

#[cache_evict(cache = "future-send", key = id, before)]
#[cache_evict(cache = "future-send", key = *result + id)]
async fn stacked(id: u64) -> Result<u64, String> {
    tokio::task::yield_now().await;
    Ok(id)
}

/// An error, a key and a value that cannot leave their thread are nobody's business but the body's.
#[cache_evict(cache = "future-send", key = rc.get())]
async fn local(rc: Rc<NotSync>) -> Result<Rc<u64>, Rc<String>> {
    tokio::task::yield_now().await;
    Ok(Rc::new(rc.get()))
}

#[tokio::test]
async fn a_future_that_could_be_sent_still_can() {
    fn sendable<T: Send>(future: T) -> T {
        future
    }
    assert_eq!(sendable(load(Cell::new(1))).await, Ok(1));
    assert_eq!(sendable(evict(Cell::new(1))).await, Ok(1));
    assert_eq!(sendable(evict_result(Cell::new(1))).await, Ok(1));
    assert_eq!(sendable(stacked(1)).await, Ok(1));
    assert_eq!(local(Rc::new(Cell::new(1))).await.as_deref(), Ok(&1));
}

macro_rules! same_functions {
    ($module:ident: [$($load:tt)*] [$($evict:tt)*] [$($result:tt)*]) => {
        mod $module {
            /// Holds a large variable while it waits.
            $($load)*
            pub(super) async fn load(id: u64) -> Result<[u8; 64], String> {
                let buffer = [u8::try_from(id).unwrap_or(0); 4096];
                tokio::task::yield_now().await;
                Ok(std::array::from_fn(|index| buffer[index]))
            }

            $($evict)*
            pub(super) async fn evict(id: u64) -> Result<[u8; 64], String> {
                let buffer = [u8::try_from(id).unwrap_or(0); 4096];
                tokio::task::yield_now().await;
                Ok(std::array::from_fn(|index| buffer[index]))
            }

            $($result)*
            pub(super) async fn evict_result(id: u64) -> Result<[u8; 64], String> {
                let buffer = [u8::try_from(id).unwrap_or(0); 4096];
                tokio::task::yield_now().await;
                Ok(std::array::from_fn(|index| buffer[index]))
            }
        }
    };
}

same_functions!(plain: [] [] []);
same_functions!(
    annotated:
    [#[cachesync::cacheable(cache = "future-size")]]
    [#[cachesync::cache_evict(cache = "future-size")]]
    [#[cachesync::cache_evict(cache = "future-size", key = u64::from(result[0]))]]
);

#[test]
fn a_future_holds_the_body_once() {
    let sizes = [
        ("load", size_of_val(&plain::load(1)), size_of_val(&annotated::load(1))),
        ("evict", size_of_val(&plain::evict(1)), size_of_val(&annotated::evict(1))),
        ("evict_result", size_of_val(&plain::evict_result(1)), size_of_val(&annotated::evict_result(1))),
    ];
    for (name, plain, annotated) in sizes {
        assert!(annotated <= plain * 3 / 2 + 256, "{name}: {annotated} bytes, and without the attribute {plain}");
    }
}
