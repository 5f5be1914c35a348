//! The simulated broker: queues that a seed delays, fills in different orders, and loses together with their sessions.
//!
//! What it promises is what `cachesync_core::backend` demands, to the letter and no more:
//! - a message that was confirmed is in the queue of every session that was open when it was published, or that session
//!   ends. It may take its time to notice: until then nothing is delivered, its own heartbeats neither;
//! - messages of one origin stay in order in each queue. Those of different origins may be in another order in another
//!   queue, as long as neither was confirmed before the other was published;
//! - anything may be delivered twice, and what a lost session was sending may still arrive later.
//!
//! With `Network::lost` above zero it breaks the promise: messages are missing within a session that goes on.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cachesync_core::{
    BackendError, BackendErrorKind, Name,
    backend::{Caches, Delivery, Format, Interest, Message, Topic},
    codec,
    frame::{Frame, NodeId},
};
use tokio::{sync::Notify, time::Instant};

use crate::{dice::Dice, history::Event, plan::Network, world::World};

#[derive(Default)]
pub(crate) struct Broker {
    state: Mutex<Option<State>>,
}

struct State {
    dice: Dice,
    links: Vec<Link>,
    sessions: BTreeMap<u64, Queue>,
    last_session: u64,
    messages: u64,
    down: bool,
}

/// The way between a node and the broker.
#[derive(Default)]
pub(crate) struct Link {
    /// How many faults close it at the moment, in each direction.
    pub(crate) out_closed: u32,
    pub(crate) in_closed: u32,
    pub(crate) refused: u32,
    /// Milliseconds between two deliveries, beyond what the network takes.
    pub(crate) trickle: u64,
    /// The node does not run.
    pub(crate) suspended: u32,
    /// The caches of which it missed a message in a session that has ended since.
    gaps: BTreeSet<Name>,
    changed: Arc<Notify>,
}

struct Queue {
    node: usize,
    interest: Interest,
    waiting: BTreeMap<(Instant, u64), Waiting>,
    /// When the last message of each origin arrived.
    arrived: BTreeMap<usize, Instant>,
    /// When the next message can be delivered, at the earliest.
    next: Instant,
    /// Of each origin and cache, what was heard last, and whether something is missing since.
    heard: BTreeMap<(NodeId, Name), Heard>,
    /// The broker has it.
    open: bool,
    /// The node knows that it has ended.
    noticed: bool,
    /// After it was cut its node can still publish.
    half_open: bool,
}

#[derive(Default)]
struct Heard {
    session: u64,
    any: bool,
    /// The last sequence that was lost.
    missing: Option<u64>,
}

struct Waiting {
    message: u64,
    ready: Instant,
    delivery: Delivery,
    frame: Frame,
}

/// What a subscriber may do now.
pub(crate) enum Next {
    Ended,
    Delivery(Delivery),
    /// Nothing before this.
    Wait(Option<Instant>),
}

impl Broker {
    pub(crate) fn begin(&self, dice: Dice, nodes: usize) {
        let links = (0..nodes).map(|_| Link::default()).collect();
        *self.lock() =
            Some(State { dice, links, sessions: BTreeMap::new(), last_session: 0, messages: 0, down: false });
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(self.lock().as_mut().expect("the broker has begun"))
    }

    /// How long something takes.
    pub(crate) fn millis(&self, range: std::ops::Range<u64>) -> Duration {
        self.with(|state| state.dice.millis(range))
    }

    pub(crate) fn chance(&self, permille: u64) -> bool {
        self.with(|state| state.dice.chance(permille))
    }

    /// Changes the way to a node, and lets everybody look who waits for it.
    pub(crate) fn link(&self, node: usize, change: impl FnOnce(&mut Link)) {
        self.with(|state| {
            change(&mut state.links[node]);
            state.links[node].changed.notify_waiters();
        });
    }

    pub(crate) fn changed(&self, node: usize) -> Arc<Notify> {
        self.with(|state| state.links[node].changed.clone())
    }

    pub(crate) fn is_suspended(&self, node: usize) -> bool {
        self.with(|state| state.links[node].suspended > 0)
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.with(|state| state.down = down);
    }

