//! The lease (rule R6): read, renewed, closed and run out at the same time.

use std::time::Duration;

use shuttle::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{
    check,
    world::{LEASE, World},
};
use crate::config::OnPartition;

/// The machine sleeps while heartbeats come back.
fn renewed_and_asleep() {
    let world = World::with_backend();
    let since = Arc::new(AtomicU64::new(world.node.clock.boot().0));
    let engine = {
        let since = since.clone();
        world.spawn(move |world| {
            for _ in 0..2 {
                let sent = world.node.clock.boot();
                since.fetch_max(sent.0, Ordering::SeqCst);
                world.node.lease.renew(&world.node.clock, sent);
            }
        })
    };
    let time = world.spawn(|world| {
        world.clock.advance(LEASE / 2);
        world.clock.suspend(LEASE);
    });
    let reader = world.spawn(move |world| {
        let before = world.node.clock.boot();
        let serves = world.slot.info.serves_at().is_some();
        let end = since.load(Ordering::SeqCst) + u64::try_from(LEASE.as_nanos()).unwrap();
        assert!(!serves || before.0 < end, "served past the lease");
    });
    for thread in [engine, time, reader] {
        thread.join().unwrap();
    }
}

/// What is closed is closed, whatever heartbeat comes back then.
fn closed() {
    let world = World::with_backend();
    let engine = world.spawn(|world| world.node.lease.renew(&world.node.clock, world.node.clock.boot()));
    let end = world.spawn(|world| {
        world.clock.advance(Duration::from_secs(1));
        world.node.lease.close();
        assert!(world.slot.info.serves_at().is_none());
    });
    engine.join().unwrap();
    end.join().unwrap();
    let lease = &world.node.lease;
    let serves = |policy| lease.valid_at(policy, &world.node.clock, true).is_some();
    assert!(lease.is_closed() && !serves(OnPartition::Bypass) && !serves(OnPartition::ServeStale));
}

/// An eviction was confirmed, and reaches this node when its lease is over; then the lease is renewed. Who reads after the
/// end of the lease, or after the renewal, does not get the old value.
pub(super) fn late_eviction() {
    let world = World::with_backend();
    assert_eq!((world.load(1), world.cache.get(&1)), (0, Some(0)));
    world.write(1, 1);
    let over = Arc::new(AtomicU64::new(0));
    let engine = {
        let over = over.clone();
        world.spawn(move |world| {
            world.clock.advance(LEASE);
            over.store(1, Ordering::SeqCst);
            world.store.evict(&1, Duration::ZERO);
            world.node.lease.renew(&world.node.clock, world.node.clock.boot());
        })
    };
    let reader = world.spawn(move |world| (over.load(Ordering::SeqCst), world.cache.get(&1)));
    engine.join().unwrap();
    let read = reader.join().unwrap();
    assert_ne!(read, (1, Some(0)), "served past the lease");
}

/// The same for who joins a load past the lease: it is no older than the lease.
pub(super) fn late_eviction_and_shared_loads() {
    let world = World::with_backend();
    let over = Arc::new(AtomicU64::new(0));
    let engine = {
        let over = over.clone();
        world.spawn(move |world| {
            world.write(1, 1);
            world.clock.advance(LEASE);
            over.store(1, Ordering::SeqCst);
            world.store.evict(&1, Duration::ZERO);
            world.node.lease.renew(&world.node.clock, world.node.clock.boot());
        })
    };
    let readers = [(); 2].map(|()| {
        let over = over.clone();
        world.spawn(move |world| (over.load(Ordering::SeqCst), world.load(1)))
    });
    engine.join().unwrap();
    for reader in readers {
        assert_ne!(reader.join().unwrap(), (1, 0), "joined a load that is older than the lease");
    }
    world.assert_coherent();
}

#[test]
fn a_lease_is_never_longer_than_what_renewed_it_allows() {
    check(renewed_and_asleep);
}

#[test]
fn a_closed_lease_stays_closed() {
    check(closed);
}

#[test]
fn nobody_reads_an_evicted_value_when_the_lease_is_over() {
    check(late_eviction);
}

#[test]
fn nobody_joins_a_load_that_is_older_than_the_lease() {
    check(late_eviction_and_shared_loads);
}
