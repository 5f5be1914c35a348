//! The mutation check: with a rule broken on purpose, some seed of the ordinary test run must fail.
//!
//! Compiled only with `--cfg cachesync_mutations`; `cargo xtask simulate --mutations` does that.

use std::{sync::Mutex, thread};

use cachesync::__private::Mutation;

use crate::{SEEDS, number, run::run};

const ALL: [Mutation; 37] = [
    Mutation::KeepOvertakenLoads,
    Mutation::DoNotOvertakeByPuts,
    Mutation::DoNotDetachTaggedLoads,
    Mutation::KeepLoadsOlderThanTheirTag,
    Mutation::KeepOvertakenPuts,
    Mutation::ForgetTags,
    Mutation::ApplyBeforeTheDatabase,
    Mutation::DiscardUnknownOutcomes,
    Mutation::IgnoreHolds,
    Mutation::DoNotRepeatAfterTheHold,
    Mutation::ApplyOnRollback,
    Mutation::DropInnerTransactions,
    Mutation::DropLateEvictions,
    Mutation::ReadWhatIsPending,
    Mutation::FillInsideTransactions,
    Mutation::TellNobody,
    Mutation::IgnoreGaps,
    Mutation::IgnoreOwnGaps,
    Mutation::RefuseTheNext,
    Mutation::SendNoTrailers,
    Mutation::ServePastTheLease,
    Mutation::IgnoreSleep,
    Mutation::KeepServingStale,
    Mutation::RenewOnAnyFrame,
    Mutation::RenewUnheard,
    Mutation::RenewFromReceipt,
    Mutation::DropOnOverflow,
    Mutation::DoNotResend,
    Mutation::ConfirmBeforeItIsTaken,
    Mutation::DoNotClearOnReconnect,
    Mutation::RenewOnResume,
    Mutation::KeepPositionOfUnapplied,
    Mutation::NeverShareLoads,
    Mutation::WaitWithoutBound,
    Mutation::AbandonInSilence,
    Mutation::AdmitEverybody,
    Mutation::ServeExpired,
];

#[test]
fn every_rule_that_is_broken_is_noticed() {
    let seeds = number("CACHESYNC_SIMULATION_SEEDS").unwrap_or(SEEDS);
    let from = number("CACHESYNC_SIMULATION_FROM").unwrap_or(0);
    let left = Mutex::new(ALL.to_vec());
    let unnoticed = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some(mutation) = left.lock().unwrap().pop() else { return };
            Mutation::set(Some(mutation));
            let found = (from..from + seeds).find_map(|seed| Some((seed, run(seed, false).violation?.0)));
            match found {
                Some((seed, rule)) => println!("{mutation:?}: seed {seed} breaks rule {rule}"),
                None => {
                    println!("{mutation:?}: NOT NOTICED");
                    unnoticed.lock().unwrap().push(mutation);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    assert_eq!(*unnoticed.lock().unwrap(), []);
}

/// With nothing broken, but with the small bounds that come with the flag, all seeds pass.
#[test]
fn nothing_is_noticed_where_nothing_is_broken() {
    Mutation::set(None);
    for seed in 0..SEEDS / 4 {
        let violation = run(seed, false).violation;
        assert!(violation.is_none(), "seed {seed}: {violation:?}");
    }
}
