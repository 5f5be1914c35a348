//! Transactions: evictions that wait for the database's commit (rules R2 and R3).
//!
//! A [`Transaction`] is found by annotated functions through a task-local that [`Transaction::scope`] sets. What they
//! evict or put is noted in the transaction; reads look there first. `commit` applies it, here and on every node;
//! rollback and drop discard it.
//!
//! Invariants:
//! - a transaction's notes are taken out exactly once: applied, handed to the enclosing transaction, or discarded;
//! - applying and queueing the broadcast happen in one synchronous step, so no cancelled future can come in between;
//! - whenever it is not known whether the database committed, the evictions are applied, with a hold.

mod committed;
mod handle;
mod pending;

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt,
    future::Future,
    mem,
    sync::{Arc, PoisonError},
};

pub use committed::Committed;
pub use handle::TransactionHandle;
pub(crate) use pending::StagedPut;
use pending::{Outcome, Pending, Replaced};

use crate::{
    cache::{
        info::CacheInfo,
        leftovers::{Leftovers, discard},
        tags::Tag,
    },
    key::{Key, KeyForm},
    mutation::Mutation,
    registry::{
        node::{Node, Queued},
        slot::Slot,
    },
    scope,
    sync::{Mutex, MutexGuard, Notify, task_local},
};

task_local! {
    static CURRENT: Arc<Inner>;
}

/// The transaction of the calling task, if it is in a scope.
#[inline]
pub(crate) fn current() -> Option<Arc<Inner>> {
    if scope::is_possible() { CURRENT.try_with(Arc::clone).ok() } else { None }
}

/// Looks at that transaction where it is, without taking part in it: cheaper. `look` must not enter a scope, so of user code
/// it runs what keys are hashed and compared by, and nothing else.
#[inline]
pub(crate) fn with_current<R>(look: impl FnOnce(&Inner) -> R) -> Option<R> {
    if scope::is_possible() { CURRENT.try_with(|inner| look(inner)).ok() } else { None }
}

/// Holds evictions back until the database has committed.
///
/// Run what belongs to the transaction inside [`scope`](Self::scope), commit the database, then this: or both at
/// once with [`commit_with`](Self::commit_with), which also knows what to do when the database's answer never came.
///
/// Inside the scope
/// - evictions and puts wait for the commit; rollback and drop discard them;
/// - a key with a pending eviction, also by a tag of its entry, is neither read from nor filled into a cache, so that
///   the transaction reads its own writes;
/// - any other key may be answered from the cache; a miss loads without filling, and nobody outside joins the load,
///   so nothing uncommitted, and nothing from an old snapshot, reaches other readers.
///
/// A transaction that [begins](Self::begin) inside the scope of another is an inner one, like a savepoint: its commit
/// hands its evictions to the outer one, its rollback discards only its own.
///
/// The scope belongs to the task. A task spawned inside it (`tokio::spawn`) is outside, unless it takes the scope along by a
/// [`TransactionHandle`].
///
/// A transaction may outlive its registry. Its commit then evicts nothing that anybody could still read here, and
/// [`Committed::confirmed`] says that other nodes were not told: end transactions before you shut down.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), cachesync::Error> {
/// use cachesync::{CacheConfig, Registry, Transaction};
///
/// # let registry = Registry::builder().cache(CacheConfig::new("users")).start().await?;
/// let users = registry.cache::<u64, &str>("users")?;
/// users.insert(1, "Ada");
///
/// let transaction = Transaction::begin();
/// transaction.scope(async { users.evict(&1) }).await;
/// assert_eq!(users.get(&1), Some("Ada"), "not yet");
///
/// transaction.commit_with(async { Ok::<_, std::io::Error>(()) }).await.unwrap();
/// assert_eq!(users.get(&1), None);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a transaction rolls it back: its evictions are discarded"]
pub struct Transaction {
    inner: Arc<Inner>,
    read_only: bool,
    ended: bool,
}

/// What the tasks in a transaction's scope share with its guard.
pub(crate) struct Inner {
    outer: Option<Arc<Inner>>,
    state: Mutex<State>,
    ended: Notify,
}

