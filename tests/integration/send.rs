//! What must compile: futures that can be spawned.

use std::{error::Error, rc::Rc, sync::Arc};

use cachesync::{Cache, Registry, cacheable};

fn sendable<F: Future + Send>(_: F) {}

trait Shape: Send + Sync {}

type Dynamic = Result<u8, Box<dyn Error + Send + Sync>>;
type DynamicBoth = Result<Arc<dyn Shape>, Arc<dyn Error + Send + Sync>>;

#[cacheable(cache = "dynamic", key = 1u8, registry = registry)]
async fn boxed_error(registry: &Registry) -> Dynamic {
    tokio::task::yield_now().await;
    Ok(1)
}

#[cacheable(cache = "dynamic", key = 1u8, registry = registry)]
async fn dynamic_value(registry: &Registry) -> DynamicBoth {
    Err(Arc::new(std::fmt::Error))
}

#[cacheable(cache = "dynamic", key = 1u8, registry = registry)]
async fn borrowed(registry: &Registry) -> Option<&'static str> {
    Some("static")
}

#[cacheable(cache = "dynamic", key = 1u8, registry = registry)]
async fn local_error(registry: &Registry) -> Result<u8, Rc<str>> {
    Ok(1)
}

#[test]
fn the_future_of_a_load_is_send_whatever_lifetimes_its_types_mention() {
    // Never called: that it compiles is the test.
    let _ = |registry: &Registry, cache: &Cache<u64, &'static str>| {
        sendable(boxed_error(registry));
        sendable(dynamic_value(registry));
        sendable(borrowed(registry));
        sendable(local_error(registry));
        sendable(cache.get_with(1, async || "static"));
        sendable(cache.try_get_with(1, async || Ok::<_, Box<dyn Error + Send + Sync>>("static")));
    };
}
