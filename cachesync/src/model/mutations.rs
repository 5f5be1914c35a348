//! Rules broken on purpose: a model must notice each, or it checks less than it says.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    ALL, PREEMPTIONS, batches, fills,
    fills::{by, evictions},
    preemptions::BoundedPreemptions,
    puts, run, sharing,
};
use crate::mutation::Mutation;

/// Demands that the model fails with the rule broken.
fn finds(mutation: Mutation, model: fn()) {
    struct Mend;
    impl Drop for Mend {
        fn drop(&mut self) {
            Mutation::set(None);
        }
    }

    Mutation::set(Some(mutation));
    let _mend = Mend;
    let run = || run(BoundedPreemptions::new(PREEMPTIONS, ALL), model);
    let found = catch_unwind(AssertUnwindSafe(run));
    assert!(found.is_err(), "{mutation:?} is not noticed in any of {found:?} schedules");
}

#[test]
fn loads_that_are_not_overtaken_are_noticed() {
    finds(Mutation::KeepOvertakenLoads, || fills::race(by::load, evictions::an_eviction_of_its_key));
    finds(Mutation::KeepOvertakenLoads, || fills::race(by::load, evictions::an_eviction_of_all));
    finds(Mutation::KeepOvertakenLoads, || fills::race(by::reservation, evictions::an_eviction_of_its_key));
    finds(Mutation::KeepOvertakenLoads, || fills::race(by::put, evictions::a_clear));
    finds(Mutation::KeepOvertakenLoads, sharing::after_an_eviction);
    finds(Mutation::KeepOvertakenLoads, batches::cross);
}

#[test]
fn loads_that_a_put_does_not_overtake_are_noticed() {
    finds(Mutation::DoNotOvertakeByPuts, || puts::race(puts::put, |world| _ = world.load(1)));
    finds(Mutation::DoNotOvertakeByPuts, || puts::race(puts::put, |world| puts::put(world, 1, 8)));
}

#[test]
fn loads_with_tags_that_can_still_be_joined_are_noticed() {
    finds(Mutation::DoNotDetachTaggedLoads, sharing::after_an_eviction_of_its_tag);
}

#[test]
fn loads_that_are_older_than_their_tag_are_noticed() {
    finds(Mutation::KeepLoadsOlderThanTheirTag, || fills::race(by::tagged_load, evictions::an_eviction_of_its_tag));
}

#[test]
fn holds_that_are_ignored_are_noticed() {
    finds(Mutation::IgnoreHolds, sharing::after_a_late_commit);
}
