//! The annotated functions of the simulated service.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use cachesync::{Registry, cache_evict, cache_put, cacheable};
use tokio::time::sleep;

use crate::{
    database::{Answer, DatabaseTransaction, NoAnswer, Written},
    dice::Dice,
    loads::{Asked, Manner},
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
    /// When the caller began to ask, for which tables and what.
    pub(crate) asked: Mutex<BTreeMap<RowKey, Asked>>,
    /// What was loaded since.
    pub(crate) loaded: Mutex<Vec<RowKey>>,
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
    /// Begins to ask for a key; what comes of it is held against the answer.
    pub(crate) fn asks(&self, key: RowKey) -> Asked {
        let asked = self.world.asks(self.node, key);
        self.ran.store(false, Ordering::Relaxed);
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(key, asked);
        asked
    }

    /// Whether a body of this call's has loaded a key since it asked.
    pub(crate) fn has_loaded(&self, key: RowKey) -> bool {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).contains(&key)
    }

    /// Reads a row, in its own time.
    pub(crate) async fn load(&self, key: RowKey, manner: Manner) -> Result<Option<Row>, NotLoaded> {
        let waited = !self.ran.swap(true, Ordering::Relaxed);
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).push(key);
        let RowKey { table, id } = key;
        // What a transaction reads is nobody else's business.
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        let (manner, asked) = if self.view == View::Now { (manner, asked) } else { (Manner::Alone, None) };
        let loading = self.world.load(self.node, self.incarnation, key, manner, asked, waited);
        let mut dice = Dice::new(self.seed ^ id);
        let steps = self.world.plan.database.clone();
        sleep(dice.millis(steps.clone())).await;
        let (version, is_there) = self.look(key);
        if self.panics {
            self.world.count(|counts| counts.panics += 1);
            std::panic::resume_unwind(Box::new("a body panics"));
        }
        sleep(dice.millis(steps)).await;
        if self.fails && table.can_fail() {
            loading.fails(table == Table::Named);
            return Err(NotLoaded);
        }
        loading.ends(is_there.then_some(version));
        Ok(is_there.then_some(Row { id, version }))
    }

    fn look(&self, key: RowKey) -> (u32, bool) {
        let source = self.world.source();
        match self.view {
            View::Now => source.read(key, None),
            View::Transaction(transaction) => source.read(key, Some(transaction)),
            View::Snapshot(snapshot) => source.read_at(key, snapshot),
        }
    }

    /// A transaction of the database; of an annotated function that writes rows of a table, if it is one.
    pub(crate) fn begin(&self, function_of: Option<Table>) -> DatabaseTransaction {
        DatabaseTransaction::begin(&self.world, self.node, self.incarnation, &self.written, function_of)
    }

    /// A body has committed and does something else: others may write meanwhile.
    async fn tarries(&self) {
        let steps = self.world.plan.database.clone();
        sleep(self.dice().millis(0..2 * steps.end)).await;
    }

    fn dice(&self) -> Dice {
        Dice::new(self.seed)
    }
}

fn item(id: u64) -> RowKey {
    RowKey { table: Table::Items, id }
}

#[cacheable(cache = "items", key = id, tags = [format_args!("group:{}", group(result.id))], cache_none, registry = &call.registry)]
pub(crate) async fn find(call: &Call, id: u64) -> Option<Row> {
    call.load(item(id), Manner::Shared).await.ok().flatten()
}

#[cacheable(cache = "items", keys = ids, tags = [format_args!("group:{}", group(result.id))], registry = &call.registry)]
pub(crate) async fn find_many(call: &Call, ids: &[u64]) -> Vec<(u64, Row)> {
    let mut rows = Vec::new();
    for id in ids {
        rows.extend(call.load(item(*id), Manner::Batch).await.ok().flatten().map(|row| (*id, row)));
    }
    rows
}

/// In two caches: what is not in the first may be in the second.
#[cacheable(cache = ["left", "right"], key = id, registry = &call.registry)]
pub(crate) async fn find_pair(call: &Call, id: u64) -> Result<Row, NotLoaded> {
    call.load(RowKey { table: Table::Pairs, id }, Manner::Shared).await?.ok_or(NotLoaded)
}

