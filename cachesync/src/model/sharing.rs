//! Who joins a load (rule R1): nobody who begins after an eviction has returned gets what was read before it.

use shuttle::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{
    check, check_large,
    fills::evictions,
    world::{HOLD, World},
};

/// A version is committed and evicted; two callers who come before, meanwhile or after.
fn read_after(evict: fn(&World), load: fn(&World) -> u64) {
    let world = World::new();
    let evicted = Arc::new(AtomicU64::new(0));
    let readers = [(); 2].map(|()| {
        let evicted = evicted.clone();
        world.spawn(move |world| {
            let at_least = evicted.load(Ordering::SeqCst);
            (at_least, load(world))
        })
    });
    let writer = world.spawn(move |world| {
        world.write(1, 1);
        evict(world);
        evicted.store(1, Ordering::SeqCst);
    });
    let read = readers.map(|reader| reader.join().unwrap());
    writer.join().unwrap();
    for (at_least, version) in read {
        assert!(version >= at_least, "version {version} was read after the eviction of all before {at_least}");
    }
    world.assert_coherent();
}

pub(super) fn after_an_eviction() {
    read_after(evictions::an_eviction_of_its_key, |world| world.load(1));
}

pub(super) fn after_an_eviction_of_its_tag() {
    read_after(evictions::an_eviction_of_its_tag, |world| world.load_tagged(1));
}

/// The outcome of a transaction is not known, so the key is held; it commits during the hold.
pub(super) fn after_a_late_commit() {
    let commit_late = |world: &World| {
        world.node.evict(&world.slot, &1u64, HOLD);
        world.write(1, 2);
    };
    read_after(commit_late, |world| match world.load(1) {
        2 => 1,
        _ => 0,
    });
}

#[test]
fn nobody_joins_a_load_from_before_an_eviction() {
    check(after_an_eviction);
}

#[test]
fn nobody_joins_a_load_from_before_an_eviction_of_all() {
    check_large(|| read_after(evictions::an_eviction_of_all, |world| world.load(1)));
}

#[test]
fn nobody_joins_a_load_with_tags_from_before_an_eviction_of_its_tag() {
    check(after_an_eviction_of_its_tag);
}

#[test]
fn nobody_joins_anybody_while_the_key_is_held() {
    check(after_a_late_commit);
}
