//! The world of one run: what all nodes, the broker and the checker share.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    broker::Broker,
    dice::Dice,
    history::{Event, History, How},
    plan::Plan,
    source::{Row, RowKey, Source, State, TABLES, Table},
    time::Clocks,
};

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) clocks: Clocks,
    pub(crate) broker: Broker,
    source: Mutex<Source>,
    history: Mutex<History>,
    nodes: Mutex<Vec<NodeState>>,
    counts: Mutex<Counts>,
    dice: Mutex<Dice>,
}

#[derive(Default)]
struct NodeState {
    incarnation: u64,
    /// Counts what may end the one load at a time of a key: evictions, clears.
    epoch: u64,
    /// It has had a session. Before, every caller loads for itself.
    has_served: bool,
    /// The loads that run, outside of transactions and reservations.
    loads: BTreeMap<RowKey, Vec<Running>>,
}

struct Running {
    id: u64,
    epoch: u64,
    began: Duration,
}

/// What happened how often, so that a simulation that does nothing is noticed.
#[derive(Clone, Default, Debug)]
pub(crate) struct Counts {
    pub(crate) runs: u64,
    pub(crate) events: u64,
    pub(crate) reads: u64,
    pub(crate) hits: u64,
    pub(crate) commits: u64,
    pub(crate) in_doubt: u64,
    pub(crate) cancelled: u64,
    pub(crate) panics: u64,
    pub(crate) faults: u64,
    pub(crate) sessions: u64,
    pub(crate) resumed: u64,
    pub(crate) compared: u64,
    /// Entries that are stale for good, since the writer died before the broker had confirmed: the one exception.
    pub(crate) orphans: u64,
    /// Loads of which each had to be the only one.
    pub(crate) single_loads: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.events += other.events;
        self.reads += other.reads;
        self.hits += other.hits;
        self.commits += other.commits;
        self.in_doubt += other.in_doubt;
        self.cancelled += other.cancelled;
        self.panics += other.panics;
        self.faults += other.faults;
        self.sessions += other.sessions;
        self.resumed += other.resumed;
        self.compared += other.compared;
        self.orphans += other.orphans;
        self.single_loads += other.single_loads;
    }
}

/// Says that a load has ended, however it does.
pub(crate) struct Loading<'a> {
    world: &'a World,
    node: usize,
    incarnation: u64,
    key: RowKey,
    id: u64,
    returned: bool,
}

impl World {
    pub(crate) fn new(plan: Plan, clocks: Clocks) -> Arc<Self> {
        let mut dice = Dice::new(plan.seed ^ 0x5eed);
        let world = Self {
            source: Mutex::new(Source::new(plan.rows)),
            history: Mutex::default(),
            nodes: Mutex::new((0..plan.nodes).map(|_| NodeState::default()).collect()),
            counts: Mutex::default(),
            broker: Broker::default(),
            dice: Mutex::new(dice.fork()),
            plan,
            clocks,
        };
        world.broker.begin(dice.fork(), world.plan.nodes, world.plan.network.replay);
        Arc::new(world)
    }

