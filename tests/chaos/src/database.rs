//! The truth: a file of `SQLite` with a row for each number, and the list of what was committed, in that order.
//!
//! Invariant: a transaction writes its number into `commits` and its rows at once, so which transactions were committed is
//! known whatever became of the process that wrote them. There is one writer at a time in all processes, so the lines
//! `wrote` and `committing` of two transactions never mix.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, TransactionBehavior};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::spawn_blocking,
};

use crate::{ROWS, event::Event, journal::Journal};

/// How long a writer waits for the others: longer than any of them is stopped.
const BUSY: Duration = Duration::from_mins(1);

const SCHEMA: &str = "
    CREATE TABLE numbers (id INTEGER PRIMARY KEY, version INTEGER NOT NULL);
    CREATE TABLE commits (number INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL UNIQUE);
";

/// Makes the file, with all rows in their first version.
pub fn create(path: &Path) -> Result<()> {
    let mut connection = connect(path)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    let transaction = connection.transaction()?;
    transaction.execute_batch(SCHEMA)?;
    for row in 0..ROWS {
        transaction.execute("INSERT INTO numbers (id, version) VALUES (?1, 0)", [signed(row)])?;
    }
    transaction.commit()?;
    Ok(())
}

/// The versions that were committed, in that order.
pub fn commits(path: &Path) -> Result<Vec<u64>> {
    let connection = connect(path)?;
    let mut statement = connection.prepare("SELECT version FROM commits ORDER BY number")?;
    let versions = statement.query_map([], |row| row.get::<_, i64>(0))?;
    versions.map(|version| Ok(version?.cast_unsigned())).collect()
}

fn connect(path: &Path) -> Result<Connection> {
    let connection = Connection::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    connection.busy_timeout(BUSY)?;
    // The machine does not fail, only its processes do.
    connection.pragma_update(None, "synchronous", "off")?;
    // 256 KiB, so that what the node's memory does in an outage is not what a cache of pages does that fills slowly.
    connection.pragma_update(None, "cache_size", -256)?;
    Ok(connection)
}

/// Integers of `SQLite` have a sign.
fn signed(number: u64) -> i64 {
    number.cast_signed()
}

fn read(connection: &Connection, row: u64) -> Result<u64> {
    let select = "SELECT version FROM numbers WHERE id = ?1";
    Ok(connection.query_row(select, [signed(row)], |row| row.get::<_, i64>(0))?.cast_unsigned())
}

/// The connections of a process.
pub struct Database {
    path: PathBuf,
    writer: Arc<Mutex<Connection>>,
    readers: Vec<Arc<Mutex<Connection>>>,
    next: AtomicUsize,
    journal: Arc<Journal>,
}

impl Database {
    /// Connections to a file that was [made](create).
    pub fn open(path: &Path, journal: Arc<Journal>) -> Result<Self> {
        let connection = || Ok::<_, anyhow::Error>(Arc::new(Mutex::new(connect(path)?)));
        let readers = (0..4).map(|_| connection()).collect::<Result<_>>()?;
        Ok(Self { path: path.to_owned(), writer: connection()?, readers, next: AtomicUsize::new(0), journal })
    }

    /// The version of a row, as it is committed.
    pub async fn read(&self, row: u64) -> Result<u64> {
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.readers.len();
        let connection = self.readers[next].clone().lock_owned().await;
        spawn_blocking(move || read(&connection, row)).await?
    }

    /// Begins a transaction, with the lock of all writers.
    pub async fn begin(&self, number: u64) -> Result<Transaction> {
        let connection = self.writer.clone().lock_owned().await;
        let journal = self.journal.clone();
        spawn_blocking(move || {
            if !connection.is_autocommit() {
                // A step of the one before was dropped on its way.
                connection.execute_batch("ROLLBACK")?;
            }
            connection.execute_batch("BEGIN IMMEDIATE")?;
            let transaction = Transaction { connection: Some(connection), number, journal };
            transaction.connection().execute("INSERT INTO commits (version) VALUES (?1)", [signed(number)])?;
            Ok(transaction)
        })
        .await?
    }

    /// Waits until no transaction of this process is under way.
    pub async fn idle(&self) {
        drop(self.writer.lock().await);
    }

