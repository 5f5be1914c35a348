//! Waiting for a condition, with a deadline.

use std::{
    panic::Location,
    time::{Duration, Instant},
};

/// Within this time everything happens that happens at all, however busy the machine is: no test that passes comes near it.
pub const DEADLINE: Duration = Duration::from_mins(2);

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(10);

/// Waits until `condition` holds; fails the test, at the place of the call, if it does not within `deadline`.
#[track_caller]
pub fn eventually(deadline: Duration, mut condition: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = Location::caller();
    async move {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < deadline, "the condition at {caller} did not hold within {deadline:?}");
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

/// The output of `future`; fails the test, at the place of the call, if there is none within `deadline`.
#[track_caller]
pub fn within<F: Future>(deadline: Duration, future: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        let output = tokio::time::timeout(deadline, future).await;
        output.unwrap_or_else(|_| panic!("nothing came within {deadline:?} at {caller}"))
    }
}
