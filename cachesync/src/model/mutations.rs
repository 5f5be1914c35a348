//! Rules broken on purpose: a model must notice each, or it checks less than it says.

use std::panic::{AssertUnwindSafe, catch_unwind};

use shuttle::FailurePersistence;

use super::{
    ALL, PREEMPTIONS, batches, fills,
    fills::{by, evictions},
    holds, lease, outbox,
    preemptions::BoundedPreemptions,
    puts, run_with, sharing, transactions,
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
    // That it fails is no news.
    let run = || run_with(FailurePersistence::None, BoundedPreemptions::new(PREEMPTIONS, ALL), model);
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
    finds(Mutation::IgnoreHolds, || holds::race(by::load, holds::a_key));
    finds(Mutation::IgnoreHolds, || holds::race(by::load, holds::all));
    finds(Mutation::IgnoreHolds, || holds::race(by::tagged_load, holds::a_tag));
}

#[test]
fn what_is_dropped_when_there_is_too_much_is_noticed() {
    finds(Mutation::DropOnOverflow, || outbox::send([&[1, 2, 3, 4, 5]], outbox::unharmed));
}

#[test]
fn what_is_not_sent_again_is_noticed() {
    finds(Mutation::DoNotResend, || outbox::send([&[1]], outbox::not_taken));
}

#[test]
fn what_is_confirmed_before_it_is_taken_is_noticed() {
    finds(Mutation::ConfirmBeforeItIsTaken, || outbox::send([&[1]], outbox::unharmed));
}

#[test]
fn a_lease_that_is_not_heeded_is_noticed() {
    finds(Mutation::ServePastTheLease, lease::late_eviction);
}

#[test]
fn pending_evictions_that_are_not_heeded_are_noticed() {
    finds(Mutation::ReadWhatIsPending, transactions::commit_while_a_task_writes);
}

#[test]
fn loads_that_are_joined_when_they_run_or_are_old_are_noticed() {
    finds(Mutation::JoinLoadsThatRun, sharing::after_a_late_commit);
    finds(Mutation::JoinAtAnyAge, lease::late_eviction_and_shared_loads);
}
