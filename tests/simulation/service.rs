//! The annotated functions of the simulated service.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use cachesync::{Registry, cache_evict, cache_put, cacheable};
use tokio::time::sleep;

use crate::{
    database::{Answer, DatabaseTransaction, NoAnswer, Written},
    dice::Dice,
    source::{Row, RowKey, Table},
    world::World,
};

/// What one operation of a client carries with it.
pub(crate) struct Call {
    pub(crate) world: Arc<World>,
    pub(crate) registry: Registry,
    pub(crate) node: usize,
    pub(crate) incarnation: u64,
    /// Draws for the body.
    pub(crate) seed: u64,
    pub(crate) written: Written,
    /// What the bodies see.
    pub(crate) view: View,
    pub(crate) panics: bool,
    /// The body returns an error, where it can.
    pub(crate) fails: bool,
    /// Whether the body has run.
    pub(crate) ran: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// What is committed at the moment.
    Now,
    /// As well, and what this transaction has written.
    Transaction(u64),
    /// What was committed once.
    Snapshot(u64),
}

/// A group of rows, which are evicted by their tag.
pub(crate) fn group(id: u64) -> u64 {
    id % 2
}

impl Call {
    /// Reads a row, in its own time.
    pub(crate) async fn load(&self, table: Table, id: u64, alone: bool) -> Option<Row> {
        self.ran.store(true, Ordering::Relaxed);
        let key = RowKey { table, id };
        let loading = self.world.load(self.node, self.incarnation, key, alone || self.view != View::Now);
        let mut dice = Dice::new(self.seed ^ id);
        let steps = self.world.plan.database.clone();
        sleep(dice.millis(steps.clone())).await;
        let (version, is_there) = self.look(key);
        if self.panics {
            self.world.count(|counts| counts.panics += 1);
            std::panic::resume_unwind(Box::new("a body panics"));
        }
        sleep(dice.millis(steps)).await;
        loading.ends(is_there.then_some(version));
        is_there.then_some(Row { id, version })
    }

    fn look(&self, key: RowKey) -> (u32, bool) {
        let source = self.world.source();
        match self.view {
            View::Now => source.read(key, None),
            View::Transaction(transaction) => source.read(key, Some(transaction)),
            View::Snapshot(snapshot) => source.read_at(key, snapshot),
        }
    }

    pub(crate) fn begin(&self) -> DatabaseTransaction {
        DatabaseTransaction::begin(&self.world, self.node, self.incarnation, &self.written)
    }

    fn dice(&self) -> Dice {
        Dice::new(self.seed)
    }
}

#[cacheable(cache = "items", key = id, tags = [format_args!("group:{}", group(result.id))], cache_none, registry = &call.registry)]
pub(crate) async fn find(call: &Call, id: u64) -> Option<Row> {
    call.load(Table::Items, id, false).await
}

#[cacheable(cache = "items", keys = ids, tags = [format_args!("group:{}", group(result.id))], registry = &call.registry)]
pub(crate) async fn find_many(call: &Call, ids: &[u64]) -> Vec<(u64, Row)> {
    let mut rows = Vec::new();
    for id in ids {
        rows.extend(call.load(Table::Items, *id, true).await.map(|row| (*id, row)));
    }
    rows
}

/// In two caches: what is not in the first may be in the second.
#[cacheable(cache = ["left", "right"], key = id, registry = &call.registry)]
pub(crate) async fn find_pair(call: &Call, id: u64) -> Result<Row, NotLoaded> {
    let row = call.load(Table::Pairs, id, true).await.filter(|_| !call.fails);
    row.ok_or(NotLoaded)
}

#[cache_evict(cache = ["left", "right"], key = id, registry = &call.registry)]
pub(crate) async fn save_pair(call: &Call, id: u64) -> Result<DatabaseTransaction, NotWritten> {
    let mut transaction = call.begin();
    transaction.write(RowKey { table: Table::Pairs, id }, false).ok_or(NotWritten)?;
    transaction.commit(Answer::Committed, call.dice()).await?;
    Ok(transaction)
}

/// A body failed.
#[derive(Debug)]
pub(crate) struct NotLoaded;

/// Why nothing was written.
#[derive(Debug)]
pub(crate) struct NotWritten;

impl From<NoAnswer> for NotWritten {
    fn from(NoAnswer: NoAnswer) -> Self {
        unreachable!("this database always answers")
    }
}

/// Writes a row in a transaction of its own, which is returned for the caller to note as applied.
#[cache_evict(cache = "items", key = id, registry = &call.registry)]
pub(crate) async fn save(call: &Call, id: u64, deleted: bool) -> Result<DatabaseTransaction, NotWritten> {
    let mut transaction = call.begin();
    transaction.write(RowKey { table: Table::Items, id }, deleted).ok_or(NotWritten)?;
    transaction.commit(Answer::Committed, call.dice()).await?;
    Ok(transaction)
}

/// The same for all rows of a group that are always there.
#[cache_evict(cache = "items", tag = format_args!("group:{group}"), registry = &call.registry)]
pub(crate) async fn save_group(call: &Call, group: u64) -> Result<DatabaseTransaction, NotWritten> {
    let mut transaction = call.begin();
    let rows = (0..call.world.plan.rows).filter(|id| self::group(*id) == group);
    for id in rows {
        transaction.write(RowKey { table: Table::Items, id }, false);
    }
    transaction.commit(Answer::Committed, call.dice()).await?;
    Ok(transaction)
}

/// Writes a row, and puts it. The transaction is left behind in `call` for the caller to note as applied.
#[cache_put(cache = "items", key = id, tags = [format_args!("group:{}", group(result.id))], registry = &call.registry)]
pub(crate) async fn put(
    call: &Call,
    id: u64,
    transaction: &mut Option<DatabaseTransaction>,
) -> Result<Row, NotWritten> {
    let open = transaction.insert(call.begin());
    let version = open.write(RowKey { table: Table::Items, id }, false).ok_or(NotWritten)?;
    open.commit(Answer::Committed, call.dice()).await?;
    Ok(Row { id, version })
}
