//! Batches against each other and against evictions of many keys (rules R1 and R9).

use shuttle::future::block_on;

use super::{
    check_large,
    world::{World, tagged},
};
use crate::cache::{
    batch::{self, Batch},
    content::Terms,
    load::Verdict,
};

/// What a function of many keys does; it returns their values.
pub(super) fn load<const N: usize>(world: &World, keys: [u64; N], has_tags: bool) -> Vec<(u64, u64)> {
    let mut batch = Batch::begin(world.store.clone(), None, keys.into_iter().map(|key| (key, key, key)), has_tags);
    block_on(async {
        if !batch.is_known() {
            batch.lead().await;
        }
        let missing = batch.missing();
        let loaded = if missing.is_empty() {
            Vec::new()
        } else {
            let body = async { missing.iter().map(|key| (*key, world.read(*key))).collect() };
            batch::run(Some(&batch), body).await
        };
        let terms = if has_tags { tagged() } else { Terms::default() };
        batch.settle(loaded, |_| Verdict { terms: terms.clone(), ..Verdict::default() }, None)
    })
}

/// Two batches in opposite orders, and an eviction of their keys.
pub(super) fn cross() {
    let world = World::new();
    let one = world.spawn(|world| load(world, [1, 2], false));
    let other = world.spawn(|world| load(world, [2, 1], false));
    let writer = world.spawn(|world| {
        world.write(1, 1);
        world.write(2, 1);
        world.cache.evict_many([2, 1]);
    });
    let loaded = [one, other].map(|batch| batch.join().unwrap());
    writer.join().unwrap();
    assert!(loaded.iter().all(|loaded| loaded.len() == 2));
    world.assert_coherent();
}

/// Three that overlap in a circle.
fn circle() {
    let world = World::new();
    let batches = [[0, 1], [1, 2], [2, 0]].map(|keys| world.spawn(move |world| load(world, keys, false)));
    for batch in batches {
        assert_eq!(batch.join().unwrap().len(), 2);
    }
    world.assert_coherent();
}

/// A batch, and two who want one of its keys each.
fn with_single_loads() {
    let world = World::new();
    let batch = world.spawn(|world| load(world, [1, 2], false).len());
    let single = [2, 1].map(|key| world.spawn(move |world| world.load(key)));
    for single in single {
        assert_eq!(single.join().unwrap(), 0);
    }
    assert_eq!(batch.join().unwrap(), 2);
}

#[test]
fn batches_in_opposite_orders_end_and_keep_nothing_evicted() {
    check_large(cross);
}

#[test]
fn batches_that_overlap_in_a_circle_end() {
    check_large(circle);
}

#[test]
fn a_batch_and_loads_of_its_keys_end() {
    check_large(with_single_loads);
}
