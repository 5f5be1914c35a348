//! Puts against loads and against each other (rule R1).

use std::time::Duration;

use super::{
    check,
    world::{World, tagged, value},
};
use crate::cache::{
    content::Terms,
    store::{Begun, Manner},
};

/// The steps of an annotated function that knows its key: ticket, body, store.
pub(super) fn put(world: &World, key: u64, version: u64) {
    put_on(world, key, version, &Terms::default());
}

pub(super) fn put_tagged(world: &World, key: u64, version: u64) {
    put_on(world, key, version, &tagged());
}

fn put_on(world: &World, key: u64, version: u64, terms: &Terms) {
    let begun = world.store.begin(key, Manner::ByHand, !terms.tags.is_empty(), &|_| false);
    world.write(key, version);
    match begun {
        Begun::Lead(lead) => _ = world.store.put_reserved(lead, key, value(version), terms),
        _ => world.store.evict(&key, Duration::ZERO),
    }
}

/// Those of one that finds its key in its result: number, body, store.
pub(super) fn put_late(world: &World, key: u64, version: u64) {
    let began = world.slot.info.evictions();
    world.write(key, version);
    world.store.put_late(began, key, value(version), &Terms::default());
}

/// By hand, of the only one who writes.
fn insert(world: &World, key: u64, version: u64) {
    world.write(key, version);
    world.cache.insert(key, version);
}

/// Two at once; what is kept is what was committed last.
pub(super) fn race(one: fn(&World, u64, u64), other: fn(&World)) {
    let world = World::new();
    let threads = [world.spawn(move |world| one(world, 1, 7)), world.spawn(other)];
    for thread in threads {
        thread.join().unwrap();
    }
    world.assert_coherent();
}

#[test]
fn a_put_overtakes_a_load() {
    check(|| race(put, |world| _ = world.load(1)));
}

#[test]
fn a_put_overtakes_a_load_with_tags() {
    check(|| race(put_tagged, |world| _ = world.load_tagged(1)));
}

#[test]
fn a_put_whose_key_is_in_its_result_overtakes_a_load() {
    check(|| race(put_late, |world| _ = world.load(1)));
}

#[test]
fn a_put_overtakes_a_reservation() {
    check(|| race(put, |world| _ = world.reserve(1).fill(world.read(1))));
}

#[test]
fn an_insertion_overtakes_a_load() {
    check(|| race(insert, |world| _ = world.load(1)));
}

#[test]
fn of_two_puts_at_most_one_keeps_its_value() {
    check(|| race(put, |world| put(world, 1, 8)));
}

#[test]
fn of_two_puts_whose_keys_are_in_their_results_at_most_one_keeps_its_value() {
    check(|| race(put_late, |world| put_late(world, 1, 8)));
}

#[test]
fn of_a_put_and_one_whose_key_is_in_its_result_at_most_one_keeps_its_value() {
    check(|| race(put, |world| put_late(world, 1, 8)));
}