#[cache_evict(cache = ["left", "right"], key = id, registry = &call.registry)]
pub(crate) async fn save_pair(call: &Call, id: u64) -> Result<DatabaseTransaction, NotWritten> {
    let mut transaction = call.begin(Some(Table::Pairs));
    transaction.write(RowKey { table: Table::Pairs, id }, false).ok_or(NotWritten)?;
    transaction.commit(Answer::Committed, call.dice()).await?;
    Ok(transaction)
}

/// A body failed.
#[derive(Debug)]
pub(crate) struct NotLoaded;

/// Why there is no name. It can be cloned, so it answers all who wait for it.
#[derive(Clone, Debug)]
pub(crate) enum Nameless {
    /// The row is gone, which is remembered.
    Gone,
    /// The body failed.
    Failed,
}

impl From<NotLoaded> for Nameless {
    fn from(NotLoaded: NotLoaded) -> Self {
        Self::Failed
    }
}

/// In two caches, which remember that a row is gone as an error.
#[cacheable(
    cache = ["names", "aliases"],
    key = id,
    cache_err = |error| matches!(error, Nameless::Gone),
    registry = &call.registry,
)]
pub(crate) async fn find_name(call: &Call, id: u64) -> Result<Row, Nameless> {
    call.load(RowKey { table: Table::Named, id }, Manner::Shared).await?.ok_or(Nameless::Gone)
}

/// Writes a row, and puts it into two caches, under a key that is known afterwards. The transaction is left behind in
/// `call` for the caller to note as applied.
#[cache_put(cache = ["names", "aliases"], key = result.id, registry = &call.registry)]
pub(crate) async fn rename(
    call: &Call,
    id: u64,
    transaction: &mut Option<DatabaseTransaction>,
) -> Result<Row, NotWritten> {
    let open = transaction.insert(call.begin(Some(Table::Named)));
    let version = open.write(RowKey { table: Table::Named, id }, false).ok_or(NotWritten)?;
    open.commit(Answer::Committed, call.dice()).await?;
    call.tarries().await;
    Ok(Row { id, version })
}

/// The same in a transaction that goes on.
#[cache_put(cache = ["names", "aliases"], key = result.id, registry = &call.registry)]
pub(crate) async fn rename_within(
    call: &Call,
    transaction: &mut DatabaseTransaction,
    id: u64,
) -> Result<Row, NotWritten> {
    let version = transaction.write(RowKey { table: Table::Named, id }, false).ok_or(NotWritten)?;
    sleep(call.dice().millis(call.world.plan.database.clone())).await;
    Ok(Row { id, version })
}

/// Writes many rows, and takes some of them away.
#[cache_evict(cache = ["names", "aliases"], keys = ids, registry = &call.registry)]
pub(crate) async fn save_names(call: &Call, ids: &[u64], deleted: bool) -> Result<DatabaseTransaction, NotWritten> {
    let mut transaction = call.begin(Some(Table::Named));
    for id in ids {
        transaction.write(RowKey { table: Table::Named, id: *id }, deleted);
    }
    transaction.commit(Answer::Committed, call.dice()).await?;
    Ok(transaction)
}

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
    let mut transaction = call.begin(Some(Table::Items));
    transaction.write(item(id), deleted).ok_or(NotWritten)?;
    transaction.commit(Answer::Committed, call.dice()).await?;
    Ok(transaction)
}

/// The same for all rows of a group that are always there.
#[cache_evict(cache = "items", tag = format_args!("group:{group}"), registry = &call.registry)]
pub(crate) async fn save_group(call: &Call, group: u64) -> Result<DatabaseTransaction, NotWritten> {
    let mut transaction = call.begin(Some(Table::Items));
    let rows = (0..call.world.plan.rows).filter(|id| self::group(*id) == group);
    for id in rows {
        transaction.write(item(id), false);
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
    let open = transaction.insert(call.begin(Some(Table::Items)));
    let version = open.write(item(id), false).ok_or(NotWritten)?;
    open.commit(Answer::Committed, call.dice()).await?;
    call.tarries().await;
    Ok(Row { id, version })
}
