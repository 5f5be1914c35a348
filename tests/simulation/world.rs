//! The world of one run: what all nodes, the broker and the checker share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use crate::{
    broker::Broker,
    dice::Dice,
    history::{Event, History, How},
    loads::{Asked, NodeState},
    plan::Plan,
    source::{Row, RowKey, Source, State, TABLES, Table, source},
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
    /// How many faults keep the broker down at the moment.
    downs: AtomicU32,
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
    /// Evictions by predicate.
    pub(crate) predicates: u64,
    pub(crate) sessions: u64,
    pub(crate) resumed: u64,
    pub(crate) compared: u64,
    /// Entries that are stale for good, since the writer died before the broker had confirmed: the one exception.
    pub(crate) orphans: u64,
    /// Reads of what was cached, when something newer than the first version had to be known.
    pub(crate) floors: u64,
    /// Loads of which each had to be the only one.
    pub(crate) single_loads: u64,
    /// Answers from somebody else's load, which took their time.
    pub(crate) waits: u64,
    /// Times at which as many loads of a cache ran as are allowed.
    pub(crate) full: u64,
    /// Entries that were served when more than half of their ttl was over.
    pub(crate) aged: u64,
    /// What the caches of the last incarnations have counted.
    pub(crate) expired: u64,
    pub(crate) displaced: u64,
    pub(crate) shared: u64,
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
        self.predicates += other.predicates;
        self.sessions += other.sessions;
        self.resumed += other.resumed;
        self.compared += other.compared;
        self.orphans += other.orphans;
        self.floors += other.floors;
        self.single_loads += other.single_loads;
        self.waits += other.waits;
        self.full += other.full;
        self.aged += other.aged;
        self.expired += other.expired;
        self.displaced += other.displaced;
        self.shared += other.shared;
    }
}

impl Counts {
    /// Each rule must have had something to decide.
    pub(crate) fn demand_enough(&self, seeds: u64) {
        let demands = [
            ("hits", self.hits, 50 * seeds),
            ("commits", self.commits, 40 * seeds),
            ("rules A and C: reads of what was cached, when something newer had to be known", self.floors, 20 * seeds),
            ("rule B: entries that are compared", self.compared, seeds),
            ("rule E: loads that have to be the only one", self.single_loads, 10 * seeds),
            ("rule E: answers from somebody else's load", self.shared, seeds),
            ("rule M: times at which all loads that may run do", self.full, seeds),
            ("rule T: entries that are served when they are old", self.aged, seeds / 4),
            ("rule T: entries that expired", self.expired, seeds / 4),
            ("rule W: callers who waited", self.waits, seeds),
            ("entries that were displaced", self.displaced, seeds),
            ("evictions by predicate", self.predicates, seeds),
            ("sessions that resumed", self.resumed, seeds / 4),
        ];
        for (what, count, least) in demands {
            assert!(count >= least, "it does too little to mean anything: {what}: {count}, not {least}; {self:?}");
        }
    }
}

impl World {
    pub(crate) fn new(plan: Plan, clocks: Clocks) -> Arc<Self> {
        let mut dice = Dice::new(plan.seed ^ 0x5eed);
        let world = Self {
            source: Mutex::new(source(plan.rows)),
            history: Mutex::default(),
            nodes: Mutex::new((0..plan.nodes).map(|_| NodeState::default().next(&plan)).collect()),
            counts: Mutex::default(),
            broker: Broker::default(),
            dice: Mutex::new(dice.fork()),
            downs: AtomicU32::new(0),
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

    pub(crate) fn nodes(&self) -> MutexGuard<'_, Vec<NodeState>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn dice<T>(&self, draw: impl FnOnce(&mut Dice) -> T) -> T {
        draw(&mut self.dice.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One reason more, or less, for the broker to be down.
    pub(crate) fn broker_is_down(&self, is_down: bool) {
        let others = if is_down {
            self.downs.fetch_add(1, Ordering::Relaxed)
        } else {
            self.downs.fetch_sub(1, Ordering::Relaxed) - 1
        };
        self.broker.set_down(is_down || others > 0);
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
        nodes[node] = nodes[node].next(&self.plan);
        nodes[node].incarnation
    }

    pub(crate) fn lives(&self, node: usize, incarnation: u64) -> bool {
        self.nodes()[node].incarnation == incarnation
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
        asked: Asked,
        row: Option<&Row>,
        how: How,
        tx: Option<u64>,
    ) {
        let (version, floor) = (row.map(|row| row.version), asked.floor);
        self.note(Some(node), Some(key), Event::Read { version, how, floor });
        self.count(|counts| {
            counts.reads += 1;
            counts.hits += u64::from(how == How::Cached);
            counts.floors += u64::from(how == How::Cached && floor > 0);
        });
        if how == How::Cached {
            self.check_cached(node, key, asked, version);
        }
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
