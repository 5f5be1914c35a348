//! What a client writes: in transactions of its own, by annotated functions, and by hand.

use std::sync::{Arc, atomic::Ordering};

use cachesync::{Cache, Committed, Transaction, TransactionHandle};
use tokio::time::sleep;

use crate::{
    client::Client,
    database::{Answer, DatabaseTransaction, Written},
    dice::Dice,
    node::awake,
    service::{self, Call, View, group},
    source::{Row, RowKey, TABLES, Table},
};

/// How a transaction of the simulation ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Commit(Answer),
    RollBack,
    Drop,
}

impl Client {
    /// Writes, in one way or another. What `is_cut` may be dropped at any await.
    pub(crate) async fn write_any(&self, call: Call, id: u64, is_cut: bool, mut dice: Dice) -> Option<Committed> {
        match dice.within(0..12) {
            _ if self.favoured(&mut dice) == Some(Table::Named) && dice.chance(500) => {
                self.put(&call, id, &mut dice).await;
            }
            0 | 1 => self.save(&call, id, &mut dice).await,
            2..=4 => self.put(&call, id, &mut dice).await,
            // Nobody would evict if it were cut off between the database's commit and that.
            5 if !is_cut => self.write_by_hand(&call, dice).await,
            _ => return self.write(call, dice).await,
        }
        None
    }

    /// Writes by an annotated function, in a transaction of the database that is the function's own.
    async fn save(&self, call: &Call, id: u64, dice: &mut Dice) {
        let saved = match dice.within(0..100) {
            _ if self.favoured(dice) == Some(Table::Items) => service::save_group(call, 0).await,
            0..25 => service::save_pair(call, id).await,
            25..45 => {
                let ids: Vec<_> = (id..call.world.plan.rows).collect();
                service::save_names(call, &ids, dice.chance(400)).await
            }
            45..65 => service::save_group(call, 0).await,
            // Rows of group 0 are always there: an eviction by tag does not find that there is nothing.
            _ => service::save(call, id, group(id) == 1 && dice.chance(400)).await,
        };
        if let Ok(transaction) = saved {
            transaction.applied();
        }
    }

    async fn put(&self, call: &Call, id: u64, dice: &mut Dice) {
        let mut transaction = None;
        let table = self.favoured(dice).unwrap_or_else(|| dice.pick(&TABLES));
        let put = if table == Table::Items || table != Table::Named && dice.chance(500) {
            service::put(call, id, &mut transaction).await
        } else {
            service::rename(call, id, &mut transaction).await
        };
        if let (Ok(_), Some(transaction)) = (put, transaction) {
            transaction.applied();
        }
    }

    /// Writes several rows, commits, and evicts them by hand, outside of any transaction of the library's, or in the scope
    /// of one that has ended.
    async fn write_by_hand(&self, call: &Call, mut dice: Dice) {
        let table = dice.pick(&TABLES);
        let mut database = call.begin(Some(table));
        let (rows, is_late, by_predicate) = (self.world.plan.rows, dice.chance(300), dice.chance(300));
        let ids: Vec<_> = (0..rows).filter(|_| dice.chance(600)).collect();
        let written = |id: &&u64| database.write(RowKey { table, id: **id }, false).is_some();
        let ids: Vec<_> = ids.iter().filter(written).copied().collect();
        if database.commit(Answer::Committed, dice).await.is_ok() {
            let evict = || {
                if by_predicate {
                    for id in &ids {
                        self.evict_if(table, *id);
                    }
                } else {
                    self.caches(table).iter().for_each(|cache| cache.evict_many(&ids));
                }
            };
            if is_late {
                let ended = Transaction::begin();
                let scope = ended.handle();
                ended.rollback();
                scope.scope(async { evict() }).await;
                self.world.may_be_held(self.node, [table]);
            } else {
                evict();
            }
            database.applied();
        }
    }

