//! Slots: caches that are made while somebody evicts from them (rule R1), and policies that change.

use std::{sync::Arc, time::Duration};

use shuttle::{sync::atomic::Ordering, thread};

use super::{
    check,
    world::{HOLD, World, node, value},
};
use crate::{
    cache::{
        content::{Content, Terms},
        flight::Outcome,
        store::{Begun, Manner},
    },
    config::{CacheConfig, OnPartition},
    registry::{node::Node, slot::Slot},
};

fn slot() -> (Arc<Node>, Arc<Slot>) {
    let (node, _) = node(CacheConfig::new("rows"), false);
    let slot = node.slot("rows").expect("it is declared");
    (node, slot)
}

/// The first eviction of a cache meets its first load.
fn first_load(evict: fn(&Arc<Node>, &Slot)) {
    let world = World::of(node(CacheConfig::new("rows"), false));
    // Its store is made by whoever comes first: this world has one of its own, over the same rows.
    let (node, slot) = self::slot();
    let filler = {
        let (world, slot) = (world.clone(), slot.clone());
        thread::spawn(move || {
            let store = slot.store::<u64, u64>().ok().unwrap();
            if let Begun::Lead(lead) = store.begin(1, Manner::ByHand, false, &|_| false) {
                lead.keep(Outcome::Value(world.read(1)), &Terms::default());
            }
        })
    };
    let writer = {
        let (world, slot) = (world.clone(), slot.clone());
        thread::spawn(move || {
            world.write(1, 1);
            evict(&node, &slot);
        })
    };
    filler.join().unwrap();
    writer.join().unwrap();
    assert_kept(&slot, world.read(1));
}

/// It meets a put that finds its key in its result, which makes the store when it stores.
fn first_put() {
    let world = World::of(node(CacheConfig::new("rows"), false));
    let (node, slot) = self::slot();
    let putter = {
        let (world, slot) = (world.clone(), slot.clone());
        thread::spawn(move || {
            let began = slot.info.evictions();
            world.write(1, 2);
            slot.store::<u64, u64>().ok().unwrap().put_late(began, 1, value(2), &Terms::default());
        })
    };
    let writer = {
        let (world, slot) = (world.clone(), slot.clone());
        thread::spawn(move || {
            world.write(1, 1);
            node.evict(&slot, &1u64, Duration::ZERO);
        })
    };
    putter.join().unwrap();
    writer.join().unwrap();
    assert_kept(&slot, world.read(1));
}

fn assert_kept(slot: &Slot, committed: u64) {
    let store = slot.store::<u64, u64>().ok().unwrap();
    let kept = store.hit(&&1, Content::into_value);
    assert!(kept.is_none_or(|kept| kept == committed), "kept {kept:?} of {committed}");
}

#[test]
fn a_load_that_makes_the_cache_meets_an_eviction_of_its_key() {
    check(|| first_load(|node, slot| _ = node.evict(slot, &1u64, Duration::ZERO)));
}

#[test]
fn a_load_that_makes_the_cache_meets_an_eviction_of_all() {
    check(|| first_load(|node, slot| _ = node.evict_all(slot, Duration::ZERO)));
}

#[test]
fn a_load_that_makes_the_cache_meets_an_eviction_with_a_hold() {
    check(|| first_load(|node, slot| _ = node.evict(slot, &1u64, HOLD)));
}

#[test]
fn a_put_that_makes_the_cache_meets_an_eviction_of_its_key() {
    check(first_put);
}

#[test]
fn a_policy_of_its_own_is_not_overruled_by_that_of_the_registry() {
    check(|| {
        let (node, slot) = slot();
        let own = {
            let (node, slot) = (node.clone(), slot.clone());
            thread::spawn(move || node.set_on_partition_of(&slot, Some(OnPartition::Bypass)))
        };
        node.set_on_partition(OnPartition::ServeStale);
        own.join().unwrap();
        assert_eq!(slot.info.on_partition(), OnPartition::Bypass);
    });
}

#[test]
fn a_cache_that_gives_its_policy_up_has_that_of_the_registry() {
    check(|| {
        let (node, slot) = slot();
        let own = {
            let (node, slot) = (node.clone(), slot.clone());
            thread::spawn(move || {
                node.set_on_partition_of(&slot, Some(OnPartition::Bypass));
                node.set_on_partition_of(&slot, None);
            })
        };
        node.set_on_partition(OnPartition::ServeStale);
        own.join().unwrap();
        assert_eq!(slot.info.on_partition(), OnPartition::ServeStale);
    });
}

#[test]
fn a_cache_that_is_made_meanwhile_has_the_policy_of_the_registry_and_its_hold() {
    check(|| {
        let (node, _) = slot();
        let maker = {
            let node = node.clone();
            thread::spawn(move || node.slot_for_eviction("later").unwrap())
        };
        node.set_on_partition(OnPartition::ServeStale);
        // Another node evicts from it with a hold.
        if let Some(slot) = node.slot_or_hold("later", HOLD) {
            slot.evict_all(HOLD);
        }
        let slot = maker.join().unwrap();
        assert_eq!(slot.info.on_partition(), OnPartition::ServeStale);
        let held_until = slot.info.all_held_until.load(Ordering::SeqCst);
        assert!(held_until > 0, "the hold was lost");
    });
}