    /// Whether a node gets no connection, and whether it gets no answer at all.
    pub(crate) fn refuses(&self, node: usize) -> (bool, bool) {
        self.with(|state| {
            let link = &state.links[node];
            (state.down || link.refused > 0, link.out_closed > 0 || link.in_closed > 0 || link.suspended > 0)
        })
    }

    pub(crate) fn open(&self, node: usize, interest: Interest) -> u64 {
        self.with(|state| {
            state.last_session += 1;
            let queue = Queue {
                node,
                interest,
                waiting: BTreeMap::new(),
                arrived: BTreeMap::new(),
                next: Instant::now(),
                heard: BTreeMap::new(),
                open: true,
                noticed: false,
                half_open: false,
            };
            state.sessions.insert(state.last_session, queue);
            state.last_session
        })
    }

    /// The node has left the session.
    pub(crate) fn close(&self, session: u64) {
        self.with(|state| {
            if let Some(queue) = state.sessions.remove(&session) {
                let missing = queue.heard.into_iter().filter(|(_, heard)| heard.missing.is_some());
                state.links[queue.node].gaps.extend(missing.map(|((_, cache), _)| cache));
            }
        });
    }

    /// A node has a new session, and clears.
    pub(crate) fn forget_gaps(&self, node: usize) {
        self.with(|state| state.links[node].gaps.clear());
    }

    /// The broker drops the sessions of a node, or of all; returns them.
    pub(crate) fn cut(&self, node: Option<usize>, half_open: bool) -> Vec<(usize, u64)> {
        self.with(|state| {
            let mut cut = Vec::new();
            for (id, queue) in &mut state.sessions {
                if queue.open && node.is_none_or(|node| node == queue.node) {
                    (queue.open, queue.half_open) = (false, half_open);
                    queue.waiting.clear();
                    cut.push((queue.node, *id));
                }
            }
            cut
        })
    }

    /// The node learns that its session has ended.
    pub(crate) fn notice(&self, session: u64) {
        self.with(|state| {
            if let Some(queue) = state.sessions.get_mut(&session) {
                queue.noticed = true;
                state.links[queue.node].changed.notify_waiters();
            }
        });
    }

    /// Whether a node can publish now; an error if its session has ended.
    pub(crate) fn can_publish(&self, session: u64) -> Result<bool, BackendError> {
        self.with(|state| match state.sessions.get(&session) {
            Some(queue) if !queue.noticed => {
                let link = &state.links[queue.node];
                Ok(link.out_closed == 0 && link.suspended == 0 && (queue.open || queue.half_open))
            }
            _ => Err(lost()),
        })
    }

    /// Puts a message into the queues; returns when it is in the last of them.
    pub(crate) fn take(&self, world: &World, session: u64, origin: usize, message: &Message) -> Instant {
        let Network { publish, deliver, twice, lost, .. } = &world.plan.network;
        let frame = codec::decode(&message.body).expect("the library sends what it can read");
        let now = Instant::now();
        let cache = match &message.topic {
            Topic::Cache(cache) => Some(cache.clone()),
            Topic::Heartbeat(_) => None,
        };
        self.with(|state| {
            let State { dice, sessions, links, messages, .. } = state;
            *messages += 1;
            let number = *messages * 16;
            let mut last = now;
            for (id, queue) in sessions.iter_mut().filter(|(_, queue)| queue.open && queue.wants(&message.topic)) {
                if cache.is_some() && dice.chance(*lost) && queue.lose(&frame) {
                    world.note(Some(queue.node), None, Event::Lost { session: *id, message: number / 16 });
                    continue;
                }
                let floor = queue.arrived.get(&origin).copied().unwrap_or(now);
                let arrival = floor.max(now + dice.millis(publish.clone()));
                queue.arrived.insert(origin, arrival);
                last = last.max(arrival);
                let copies = 1 + u64::from(dice.chance(*twice));
                let mut place = arrival;
                for copy in 0..copies {
                    let ready = place + dice.millis(deliver.clone());
                    let delivery = Delivery {
                        body: message.body.clone(),
                        format: Format::Frame,
                        cache: cache.clone(),
                        position: None,
                    };
                    let waiting = Waiting { message: number / 16, ready, delivery, frame: frame.clone() };
                    queue.waiting.insert((place, number + copy), waiting);
                    place += dice.millis(0..3000);
                }
                links[queue.node].changed.notify_waiters();
            }
            let bytes = frame.operation_size();
            let cache = cache.map(|cache| cache.to_string());
            world.note(None, None, Event::Taken { session, origin, message: number / 16, cache, bytes });
            last
        })
    }