/// What of a transaction concerns a reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Concern {
    Nothing,
    /// Tags wait to be evicted, so those of the entry matter.
    Tags,
    /// The key does, or all keys do.
    Key,
}

enum State {
    Open(BTreeMap<u64, Pending>),
    /// What was pending has been taken out, and is being dealt with.
    Ending,
    Committed(Vec<Queued>),
    /// What was pending now waits in the outer transaction.
    HandedOver(Arc<Inner>),
    RolledBack,
}

impl Transaction {
    /// Begins a transaction; inside the scope of another, an inner one of it.
    pub fn begin() -> Self {
        let inner = Inner { outer: current(), state: Mutex::new(State::Open(BTreeMap::new())), ended: Notify::new() };
        Self { inner: Arc::new(inner), read_only: false, ended: false }
    }

    /// Begins a transaction that writes nothing: a scope for reading over an open database transaction, whose
    /// snapshot may be old. Nothing that is loaded inside is kept.
    ///
    /// It may be dropped without commit. Should something be evicted inside all the same, that is not discarded but
    /// applied, with a hold, and a warning is logged; of an inner one it is handed to the outer transaction.
    pub fn read_only() -> Self {
        let mut transaction = Self::begin();
        transaction.read_only = true;
        transaction
    }

    /// Runs `future` inside the transaction.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops `future`. What it evicted stays pending; an annotated function that was cancelled
    /// after its body began has its eviction noted, too.
    pub fn scope<F: Future>(&self, future: F) -> impl Future<Output = F::Output> + use<F> {
        scope::mark(CURRENT.scope(self.inner.clone(), future))
    }

    /// Applies what is pending: removes it on this node and queues the broadcast, in one synchronous step.
    ///
    /// Call it after the database has committed, never before. It cannot fail: if the broker is away, the broadcast
    /// waits for it. An inner transaction hands what is pending to the outer one.
    pub fn commit(mut self) -> Committed {
        self.ended = true;
        self.inner.commit();
        Committed::new(self.inner.clone())
    }