    pub(crate) fn source(&self) -> MutexGuard<'_, Source> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<NodeState>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn dice<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut self.dice.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn now(&self) -> Duration {
        self.clocks.elapsed()
    }

    pub(crate) fn note(&self, node: Option<usize>, row: Option<RowKey>, event: Event) {
        if matches!(event, Event::Session(_)) {
            self.count(|counts| counts.sessions += 1);
        }
        if matches!(event, Event::Resumed(_)) {
            self.count(|counts| counts.resumed += 1);
        }
        self.history().note(self.now(), node, row, event);
    }

    pub(crate) fn violated(&self, node: usize, row: Option<RowKey>, rule: &'static str, text: String) {
        self.history().violated(self.now(), node, row, rule, text);
    }

    /// A new incarnation of a node begins; whatever the last one still does is not its doing.
    pub(crate) fn reincarnate(&self, node: usize) -> u64 {
        let mut nodes = self.nodes();
        let state = &mut nodes[node];
        *state = NodeState { incarnation: state.incarnation + 1, ..NodeState::default() };
        state.incarnation
    }

    pub(crate) fn lives(&self, node: usize, incarnation: u64) -> bool {
        self.nodes()[node].incarnation == incarnation
    }

    /// A node has a session: what it missed before is cleared in this very step.
    pub(crate) fn connected(&self, node: usize) {
        self.broker.forget_gaps(node);
        let mut nodes = self.nodes();
        nodes[node].epoch += 1;
        nodes[node].has_served = true;
    }

    /// Something may have been evicted on a node.
    pub(crate) fn bump(&self, node: usize) {
        self.nodes()[node].epoch += 1;
    }

    /// What a node may not read any more.
    pub(crate) fn floor(&self, key: RowKey, node: usize) -> u32 {
        let now = self.now();
        self.source().floor(key, node, now, self.plan.lease)
    }

    /// A load begins. `alone` says that the library keeps it apart from others anyway.
    pub(crate) fn load(&self, node: usize, incarnation: u64, key: RowKey, alone: bool) -> Loading<'_> {
        let now = self.now();
        self.note(Some(node), Some(key), Event::LoadBegins { inside: alone });
        let mut nodes = self.nodes();
        let state = &mut nodes[node];
        state.epoch += u64::from(alone);
        let id = self.history().events() as u64;
        if !alone && state.incarnation == incarnation {
            let epoch = state.epoch;
            let running = state.loads.entry(key).or_default();
            let same = |other: &&Running| other.epoch == epoch && now < other.began + self.plan.load_wait;
            let twice = running.iter().any(|other| same(&other));
            running.push(Running { id, epoch, began: now });
            let shares = state.has_served && self.always_shares();
            drop(nodes);
            self.count(|counts| counts.single_loads += u64::from(shares));
            if twice && shares {
                self.violated(node, Some(key), "E", "two loads of one key at the same time".into());
            }
        }
        Loading { world: self, node, incarnation, key, id, returned: false }
    }

    /// Whether loads are shared at any time: nothing is ever held, the lease never runs out, no load is given up.
    fn always_shares(&self) -> bool {
        self.plan.unanswered == 0 && self.plan.cancelled == 0 && self.plan.faults.is_empty()
    }

    /// Ends a database transaction, one way or the other.
    pub(crate) fn end(&self, transaction: u64, commit: bool) {
        let ended = if commit { self.source().commit(transaction) } else { self.source().roll_back(transaction) };
        for (key, version) in ended {
            let event = if commit {
                self.count(|counts| counts.commits += 1);
                Event::Committed { transaction, version }
            } else {
                Event::RolledBack { transaction, version }
            };
            self.note(None, Some(key), event);
        }
    }

    /// A read has returned: holds it against the rules.
    pub(crate) fn check_read(
        &self,
        node: usize,
        key: RowKey,
        floor: u32,
        row: Option<&Row>,
        how: How,
        tx: Option<u64>,
    ) {
        let version = row.map(|row| row.version);
        self.note(Some(node), Some(key), Event::Read { version, how, floor });
        self.count(|counts| {
            counts.reads += 1;
            counts.hits += u64::from(how == How::Cached);
        });
        let Some(version) = version else {
            if how == How::Cached && !self.source().has_deleted(key, floor) && !self.excuses(node, key) {
                self.violated(
                    node,
                    Some(key),
                    "A",
                    format!("it is said not to be there, and is since version {floor}"),
                );
            }
            return;
        };
        let (state, local) = {
            let source = self.source();
            let known = source.version(key, version);
            let newest = source.version(key, floor);
            (known.state, newest.writer == node)
        };
        match state {
            State::Committed(_) => {}
            State::Open(owner) if Some(owner) == tx => {}
            State::Open(_) => self.violated(node, Some(key), "D", format!("version {version} is not committed")),
            State::RolledBack => self.violated(node, Some(key), "D", format!("version {version} was rolled back")),
        }
        if version < floor && (local || !self.excuses(node, key)) {
            let rule = if local { "C" } else { "A" };
            self.violated(node, Some(key), rule, format!("version {version} was read, {floor} had to be known"));
        }
    }

    /// Whether a node may read what is older: beyond the promise it has missed a message, and cannot know yet.
    fn excuses(&self, node: usize, key: RowKey) -> bool {
        self.plan.is_beyond_the_promise() && self.has_gap(node, key.table)
    }

    /// Whether a node has missed a message that it cannot know of yet, beyond the promise.
    pub(crate) fn has_gap(&self, node: usize, table: Table) -> bool {
        table.caches().iter().any(|cache| self.broker.has_gap(node, cache))
    }

    /// Compares an entry with the source, when all is quiet.
    pub(crate) fn check_entry(&self, node: usize, key: RowKey, row: Option<&Row>) {
        let version = row.map(|row| row.version);
        let (newest, is_there) = self.source().read(key, None);
        self.note(Some(node), Some(key), Event::Read { version, how: How::Cached, floor: newest });
        self.count(|counts| counts.compared += 1);
        let is_right = match version {
            Some(version) => version == newest && is_there,
            None => !is_there,
        };
        if is_right {
            return;
        }
        let may_be = {
            let source = self.source();
            let is_last = |version| {
                matches!(source.version(key, version).state, State::Committed(_))
                    && source.is_current_but_for_orphans(key, version)
            };
            match version {
                Some(version) => is_last(version),
                None => (0..=newest).any(|version| source.version(key, version).deleted && is_last(version)),
            }
        };
        if may_be {
            self.count(|counts| counts.orphans += 1);
        } else {
            self.violated(node, Some(key), "B", format!("{version:?} is cached, and the source has version {newest}"));
        }
    }

    pub(crate) fn rows(&self) -> Vec<RowKey> {
        TABLES.iter().flat_map(|table| (0..self.plan.rows).map(|id| RowKey { table: *table, id })).collect()
    }
}

impl Loading<'_> {
    pub(crate) fn ends(mut self, version: Option<u32>) {
        self.returned = true;
        self.world.note(Some(self.node), Some(self.key), Event::LoadEnds { version });
    }
}

impl Drop for Loading<'_> {
    fn drop(&mut self) {
        if !self.returned {
            self.world.note(Some(self.node), Some(self.key), Event::LoadDropped);
        }
        let mut nodes = self.world.nodes();
        let state = &mut nodes[self.node];
        if state.incarnation == self.incarnation
            && let Some(running) = state.loads.get_mut(&self.key)
        {
            running.retain(|running| running.id != self.id);
        }
    }
}
