//! Being told when a node begins or ceases to hear the others.

use std::time::Duration;

use cachesync::{Coherence, ManualClock, Registry, StatusChanges, memory::MemoryBackend};
use cachesync_tests::{faulty::FaultyBackend, wait::within};
use tokio::time::timeout;

use crate::nodes::{DEADLINE, alone, node};

const LEASE: Duration = Duration::from_secs(10);

async fn watched() -> (Registry, FaultyBackend, ManualClock, StatusChanges) {
    let (clock, backend) = (ManualClock::new(), FaultyBackend::new(&MemoryBackend::new()));
    let registry = node().lease(LEASE).backend(backend.clone()).clock(clock.clone()).start().await.unwrap();
    let changes = registry.status_changes();
    (registry, backend, clock, changes)
}

async fn next(changes: &mut StatusChanges) -> Coherence {
    within(DEADLINE, changes.changed()).await.expect("the registry has not ended").coherence
}

#[tokio::test(start_paused = true)]
async fn each_change_is_told_once_and_the_end_ends_it() {
    let (registry, backend, clock, mut changes) = watched().await;
    assert!(matches!(changes.current().coherence, Coherence::Coherent { .. }));
    backend.refuse(Some("the test says so"));
    backend.cut();
    assert!(matches!(next(&mut changes).await, Coherence::Suspect { .. }));
    assert!(changes.current().last_error.is_some());
    clock.advance(LEASE);
    assert!(matches!(next(&mut changes).await, Coherence::Partitioned { .. }));
    // Attempts that fail change nothing.
    timeout(LEASE * 10, changes.changed()).await.unwrap_err();
    backend.refuse(None);
    assert!(matches!(next(&mut changes).await, Coherence::Coherent { .. }));
    // Heartbeats change nothing either.
    timeout(LEASE / 2, changes.changed()).await.unwrap_err();
    registry.shutdown().await.unwrap();
    assert_eq!(next(&mut changes).await, Coherence::ShutDown);
    assert!(changes.changed().await.is_none() && changes.changed().await.is_none());
    assert!(registry.status_changes().changed().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_runs_out_and_is_renewed_within_a_session_is_told() {
    let (_registry, backend, clock, mut changes) = watched().await;
    backend.take_messages(false);
    clock.advance(LEASE);
    assert!(matches!(next(&mut changes).await, Coherence::Partitioned { .. }));
    backend.take_messages(true);
    assert!(matches!(next(&mut changes).await, Coherence::Coherent { .. }));
    assert_eq!(changes.current().lease_left, Some(LEASE));
}

#[tokio::test(start_paused = true)]
async fn what_a_dropped_wait_would_have_told_is_told_by_the_next() {
    let (_registry, backend, clock, mut changes) = watched().await;
    backend.refuse(Some("the test says so"));
    timeout(Duration::ZERO, changes.changed()).await.unwrap_err();
    backend.cut();
    clock.advance(LEASE);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(matches!(next(&mut changes).await, Coherence::Partitioned { .. }), "of two changes the last");
}

#[tokio::test]
async fn watching_does_not_keep_a_registry_running_and_needs_no_backend() {
    let (registry, users) = alone().await;
    let mut changes = registry.status_changes();
    assert_eq!(changes.current().coherence, Coherence::Local);
    drop((registry, users));
    assert_eq!(next(&mut changes).await, Coherence::ShutDown);
}

#[test]
fn the_end_of_the_runtime_is_told_on_any_executor() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (registry, _backend, _clock, mut changes) = runtime.block_on(watched());
    drop(runtime);
    assert_eq!(pollster::block_on(changes.changed()).map(|status| status.coherence), Some(Coherence::ShutDown));
    drop(registry);
}