    /// The next message of a queue.
    pub(crate) fn next(&self, world: &World, session: u64) -> Next {
        self.with(|state| {
            let Some(queue) = state.sessions.get_mut(&session).filter(|queue| !queue.noticed) else {
                return Next::Ended;
            };
            let link = &state.links[queue.node];
            let Some(first) = queue.waiting.first_entry() else { return Next::Wait(None) };
            if link.in_closed > 0 || link.suspended > 0 {
                return Next::Wait(None);
            }
            let trickle = world.plan.network.trickle.start..world.plan.network.trickle.end + link.trickle;
            let ready = first.get().ready.max(first.key().0).max(queue.next);
            if ready > Instant::now() {
                return Next::Wait(Some(ready));
            }
            let Waiting { message, delivery, frame, .. } = first.remove();
            queue.hear(&frame);
            queue.next = Instant::now() + state.dice.millis(trickle);
            let own_heartbeat = delivery.cache.is_none();
            world.note(Some(queue.node), None, Event::Delivered { session, message, own_heartbeat });
            Next::Delivery(delivery)
        })
    }

    /// Whether a node has missed a message that it cannot know of yet, beyond the promise.
    pub(crate) fn has_gap(&self, node: usize, cache: &str) -> bool {
        self.with(|state| {
            let missing = |queue: &Queue| {
                queue.heard.iter().any(|((_, name), heard)| heard.missing.is_some() && name.as_str() == cache)
            };
            state.sessions.values().any(|queue| queue.node == node && missing(queue))
                || state.links[node].gaps.iter().any(|name| name.as_str() == cache)
        })
    }
}

impl Queue {
    fn wants(&self, topic: &Topic) -> bool {
        match (topic, &self.interest.caches) {
            (Topic::Heartbeat(node), _) => *node == self.interest.node,
            (Topic::Cache(_), Caches::All) => true,
            (Topic::Cache(cache), Caches::Named(caches)) => caches.contains(cache),
        }
    }

    /// Loses a message, if the sequences can tell: those of the first that is heard of an origin may have any number.
    fn lose(&mut self, frame: &Frame) -> bool {
        let Some(cache) = &frame.cache else { return false };
        match self.heard.get_mut(&(frame.origin, cache.clone())) {
            Some(heard) if heard.any && heard.session == frame.session => {
                heard.missing = Some(frame.sequence);
                true
            }
            _ => false,
        }
    }

    fn hear(&mut self, frame: &Frame) {
        let Some(cache) = &frame.cache else { return };
        let heard = self.heard.entry((frame.origin, cache.clone())).or_default();
        // Sequences begin anew with each session of the origin: what was missing at the end of one is never noticed.
        // What was on its way before the missing one says nothing either.
        let missing = heard.missing.filter(|lost| heard.session != frame.session || frame.sequence < *lost);
        let session = if missing.is_some() { heard.session } else { frame.session };
        *heard = Heard { session, any: true, missing };
    }
}

/// How much a message says, for the trace.
trait Size {
    fn operation_size(&self) -> u64;
}

impl Size for Frame {
    fn operation_size(&self) -> u64 {
        use cachesync_core::frame::Operation;
        match &self.operation {
            Operation::Keys(keys) => keys.len() as u64,
            Operation::Tags(tags) => 1000 + tags.len() as u64,
            Operation::All => 2000,
            _ => 3000,
        }
    }
}

pub(crate) fn lost() -> BackendError {
    BackendError::new(BackendErrorKind::Lost, "the simulated session was lost")
}