    /// Commits the database by `future`, then this.
    ///
    /// # Errors
    ///
    /// The error of `future`. Whether the database has committed is then not known, so the evictions are applied and
    /// held: for the settle time loads of these keys are returned and not kept.
    ///
    /// # Cancel safety
    ///
    /// Dropped before its first poll, it rolls back. Dropped, or panicking, after that, the outcome is not known, and
    /// the evictions are applied and held as on an error.
    pub async fn commit_with<F, E>(self, future: F) -> Result<Committed, E>
    where
        F: Future<Output = Result<(), E>>,
    {
        let in_doubt = InDoubt(Some(self));
        if Mutation::ApplyBeforeTheDatabase.is_on() {
            let committed = in_doubt.certain().commit();
            return future.await.map(|()| committed);
        }
        future.await?;
        Ok(in_doubt.certain().commit())
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Discards what is pending. Dropping does the same.
    pub fn rollback(self) {
        drop(self);
    }
}

/// A transaction whose database may or may not have committed.
struct InDoubt(Option<Transaction>);

impl InDoubt {
    fn certain(mut self) -> Transaction {
        self.0.take().expect("taken only here, and `self` is consumed")
    }
}

impl Drop for InDoubt {
    fn drop(&mut self) {
        if let Some(mut transaction) = self.0.take() {
            transaction.ended = true;
            if Mutation::DiscardUnknownOutcomes.is_on() {
                return transaction.inner.roll_back();
            }
            transaction.inner.settle();
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if self.read_only && self.inner.has_pending() {
            static SO_FAR: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
            let so_far = SO_FAR.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            // Relaxed: it only counts. The 1st, 2nd, 4th, 8th, ... of the process.
            if so_far.is_power_of_two() {
                tracing::warn!(
                    so_far,
                    "something was evicted in a read-only transaction; use `Transaction::begin` to write"
                );
            }
            self.inner.settle();
        } else {
            self.inner.roll_back();
        }
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("inner", &self.inner.outer.is_some())
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Whether a tag, or all keys, wait to be evicted in this transaction or one around it.
    pub(crate) fn is_tag_pending(&self, info: &CacheInfo, tag: &Tag) -> bool {
        self.any_pending(info, |pending| pending.contains_tag(tag))
    }

    /// What waits to be evicted, in this transaction or one around it, that concerns a reader of this key.
    pub(crate) fn concerns<K: Key, Q: KeyForm<K>>(&self, info: &CacheInfo, key: &Q) -> Concern {
        let mut has_tags = false;
        let is_pending = self.any_pending(info, |pending| {
            has_tags |= pending.has_tags();
            pending.contains::<K, Q>(key)
        });
        match (is_pending, has_tags) {
            (true, _) => Concern::Key,
            (false, true) => Concern::Tags,
            (false, false) => Concern::Nothing,
        }
    }

    fn any_pending(&self, info: &CacheInfo, mut is_it: impl FnMut(&Pending) -> bool) -> bool {
        if Mutation::ReadWhatIsPending.is_on() {
            return false;
        }
        let mut transaction = Some(self);
        while let Some(one) = transaction {
            let is_pending = match &*one.state() {
                State::Open(caches) => caches.get(&info.id).is_some_and(&mut is_it),
                // What was pending is on its way, into the caches or to the outer transaction, and in neither yet. Any key
                // may be meant; so for this moment all are.
                State::Ending => true,
                State::Committed(_) | State::HandedOver(_) | State::RolledBack => false,
            };
            if is_pending {
                return true;
            }
            transaction = one.outer.as_deref();
        }
        false
    }

    /// Notes that a key is to be evicted.
    pub(crate) fn evict<K: Key>(&self, node: &Arc<Node>, slot: &Arc<Slot>, key: K) {
        self.note_key(node, slot, key, None);
    }

    fn note_key<K: Key>(&self, node: &Arc<Node>, slot: &Arc<Slot>, key: K, put: Option<Box<dyn StagedPut<K>>>) {
        let mut entry = Some((key, put));
        self.note(node, slot, &mut |pending, in_time| match entry.take() {
            Some((key, put)) if in_time => pending.set(key, put),
            Some((key, put)) => {
                // The transaction that it was put in may have been undone.
                let mut replaced = pending.set(key, None);
                replaced.push(put);
                replaced
            }
            None => Replaced::default(),
        });
    }

    /// Notes that keys are to be evicted.
    pub(crate) fn evict_many<K: Key>(&self, node: &Arc<Node>, slot: &Arc<Slot>, keys: Vec<K>) {
        if keys.is_empty() {
            return;
        }
        // Out here, so that what a key that panics leaves over is dropped when no lock is held.
        let (mut keys, mut replaced) = (Leftovers(keys), Replaced::default());
        self.note(node, slot, &mut |pending, _| {
            pending.set_many(&mut keys.0, &mut replaced);
            mem::take(&mut replaced)
        });
    }

    /// Notes that every entry that carries one of these tags is to be evicted.
    pub(crate) fn evict_tags(&self, node: &Arc<Node>, slot: &Arc<Slot>, mut tags: Vec<Tag>) {
        if !tags.is_empty() {
            self.note(node, slot, &mut |pending, _| pending.set_tags(mem::take(&mut tags)));
        }
    }

    /// Notes that all keys are to be evicted.
    pub(crate) fn evict_all(&self, node: &Arc<Node>, slot: &Arc<Slot>) {
        self.note(node, slot, &mut |pending, _| pending.set_all());
    }

    /// Notes that a key is to be put at the commit; without a staged put it is evicted then.
    pub(crate) fn put<K: Key>(
        &self,
        node: &Arc<Node>,
        slot: &Arc<Slot>,
        key: K,
        staged: Option<Box<dyn StagedPut<K>>>,
    ) {
        self.note_key(node, slot, key, staged);
    }

    /// Notes a change in this transaction, in time; or late, if it has ended, in the one around it.
    ///
    /// A scope can run on in another task after its transaction has ended. What it writes belongs to the enclosing
    /// transaction; without one, nobody knows to which.
    fn note(&self, node: &Arc<Node>, slot: &Arc<Slot>, change: &mut dyn FnMut(&mut Pending, bool) -> Replaced) {
        let new = || Pending::new(node, slot);
        let mut open = Some(self);
        while let Some(transaction) = open {
            let mut state = transaction.state();
            if let State::Open(caches) = &mut *state {
                let in_time = std::ptr::eq(transaction, self);
                let replaced = change(caches.entry(slot.info.id).or_insert_with(new), in_time);
                drop(state);
                drop(replaced);
                return;
            }
            drop(state);
            open = transaction.outer.as_deref();
        }
        if Mutation::DropLateEvictions.is_on() {
            return;
        }
        let mut pending = new();
        drop(change(&mut pending, false));
        let hold = pending.settle();
        pending.apply(Outcome::Unknown { hold });
    }

    fn has_pending(&self) -> bool {
        matches!(&*self.state(), State::Open(caches) if !caches.is_empty())
    }

    fn commit(&self) {
        let caches = self.take();
        if let Err(caches) = self.hand_over(caches) {
            // Of an inner transaction that outlived the outer one nobody knows what became.
            self.apply(caches, self.outer.is_none());
        }
    }

    /// Ends it without knowing whether the database committed.
    ///
    /// An inner transaction hands over its evictions: whether its writes are there is decided with the outer one's.
    /// Its values are forgotten: they may have been undone.
    fn settle(&self) {
        let mut caches = self.take();
        forget_puts(&mut caches);
        if let Err(caches) = self.hand_over(caches) {
            self.apply(caches, false);
        }
    }

    fn roll_back(&self) {
        let discarded = self.take();
        if Mutation::ApplyOnRollback.is_on() {
            return self.apply(discarded, true);
        }
        self.end(State::RolledBack);
        discarded.into_values().for_each(discard);
    }

    /// Hands what was pending to the outer transaction; gives it back if there is none, or it has ended.
    ///
    /// Of an outer one that ended first, the one around that takes over; but no values, of which nobody knows whether
    /// they were undone.
    fn hand_over(&self, mut caches: BTreeMap<u64, Pending>) -> Result<(), BTreeMap<u64, Pending>> {
        if self.outer.is_some() && Mutation::DropInnerTransactions.is_on() {
            caches.clear();
        }
        let mut outer = self.outer.as_ref();
        while let Some(next) = outer {
            match next.absorb(caches) {
                Ok(()) => {
                    self.end(State::HandedOver(next.clone()));
                    return Ok(());
                }
                Err(back) => caches = back,
            }
            forget_puts(&mut caches);
            outer = next.outer.as_ref();
        }
        Err(caches)
    }

    fn apply(&self, caches: BTreeMap<u64, Pending>, committed: bool) {
        let apply = |pending: Pending| {
            let hold = pending.settle();
            pending.apply(if committed { Outcome::Committed } else { Outcome::Unknown { hold } })
        };
        let queued = caches.into_values().filter_map(apply).collect();
        self.end(State::Committed(queued));
    }

    /// Takes over what an inner transaction had pending; gives it back if this one has ended.
    fn absorb(&self, caches: BTreeMap<u64, Pending>) -> Result<(), BTreeMap<u64, Pending>> {
        let mut state = self.state();
        let State::Open(own) = &mut *state else { return Err(caches) };
        let mut replaced = Replaced::default();
        for (id, pending) in caches {
            match own.entry(id) {
                Entry::Occupied(mut known) => replaced.append(known.get_mut().absorb(pending)),
                Entry::Vacant(place) => _ = place.insert(pending),
            }
        }
        drop(state);
        drop(replaced);
        Ok(())
    }

    /// Takes out what is pending. From here on nothing more is noted, so nothing can be lost between this and the end.
    fn take(&self) -> BTreeMap<u64, Pending> {
        match std::mem::replace(&mut *self.state(), State::Ending) {
            State::Open(caches) => caches,
            // A transaction ends once; its guard is consumed.
            _ => BTreeMap::new(),
        }
    }

    fn end(&self, state: State) {
        let replaced = std::mem::replace(&mut *self.state(), state);
        drop(replaced);
        self.ended.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_puts(caches: &mut BTreeMap<u64, Pending>) {
    let replaced: Vec<_> = caches.values_mut().map(Pending::forget_puts).collect();
    drop(replaced);
}