    /// Begins to read what is committed now, and nothing that comes later.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let path = self.path.clone();
        let connection = spawn_blocking(move || {
            let mut connection = connect(&path)?;
            connection.set_transaction_behavior(TransactionBehavior::Deferred);
            connection.execute_batch("BEGIN")?;
            // A deferred transaction begins with its first read.
            read(&connection, 0)?;
            Ok::<_, anyhow::Error>(connection)
        });
        Ok(Snapshot(Arc::new(Mutex::new(connection.await??))))
    }
}

/// What was committed once.
pub struct Snapshot(Arc<Mutex<Connection>>);

impl Snapshot {
    /// The version of a row then.
    pub async fn read(&self, row: u64) -> Result<u64> {
        let connection = self.0.clone().lock_owned().await;
        spawn_blocking(move || read(&connection, row)).await?
    }
}

/// A transaction of the database. Dropped, it is rolled back.
pub struct Transaction {
    /// `None` while a step of it runs, and when it has ended.
    connection: Option<OwnedMutexGuard<Connection>>,
    /// Its number, which is the version of all that it writes.
    pub number: u64,
    journal: Arc<Journal>,
}

impl Transaction {
    fn connection(&self) -> &Connection {
        self.connection.as_ref().expect("no step of it runs")
    }

    /// Writes a row.
    pub async fn write(&mut self, row: u64) -> Result<()> {
        let (number, journal) = (self.number, self.journal.clone());
        self.step(move |connection| {
            journal.note(&Event::Wrote { transaction: number, row });
            let update = "UPDATE numbers SET version = ?2 WHERE id = ?1";
            ensure!(connection.execute(update, [signed(row), signed(number)])? == 1, "there is no row {row}");
            Ok(())
        })
        .await
    }

    /// The version of a row, with what was written in this transaction.
    pub async fn read(&mut self, row: u64) -> Result<u64> {
        self.step(move |connection| read(connection, row)).await
    }

    /// Commits, after so long. Dropped on its way, it commits all the same.
    pub async fn commit(mut self, late: Duration) -> Result<()> {
        let (number, journal) = (self.number, self.journal.clone());
        self.step(move |connection| {
            journal.note_now(&Event::Committing { transaction: number });
            thread::sleep(late);
            connection.execute_batch("COMMIT")?;
            Ok(())
        })
        .await
    }

    /// Rolls back.
    pub fn roll_back(self) {
        self.journal.note(&Event::RolledBack { transaction: self.number });
    }

    async fn step<T: Send + 'static>(
        &mut self,
        step: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = self.connection.take().expect("one step at a time");
        let (connection, output) = spawn_blocking(move || {
            let output = step(&connection);
            (connection, output)
        })
        .await?;
        self.connection = Some(connection);
        output
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = &self.connection
            && !connection.is_autocommit()
        {
            // Who begins the next one tries again.
            _ = connection.execute_batch("ROLLBACK");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_committed_is_listed_in_its_order_and_what_is_rolled_back_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (path, journal) = (folder.path().join("table"), folder.path().join("journal"));
        create(&path).unwrap();
        let database = Database::open(&path, Arc::new(Journal::create(&journal).unwrap())).unwrap();
        for (number, commits) in [(7, true), (8, false), (5, true)] {
            let mut transaction = database.begin(number).await.unwrap();
            transaction.write(3).await.unwrap();
            assert_eq!(transaction.read(3).await.unwrap(), number);
            if commits {
                transaction.commit(Duration::ZERO).await.unwrap();
            } else {
                transaction.roll_back();
            }
        }
        assert_eq!((commits(&path).unwrap(), database.read(3).await.unwrap()), (vec![7, 5], 5));
    }

    #[tokio::test]
    async fn a_snapshot_sees_nothing_that_comes_later() {
        let folder = tempfile::tempdir().unwrap();
        let (path, journal) = (folder.path().join("table"), folder.path().join("journal"));
        create(&path).unwrap();
        let database = Database::open(&path, Arc::new(Journal::create(&journal).unwrap())).unwrap();
        let snapshot = database.snapshot().await.unwrap();
        let mut transaction = database.begin(1).await.unwrap();
        transaction.write(3).await.unwrap();
        transaction.commit(Duration::ZERO).await.unwrap();
        assert_eq!((snapshot.read(3).await.unwrap(), database.read(3).await.unwrap()), (0, 1));
    }
}
