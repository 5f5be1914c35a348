//! What the nodes load: who has to share a load with whom, for how long anybody waits, how many run at once, and how old
//! an entry grows. The rules E, M, W and T.
//!
//! A load is shared with whoever asks for the same key on the same node, unless (`cache/store.rs`, `cache/load.rs`)
//! - it, or he, is inside of a transaction, or loads by hand or for a batch;
//! - an eviction came in between: it is of another generation, which the epoch of its table counts;
//! - the table is held there: after an unknown outcome, and what was cancelled or panicked;
//! - he has waited for `load_wait`, after which nobody joins that load any more;
//! - it failed with an error that cannot be cloned: those who waited all try for themselves;
//! - it is as old as the lease, or its age is not known, since the policy past the lease has changed.
//!
//! The library knows holds and evictions by key, and this by table: it may excuse what is wrong, and never blames what is
//! right. How often it had to decide is counted.

use std::{collections::BTreeMap, time::Duration};

use cachesync::OnPartition;
use cachesync_core::{backend::Delivery, codec};

use crate::{
    history::Event,
    plan::Plan,
    source::{RowKey, TABLES, Table},
    world::World,
};

/// More loads of a cache at the same time than there ever are.
const MANY: usize = 16;
/// Virtual timers go off up to this much later.
const GRAIN: Duration = Duration::from_millis(2);

/// What the checker knows of a node.
#[derive(Default)]
pub(crate) struct NodeState {
    pub(crate) incarnation: u64,
    tables: BTreeMap<Table, TableState>,
    /// What becomes of caches that have no policy of their own.
    serves_stale: bool,
    /// The loads that run, outside of transactions and not by hand.
    loads: BTreeMap<RowKey, Vec<Running>>,
    /// When a load last failed with an error that cannot be cloned.
    failed: BTreeMap<RowKey, Duration>,
    /// When the last load of a key ended, and the last batch of a table.
    ended: BTreeMap<(Table, Option<u64>), Duration>,
    /// When a version, or that there is none, was last loaded or put.
    stored: BTreeMap<(RowKey, Option<u32>), Duration>,
}

#[derive(Default)]
struct TableState {
    /// Counts what may end the one load at a time of a key: evictions, clears.
    epoch: u64,
    held_until: Duration,
    /// Its caches' own policy.
    serves_stale: Option<bool>,
}

struct Running {
    id: u64,
    manner: Manner,
    epoch: u64,
    /// When its caller began to ask: its load may be as old as that.
    asked: Duration,
    /// Whoever comes has to join it.
    is_shared: bool,
    /// It is one of those that are counted.
    is_admitted: bool,
}

/// A caller asks for a key.
#[derive(Clone, Copy, Default)]
pub(crate) struct Asked {
    pub(crate) at: Duration,
    /// What it may not be given any more.
    pub(crate) floor: u32,
    epoch: u64,
}

/// How a body is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Manner {
    /// For all who ask for the key.
    Shared,
    /// For a batch.
    Batch,
    /// Inside of a transaction, or by hand.
    Alone,
}

/// Says that a load has ended, however it does.
pub(crate) struct Loading<'a> {
    world: &'a World,
    node: usize,
    incarnation: u64,
    key: RowKey,
    id: u64,
    is_stored: bool,
    returned: bool,
}

impl NodeState {
    /// The next incarnation, with nothing but its configuration.
    pub(crate) fn next(&self, plan: &Plan) -> Self {
        let mut next = Self { incarnation: self.incarnation + 1, ..Self::default() };
        if let Some(table) = plan.stale {
            next.table(table).serves_stale = Some(true);
        }
        next
    }

    fn table(&mut self, table: Table) -> &mut TableState {
        self.tables.entry(table).or_default()
    }

    fn bump(&mut self, table: Table) {
        self.table(table).epoch += 1;
    }

    /// For how long nobody has loaded a key, of the time for which somebody has asked for it.
    fn idle(&self, RowKey { table, id }: RowKey, asked: Duration, now: Duration) -> Duration {
        let loads = |(key, running): (&RowKey, &Vec<Running>)| {
            let is_batch = |running: &Running| running.manner == Manner::Batch;
            key.table == table && running.iter().any(|running| key.id == id || is_batch(running))
        };
        if self.loads.iter().any(loads) {
            return Duration::ZERO;
        }
        let ended = |of| self.ended.get(&(table, of)).copied().unwrap_or_default();
        now.saturating_sub(asked.max(ended(Some(id))).max(ended(None)))
    }

    fn stales(&self, table: Table) -> bool {
        self.tables.get(&table).and_then(|table| table.serves_stale).unwrap_or(self.serves_stale)
    }
}

