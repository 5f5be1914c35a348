//! The annotated functions of a node, over the registry that its process has installed.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cachesync::{cache_evict, cache_put, cacheable};

use crate::{
    ROWS,
    database::{Database, Snapshot, Transaction},
    journal::Journal,
};

/// How long a body may take after it has read, in milliseconds: the time in which an eviction can overtake it.
const LINGERS: std::ops::Range<u64> = 0..15;

/// What is cached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub id: u64,
    /// The transaction that wrote it.
    pub version: u64,
}

/// The database did not do as it was told.
#[derive(Clone, Copy, Debug)]
pub struct Failed;

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        eprintln!("the database fails: {error:#}");
        Self
    }
}

/// What the functions of a node work with.
pub struct Service {
    /// The truth.
    pub database: Database,
    /// What this process writes down.
    pub journal: Arc<Journal>,
    /// Which process of the run this is.
    pub incarnation: usize,
    /// How many transactions it has begun.
    pub begun: AtomicU64,
}

impl Service {
    /// A number that no other transaction of any process has.
    pub fn number(&self) -> u64 {
        let count = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        ((self.incarnation as u64) << 32) | count
    }

    /// A transaction of the database.
    pub async fn begin(&self) -> Result<Transaction, Failed> {
        Ok(self.database.begin(self.number()).await?)
    }

    /// Writes rows in a transaction of its own.
    async fn save(&self, rows: impl IntoIterator<Item = u64>) -> Result<u64, Failed> {
        let mut transaction = self.begin().await?;
        let number = transaction.number;
        for row in rows {
            transaction.write(row).await?;
        }
        transaction.commit(Duration::ZERO).await?;
        Ok(number)
    }
}

/// What the bodies of a call see.
pub enum View<'a> {
    /// What is committed at the moment.
    Now,
    /// What was committed once.
    Snapshot(&'a Snapshot),
    /// What is committed, and what this transaction has written.
    Within(&'a tokio::sync::Mutex<Transaction>),
}

/// One call of a reader's.
pub struct Call<'a> {
    /// Whose.
    pub service: &'a Service,
    /// Of what.
    pub view: View<'a>,
    /// What its own bodies have loaded.
    loaded: Mutex<Vec<u64>>,
}

impl<'a> Call<'a> {
    /// A call that has loaded nothing yet.
    pub fn new(service: &'a Service, view: View<'a>) -> Self {
        Self { service, view, loaded: Mutex::default() }
    }

    /// Whether a body of this call's has loaded a row.
    pub fn has_loaded(&self, row: u64) -> bool {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).contains(&row)
    }

    async fn load(&self, row: u64) -> Result<Row, Failed> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).push(row);
        let version = match self.view {
            View::Now => self.service.database.read(row).await?,
            View::Snapshot(snapshot) => snapshot.read(row).await?,
            View::Within(transaction) => {
                return Ok(Row { id: row, version: transaction.lock().await.read(row).await? });
            }
        };
        tokio::time::sleep(Duration::from_millis(fastrand::u64(LINGERS))).await;
        Ok(Row { id: row, version })
    }
}

/// The shelf of an item: eight of them have a tag in common.
pub fn shelf(row: u64) -> u64 {
    row / 8
}

/// Whether a row is cached in `items`, and not in `prices`.
pub fn is_item(row: u64) -> bool {
    row < ROWS / 2
}

/// Reads a row, by the function of its cache.
pub async fn find(call: &Call<'_>, row: u64) -> Result<Row, Failed> {
    if is_item(row) { find_item(call, row).await } else { find_price(call, row).await }
}

#[cacheable(cache = "items", key = row, tags = [format_args!("shelf:{}", shelf(row))])]
async fn find_item(call: &Call<'_>, row: u64) -> Result<Row, Failed> {
    call.load(row).await
}

#[cacheable(cache = "prices", key = row)]
async fn find_price(call: &Call<'_>, row: u64) -> Result<Row, Failed> {
    call.load(row).await
}

/// Reads items in one call.
#[cacheable(cache = "items", keys = rows, tags = [format_args!("shelf:{}", shelf(result.id))])]
pub async fn find_items(call: &Call<'_>, rows: &[u64]) -> Result<Vec<(u64, Row)>, Failed> {
    let mut found = Vec::new();
    for row in rows {
        found.push((*row, call.load(*row).await?));
    }
    Ok(found)
}

/// Writes an item in a transaction of its own, whose number it returns.
#[cache_evict(cache = "items", key = row)]
pub async fn save_item(service: &Service, row: u64) -> Result<u64, Failed> {
    service.save([row]).await
}

/// Writes all items of a shelf.
#[cache_evict(cache = "items", tag = format_args!("shelf:{shelf}"))]
pub async fn save_shelf(service: &Service, shelf: u64) -> Result<u64, Failed> {
    service.save(shelf * 8..(shelf + 1) * 8).await
}

/// Writes a price, and puts it.
#[cache_put(cache = "prices", key = row)]
pub async fn put_price(service: &Service, row: u64) -> Result<Row, Failed> {
    Ok(Row { id: row, version: service.save([row]).await? })
}

/// Writes prices; the caller evicts them.
pub async fn save_by_hand(service: &Service, rows: &[u64]) -> Result<u64, Failed> {
    service.save(rows.iter().copied()).await
}

/// Writes a row in a transaction that goes on, by the function of its cache.
pub async fn write(transaction: &tokio::sync::Mutex<Transaction>, row: u64, puts: bool) -> Result<(), Failed> {
    if is_item(row) {
        write_item(transaction, row).await
    } else if puts {
        write_and_put_price(transaction, row).await.map(|_| ())
    } else {
        write_price(transaction, row).await
    }
}

#[cache_evict(cache = "items", key = row)]
async fn write_item(transaction: &tokio::sync::Mutex<Transaction>, row: u64) -> Result<(), Failed> {
    Ok(transaction.lock().await.write(row).await?)
}

#[cache_evict(cache = "prices", key = row)]
async fn write_price(transaction: &tokio::sync::Mutex<Transaction>, row: u64) -> Result<(), Failed> {
    Ok(transaction.lock().await.write(row).await?)
}

#[cache_put(cache = "prices", key = result.id)]
async fn write_and_put_price(transaction: &tokio::sync::Mutex<Transaction>, row: u64) -> Result<Row, Failed> {
    let mut transaction = transaction.lock().await;
    transaction.write(row).await?;
    Ok(Row { id: row, version: transaction.number })
}
