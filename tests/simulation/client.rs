//! A client: one task of a node that reads and writes as its dice say, for as long as there is something to do.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use cachesync::{Cache, Committed, Registry, Transaction};
use futures_util::FutureExt;
use tokio::{sync::mpsc::UnboundedSender, time::sleep};

use crate::{
    database::{Answer, DatabaseTransaction, Versions, Written},
    dice::Dice,
    history::{Event, How},
    service::{self, Call, NotLoaded, View},
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
    pub(crate) plain: Cache<u64, Row>,
    pub(crate) puts: Cache<u64, Row>,
    /// Goes to the task that waits for confirmations, in the order of the evictions.
    pub(crate) confirm: UnboundedSender<Confirm>,
}

/// Evictions that are on their way.
pub(crate) struct Confirm {
    pub(crate) versions: Vec<(RowKey, u32)>,
    /// Of a transaction that knows when; otherwise the registry is flushed.
    pub(crate) committed: Option<Committed>,
}

/// How a transaction of the simulation ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Commit(Answer),
    RollBack,
    Drop,
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
            let operation = self.operation(dice.fork(), writes, written.clone(), &mut committed);
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

    async fn operation(&self, mut dice: Dice, writes: bool, written: Written, committed: &mut Option<Committed>) {
        let rows = self.world.plan.rows;
        let id = dice.within(0..rows);
        let call = self.call(&mut dice, written, View::Now);
        if !writes && dice.chance(self.world.plan.tagged) {
            return self.read_items(&call, id).await;
        }
        if !writes {
            match dice.within(0..12) {
                0 => self.read_snapshot(call, &mut dice).await,
                1..=3 | 8 => self.read_items(&call, id).await,
                4 => self.read_batch(&call, &mut dice).await,
                5 | 6 => self.read_pair(&call, id).await,
                7 => self.reserve(&call, id, &mut dice).await,
                _ => {
                    let table = dice.pick(&[Table::Plain, Table::Puts]);
                    self.read(&call, table, id).await;
                }
            }
            return;
        }
        match dice.within(0..8) {
            0 => self.save(&call, id, &mut dice).await,
            1 => self.put(&call, id).await,
            _ => *committed = self.write(call, dice).await,
        }
    }

    fn call(&self, dice: &mut Dice, written: Written, view: View) -> Call {
        Call {
            world: self.world.clone(),
            registry: self.registry.clone(),
            node: self.node,
            incarnation: self.incarnation,
            seed: dice.number(),
            written,
            view,
            panics: self.world.plan.cancelled > 0 && dice.chance(20),
            // What waited for a load that failed is loaded by everybody at once, which rule E would not know.
            fails: self.world.plan.cancelled > 0 && dice.chance(50),
            ran: AtomicBool::new(false),
        }
    }

    fn cache(&self, table: Table) -> &Cache<u64, Row> {
        if table == Table::Plain { &self.plain } else { &self.puts }
    }

    /// Holds what was read against the rules; what a body saw in an old snapshot is its own affair.
    fn check(&self, call: &Call, key: RowKey, floor: u32, row: Option<&Row>) {
        let loaded = call.ran.load(Ordering::Relaxed);
        let how = if loaded { How::Loaded } else { How::Cached };
        if loaded && matches!(call.view, View::Snapshot(_)) {
            return;
        }
        let transaction = if let View::Transaction(transaction) = call.view { Some(transaction) } else { None };
        self.world.check_read(self.node, key, floor, row, how, transaction);
    }

    async fn read(&self, call: &Call, table: Table, id: u64) {
        let key = RowKey { table, id };
        let floor = self.world.floor(key, self.node);
        call.ran.store(false, Ordering::Relaxed);
        let load = || async { call.load(table, id, false).await.filter(|_| !call.fails).ok_or(NotLoaded) };
        if let Ok(row) = self.cache(table).try_get_with(&id, load).await {
            self.check(call, key, floor, Some(&row));
        }
    }

    async fn read_pair(&self, call: &Call, id: u64) {
        let key = RowKey { table: Table::Pairs, id };
        let floor = self.world.floor(key, self.node);
        call.ran.store(false, Ordering::Relaxed);
        if let Ok(row) = service::find_pair(call, id).await {
            self.check(call, key, floor, Some(&row));
        }
    }

    async fn read_any(&self, call: &Call, RowKey { table, id }: RowKey) {
        match table {
            Table::Items => self.read_items(call, id).await,
            Table::Pairs => self.read_pair(call, id).await,
            Table::Plain | Table::Puts => self.read(call, table, id).await,
        }
    }

    async fn read_items(&self, call: &Call, id: u64) {
        let key = RowKey { table: Table::Items, id };
        let floor = self.world.floor(key, self.node);
        call.ran.store(false, Ordering::Relaxed);
        let row = service::find(call, id).await;
        self.check(call, key, floor, row.as_ref());
    }

    async fn read_batch(&self, call: &Call, dice: &mut Dice) {
        let first = dice.within(0..self.world.plan.rows);
        let ids: Vec<_> = (first..self.world.plan.rows).collect();
        let key = |id| RowKey { table: Table::Items, id };
        let floors: Vec<_> = ids.iter().map(|id| self.world.floor(key(*id), self.node)).collect();
        call.ran.store(false, Ordering::Relaxed);
        let rows = service::find_many(call, &ids).await;
        for (id, floor) in ids.iter().zip(floors) {
            // Which of them the body was asked for is not known here, so it counts as loaded if any was.
            let row = rows.iter().find(|(other, _)| other == id).map(|(_, row)| row);
            self.check(call, key(*id), floor, row);
        }
    }

    async fn reserve(&self, call: &Call, id: u64, dice: &mut Dice) {
        let table = dice.pick(&[Table::Plain, Table::Puts]);
        let reservation = self.cache(table).reserve(&id);
        let Some(row) = call.load(table, id, true).await else { return };
        let version = row.version;
        let kept = reservation.fill(row);
        self.world.note(Some(self.node), Some(RowKey { table, id }), Event::Kept { version, kept });
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

    /// Writes by an annotated function, in a transaction of the database that is the function's own.
    async fn save(&self, call: &Call, id: u64, dice: &mut Dice) {
        let saved = if dice.chance(250) {
            service::save_pair(call, id).await
        } else if dice.chance(300) {
            service::save_group(call, 0).await
        } else {
            // Rows of group 0 are always there: an eviction by tag does not find that there is nothing.
            service::save(call, id, service::group(id) == 1 && dice.chance(400)).await
        };
        if let Ok(transaction) = saved {
            transaction.applied();
        }
    }

    async fn put(&self, call: &Call, id: u64) {
        let mut transaction = None;
        let put = service::put(call, id, &mut transaction).await;
        if let (Ok(_), Some(transaction)) = (put, transaction) {
            transaction.applied();
        }
    }

    /// Writes several rows in a transaction, and reads them in it.
    async fn write(&self, mut call: Call, mut dice: Dice) -> Option<Committed> {
        let plan = &self.world.plan;
        let mut database = call.begin();
        call.view = View::Transaction(database.id);
        (call.panics, call.fails) = (false, false);
        let transaction = Transaction::begin();
        for _ in 0..dice.within(1..4) {
            if dice.chance(200) {
                transaction.scope(self.write_inner(&call, &mut database, &mut dice)).await;
            } else {
                transaction.scope(self.write_row(&call, &mut database, &mut dice)).await;
            }
            sleep(dice.millis(plan.database.clone())).await;
        }
        let unanswered = dice.chance(plan.unanswered);
        let end = match dice.within(0..10) {
            0 => End::RollBack,
            1 => End::Drop,
            _ if unanswered => End::Commit(dice.pick(&[Answer::LostBefore, Answer::LostAfter])),
            _ => End::Commit(Answer::Committed),
        };
        match end {
            End::RollBack => {
                database.roll_back();
                transaction.rollback();
                None
            }
            End::Drop => None,
            End::Commit(answer) => {
                let committed = transaction.commit_with(database.commit(answer, dice)).await.ok()?;
                database.applied();
                Some(committed)
            }
        }
    }

    /// Writes in an inner transaction, over a savepoint of the database.
    async fn write_inner(&self, call: &Call, database: &mut DatabaseTransaction, dice: &mut Dice) {
        let savepoint = database.writes.len();
        let inner = Transaction::begin();
        for _ in 0..dice.within(1..3) {
            inner.scope(self.write_row(call, database, dice)).await;
        }
        if dice.chance(500) {
            inner.commit();
        } else {
            database.roll_back_to(savepoint);
            inner.rollback();
        }
    }

    async fn write_row(&self, call: &Call, database: &mut DatabaseTransaction, dice: &mut Dice) {
        let key = RowKey {
            table: if dice.chance(self.world.plan.tagged) { Table::Items } else { dice.pick(&TABLES) },
            id: dice.within(0..self.world.plan.rows),
        };
        let Some(version) = database.write(key, false) else { return };
        let RowKey { table, id } = key;
        match table {
            Table::Plain if dice.chance(150) => self.plain.evict_all(),
            Table::Plain if dice.chance(200) => self.plain.evict_many([&id]),
            Table::Plain => self.plain.evict(&id),
            Table::Puts if dice.chance(700) => self.puts.insert(id, Row { id, version }),
            Table::Puts => self.puts.evict(&id),
            Table::Items => {
                let items = self.registry.cache::<u64, Row>("items").expect("the cache is configured");
                // Of a row that is not there nothing is found by a tag.
                if service::group(id) == 0 && dice.chance(500) {
                    items.evict_tag(format_args!("group:{}", service::group(id)));
                } else {
                    items.evict(&id);
                }
            }
            Table::Pairs => {
                for cache in table.caches() {
                    self.registry.cache::<u64, Row>(cache).expect("the cache is configured").evict(&id);
                }
            }
        }
        if dice.chance(500) {
            self.read_any(call, key).await;
            self.check_own(call, key, version);
        }
    }

    /// A transaction reads its own writes: they are nowhere but in the database.
    fn check_own(&self, call: &Call, key: RowKey, version: u32) {
        if !call.ran.load(Ordering::Relaxed) {
            let text = format!("a transaction wrote version {version} and read from the cache");
            self.world.violated(self.node, Some(key), "D", text);
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
