//! The source of truth: a table of users that stands in for a database.
//!
//! It has what matters here of one: transactions, whose writes nobody else sees before the commit, and whose commit
//! makes all of them visible at once. It lives in memory, for the nodes of one process, or in a file, which the nodes
//! of several processes share. A service has a database server in this place.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::ErrorKind,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The primary key.
    pub id: u64,
    /// A name.
    pub name: String,
}

/// Names by id.
type Rows = BTreeMap<u64, String>;

/// A handle on the table; clones share it.
#[derive(Debug, Clone)]
pub struct Table(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    storage: Storage,
    selects: AtomicU64,
}

#[derive(Debug)]
enum Storage {
    Memory(Mutex<Rows>),
    /// Holds the rows as JSON. It is replaced as a whole, so readers need no lock.
    File(PathBuf),
}

impl Table {
    /// A table in memory, with these users.
    pub fn in_memory(users: &[(u64, &str)]) -> Self {
        let rows = users.iter().map(|(id, name)| (*id, (*name).to_owned())).collect();
        Self::new(Storage::Memory(Mutex::new(rows)))
    }

    /// The table in this file, which is made by the first commit.
    pub fn in_file(path: impl Into<PathBuf>) -> Self {
        Self::new(Storage::File(path.into()))
    }

    fn new(storage: Storage) -> Self {
        Self(Arc::new(Inner { storage, selects: AtomicU64::new(0) }))
    }

    /// Begins a transaction.
    pub fn begin(&self) -> TableTransaction {
        TableTransaction { table: self.clone(), staged: BTreeMap::new() }
    }

    /// How often this process has asked the table, rather than a cache.
    pub fn selects(&self) -> u64 {
        self.0.selects.load(Ordering::Relaxed)
    }

    /// Runs `work` where it may block, as a database driver goes over the network.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Storage) -> Result<T> + Send + 'static) -> Result<T> {
        // As fast as this table may be: a network lets others have their turn.
        tokio::task::yield_now().await;
        let inner = self.0.clone();
        tokio::task::spawn_blocking(move || work(&inner.storage)).await?
    }
}

impl Storage {
    fn read(&self) -> Result<Rows> {
        match self {
            Self::Memory(rows) => Ok(rows.lock().unwrap_or_else(PoisonError::into_inner).clone()),
            Self::File(path) => match fs::read(path) {
                Ok(text) => serde_json::from_slice(&text)
                    .with_context(|| format!("{} does not hold a table; remove it", path.display())),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(Rows::new()),
                Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
            },
        }
    }

    /// Changes the rows in one step that no other writer can come between.
    fn change(&self, change: impl FnOnce(&mut Rows)) -> Result<()> {
        match self {
            Self::Memory(rows) => change(&mut rows.lock().unwrap_or_else(PoisonError::into_inner)),
            Self::File(path) => {
                let (lock, new) = (path.with_extension("lock"), path.with_extension("new"));
                let lock = File::create(&lock).with_context(|| format!("{} cannot be made", lock.display()))?;
                lock.lock().with_context(|| format!("{} cannot be locked", path.display()))?;
                let mut rows = self.read()?;
                change(&mut rows);
                fs::write(&new, serde_json::to_vec_pretty(&rows)?)
                    .and_then(|()| fs::rename(&new, path))
                    .with_context(|| format!("{} cannot be written", path.display()))?;
            }
        }
        Ok(())
    }
}

/// What rows can be selected from.
pub trait Connection: Sync {
    /// The row with this id.
    fn select(&self, id: u64) -> impl Future<Output = Result<Option<User>>> + Send;
}

/// Sees what is committed.
impl Connection for Table {
    async fn select(&self, id: u64) -> Result<Option<User>> {
        self.0.selects.fetch_add(1, Ordering::Relaxed);
        let name = self.run(move |storage| Ok(storage.read()?.remove(&id))).await?;
        Ok(name.map(|name| User { id, name }))
    }
}

/// An open transaction; dropping it rolls it back.
#[derive(Debug)]
#[must_use = "dropping a transaction rolls it back"]
pub struct TableTransaction {
    table: Table,
    /// What the commit will write; `None` deletes.
    staged: BTreeMap<u64, Option<String>>,
}

/// Sees what is committed, and what the transaction itself has written.
impl Connection for TableTransaction {
    async fn select(&self, id: u64) -> Result<Option<User>> {
        match self.staged.get(&id) {
            Some(staged) => Ok(staged.clone().map(|name| User { id, name })),
            None => self.table.select(id).await,
        }
    }
}

impl TableTransaction {
    /// Writes a row.
    #[expect(clippy::unused_async, reason = "the call of a database driver")]
    pub async fn upsert(&mut self, user: User) -> Result<()> {
        self.staged.insert(user.id, Some(user.name));
        Ok(())
    }

    /// Deletes a row, if there is one.
    #[expect(clippy::unused_async, reason = "the call of a database driver")]
    pub async fn delete(&mut self, id: u64) -> Result<()> {
        self.staged.insert(id, None);
        Ok(())
    }

    /// How many rows it has written.
    pub fn changes(&self) -> usize {
        self.staged.len()
    }

    /// Makes its writes visible to everybody, all at once.
    pub async fn commit(self) -> Result<()> {
        let Self { table, staged } = self;
        let apply = move |rows: &mut Rows| {
            for (id, name) in staged {
                match name {
                    Some(name) => _ = rows.insert(id, name),
                    None => _ = rows.remove(&id),
                }
            }
        };
        table.run(move |storage| storage.change(apply)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(id: u64, name: &str) -> User {
        User { id, name: name.to_owned() }
    }

    async fn writes_are_seen_by_others_after_the_commit(table: Table) {
        let mut open = table.begin();
        open.upsert(user(1, "Ada")).await.unwrap();
        open.upsert(user(2, "Grace")).await.unwrap();
        assert_eq!(open.select(1).await.unwrap(), Some(user(1, "Ada")));
        assert_eq!(table.select(1).await.unwrap(), None);
        open.commit().await.unwrap();
        assert_eq!(table.select(1).await.unwrap(), Some(user(1, "Ada")));

        let mut open = table.begin();
        open.delete(2).await.unwrap();
        assert_eq!(open.select(2).await.unwrap(), None);
        drop(open);
        assert_eq!(table.select(2).await.unwrap(), Some(user(2, "Grace")), "it was rolled back");
    }

    #[tokio::test]
    async fn writes_to_memory_are_seen_by_others_after_the_commit() {
        writes_are_seen_by_others_after_the_commit(Table::in_memory(&[])).await;
    }

    #[tokio::test]
    async fn writes_to_a_file_are_seen_by_others_after_the_commit() {
        let folder = tempfile::tempdir().unwrap();
        writes_are_seen_by_others_after_the_commit(Table::in_file(folder.path().join("users.json"))).await;
    }

    #[tokio::test]
    async fn commits_to_one_file_do_not_overwrite_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.json");
        let commits = (0..50).map(|id| {
            // A handle of its own each, as in processes of their own.
            let table = Table::in_file(&path);
            tokio::spawn(async move {
                let mut open = table.begin();
                open.upsert(user(id, "x")).await?;
                open.commit().await
            })
        });
        for commit in commits.collect::<Vec<_>>() {
            commit.await.unwrap().unwrap();
        }
        assert_eq!(Table::in_file(&path).0.storage.read().unwrap().len(), 50);
    }
}