impl World {
    /// A caller begins to ask for a key.
    pub(crate) fn asks(&self, node: usize, key: RowKey) -> Asked {
        let at = self.now();
        let mut nodes = self.nodes();
        let serves_stale = nodes[node].stales(key.table);
        let epoch = nodes[node].table(key.table).epoch;
        drop(nodes);
        // Whatever else may be stale is not what was evicted on this very node.
        let lease = if serves_stale { Duration::MAX } else { self.plan.lease };
        let floor = self.source().floor(key, node, at, lease);
        Asked { at, floor, epoch }
    }

    /// Something of these tables may have been evicted on a node.
    pub(crate) fn bump(&self, node: usize, tables: impl IntoIterator<Item = Table>) {
        let mut nodes = self.nodes();
        tables.into_iter().for_each(|table| nodes[node].bump(table));
    }

    /// Nobody knows what became of what an operation wrote: it may be held on its node.
    pub(crate) fn may_be_held(&self, node: usize, tables: impl IntoIterator<Item = Table>) {
        self.hold(node, tables, self.plan.settle);
    }

    fn hold(&self, node: usize, tables: impl IntoIterator<Item = Table>, hold: Duration) {
        let until = self.now() + hold + GRAIN;
        let mut nodes = self.nodes();
        for table in tables {
            nodes[node].bump(table);
            let state = nodes[node].table(table);
            state.held_until = state.held_until.max(until);
        }
    }

    /// A node has a session: what it missed before is cleared in this very step.
    pub(crate) fn connected(&self, node: usize) {
        self.broker.forget_gaps(node);
        self.bump(node, TABLES);
    }

    /// A message comes to a node, and is applied in this very step.
    pub(crate) fn delivered(&self, node: usize, delivery: &Delivery) {
        let Some(cache) = &delivery.cache else { return };
        let hold = codec::decode(&delivery.body).map_or(Duration::ZERO, |frame| frame.hold);
        let tables = TABLES.into_iter().filter(|table| table.caches().contains(&cache.as_str()));
        if hold.is_zero() { self.bump(node, tables) } else { self.hold(node, tables, hold) }
    }

    /// The machine of a node has slept: holds last for longer, and entries did not grow older.
    pub(crate) fn slept(&self, node: usize, lasts: Duration) {
        let mut nodes = self.nodes();
        let NodeState { tables, stored, .. } = &mut nodes[node];
        for table in tables.values_mut() {
            table.held_until += lasts;
        }
        for stored in stored.values_mut() {
            *stored += lasts;
        }
    }

    /// The clock of a node's boot time jumps: what is young there is no more.
    pub(crate) fn jumps(&self, node: usize, by: Duration) {
        self.clocks.suspend(node, by);
        self.bump(node, TABLES);
    }

    /// The policy of a table's caches, or of all that have none of their own, is changed.
    pub(crate) fn set_policy(&self, node: usize, incarnation: u64, table: Option<Table>, policy: Option<OnPartition>) {
        let serves_stale = policy.map(|policy| policy == OnPartition::ServeStale);
        let mut nodes = self.nodes();
        let state = &mut nodes[node];
        if state.incarnation == incarnation {
            match table {
                Some(table) => state.table(table).serves_stale = serves_stale,
                None => state.serves_stale = serves_stale == Some(true),
            }
            // A load that began while entries were served past the lease has no age, and may be shared only then.
            for table in TABLES {
                state.bump(table);
            }
        }
    }

    /// A version, or that there is none, may be stored on a node.
    pub(crate) fn stored(&self, node: usize, key: RowKey, version: Option<u32>) {
        let now = self.now();
        self.nodes()[node].stored.insert((key, version), now);
    }

