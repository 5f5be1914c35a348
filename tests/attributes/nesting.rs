//! Bodies that ask for what they are loading themselves: they end at once, and not after `load_wait`.

use std::{collections::HashMap, pin::Pin, time::Duration};

use cachesync::{CacheConfig, Registry, UnknownCaches, cacheable};
use tokio::time::Instant;

use crate::Calls;

/// A registry in which a wait for oneself would take an hour, and the time until `work` is done.
async fn timed<T>(caches: &[&str], work: impl Future<Output = T>) -> (T, Registry) {
    let builder = Registry::builder().unknown_caches(UnknownCaches::Bypass);
    let config = |name: &&str| CacheConfig::new(*name).load_wait(Duration::from_hours(1));
    let builder = caches.iter().map(config).fold(builder, cachesync::RegistryBuilder::cache);
    let registry = builder.start().await.expect("starts");
    let start = Instant::now();
    let output = registry.scope(work).await;
    assert_eq!(start.elapsed(), Duration::ZERO, "somebody waited");
    (output, registry)
}

#[cacheable(cache = "nesting", key = id)]
async fn direct(calls: &Calls, id: u64) -> u64 {
    if calls.count().await == 1 { 1 + Box::pin(direct(calls, id)).await } else { 10 }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_asks_for_its_own_key_ends_at_once_and_its_value_is_kept() {
    let calls = Calls::default();
    let work = async {
        assert_eq!(direct(&calls, 1).await, 11);
        assert_eq!(direct(&calls, 1).await, 11);
    };
    timed(&["nesting"], work).await;
    assert_eq!(calls.get(), 2);
}

/// Asks for the same key by way of another function of another cache.
#[cacheable(cache = "nesting", key = id)]
async fn ping(calls: &Calls, id: u64) -> u64 {
    if calls.count().await < 4 { 1 + Box::pin(pong(calls, id)).await } else { 10 }
}

#[cacheable(cache = "nesting-other", key = id)]
async fn pong(calls: &Calls, id: u64) -> u64 {
    if calls.count().await < 4 { 1 + Box::pin(ping(calls, id)).await } else { 10 }
}

#[tokio::test(start_paused = true)]
async fn two_functions_that_ask_for_each_other_end_at_once() {
    let calls = Calls::default();
    let (answer, registry) = timed(&["nesting", "nesting-other"], ping(&calls, 1)).await;
    assert_eq!((answer, calls.get()), (13, 4), "ping, pong, and again without waiting");
    let kept = |name| registry.cache::<u64, u64>(name).expect("its types").get(&1);
    assert_eq!((kept("nesting"), kept("nesting-other")), (Some(13), Some(12)), "what the outermost of each answers");
}

#[cacheable(cache = "nesting-batch", keys = ids)]
async fn batch(calls: &Calls, ids: &[u64]) -> HashMap<u64, u64> {
    if calls.count().await > 1 {
        return ids.iter().map(|id| (*id, 10 * id)).collect();
    }
    let same = Box::pin(batch(calls, ids)).await;
    let single = Box::pin(single(calls, ids[0])).await;
    same.into_iter().map(|(id, value)| (id, value + single)).collect()
}

#[cacheable(cache = "nesting-batch", key = id)]
async fn single(calls: &Calls, id: u64) -> u64 {
    if calls.count().await < 3 { Box::pin(batch(calls, &[id, id + 1])).await[&id] } else { id }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_asks_for_its_own_keys_together_or_alone_ends_at_once() {
    let calls = Calls::default();
    let (answer, _) = timed(&["nesting-batch"], batch(&calls, &[1, 2])).await;
    assert_eq!((answer, calls.get()), (HashMap::from([(1, 11), (2, 21)]), 3));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_asks_for_a_batch_with_its_own_key_ends_at_once() {
    let calls = Calls::default();
    calls.count().await;
    let (answer, _) = timed(&["nesting-batch"], single(&calls, 1)).await;
    assert_eq!((answer, calls.get()), (10, 3));
}

/// A future that is returned, and not the function that returns it, is what asks.
#[cacheable(cache = "nesting", key = id)]
fn boxed(calls: &Calls, id: u64) -> Pin<Box<dyn Future<Output = u64> + '_>> {
    Box::pin(async move { if calls.count().await == 1 { 1 + boxed(calls, id).await } else { 10 } })
}

#[tokio::test(start_paused = true)]
async fn a_boxed_future_that_asks_for_its_own_key_ends_at_once() {
    let calls = Calls::default();
    assert_eq!(timed(&["nesting"], boxed(&calls, 1)).await.0, 11);
}

#[cacheable(cache = "nesting-plain", key = id)]
fn factorial(id: u64) -> u64 {
    if id == 0 { 1 } else { id * factorial(id - 1) }
}

#[tokio::test(start_paused = true)]
async fn a_plain_function_can_call_itself() {
    let (answer, registry) = timed(&["nesting-plain"], async { factorial(10) }).await;
    assert_eq!(answer, 3_628_800);
    assert_eq!(registry.stats().caches["nesting-plain"].entries, 11);
}

/// The tasks of a body are others, as the stack is another: but who waits for a task that waits for oneself is helped by
/// `load_wait` alone, which is why it is not infinite.
#[tokio::test(start_paused = true)]
async fn a_circle_through_another_task_ends_after_load_wait() {
    #[cacheable(cache = "nesting-task", key = id, registry = registry)]
    async fn by_task(registry: &Registry, depth: u64, id: u64) -> u64 {
        if depth == 0 {
            10
        } else {
            1 + tokio::spawn(sendable(registry.clone(), depth - 1, id)).await.expect("no panic")
        }
    }
    fn sendable(registry: Registry, depth: u64, id: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
        Box::pin(async move { by_task(&registry, depth, id).await })
    }
    let config = CacheConfig::new("nesting-task").load_wait(Duration::from_secs(3));
    let registry = Registry::builder().unknown_caches(UnknownCaches::Bypass).cache(config).start().await.expect("ok");
    let start = Instant::now();
    assert_eq!(by_task(&registry, 1, 1).await, 11);
    assert_eq!(start.elapsed(), Duration::from_secs(3));
}
