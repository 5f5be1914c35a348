//! Loads that do not end as they should, and those who wait for them (rule R9): nobody waits for ever.

use std::{future::poll_fn, pin::pin, task::Poll};

use shuttle::future::{block_on, yield_now};

use super::{check_large, world::World};

/// Drops the future after so many polls, unless it has ended.
pub(super) async fn cancelled<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    for _ in 0..polls {
        let polled = poll_fn(|context| Poll::Ready(future.as_mut().poll(context)));
        if let Poll::Ready(output) = polled.await {
            return Some(output);
        }
        yield_now().await;
    }
    None
}

/// One of three callers is cancelled, leading or waiting.
fn cancel(polls: usize) {
    let world = World::new();
    let cancelled = world.spawn(move |world| {
        let load = world.cache.get_with(1, async || {
            yield_now().await;
            world.read(1)
        });
        block_on(cancelled(polls, load));
    });
    let others = [(); 2].map(|()| world.spawn(|world| world.load(1)));
    cancelled.join().unwrap();
    for other in others {
        assert_eq!(other.join().unwrap(), 0);
    }
    assert_eq!(world.cache.get(&1), Some(0), "who was not cancelled has kept it");
}

/// One of three callers fails, and the others get what their own bodies return.
fn fail() {
    let world = World::new();
    let failing = world.spawn(|world| block_on(world.cache.try_get_with(1, async || Err("down"))));
    let others = [(); 2]
        .map(|()| world.spawn(|world| block_on(world.cache.try_get_with(1, async || Ok::<_, ()>(world.read(1))))));
    // It may have found the value of another.
    assert!(matches!(failing.join().unwrap(), Err("down") | Ok(0)));
    for other in others {
        assert_eq!(other.join().unwrap(), Ok(0));
    }
    assert_eq!(world.cache.get(&1), Some(0));
}

#[test]
fn who_waits_for_a_load_that_is_cancelled_before_its_body_ends_loads() {
    check_large(|| cancel(1));
}

#[test]
fn who_waits_for_a_load_that_is_cancelled_at_its_end_loads() {
    check_large(|| cancel(2));
}

#[test]
fn who_waits_for_a_load_that_fails_loads() {
    check_large(fail);
}
