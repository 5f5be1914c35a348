//! A node's queue at the simulated broker: what waits, in which order, and what the node can tell of what is missing.

use std::collections::{BTreeMap, BTreeSet};

use cachesync_core::{
    Name,
    backend::{Caches, Delivery, Interest, Position, Topic},
    frame::{Frame, NodeId, Operation},
};
use tokio::time::Instant;

/// The place of a message in a queue.
pub(super) type Place = (Instant, u64);

/// What waits for one node, and what it has heard.
pub(super) struct Queue {
    pub(super) node: usize,
    pub(super) interest: Interest,
    /// By which positions in it are known.
    pub(super) stream: u64,
    /// What waits to be delivered, and what a stream keeps.
    pub(super) waiting: BTreeMap<Place, Waiting>,
    /// The last message that was delivered, and is kept.
    pub(super) passed: Option<Place>,
    /// When the last message of each origin arrived.
    pub(super) arrived: BTreeMap<usize, Instant>,
    /// When the next message can be delivered, at the earliest.
    pub(super) next: Instant,
    /// Of each origin and cache, and of the node's own heartbeats, what was heard, and whether something is missing since.
    pub(super) heard: BTreeMap<(NodeId, Option<Name>), Heard>,
    /// The caches of which a message is missing that no later one of its origin need tell of.
    pub(super) untold: BTreeSet<Name>,
    /// The broker has it.
    pub(super) open: bool,
    /// The node knows that it has ended.
    pub(super) noticed: bool,
    /// After it was cut its node can still publish.
    pub(super) half_open: bool,
}

/// What was heard of one origin and cache.
#[derive(Default)]
pub(super) struct Heard {
    /// The highest sequence.
    pub(super) last: u64,
    /// The highest one that was lost since.
    pub(super) missing: Option<u64>,
}

/// A message in a queue.
pub(super) struct Waiting {
    pub(super) message: u64,
    pub(super) ready: Instant,
    pub(super) delivery: Delivery,
    pub(super) frame: Frame,
}

impl Queue {
    pub(super) fn new(node: usize, interest: Interest, stream: u64) -> Self {
        Self {
            node,
            interest,
            stream,
            waiting: BTreeMap::new(),
            passed: None,
            arrived: BTreeMap::new(),
            next: Instant::now(),
            heard: BTreeMap::new(),
            untold: BTreeSet::new(),
            open: true,
            noticed: false,
            half_open: false,
        }
    }

    pub(super) fn wants(&self, topic: &Topic) -> bool {
        match (topic, &self.interest.caches) {
            (Topic::Heartbeat(node), _) => *node == self.interest.node,
            (Topic::Cache(_), Caches::All) => true,
            (Topic::Cache(cache), Caches::Named(caches)) => caches.contains(cache),
        }
    }

    pub(super) fn position(&self, (_, number): Place) -> Position {
        Position([self.stream.to_be_bytes(), number.to_be_bytes()].concat())
    }

    /// Where the message is that is remembered, if it is one of these.
    pub(super) fn find(&self, position: &Position) -> Option<Place> {
        self.waiting.keys().find(|place| self.position(**place) == *position).copied()
    }

    /// Keeps the last messages, and in a session all that wait.
    pub(super) fn bound(&mut self, most: usize) {
        while self.waiting.len() > most
            && let Some(first) = self.waiting.first_entry()
            && (!self.open || self.passed.is_some_and(|passed| *first.key() <= passed))
        {
            first.remove();
        }
    }

    /// The caches of which something is missing that the node does not know of.
    pub(super) fn gaps(self) -> impl Iterator<Item = Name> {
        let missing = self.heard.into_iter().filter(|(_, heard)| heard.missing.is_some());
        missing.filter_map(|((_, cache), _)| cache).chain(self.untold)
    }

    /// Loses a message, if the sequences can tell: those of the first that is heard of an origin may have any number. What
    /// only tells of others is not lost, or nobody would.
    pub(super) fn lose(&mut self, frame: &Frame) -> bool {
        let heard = self.heard.get_mut(&(frame.origin, frame.cache.clone()));
        let Some(heard) = heard.filter(|heard| frame.sequence > heard.last && !frame.is_trailer()) else {
            return false;
        };
        heard.missing = heard.missing.max(Some(frame.sequence));
        true
    }

    /// Loses a message, whatever can tell.
    pub(super) fn lose_untold(&mut self, frame: &Frame) {
        let heard = self.heard.get(&(frame.origin, frame.cache.clone()));
        let is_again = heard.is_some_and(|heard| frame.sequence <= heard.last);
        if !is_again && !self.lose(frame) && frame.origin != self.interest.node {
            self.untold.extend(frame.cache.clone());
        }
    }

    /// Keeps account of what the node can tell, just as it has to do so itself; whether it may clear everything.
    pub(super) fn hear(&mut self, frame: &Frame) -> bool {
        let is_first = !self.heard.contains_key(&(frame.origin, frame.cache.clone()));
        let heard = self.heard.entry((frame.origin, frame.cache.clone())).or_default();
        let follows = is_first || frame.sequence <= heard.last + 1;
        heard.last = heard.last.max(frame.sequence);
        // What was on its way before the missing one says nothing.
        heard.missing.take_if(|missing| *missing <= frame.sequence);
        let is_own = frame.origin == self.interest.node;
        if is_own && !follows {
            // It clears everything.
            self.heard.values_mut().for_each(|heard| heard.missing = None);
            self.untold.clear();
        }
        // Which of its own heartbeats comes first the node knows, and this does not.
        is_own && (!follows || is_first && frame.cache.is_none())
    }
}

/// How much a message says, for the trace.
pub(super) trait Size {
    fn operation_size(&self) -> u64;

    /// Whether it evicts nothing.
    fn is_trailer(&self) -> bool;
}

impl Size for Frame {
    fn operation_size(&self) -> u64 {
        match &self.operation {
            Operation::Keys(keys) => keys.len() as u64,
            Operation::Tags(tags) => 1000 + tags.len() as u64,
            Operation::All => 2000,
            _ => 3000,
        }
    }

    fn is_trailer(&self) -> bool {
        matches!(&self.operation, Operation::Keys(keys) if keys.is_empty())
    }
}
