//! What a node writes: by annotated functions, by hand, and in transactions of which some end unknown.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use anyhow::anyhow;
use cachesync::{Committed, Transaction};
use fastrand::Rng;
use tokio::{
    sync::{Mutex, Semaphore},
    time::{sleep, timeout},
};

use crate::{
    ROWS, SETTLE, database,
    event::Event,
    load::{Load, any_row, chance},
    service::{self, Call, Failed, View, is_item},
};

/// How many transactions are waited for by themselves. The rest is confirmed by flushes, so that nothing here grows with
/// an outage.
const WAITERS: usize = 8;

/// Writes, in one way or another.
pub async fn write_any(load: &Load, dice: &mut Rng) -> Result<(), Failed> {
    let service = &load.service;
    let item = |dice: &mut Rng| any_row(dice) % (ROWS / 2);
    let price = |dice: &mut Rng| item(dice) + ROWS / 2;
    let number = match dice.u64(0..100) {
        0..20 => service::save_item(service, item(dice)).await?,
        20..25 => service::save_shelf(service, dice.u64(0..ROWS / 16)).await?,
        25..45 => service::put_price(service, price(dice)).await?.version,
        45..55 => {
            let rows = [price(dice), ROWS - 1];
            let number = service::save_by_hand(service, &rows).await?;
            let cache = load.registry.cache::<u64, service::Row>("prices").expect("it is configured");
            cache.evict_many(rows);
            number
        }
        _ => return transact(load, dice).await,
    };
    service.journal.note(&Event::Applied { transaction: number });
    Ok(())
}

/// Writes some rows in a transaction, and reads them in it.
async fn transact(load: &Load, dice: &mut Rng) -> Result<(), Failed> {
    let mut rows: Vec<_> = (0..dice.usize(1..4)).map(|_| any_row(dice)).collect();
    rows.sort_unstable();
    rows.dedup();
    let database = Mutex::new(load.service.begin().await?);
    let transaction = Transaction::begin();
    let number = database.lock().await.number;
    for row in &rows {
        transaction.scope(service::write(&database, *row, dice.bool())).await?;
        if chance(dice, 300) {
            let call = Call::new(&load.service, View::Within(&database));
            transaction.scope(load.read(&call, *row, number)).await;
        }
    }
    let database = database.into_inner();
    match dice.u64(0..100) {
        0..15 => {
            database.roll_back();
            transaction.rollback();
        }
        15..18 => {
            // It has committed, and the answer got lost.
            let lost = async {
                database.commit(Duration::ZERO).await?;
                Err::<(), _>(anyhow!("the answer got lost"))
            };
            let began = Instant::now();
            _ = transaction.commit_with(lost).await;
            in_doubt(load, rows, number, began);
        }
        18..21 => {
            // It commits, and nobody waits for the answer.
            let (late, began) = (Duration::from_millis(dice.u64(0..200)), Instant::now());
            let patience = Duration::from_millis(dice.u64(0..100));
            match timeout(patience, transaction.commit_with(database.commit(late))).await {
                Ok(Ok(committed)) => applied(load, number, committed),
                _ => in_doubt(load, rows, number, began),
            }
        }
        _ => {
            let began = Instant::now();
            match transaction.commit_with(database.commit(Duration::ZERO)).await {
                Ok(committed) => applied(load, number, committed),
                Err(error) => {
                    in_doubt(load, rows, number, began);
                    return Err(error.into());
                }
            }
        }
    }
    Ok(())
}

fn applied(load: &Load, number: u64, committed: Committed) {
    static WAITERS_LEFT: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(WAITERS)));

    let journal = load.service.journal.clone();
    journal.note(&Event::Applied { transaction: number });
    if let Ok(permit) = WAITERS_LEFT.clone().try_acquire_owned() {
        tokio::spawn(async move {
            if committed.confirmed().await.is_ok() {
                journal.note(&Event::Confirmed { transaction: number });
            }
            drop(permit);
        });
    }
}

/// The outcome of a transaction is not known; it is settled when the database has ended it, and what it wrote has been told
/// a second time.
fn in_doubt(load: &Load, rows: Vec<u64>, number: u64, began: Instant) {
    load.service.journal.note(&Event::InDoubt { transaction: number });
    let load = load.clone();
    tokio::spawn(async move {
        load.service.database.idle().await;
        if began.elapsed() > SETTLE / 2 {
            // It took longer than `settle` was told to allow for, as when this process was stopped. Who learns of that late
            // has to evict once more.
            for row in rows {
                let name = if is_item(row) { "items" } else { "prices" };
                load.registry.cache::<u64, service::Row>(name).expect("it is configured").evict(&row);
            }
        } else {
            // In steps: of a process that was stopped, one timer may come before another that was due earlier.
            for _ in 0..20 {
                sleep(SETTLE / 10).await;
            }
        }
        load.service.journal.note(&Event::Settled { transaction: number });
    });
}

/// Writes this node's share of one half of the rows, each in the way that its number says, and waits until the broker has
/// taken their evictions.
pub async fn write_share(load: &Load, node: u64, nodes: u64) -> Result<(), Failed> {
    let rows: Vec<_> = (0..ROWS).filter(|row| row % (2 * nodes) == node).collect();
    for rows in rows.chunks(16) {
        let database: Mutex<database::Transaction> = Mutex::new(load.service.begin().await?);
        let transaction = Transaction::begin();
        let number = database.lock().await.number;
        for row in rows {
            transaction.scope(service::write(&database, *row, row % 2 == 0)).await?;
        }
        let committed = transaction.commit_with(database.into_inner().commit(Duration::ZERO)).await?;
        load.service.journal.note(&Event::Applied { transaction: number });
        committed.confirmed().await.map_err(|error| anyhow!(error))?;
        load.service.journal.note(&Event::Confirmed { transaction: number });
    }
    Ok(())
}
