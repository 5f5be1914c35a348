//! The plan: what a seed means. How many nodes, how busy, how slow the network, and what goes wrong when.

use std::{ops::Range, time::Duration};

use crate::{
    dice::Dice,
    faults::{self, Fault},
    source::{TABLES, Table},
};

/// How far the dates of signed messages may be off. Machines sleep, and some clocks say so that did not.
pub(crate) const SIGNED_WINDOW: Duration = Duration::from_hours(48);

pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) nodes: usize,
    /// Of each table.
    pub(crate) rows: u64,
    /// Of each node.
    pub(crate) clients: usize,
    /// Milliseconds between two operations of a client.
    pub(crate) think: Range<u64>,
    /// A table that so many thousandths of the operations are about, whatever else there is.
    pub(crate) favoured: (Table, u64),
    /// Milliseconds of a step in the database.
    pub(crate) database: Range<u64>,
    /// Thousandths of the operations that write.
    pub(crate) writes: u64,
    /// Thousandths of the operations whose future is dropped at some await.
    pub(crate) cancelled: u64,
    /// Thousandths of the commits whose answer does not come.
    pub(crate) unanswered: u64,
    pub(crate) heartbeat: Duration,
    pub(crate) lease: Duration,
    pub(crate) settle: Duration,
    pub(crate) load_wait: Duration,
    /// Of each cache, at the same time on a node.
    pub(crate) max_loads: usize,
    /// A table whose entries expire.
    pub(crate) ttl: Option<(Table, Duration)>,
    /// A table whose caches have no room for all of it.
    pub(crate) small: Option<(Table, usize)>,
    /// A table that is served past the lease.
    pub(crate) stale: Option<Table>,
    /// For how long there are operations and faults.
    pub(crate) active: Duration,
    pub(crate) network: Network,
    pub(crate) faults: Vec<(Duration, Fault)>,
    /// Whether messages are signed, and refused if they come twice. Not where clocks differ by more than the window, which is said
    /// to lose evictions; nor where messages are lost beyond the promise, as less is concluded from the frames of a clock that is
    /// behind.
    pub(crate) signs: bool,
}

