//! A client: one task of a node that reads as its dice say, and [writes](crate::writer), for as long as there is something
//! to do.

use std::{
    collections::BTreeMap,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use cachesync::{Cache, Committed, Registry, Transaction};
use futures_util::FutureExt;
use tokio::{sync::mpsc::UnboundedSender, time::sleep};

use crate::{
    database::{Versions, Written},
    dice::Dice,
    history::{Event, How},
    loads::{Asked, Manner},
    service::{self, Call, Nameless, NotLoaded, View},
    source::{Row, RowKey, TABLES, Table},
    world::World,
};

/// By how much an eviction of unknown outcome is repeated later than its hold ends, at the most.
const ECHO: Duration = Duration::from_millis(300);

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) world: Arc<World>,
    pub(crate) registry: Registry,
    pub(crate) node: usize,
    pub(crate) incarnation: u64,
    pub(crate) caches: Arc<BTreeMap<Table, Vec<Cache<u64, Row>>>>,
    /// Goes to the task that waits for confirmations, in the order of the evictions.
    pub(crate) confirm: UnboundedSender<Confirm>,
}

/// Evictions that are on their way.
pub(crate) struct Confirm {
    pub(crate) versions: Vec<(RowKey, u32)>,
    /// Of a transaction that knows when; otherwise the registry is flushed.
    pub(crate) committed: Option<Committed>,
}

impl Client {
    /// Works until the time is up.
    pub(crate) async fn run(self, mut dice: Dice) {
        let plan = &self.world.plan;
        while self.world.now() < plan.active {
            sleep(dice.millis(plan.think.clone())).await;
            let written = Written::default();
            let cancelled = dice.chance(plan.cancelled);
            let polls = if cancelled { dice.within(1..8) } else { u64::MAX };
            let writes = dice.chance(plan.writes);
            let mut committed = None;
            let operation = self.operation(dice.fork(), (writes, cancelled), written.clone(), &mut committed);
            // A panic of the simulation's own is not one of a body, and is not caught silently.
            let ended = cut_after(polls, AssertUnwindSafe(operation).catch_unwind()).await;
            match ended {
                None => self.world.count(|counts| counts.cancelled += 1),
                Some(Ok(())) => {}
                Some(Err(panic))
                    if panic.is::<&str>() && *panic.downcast_ref::<&str>().unwrap_or(&"") == "a body panics" => {}
                Some(Err(panic)) => std::panic::resume_unwind(panic),
            }
            let versions = std::mem::take(&mut *written.lock().unwrap_or_else(PoisonError::into_inner));
            let Versions { applied, in_doubt } = versions;
            // The task that waits for confirmations ends with the node.
            if !applied.is_empty() {
                _ = self.confirm.send(Confirm { versions: applied, committed });
            }
            if !in_doubt.is_empty() {
                let (confirm, over) = (self.confirm.clone(), plan.settle + ECHO);
                tokio::spawn(async move {
                    sleep(over).await;
                    _ = confirm.send(Confirm { versions: in_doubt, committed: None });
                });
            }
        }
    }

    async fn operation(
        &self,
        mut dice: Dice,
        (writes, is_cut): (bool, bool),
        written: Written,
        committed: &mut Option<Committed>,
    ) {
        let id = dice.within(0..self.world.plan.rows);
        let call = self.call(&mut dice, written, View::Now);
        if writes {
            *committed = self.write_any(call, id, is_cut, dice).await;
        } else if let Some(table) = self.favoured(&mut dice) {
            self.read_any(&call, RowKey { table, id }).await;
        } else {
            match dice.within(0..12) {
                0 => self.read_snapshot(call, &mut dice).await,
                1..=3 => self.read_any(&call, RowKey { table: Table::Items, id }).await,
                4 => self.read_batch(&call, &mut dice).await,
                5 => self.reserve(&call, id, &mut dice).await,
                _ => self.read_any(&call, RowKey { table: dice.pick(&TABLES), id }).await,
            }
        }
    }

    pub(crate) fn call(&self, dice: &mut Dice, written: Written, view: View) -> Call {
        Call {
            world: self.world.clone(),
            registry: self.registry.clone(),
            node: self.node,
            incarnation: self.incarnation,
            seed: dice.number(),
            written,
            view,
            panics: self.world.plan.cancelled > 0 && dice.chance(20),
            fails: self.world.plan.cancelled > 0 && dice.chance(50),
            ran: AtomicBool::new(false),
            asked: Mutex::default(),
            loaded: Mutex::default(),
        }
    }

    /// The table that is favoured, as often as it is.
    pub(crate) fn favoured(&self, dice: &mut Dice) -> Option<Table> {
        let (table, chance) = self.world.plan.favoured;
        dice.chance(chance).then_some(table)
    }

