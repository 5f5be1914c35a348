//! Transactions whose scope is in several tasks (rules R2 and R3): each eviction is applied, and broadcast once.

use std::{
    future,
    sync::Arc,
    task::{Context, Waker},
};

use shuttle::{future::block_on, thread};

use super::{check, world::World};
use crate::transaction::{Transaction, TransactionHandle};

/// A node whose cache holds row 1.
fn world() -> Arc<World> {
    let world = World::with_backend();
    assert_eq!(world.load(1), 0);
    world
}

/// In the scope, a task writes row 1, evicts it, and tells what it reads then.
fn write(world: &Arc<World>, scope: TransactionHandle) -> thread::JoinHandle<u64> {
    world.spawn(move |world| {
        block_on(scope.scope(async {
            world.write(1, 1);
            world.cache.evict(&1);
            world.cache.get_with(1, async || world.read(1)).await
        }))
    })
}

/// Ends a transaction in a thread of its own.
fn end(transaction: Transaction, how: fn(Transaction)) -> thread::JoinHandle<()> {
    thread::spawn(move || how(transaction))
}

fn commit(transaction: Transaction) {
    transaction.commit();
}

/// Nobody knows whether the database committed.
fn doubt(transaction: Transaction) {
    let mut unknown = Box::pin(transaction.commit_with(future::pending::<Result<(), ()>>()));
    let mut context = Context::from_waker(Waker::noop());
    assert!(unknown.as_mut().poll(&mut context).is_pending());
}

/// A task evicts while the transaction ends.
fn one(how: fn(Transaction)) {
    let world = world();
    let transaction = Transaction::begin();
    let task = write(&world, transaction.handle());
    let end = end(transaction, how);
    let read = task.join().unwrap();
    end.join().unwrap();
    assert_eq!(read, 1, "a task of the transaction reads what it has written");
    assert_applied_once(&world);
}

pub(super) fn commit_while_a_task_writes() {
    one(commit);
}

/// A task evicts while the transaction ends, and the one around it.
fn inner(how: fn(Transaction), outer_how: fn(Transaction)) {
    let world = world();
    let outer = Transaction::begin();
    let inner = block_on(outer.scope(async { Transaction::begin() }));
    let task = write(&world, inner.handle());
    let ends = [end(inner, how), end(outer, outer_how)];
    let read = task.join().unwrap();
    for end in ends {
        end.join().unwrap();
    }
    assert_eq!(read, 1, "a task of the transaction reads what it has written");
    assert_applied_once(&world);
}

fn assert_applied_once(world: &World) {
    world.assert_coherent();
    let outbox = world.node.outbox.as_ref().unwrap();
    assert_eq!(outbox.depth().len(), 1, "it is broadcast once");
    let batch = outbox.take().unwrap();
    let pending = batch.caches.values().next().unwrap();
    assert_eq!((pending.keys.len(), pending.all), (1, None));
}

/// Somebody waits for the broadcast of an inner transaction; the outer one ends meanwhile.
fn confirmed() {
    let world = world();
    let outer = Transaction::begin();
    let inner = block_on(outer.scope(async {
        let inner = Transaction::begin();
        inner.scope(async { world.cache.evict(&1) }).await;
        inner
    }));
    let waiting = thread::spawn(move || block_on(inner.commit().confirmed()).map_err(|error| error.to_string()));
    let engine = world.spawn(|world| {
        let outbox = world.node.outbox.as_ref().unwrap();
        let batch = loop {
            block_on(outbox.pushed());
            if let Some(batch) = outbox.take() {
                break batch;
            }
        };
        outbox.confirm(batch.ticket);
    });
    outer.commit();
    engine.join().unwrap();
    assert_eq!(waiting.join().unwrap(), Ok(()));
}

#[test]
fn what_a_task_evicts_while_the_transaction_commits_is_applied_once() {
    check(commit_while_a_task_writes);
}

#[test]
fn what_a_task_evicts_while_the_outcome_becomes_unknown_is_applied_once() {
    check(|| one(doubt));
}

#[test]
fn what_a_task_evicts_while_an_inner_and_an_outer_transaction_commit_is_applied_once() {
    check(|| inner(commit, commit));
}

#[test]
fn what_a_task_evicts_while_the_outcome_of_an_inner_transaction_becomes_unknown_is_applied_once() {
    check(|| inner(doubt, commit));
}

#[test]
fn who_waits_for_the_broadcast_of_an_inner_transaction_learns_of_it() {
    check(confirmed);
}