/// How a network behaves that is not at fault.
pub(crate) struct Network {
    /// Milliseconds until a message is in a queue.
    pub(crate) publish: Range<u64>,
    /// Milliseconds from the queue to the node.
    pub(crate) deliver: Range<u64>,
    /// Milliseconds between two deliveries of one queue: a backlog does not come all at once.
    pub(crate) trickle: Range<u64>,
    /// Milliseconds from the last queue to the confirmation.
    pub(crate) confirm: Range<u64>,
    /// Thousandths of the messages that are delivered twice.
    pub(crate) twice: u64,
    /// Thousandths of the messages that are lost for one session that goes on. No transport may do that: it is beyond
    /// the promise, and only the sequences notice.
    pub(crate) lost: u64,
    /// How many messages of each node are kept, so that its sessions can resume; zero where the broker does not replay.
    pub(crate) replay: usize,
}

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let dice = &mut dice;
        // Few nodes more often than many: they find as much, and sooner.
        let nodes = dice.pick(&[2, 2, 2, 3, 3, 4, 5, 8]);
        let heartbeat = dice.millis(300..1000);
        let (slow, trickles) = (dice.chance(300), dice.chance(330));
        // A lease must be longer than a heartbeat's way through a slow network, or there is none most of the time.
        let lease = heartbeat * 3 + dice.millis(if slow || trickles { 2000..6000 } else { 0..4000 });
        let settle = dice.millis(500..4000);
        // Short and hot: few rows, slow loads, and many who want them at the same time.
        let hot = dice.chance(300);
        let active = if hot { dice.millis(3_000..6_000) } else { dice.millis(6_000..14_000) };
        let network = Network {
            publish: 0..dice.pick(&[1, 5, 50]),
            deliver: 0..dice.pick(&[1, 20, if slow { 900 } else { 100 }]),
            trickle: 0..if trickles { dice.pick(&[60, 250]) } else { 1 },
            confirm: 0..dice.pick(&[1, 10, if slow { 700 } else { 50 }]),
            twice: dice.pick(&[0, 0, 50]),
            lost: if dice.chance(120) { 60 } else { 0 },
            replay: 0,
        };
        let count = dice.pick(&[0, 1, 2, 3, 4, 6, 8]);
        let faults = faults::any(dice, count, nodes, lease, active);
        let rows = if hot { 1 } else { dice.pick(&[1, 2, 3, 5]) };
        let favoured = dice.pick(&[Table::Items, Table::Items, Table::Named, Table::Named, Table::Puts]);
        let load_wait = dice.millis(50..2000);
        let ttl = dice.chance(150).then(|| (dice.pick(&TABLES), dice.millis(100..3000)));
        let small = (rows > 1 && dice.chance(250)).then(|| {
            let entries = dice.pick(&[1, 1, 2]);
            // Not one of which a transaction puts several rows: their order, and so who displaces whom, is random.
            (dice.pick(&[Table::Items, Table::Items, Table::Plain, Table::Pairs]), entries)
        });
        let mut plan = Self {
            seed,
            nodes,
            rows,
            clients: if nodes > 4 { 1 } else { dice.pick(&[1, 2, 3]) },
            think: 1..if hot { 60 } else { dice.pick(&[100, 300, 600]) },
            favoured: (favoured, if hot { 600 } else { 0 }),
            database: 0..if hot { 200 } else { dice.pick(&[2, 15, 80]) },
            writes: dice.pick(&[100, 250, 400]),
            cancelled: dice.pick(&[0, 50, 200]),
            unanswered: dice.pick(&[0, 0, 100, 300]),
            heartbeat,
            lease,
            settle,
            load_wait,
            max_loads: if dice.chance(150) { dice.pick(&[1, 2]) } else { 256 },
            ttl,
            small,
            stale: dice.chance(100).then(|| dice.pick(&TABLES)),
            active,
            network,
            faults,
            signs: false,
        };
        plan.replay(dice);
        let jumps = plan
            .faults
            .iter()
            .map(|(_, fault)| if let Fault::ClockJump { by, .. } = fault { *by } else { Duration::ZERO });
        plan.signs = seed.is_multiple_of(3) && !plan.is_beyond_the_promise() && jumps.sum::<Duration>() < SIGNED_WINDOW;
        plan
    }

    /// Whether the broker replays, and what may go wrong with that. Drawn last, as it is of no concern to the rest.
    fn replay(&mut self, dice: &mut Dice) {
        let until = u64::try_from(self.active.as_millis()).unwrap_or(u64::MAX);
        let mut more = |dice: &mut Dice, counts: &[u64], fault: &dyn Fn(&mut Dice, usize) -> Fault| {
            for _ in 0..dice.pick(counts) {
                let (at, node) = (dice.millis(200..until), dice.index(self.nodes));
                self.faults.push((at, fault(dice, node)));
            }
        };
        if dice.chance(350) {
            self.network.replay = dice.pick(&[10, 100, 100_000]);
            let keeps = [None, Some(0), Some(3)];
            more(dice, &[0, 0, 1, 2], &|dice, node| Fault::Truncate { node, keeps: dice.pick(&keeps) });
        }
        if dice.chance(100) {
            more(dice, &[1, 2, 4], &|dice, node| Fault::LoseTail { node, lasts: dice.millis(1..1500) });
        }
        self.faults.sort_by_key(|(at, _)| *at);
    }

    /// Whether a node does not run for a while.
    pub(crate) fn suspends(&self, node: usize) -> bool {
        self.faults.iter().any(|(_, fault)| matches!(fault, Fault::Suspend { node: of, .. } if *of == node))
    }

    /// Whether the transport breaks its promise.
    pub(crate) fn is_beyond_the_promise(&self) -> bool {
        self.network.lost > 0 || self.faults.iter().any(|(_, fault)| matches!(fault, Fault::LoseTail { .. }))
    }
}