    pub(crate) fn lives(&self) -> bool {
        self.world.lives(self.node, self.incarnation)
    }

    /// The first of the caches of a table.
    pub(crate) fn cache(&self, table: Table) -> &Cache<u64, Row> {
        &self.caches(table)[0]
    }

    pub(crate) fn caches(&self, table: Table) -> &[Cache<u64, Row>] {
        &self.caches[&table]
    }

    /// Holds what was read against the rules; what a body saw in an old snapshot is its own affair.
    fn check(&self, call: &Call, key: RowKey, asked: Asked, row: Option<&Row>) {
        let loaded = call.has_loaded(key);
        let how = if loaded { How::Loaded } else { How::Cached };
        // What a dead node still does is not its doing.
        if loaded && matches!(call.view, View::Snapshot(_)) || !self.lives() {
            return;
        }
        let transaction = if let View::Transaction(transaction) = call.view { Some(transaction) } else { None };
        self.world.check_read(self.node, key, asked, row, how, transaction);
    }

    pub(crate) async fn read_any(&self, call: &Call, key: RowKey) {
        let RowKey { table, id } = key;
        let asked = call.asks(key);
        let load = || async { call.load(key, Manner::Shared).await?.ok_or(NotLoaded) };
        let read = match table {
            Table::Items => Ok(service::find(call, id).await),
            Table::Pairs => service::find_pair(call, id).await.map(Some),
            Table::Plain | Table::Puts => self.cache(table).try_get_with(&id, load).await.map(Some),
            Table::Named => match service::find_name(call, id).await {
                Ok(row) => Ok(Some(row)),
                Err(Nameless::Gone) => Ok(None),
                Err(Nameless::Failed) => Err(NotLoaded),
            },
        };
        if let Ok(row) = read {
            if !call.has_loaded(key) {
                self.world.check_wait(self.node, key, asked, 2);
            }
            self.check(call, key, asked, row.as_ref());
        }
    }

    /// What is cached of a row, if anything is.
    pub(crate) async fn peek(&self, key: RowKey) -> Option<Option<Row>> {
        let mut call = self.call(&mut Dice::new(0), Written::default(), View::Now);
        (call.panics, call.fails) = (false, false);
        let row = match key.table {
            Table::Named => service::find_name(&call, key.id).await.ok(),
            _ => service::find(&call, key.id).await,
        };
        (!call.ran.load(Ordering::Relaxed)).then_some(row)
    }

    async fn read_batch(&self, call: &Call, dice: &mut Dice) {
        let first = dice.within(0..self.world.plan.rows);
        let ids: Vec<_> = (first..self.world.plan.rows).collect();
        let key = |id| RowKey { table: Table::Items, id };
        let asked: Vec<_> = ids.iter().map(|id| call.asks(key(*id))).collect();
        let rows = service::find_many(call, &ids).await;
        for (id, asked) in ids.iter().zip(asked) {
            let row = rows.iter().find(|(other, _)| other == id).map(|(_, row)| row);
            if call.has_loaded(key(*id)) && self.lives() {
                // A batch is stored when all of it was loaded.
                self.world.stored(self.node, key(*id), row.map(|row| row.version));
            }
            self.check(call, key(*id), asked, row);
        }
    }

    async fn reserve(&self, call: &Call, id: u64, dice: &mut Dice) {
        let key = RowKey { table: dice.pick(&[Table::Plain, Table::Puts]), id };
        let reservation = self.cache(key.table).reserve(&id);
        call.asks(key);
        let Ok(Some(row)) = call.load(key, Manner::Alone).await else { return };
        let version = row.version;
        let kept = reservation.fill(row);
        self.world.note(Some(self.node), Some(key), Event::Kept { version, kept });
    }

    /// Reads over an old snapshot of the database, in a scope.
    async fn read_snapshot(&self, mut call: Call, dice: &mut Dice) {
        call.view = View::Snapshot(self.world.source().snapshot());
        (call.panics, call.fails) = (false, false);
        let scope = Transaction::read_only();
        for _ in 0..dice.within(1..4) {
            sleep(dice.millis(0..400)).await;
            let id = dice.within(0..self.world.plan.rows);
            scope.scope(self.read_any(&call, RowKey { table: dice.pick(&TABLES), id })).await;
        }
    }
}

/// Drops a future at its `polls`th await.
pub(crate) async fn cut_after<F: Future>(polls: u64, future: F) -> Option<F::Output> {
    let mut left = polls;
    let mut future = Some(Box::pin(future));
    std::future::poll_fn(|context| {
        let Some(running) = &mut future else { return Poll::Ready(None) };
        if let Poll::Ready(output) = running.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        left -= 1;
        if left == 0 {
            future = None;
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}
