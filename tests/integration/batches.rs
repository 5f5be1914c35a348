//! Batches where the loads of a cache are limited, and where their keys are held: who waits for whom, and for how long.

use std::{collections::HashMap, sync::atomic::Ordering::SeqCst};

use cachesync::cacheable;
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    limited::{LOAD_WAIT, Limited},
    nodes::settled,
};

/// What a key is called tells who has loaded it, and with which others.
#[cacheable(cache = "users", keys = ids, registry = limited.registry)]
async fn batch(limited: &Limited, ids: &[u64]) -> HashMap<u64, String> {
    limited.run(limited.gate.pass()).await;
    ids.iter().map(|id| (*id, format!("{id} of {ids:?}"))).collect()
}

fn batch_of(limited: &Limited, ids: &'static [u64]) -> JoinHandle<Vec<String>> {
    let limited = limited.clone();
    tokio::spawn(async move {
        let mut answer: Vec<_> = batch(&limited, ids).await.into_iter().collect();
        answer.sort_unstable();
        answer.into_iter().map(|(_, value)| value).collect()
    })
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_one_load_and_waits_as_others_do() {
    let limited = Limited::to(1).await;
    let single = limited.caller(1);
    limited.gate.reached_by(1).await;
    let many = batch_of(&limited, &[2, 3, 4]);
    settled().await;
    assert_eq!(limited.runs(), 1);
    let joins = limited.caller(3);
    limited.gate.let_through(2);
    assert_eq!((single.await.unwrap(), many.await.unwrap().len()), ("1".into(), 3));
    assert_eq!(joins.await.unwrap(), "3 of [2, 3, 4]");
    assert_eq!((limited.runs(), limited.most.load(SeqCst)), (2, 1));
    limited.assert_free().await;
}

/// Two waits in a row would be more than the bound says.
#[tokio::test(start_paused = true)]
async fn a_batch_that_has_waited_too_long_for_the_load_of_another_does_not_wait_to_be_admitted_as_well() {
    let limited = Limited::to(1).await;
    let stuck = limited.caller(1);
    limited.gate.reached_by(1).await;
    let start = Instant::now();
    let many = batch_of(&limited, &[1, 2]);
    limited.gate.reached_by(1).await;
    assert_eq!(start.elapsed(), LOAD_WAIT);
    limited.gate.let_through(2);
    assert_eq!(many.await.unwrap(), ["1 of [1, 2]", "2 of [1, 2]"]);
    stuck.await.unwrap();
    limited.assert_free().await;
}

/// Otherwise it would load what that load is about to begin with.
#[tokio::test(start_paused = true)]
async fn a_batch_has_patience_with_a_load_that_has_to_wait_to_be_admitted() {
    let limited = Limited::to(1).await;
    let stuck = limited.caller(9);
    limited.gate.reached_by(1).await;
    let (waiting, many) = (limited.caller(1), batch_of(&limited, &[1, 2]));
    // It has waited for as long as it can, and goes without.
    limited.gate.reached_by(1).await;
    tokio::time::sleep(LOAD_WAIT / 2).await;
    assert_eq!(limited.runs(), 2, "the batch still waits for it");
    limited.gate.let_through(3);
    assert_eq!(many.await.unwrap(), ["1", "2 of [2]"]);
    stuck.await.unwrap();
    waiting.await.unwrap();
    limited.assert_free().await;
}

/// The database may commit at any moment: who comes after that must not get what the body read before it.
#[tokio::test(start_paused = true)]
async fn during_a_hold_a_batch_shares_its_load_with_who_came_before_it_began_and_with_nobody_after() {
    let limited = Limited::to(1).await;
    limited.hold(&[1, 2]).await;
    let running = limited.caller(9);
    limited.gate.reached_by(1).await;
    let many = batch_of(&limited, &[1, 2]);
    settled().await;
    let before = [limited.caller(1), limited.caller(2)];
    settled().await;
    assert_eq!(limited.runs(), 1, "the batch waits to be admitted, and the others for the batch");

    limited.gate.let_through(1);
    limited.gate.reached_by(1).await;
    assert_eq!(limited.runs(), 2, "it has begun");
    let after = limited.caller(1);
    settled().await;
    limited.gate.let_through(2);
    assert_eq!(many.await.unwrap(), ["1 of [1, 2]", "2 of [1, 2]"]);
    for (caller, answer) in before.into_iter().zip(["1 of [1, 2]", "2 of [1, 2]"]) {
        assert_eq!(caller.await.unwrap(), answer);
    }
    assert_eq!(after.await.unwrap(), "1", "it has loaded for itself");
    running.await.unwrap();
    assert_eq!((limited.runs(), limited.users.get(&1), limited.users.get(&2)), (3, None, None));
    limited.assert_free().await;
}
