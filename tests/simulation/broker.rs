//! The simulated broker: queues that a seed delays, fills in different orders, and loses together with their sessions.
//!
//! What it promises is what `cachesync_core::backend` demands, to the letter and no more:
//! - a message that was confirmed is in the queue of every session that was open when it was published, or that session
//!   ends. It may take its time to notice: until then nothing is delivered, its own heartbeats neither;
//! - messages of one origin stay in order in each queue. Those of different origins may be in another order in another
//!   queue, as long as neither was confirmed before the other was published;
//! - anything may be delivered twice, and what a lost session was sending may still arrive later.
//!
//! With `Network::replay` above zero each node has a stream at the broker, which goes on when its session has ended: a
//! session that remembers a message of it, by the id of the stream and the message's number, begins right after that. A
//! stream keeps its last messages, can be made anew, and can lose all but a few.
//!
//! With `Network::lost` above zero, and where a tail is lost, it breaks the promise: messages are missing within a session
//! that goes on. What the node must have noticed of that is kept account of, and only the rest excuses it.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cachesync_core::{
    BackendError, BackendErrorKind, Name,
    backend::{Delivery, Format, Interest, Message, Position, Topic},
    codec,
    frame::NodeId,
};
use tokio::{sync::Notify, time::Instant};

use crate::{
    dice::Dice,
    history::Event,
    plan::Network,
    queue::{Queue, Size, Waiting},
    world::World,
};

#[derive(Default)]
pub(crate) struct Broker {
    state: Mutex<Option<State>>,
}

struct State {
    dice: Dice,
    links: Vec<Link>,
    sessions: BTreeMap<u64, Queue>,
    last_session: u64,
    last_stream: u64,
    messages: u64,
    down: bool,
    /// How many messages of each node are kept.
    replay: usize,
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
    /// Its stream, while it has no session.
    stream: Option<Queue>,
    changed: Arc<Notify>,
}

/// What a subscriber may do now.
pub(crate) enum Next {
    Ended,
    /// A message, and whether it may tell the node that it has missed one of its own, upon which it clears everything.
    Delivery(Delivery, bool),
    /// Nothing before this.
    Wait(Option<Instant>),
}

