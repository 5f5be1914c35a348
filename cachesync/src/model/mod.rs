//! Models: a few threads each, in a few steps of the code that ships, run by a checker under many schedules.
//!
//! `cargo xtask model` runs them, with `--cfg cachesync_shuttle`; without that flag they are not compiled. `shuttle`
//! decides at each lock, atomic and notification (see [`sync`](crate::sync)) which thread runs next: in every way with a
//! few [`preemptions`], at random, or by priorities that change a few times (PCT). A model asserts what the rule says, mostly
//! when its threads have ended; that nobody waits for ever the checker asserts by itself.
//!
//! What is not checked: atomics are sequentially consistent here, whatever orderings they are given; time stands still but
//! for what a model's own clock does, so no wait is given up; and bodies do not panic.

mod admission;
mod batches;
mod cancellation;
mod fills;
mod holds;
mod lease;
mod mutations;
mod outbox;
mod preemptions;
mod puts;
mod sharing;
mod slot;
mod transactions;
mod world;

use std::{
    any::Any,
    env,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    thread,
};

use preemptions::BoundedPreemptions;
use shuttle::{
    Config, FailurePersistence, Runner,
    scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler},
};

/// How many random schedules are tried of each model, and how many by priorities, unless the environment says otherwise.
const ITERATIONS: usize = 1_000;
/// How many changes of priority there are.
const DEPTH: usize = 4;
/// How many preemptions there are at the most where all such schedules are tried, and how many those may be.
const PREEMPTIONS: usize = 2;
const ALL: usize = 2_000_000;

/// Runs a model under every schedule with two preemptions at the most, and under some of the others.
fn check(model: impl Fn() + Send + Sync + 'static) {
    check_with(PREEMPTIONS, ITERATIONS, model);
}

/// The same for one of so many threads that this would be too many schedules: with one, and more of the others.
fn check_large(model: impl Fn() + Send + Sync + 'static) {
    check_with(PREEMPTIONS - 1, 5 * ITERATIONS, model);
}

fn check_with(preemptions: usize, iterations: usize, model: impl Fn() + Send + Sync + 'static) {
    let model = Arc::new(model);
    let model = move || {
        let model = model.clone();
        move || model()
    };
    if let Ok(schedule) = env::var("CACHESYNC_MODEL_REPLAY") {
        run(ReplayScheduler::new_from_encoded(&schedule), model());
        return;
    }
    let number = |name, default| env::var(name).map_or(default, |number| number.parse().expect("a number"));
    let preemptions = number("CACHESYNC_MODEL_PREEMPTIONS", preemptions);
    let all = run(BoundedPreemptions::new(preemptions, ALL), model());
    assert!(all < ALL, "there are too many schedules to try them all");
    println!("{}: all {all} schedules of at most {preemptions} preemptions", name());
    let iterations = number("CACHESYNC_MODEL_ITERATIONS", iterations);
    run(RandomScheduler::new(iterations), model());
    run(PctScheduler::new(DEPTH, iterations), model());
}

fn run(scheduler: impl Scheduler + 'static, model: impl Fn() + Send + Sync + 'static) -> usize {
    run_with(FailurePersistence::Print, scheduler, model)
}

/// Returns how many schedules it were.
fn run_with(
    persistence: FailurePersistence,
    scheduler: impl Scheduler + 'static,
    model: impl Fn() + Send + Sync + 'static,
) -> usize {
    let mut config = Config::new();
    config.failure_persistence = persistence;
    config.stack_size = 256 * 1024;
    // Said once, above.
    config.silence_warnings = true;
    // Timers need a runtime, and of this one none ever ends.
    let _entered = world::runtime().enter();
    let run = || Runner::new(scheduler, config).run(model);
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        if let Some(schedule) = schedule_of(&*panic) {
            eprintln!("\nto run it again: cargo xtask model --replay {schedule} {}\n", name());
        }
        resume_unwind(panic)
    })
}

/// The schedule that shuttle reports with a failure.
fn schedule_of(panic: &(dyn Any + Send)) -> Option<String> {
    let message = panic.downcast_ref::<String>()?;
    let (_, schedule) = message.split_once("failing schedule:")?;
    Some(schedule.split('"').nth(1)?.split_whitespace().collect())
}

/// That of the test.
fn name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}
