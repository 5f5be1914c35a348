//! The load of a node: who reads, and who writes, and how often.

use std::{sync::Arc, time::Duration};

use cachesync::{Registry, Transaction};
use fastrand::Rng;
use tokio::{sync::watch, time::sleep};

use crate::{
    ROWS,
    event::{Event, How},
    journal::now,
    service::{Call, Row, Service, View, find, find_items},
    writer,
};

/// Tasks of a node that read, and that write.
const READERS: u64 = 8;
const WRITERS: u64 = 3;
/// How long they pause, in milliseconds.
const READERS_PAUSE: std::ops::Range<u64> = 0..20;
const WRITERS_PAUSE: std::ops::Range<u64> = 0..300;
/// Rows that are read and written more often than others.
const HOT: u64 = 4;

/// What the tasks of a node share.
#[derive(Clone)]
pub struct Load {
    /// The functions.
    pub service: Arc<Service>,
    /// Their registry.
    pub registry: Registry,
}

/// True once in a thousand times `permille`.
pub fn chance(dice: &mut Rng, permille: u64) -> bool {
    dice.u64(0..1000) < permille
}

/// A row, of which some are hot: as many in each cache.
pub fn any_row(dice: &mut Rng) -> u64 {
    if chance(dice, 300) { dice.u64(0..HOT) + dice.u64(0..2) * (ROWS / 2) } else { dice.u64(0..ROWS) }
}

impl Load {
    /// Starts all tasks; they end when told to.
    pub fn start(&self, dice: &mut Rng, ends: &watch::Receiver<bool>) -> Vec<tokio::task::JoinHandle<()>> {
        let mut tasks = Vec::new();
        for task in 0..READERS + WRITERS {
            let (load, mut dice, ends) = (self.clone(), dice.fork(), ends.clone());
            tasks.push(tokio::spawn(async move {
                while !*ends.borrow() {
                    if task < READERS {
                        sleep(Duration::from_millis(dice.u64(READERS_PAUSE))).await;
                        load.read_any(&mut dice).await;
                    } else {
                        sleep(Duration::from_millis(dice.u64(WRITERS_PAUSE))).await;
                        // What fails, such as a database that is busy for a minute, has been said.
                        _ = writer::write_any(&load, &mut dice).await;
                    }
                }
            }));
        }
        tasks
    }

    async fn read_any(&self, dice: &mut Rng) {
        let call = Call::new(&self.service, View::Now);
        match dice.u64(0..100) {
            0..5 => self.read_items(&call, dice).await,
            5..8 => self.read_snapshot(dice).await,
            8..12 => {
                // Somebody stops waiting; whoever waits for the same load does not notice.
                let patience = Duration::from_millis(dice.u64(1..10));
                _ = tokio::time::timeout(patience, self.read(&call, any_row(dice), 0)).await;
            }
            _ => self.read(&call, any_row(dice), 0).await,
        }
    }

    /// Reads a row, `within` a transaction if that is not 0, and writes down what it was.
    pub async fn read(&self, call: &Call<'_>, row: u64, within: u64) {
        let began = now();
        if let Ok(found) = find(call, row).await {
            self.note(call, began, &found, within);
        }
    }

    async fn read_items(&self, call: &Call<'_>, dice: &mut Rng) {
        let first = dice.u64(0..ROWS / 2 - 6);
        let rows: Vec<_> = (first..first + 6).collect();
        let began = now();
        for (_, row) in find_items(call, &rows).await.unwrap_or_default() {
            self.note(call, began, &row, 0);
        }
    }

    /// Reads over an old snapshot of the database. What its own bodies load is that old, and its own affair.
    async fn read_snapshot(&self, dice: &mut Rng) {
        let Ok(snapshot) = self.service.database.snapshot().await else { return };
        let call = Call::new(&self.service, View::Snapshot(&snapshot));
        sleep(Duration::from_millis(dice.u64(0..300))).await;
        let (scope, row, began) = (Transaction::read_only(), any_row(dice), now());
        if let Ok(found) = scope.scope(find(&call, row)).await
            && !call.has_loaded(row)
        {
            self.note(&call, began, &found, 0);
        }
    }

    fn note(&self, call: &Call<'_>, began: Duration, row: &Row, within: u64) {
        let how = if call.has_loaded(row.id) { How::Loaded } else { How::Cached };
        let Row { id, version } = *row;
        self.service.journal.note(&Event::Read { began, row: id, version, how, within });
    }
}
