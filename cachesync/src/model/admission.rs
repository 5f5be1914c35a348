//! Admission (rule R9): never more loads at once than are allowed, and no permit is lost.

use shuttle::{
    future::block_on,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    cancellation::cancelled,
    check_large,
    world::{World, node},
};
use crate::config::CacheConfig;

const LIMIT: usize = 1;

/// Loads of three keys, of which one is cancelled after so many polls.
fn bounded(polls: Option<usize>) {
    let world = World::of(node(CacheConfig::new("rows").max_concurrent_loads(LIMIT), false));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let loads = [0, 1, 2].map(|key| {
        let (running, most) = (running.clone(), most.clone());
        world.spawn(move |world| {
            let body = async || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let version = world.read(key);
                running.fetch_sub(1, Ordering::SeqCst);
                version
            };
            let load = world.cache.get_with(key, body);
            // A body that has begun has no await, so it ends.
            match polls {
                Some(polls) if key == 0 => block_on(cancelled(polls, load)).unwrap_or_default(),
                _ => block_on(load),
            }
        })
    });
    for load in loads {
        assert_eq!(load.join().unwrap(), 0);
    }
    assert!(most.load(Ordering::SeqCst) <= LIMIT);
    assert_eq!(world.slot.info.admissions.left(), LIMIT);
}

#[test]
fn no_more_loads_run_at_once_than_are_allowed() {
    check_large(|| bounded(None));
}

#[test]
fn who_is_cancelled_while_it_waits_to_be_admitted_costs_no_permit() {
    check_large(|| bounded(Some(1)));
}