impl Broker {
    pub(crate) fn begin(&self, dice: Dice, nodes: usize, replay: usize) {
        let links = (0..nodes).map(|_| Link::default()).collect();
        *self.lock() = Some(State {
            dice,
            links,
            sessions: BTreeMap::new(),
            last_session: 0,
            last_stream: 0,
            messages: 0,
            down: false,
            replay,
        });
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

    /// A session of a node, and whether it has resumed.
    pub(crate) fn open(&self, node: usize, interest: Interest, resume: Option<&Position>) -> (u64, bool) {
        self.with(|state| {
            state.last_session += 1;
            let stream = state.links[node].stream.take();
            let is_same = |stream: &Queue| stream.interest == interest;
            let place = stream.as_ref().filter(|stream| is_same(stream)).and_then(|stream| stream.find(resume?));
            let queue = match (stream, place) {
                (Some(stream), Some(place)) => Queue { passed: Some(place), open: true, ..stream },
                (stream, _) => {
                    state.links[node].gaps.extend(stream.into_iter().flat_map(Queue::gaps));
                    state.new_queue(node, interest)
                }
            };
            state.sessions.insert(state.last_session, queue);
            (state.last_session, place.is_some())
        })
    }

    /// The node has left the session.
    pub(crate) fn close(&self, session: u64) {
        self.with(|state| {
            if let Some(mut queue) = state.sessions.remove(&session) {
                let link = &mut state.links[queue.node];
                if queue.open && state.replay > 0 {
                    queue.open = false;
                    link.stream = Some(queue);
                } else {
                    link.gaps.extend(queue.gaps());
                }
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
            let is_cut = |queue: &Queue| queue.open && node.is_none_or(|node| node == queue.node);
            let ids = state.sessions.iter().filter(|(_, queue)| is_cut(queue)).map(|(id, _)| *id);
            let cut: Vec<_> = ids.collect();
            for id in &cut {
                let queue = state.sessions.remove(id).expect("it was there");
                let mut rest = Queue { open: false, half_open, ..state.new_queue(queue.node, queue.interest.clone()) };
                if state.replay > 0 {
                    state.links[queue.node].stream = Some(Queue { open: false, ..queue });
                } else {
                    (rest.heard, rest.untold) = (queue.heard, queue.untold);
                }
                state.sessions.insert(*id, rest);
            }
            cut.into_iter().map(|id| (state.sessions[&id].node, id)).collect()
        })
    }

    /// The stream of a node loses all but its last messages, or is deleted and made anew, while there is no session.
    pub(crate) fn truncate(&self, node: usize, keeps: Option<usize>) {
        self.with(|state| {
            let Some(mut stream) = state.links[node].stream.take() else { return };
            if let Some(keeps) = keeps {
                stream.bound(keeps);
            } else {
                let anew = Queue { open: false, ..state.new_queue(node, stream.interest.clone()) };
                state.links[node].gaps.extend(std::mem::replace(&mut stream, anew).gaps());
            }
            state.links[node].stream = Some(stream);
        });
    }

    /// Loses what waits for a node.
    pub(crate) fn lose_tail(&self, node: usize) {
        self.with(|state| {
            for queue in state.sessions.values_mut().filter(|queue| queue.node == node) {
                let from = queue.passed.map_or(Bound::Unbounded, Bound::Excluded);
                let lost: Vec<_> = queue.waiting.range((from, Bound::Unbounded)).map(|(place, _)| *place).collect();
                for place in lost {
                    let Waiting { frame, .. } = queue.waiting.remove(&place).expect("it was there");
                    queue.lose_untold(&frame);
                }
            }
        });
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
            let State { dice, sessions, links, messages, replay, .. } = state;
            *messages += 1;
            let number = *messages * 16;
            let (mut last, mut reached) = (now, Vec::new());
            let open = sessions.iter_mut().filter(|(_, queue)| queue.open).map(|(id, queue)| (*id, queue));
            let streams = links.iter_mut().filter_map(|link| Some((0, link.stream.as_mut()?)));
            for (id, queue) in open.chain(streams).filter(|(_, queue)| queue.wants(&message.topic)) {
                if cache.is_some() && dice.chance(*lost) && queue.lose(&frame) {
                    world.note(Some(queue.node), None, Event::Lost { session: id, message: number / 16 });
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
                if *replay > 0 {
                    queue.bound(*replay);
                }
                reached.push(queue.node);
            }
            for node in reached {
                links[node].changed.notify_waiters();
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
            let from = queue.passed.map_or(Bound::Unbounded, Bound::Excluded);
            let Some((&place, first)) = queue.waiting.range((from, Bound::Unbounded)).next() else {
                return Next::Wait(None);
            };
            if link.in_closed > 0 || link.suspended > 0 {
                return Next::Wait(None);
            }
            let trickle = world.plan.network.trickle.start..world.plan.network.trickle.end + link.trickle;
            let ready = first.ready.max(place.0).max(queue.next);
            if ready > Instant::now() {
                return Next::Wait(Some(ready));
            }
            let Waiting { message, delivery, frame, .. } = first;
            let (message, mut delivery, frame) = (*message, delivery.clone(), frame.clone());
            if state.replay > 0 {
                delivery.position = Some(queue.position(place));
                queue.passed = Some(place);
            } else {
                queue.waiting.remove(&place);
            }
            let clears = queue.hear(&frame);
            queue.next = Instant::now() + state.dice.millis(trickle);
            let own_heartbeat = delivery.cache.is_none();
            world.note(Some(queue.node), None, Event::Delivered { session, message, own_heartbeat });
            Next::Delivery(delivery, clears)
        })
    }

    /// Whether a node has missed a message that it cannot know of yet, beyond the promise.
    pub(crate) fn has_gap(&self, node: usize, cache: &str) -> bool {
        self.with(|state| state.has_gap(node, cache, |_| true))
    }

    /// The same when all is quiet: of every node that still has a session a later frame has told, if only a trailer.
    pub(crate) fn has_gap_for_good(&self, node: usize, cache: &str) -> bool {
        self.with(|state| {
            let lives = |origin| state.sessions.values().any(|queue| queue.open && queue.interest.node == origin);
            state.has_gap(node, cache, |origin| !lives(origin))
        })
    }
}

impl State {
    fn new_queue(&mut self, node: usize, interest: Interest) -> Queue {
        self.last_stream += 1;
        Queue::new(node, interest, self.last_stream)
    }

    fn has_gap(&self, node: usize, cache: &str, of: impl Fn(NodeId) -> bool) -> bool {
        let is_it = |name: &Name| name.as_str() == cache;
        let queues = self.sessions.values().filter(|queue| queue.node == node).chain(&self.links[node].stream);
        let missing = |queue: &Queue| {
            let heard =
                queue.heard.iter().filter(|((origin, name), _)| name.as_ref().is_some_and(is_it) && of(*origin));
            heard.into_iter().any(|(_, heard)| heard.missing.is_some()) || queue.untold.iter().any(is_it)
        };
        queues.into_iter().any(missing) || self.links[node].gaps.iter().any(is_it)
    }
}

pub(crate) fn lost() -> BackendError {
    BackendError::new(BackendErrorKind::Lost, "the simulated session was lost")
}
