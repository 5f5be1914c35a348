//! Holds (rules R1 and R2): what is evicted with a hold may change at any moment until that is over.

use super::{
    check,
    fills::by,
    world::{HOLD, World, tag},
};

/// Nobody knows whether the database has committed; it does so during the hold. Meanwhile somebody fills.
pub(super) fn race(fill: fn(&World), evict: fn(&World)) {
    let world = World::new();
    let filler = world.spawn(fill);
    let writer = world.spawn(move |world| {
        evict(world);
        world.write(1, 1);
        world.clock.advance(HOLD);
    });
    filler.join().unwrap();
    writer.join().unwrap();
    world.assert_coherent();
}

pub(super) fn a_key(world: &World) {
    world.node.evict(&world.slot, &1u64, HOLD);
}

pub(super) fn all(world: &World) {
    world.node.evict_all(&world.slot, HOLD);
}

pub(super) fn a_tag(world: &World) {
    world.node.evict_tags(&world.slot, &[tag()], HOLD);
}

#[test]
fn a_load_of_a_held_key_is_not_kept() {
    check(|| race(by::load, a_key));
}

#[test]
fn a_reservation_of_a_held_key_is_not_kept() {
    check(|| race(by::reservation, a_key));
}

#[test]
fn a_batch_with_a_held_key_keeps_nothing_of_it() {
    check(|| race(by::batch, a_key));
}

#[test]
fn a_load_while_all_is_held_is_not_kept() {
    check(|| race(by::load, all));
}

#[test]
fn a_batch_while_all_is_held_is_not_kept() {
    check(|| race(by::batch, all));
}

#[test]
fn a_load_with_a_held_tag_is_not_kept() {
    check(|| race(by::tagged_load, a_tag));
}

#[test]
fn a_batch_with_a_held_tag_is_not_kept() {
    check(|| race(by::tagged_batch, a_tag));
}
