//! The futures of annotated functions: what they are made of beside the body.

use std::{borrow::Cow, cell::Cell, convert::Infallible, error::Error, fmt::Display, rc::Rc, sync::Arc};

use cachesync::{cache_evict, cacheable};

use crate::registry;

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

fn sendable<T: Send>(future: T) -> T {
    future
}

#[tokio::test]
async fn a_future_that_could_be_sent_still_can() {
    assert_eq!(sendable(load(Cell::new(1))).await, Ok(1));
    assert_eq!(sendable(evict(Cell::new(1))).await, Ok(1));
    assert_eq!(sendable(evict_result(Cell::new(1))).await, Ok(1));
    assert_eq!(sendable(stacked(1)).await, Ok(1));
    assert_eq!(local(Rc::new(Cell::new(1))).await.as_deref(), Ok(&1));
}

/// Functions of these return types: what they return mentions lifetimes, or comes with no more than `Send`.
mod returning {
    use super::{Arc, Cow, Display, Error, Rc, cacheable};

    macro_rules! functions {
        ($($name:ident $cache:literal -> $output:ty { $value:expr })*) => {$(
            #[cacheable(cache = $cache)]
            pub(super) async fn $name(id: u64) -> $output {
                tokio::task::yield_now().await;
                assert!(id > 0);
                $value
            }
        )*};
    }

    functions! {
        boxed_error "future-returns-1" -> Result<u8, Box<dyn Error + Send + Sync>> { Err("no".into()) }
        text_error "future-returns-2" -> Result<u8, &'static str> { Err("no") }
        some_text "future-returns-3" -> Option<&'static str> { Some("text") }
        text "future-returns-4" -> &'static str { "text" }
        cow "future-returns-5" -> Option<Cow<'static, str>> { Some("text".into()) }
        object "future-returns-6" -> Arc<dyn Display + Send + Sync> { Arc::new(1) }
        objects "future-returns-7" -> Result<Arc<dyn Display + Send + Sync>, Arc<dyn Error + Send + Sync>> {
            Ok(Arc::new(1))
        }
        local_error "future-returns-8" -> Result<u8, Rc<str>> { Err("no".into()) }
        local_error_of_option "future-returns-9" -> Result<Option<&'static str>, Rc<str>> { Ok(Some("text")) }
    }
}

#[tokio::test]
async fn a_future_can_be_sent_whatever_it_returns() {
    let work = async {
        sendable(returning::boxed_error(1)).await.expect_err("no");
        assert_eq!(sendable(returning::text_error(1)).await, Err("no"));
        assert_eq!(sendable(returning::some_text(1)).await, Some("text"));
        assert_eq!(sendable(returning::text(1)).await, "text");
        assert_eq!(sendable(returning::cow(1)).await.as_deref(), Some("text"));
        assert_eq!(sendable(returning::object(1)).await.to_string(), "1");
        assert_eq!(sendable(returning::objects(1)).await.map_or_else(|e| e.to_string(), |v| v.to_string()), "1");
        assert_eq!(sendable(returning::local_error(1)).await, Err("no".into()));
        assert_eq!(sendable(returning::local_error_of_option(1)).await, Ok(Some("text")));
    };
    registry(&["future-returns-1", "future-returns-3", "future-returns-8"]).await.scope(work).await;
}

#[tokio::test]
async fn a_load_by_hand_can_be_sent_whatever_it_finds() {
    let registry = registry(&["future-by-hand"]).await;
    let cache = registry.cache::<u64, &'static str>("future-by-hand").expect("its types");
    assert_eq!(sendable(cache.get_with(&1, async || "one")).await, "one");
    let load = async || Ok::<_, Infallible>("two");
    assert_eq!(sendable(cache.try_get_with(&2, load)).await, Ok("two"));
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