    /// Writes several rows in a transaction, and reads them in it.
    async fn write(&self, mut call: Call, mut dice: Dice) -> Option<Committed> {
        let plan = &self.world.plan;
        let mut database = call.begin(None);
        call.view = View::Transaction(database.id);
        (call.panics, call.fails) = (false, false);
        let call = Arc::new(call);
        let transaction = Transaction::begin();
        for _ in 0..dice.within(1..4) {
            match dice.within(0..10) {
                0 | 1 => transaction.scope(self.write_inner(&call, &mut database, &mut dice)).await,
                2 => database = self.write_elsewhere(&call, transaction.handle(), database, &mut dice).await?,
                3 => transaction.scope(self.read_elsewhere(&mut dice)).await,
                _ => transaction.scope(self.write_row(&call, &mut database, &mut dice, true)).await,
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

    /// Writes in another task, which takes the transaction's scope along. Should this one end before that, nobody knows
    /// what it writes for: the library holds it.
    async fn write_elsewhere(
        &self,
        call: &Arc<Call>,
        scope: TransactionHandle,
        mut database: DatabaseTransaction,
        dice: &mut Dice,
    ) -> Option<DatabaseTransaction> {
        let (client, call, mut dice) = (self.clone(), call.clone(), dice.fork());
        let work = async move {
            sleep(dice.millis(client.world.plan.database.clone())).await;
            // If it may come too late it reads nothing: what it wrote need not be pending any more.
            let in_time = client.world.plan.cancelled == 0;
            scope.scope(client.write_row(&call, &mut database, &mut dice, in_time)).await;
            if !in_time && client.lives() {
                client.world.may_be_held(client.node, TABLES);
            }
            database
        };
        tokio::spawn(awake(self.world.clone(), self.node, work)).await.ok()
    }

    /// Reads, and evicts, in another task, which is outside of the transaction that it comes from.
    async fn read_elsewhere(&self, dice: &mut Dice) {
        let (client, mut dice) = (self.clone(), dice.fork());
        let work = async move {
            let call = client.call(&mut dice, Written::default(), View::Now);
            let key = RowKey { table: dice.pick(&TABLES), id: dice.within(0..client.world.plan.rows) };
            if client.lives() && dice.chance(300) {
                if dice.chance(300) {
                    client.evict_if(key.table, key.id);
                } else {
                    client.caches(key.table).iter().for_each(|cache| cache.evict(&key.id));
                }
                client.world.bump(client.node, [key.table]);
            }
            // Whether it panics is its own affair.
            client.read_any(&call, key).await;
        };
        _ = tokio::spawn(awake(self.world.clone(), self.node, work)).await;
    }

    /// Writes in an inner transaction, over a savepoint of the database.
    async fn write_inner(&self, call: &Call, database: &mut DatabaseTransaction, dice: &mut Dice) {
        let savepoint = database.writes.len();
        let inner = Transaction::begin();
        if let Some((key, version)) = database.writes.last().copied() {
            // What the outer one has written.
            inner.scope(self.read_any(call, key)).await;
            self.check_own(call, key, version);
        }
        for _ in 0..dice.within(1..3) {
            inner.scope(self.write_row(call, database, dice, true)).await;
        }
        if dice.chance(500) {
            inner.commit();
        } else {
            database.roll_back_to(savepoint);
            inner.rollback();
        }
    }

    async fn write_row(&self, call: &Call, database: &mut DatabaseTransaction, dice: &mut Dice, reads: bool) {
        let key = RowKey {
            table: self.favoured(dice).unwrap_or_else(|| dice.pick(&TABLES)),
            id: dice.within(0..self.world.plan.rows),
        };
        let RowKey { table, id } = key;
        if table == Table::Named && dice.chance(500) {
            // The put waits for the commit, and so does its key.
            _ = service::rename_within(call, database, id).await;
            return;
        }
        let deleted = table.can_be_gone() && group(id) == 1 && dice.chance(300);
        let Some(version) = database.write(key, deleted) else { return };
        match table {
            Table::Plain | Table::Named if dice.chance(150) => self.caches(table).iter().for_each(Cache::evict_all),
            Table::Plain if dice.chance(200) => self.cache(table).evict_many([&id]),
            // All of it, since the transaction cannot tell others a predicate.
            Table::Plain | Table::Pairs if dice.chance(100) => self.evict_if(table, id),
            Table::Puts if dice.chance(700) => self.cache(table).insert(id, Row { id, version }),
            // Of a row that is not there nothing is found by a tag.
            Table::Items if group(id) == 0 && dice.chance(500) => {
                self.cache(table).evict_tag(format_args!("group:{}", group(id)));
            }
            _ => self.caches(table).iter().for_each(|cache| cache.evict(&id)),
        }
        if reads && dice.chance(500) {
            self.read_any(call, key).await;
            self.check_own(call, key, version);
        }
    }

    /// Evicts a row by a predicate that is true of its key alone.
    fn evict_if(&self, table: Table, id: u64) {
        self.world.count(|counts| counts.predicates += 1);
        self.caches(table).iter().for_each(|cache| cache.evict_if(|key| *key == id));
    }

    /// A transaction reads its own writes: they are nowhere but in the database.
    fn check_own(&self, call: &Call, key: RowKey, version: u32) {
        if !call.ran.load(Ordering::Relaxed) {
            let text = format!("a transaction wrote version {version} and read from the cache");
            self.world.violated(self.node, Some(key), "D", text);
        }
    }
}