    /// A load begins, for a caller who has asked, and has `waited` for this since, and not loaded something else.
    pub(crate) fn load(
        &self,
        node: usize,
        incarnation: u64,
        key: RowKey,
        manner: Manner,
        asked: Option<Asked>,
        waited: bool,
    ) -> Loading<'_> {
        let now = self.now();
        self.note(Some(node), Some(key), Event::LoadBegins { manner });
        let id = self.history().events() as u64;
        let loading = Loading {
            world: self,
            node,
            incarnation,
            key,
            id,
            is_stored: asked.is_some() && manner != Manner::Batch,
            returned: false,
        };
        let mut nodes = self.nodes();
        let state = &mut nodes[node];
        let Some(asked) = asked.filter(|_| manner != Manner::Alone && state.incarnation == incarnation) else {
            return loading;
        };
        let load_wait = self.plan.load_wait;
        let is_late = now >= asked.at + load_wait;
        let has_failed = state.failed.get(&key).is_some_and(|failed| *failed >= asked.at);
        let TableState { epoch, held_until, .. } = *state.table(key.table);
        let is_shared =
            manner == Manner::Shared && !is_late && !has_failed && epoch == asked.epoch && held_until <= asked.at;
        let idle = state.idle(key, asked.at, now);
        let running = state.loads.entry(key).or_default();
        if is_late && waited {
            // Who has waited for too long for a load lets nobody else join it.
            for other in &mut *running {
                other.is_shared = false;
            }
        }
        let patience = load_wait.min(self.plan.lease);
        let joins = |other: &Running| other.is_shared && other.epoch == epoch && now < other.asked + patience;
        let twice = is_shared && running.iter().any(joins);
        running.push(Running { id, manner, epoch, asked: asked.at, is_shared, is_admitted: !is_late });
        let of_table = state.loads.iter().filter(|(other, _)| other.table == key.table).flat_map(|(_, loads)| loads);
        let admitted = of_table.filter(|load| load.is_admitted).count();
        drop(nodes);
        let limit = self.plan.max_loads;
        self.count(|counts| {
            counts.single_loads += u64::from(is_shared);
            counts.full += u64::from(admitted == limit);
        });
        if twice {
            self.violated(node, Some(key), "E", "two loads of one key at the same time".into());
        }
        if !is_late && admitted > limit {
            self.violated(node, Some(key), "M", format!("{admitted} loads at the same time, and {limit} are allowed"));
        }
        if waited {
            self.check_wait(node, key, asked, 3);
            if manner == Manner::Shared && !has_failed {
                self.check_idle(node, key, idle);
            }
        }
        loading
    }

    /// Nobody waits for longer: for somebody else's load, and that one's admission, and his own.
    pub(crate) fn check_wait(&self, node: usize, key: RowKey, asked: Asked, times: u32) {
        let (waited, bound) = (self.now().saturating_sub(asked.at), self.plan.load_wait * times + GRAIN);
        self.count(|counts| counts.waits += u64::from(!waited.is_zero()));
        if waited > bound && !self.plan.suspends(node) {
            self.violated(
                node,
                Some(key),
                "W",
                format!("a caller has waited for {waited:?}, and at most for {bound:?}"),
            );
        }
    }

    /// Nobody waits while nobody loads.
    fn check_idle(&self, node: usize, key: RowKey, idle: Duration) {
        // Who waits to be admitted waits for loads of other keys.
        if idle > GRAIN && self.plan.max_loads > MANY && !self.plan.suspends(node) {
            self.violated(node, Some(key), "W", format!("a caller has waited for {idle:?} while nobody loaded"));
        }
    }

    /// A caller got an answer without a load of its own.
    pub(crate) fn check_cached(&self, node: usize, key: RowKey, asked: Asked, version: Option<u32>) {
        let ttl = self.plan.ttl.filter(|(table, _)| *table == key.table).map(|(_, ttl)| ttl);
        let Some(ttl) = ttl else { return };
        let stored = self.nodes()[node].stored.get(&(key, version)).copied();
        let age = stored.map(|stored| asked.at.saturating_sub(stored));
        self.count(|counts| counts.aged += u64::from(age.is_some_and(|age| age * 2 > ttl)));
        if age.is_none_or(|age| age >= ttl) {
            self.violated(node, Some(key), "T", format!("{version:?} is served {age:?} after it was stored: {ttl:?}"));
        }
    }
}

impl Loading<'_> {
    /// It has found this version, or that there is none.
    pub(crate) fn ends(mut self, version: Option<u32>) {
        self.returned = true;
        let Self { world, node, key, .. } = self;
        world.note(Some(node), Some(key), Event::LoadEnds { version });
        let now = world.now();
        if self.is_stored {
            world.nodes()[node].stored.insert((key, version), now);
        }
    }

    /// It fails, with an error that answers all who wait, or one that each is to learn for himself.
    pub(crate) fn fails(mut self, answers_all: bool) {
        self.returned = true;
        let Self { world, node, key, .. } = self;
        world.note(Some(node), Some(key), Event::LoadFails);
        let now = world.now();
        if !answers_all {
            world.nodes()[node].failed.insert(key, now);
        }
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        if !self.returned {
            self.world.note(Some(self.node), Some(self.key), Event::LoadDropped);
        }
        let now = self.world.now();
        let mut nodes = self.world.nodes();
        let state = &mut nodes[self.node];
        if state.incarnation == self.incarnation
            && let Some(running) = state.loads.get_mut(&self.key)
        {
            let manner = running.iter().find(|running| running.id == self.id).map(|running| running.manner);
            running.retain(|running| running.id != self.id);
            let RowKey { table, id } = self.key;
            let of = if manner == Some(Manner::Batch) { None } else { Some(id) };
            state.ended.insert((table, of), now);
        }
    }
}
