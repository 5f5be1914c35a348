//! How a node is doing.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::sync::watch;

use super::node::Node;
use crate::{
    engine::{depth::OutboxDepth, outbox::Outbox},
    shared_keys::SharedKeys,
};

/// How a node is doing, as [`Registry::status`](super::Registry::status) tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// Whether this node hears the others.
    pub coherence: Coherence,
    /// What waits for the broker; nothing without a backend.
    pub outbox: OutboxDepth,
    /// For how long the caches may still be served without news from the broker; `None` without a backend.
    pub lease_left: Option<Duration>,
    /// Why the last session ended or could not be opened. Never holds a password.
    pub last_error: Option<String>,
    /// What is wrong with the use of caches, such as disagreeing types, and with the registry's settings; one text each.
    pub problems: Vec<String>,
}

/// Whether a node hears the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coherence {
    /// There is no backend and nobody to hear.
    Local,
    /// A session is open; every eviction confirmed earlier than `lag` ago has been applied.
    Coherent {
        /// The age of the newest heartbeat that came back.
        lag: Duration,
    },
    /// There is no session, or one that has resumed and in which no heartbeat of this node has come back yet; the lease
    /// still allows to serve.
    Suspect {
        /// When the session was lost.
        since: SystemTime,
    },
    /// The lease has run out: what becomes of each cache says its [`OnPartition`](crate::OnPartition).
    Partitioned {
        /// When the session was lost; if none was, when this one was opened, or the registry was started.
        since: SystemTime,
    },
    /// The registry was shut down, or its runtime has ended: every call runs its body.
    ShutDown,
}

/// What the engine notes of its session.
pub(crate) struct StatusCell {
    session: Mutex<SessionState>,
    stopped: watch::Sender<bool>,
    /// By how many milliseconds the last signed message was off that was refused for its date; 0 if none was.
    clocks_off: AtomicI64,
    /// Something has happened that may have changed the [`Coherence`].
    events: watch::Sender<()>,
}

struct SessionState {
    connected: bool,
    /// It has resumed, and may yet have to hear what was missed.
    behind: bool,
    /// When it was lost, or began to be up to date.
    changed: SystemTime,
    last_error: Option<String>,
}

impl Default for StatusCell {
    fn default() -> Self {
        let session = SessionState { connected: false, behind: false, changed: SystemTime::now(), last_error: None };
        Self {
            session: Mutex::new(session),
            stopped: watch::Sender::new(false),
            clocks_off: AtomicI64::new(0),
            events: watch::Sender::new(()),
        }
    }
}

impl StatusCell {
    pub(crate) fn connected(&self, resumed: bool) {
        let mut session = self.session();
        (session.connected, session.behind) = (true, resumed);
        if !resumed {
            session.changed = SystemTime::now();
        }
        drop(session);
        self.happened();
    }

    /// The session is up to date; tells whether that is news.
    pub(crate) fn caught_up(&self) -> bool {
        let mut session = self.session();
        let was_behind = std::mem::replace(&mut session.behind, false);
        if was_behind {
            session.changed = SystemTime::now();
        }
        was_behind
    }

    /// A signed message was refused, since it is dated so many milliseconds ahead of this node's clock, or behind.
    pub(crate) fn clocks_differ(&self, off: i64) {
        self.clocks_off.store(off, Ordering::Relaxed);
    }

    /// Tells those who wait for changes to look again.
    pub(crate) fn happened(&self) {
        self.events.send_replace(());
    }

    pub(super) fn events(&self) -> watch::Receiver<()> {
        self.events.subscribe()
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.session().connected
    }

    /// Whether this is news, or only another attempt that failed.
    pub(crate) fn lost(&self, error: String) -> bool {
        let mut session = self.session();
        let first = session.last_error.replace(error).is_none();
        let was_connected = std::mem::replace(&mut session.connected, false);
        // Since a session that never caught up nothing has changed.
        if was_connected && !std::mem::replace(&mut session.behind, false) {
            session.changed = SystemTime::now();
        }
        drop(session);
        self.happened();
        was_connected || first
    }

    /// The tasks of the registry have ended.
    pub(crate) fn closed(&self) {
        self.session().connected = false;
        self.stopped.send_replace(true);
        self.happened();
    }

    pub(crate) async fn stopped(&self) {
        // The sender lives in `self`, so the channel cannot close while this waits.
        _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }

    fn session(&self) -> MutexGuard<'_, SessionState> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `accept_unsigned` means.
pub(super) const UNSIGNED: &str =
    "whoever may write to the broker can evict; end `accept_unsigned` when `RegistryStats::unsigned` stands still";

/// What is wrong with a registry, and not with one of its caches.
pub(super) fn problems_of(node: &Node) -> Vec<String> {
    let mut problems = Vec::new();
    if node.keys.as_ref().is_some_and(SharedKeys::accepts_unsigned) {
        problems.push(format!("unsigned messages are accepted: {UNSIGNED}"));
    }
    let off = node.status.clocks_off.load(Ordering::Relaxed);
    if off != 0 {
        let (by, direction) = (Duration::from_millis(off.unsigned_abs()), if off < 0 { "past" } else { "future" });
        problems.push(format!(
            "signed messages were refused, the last one since it was dated {by:?} in the {direction} by this node's clock: \
             clocks differ, and evictions are lost by that, or somebody plays back what was recorded; synchronize the \
             clocks of all nodes, or widen `SharedKeys::window`"
        ));
    }
    problems
}

impl Status {
    pub(crate) fn of(node: &Node) -> Self {
        // Before the lock is taken: it may log, and who listens to that may ask for the status.
        let outbox = node.outbox.as_ref().map(Outbox::depth).unwrap_or_default();
        let session = node.status.session();
        let lease_left = node.lease.left(&node.clock);
        let coherence = match (node.is_closed(), &node.outbox, lease_left) {
            (true, _, _) => Coherence::ShutDown,
            (false, None, _) | (false, _, None) => Coherence::Local,
            (false, Some(_), Some(Duration::ZERO)) => Coherence::Partitioned { since: session.changed },
            (false, Some(_), Some(left)) if session.connected && !session.behind => {
                Coherence::Coherent { lag: node.lease.length().saturating_sub(left) }
            }
            (false, Some(_), Some(_)) => Coherence::Suspect { since: session.changed },
        };
        let slots = node.slots();
        let mut problems = problems_of(node);
        let named = |slot: &super::slot::Slot| {
            let name = slot.info.name.clone();
            slot.problems().into_iter().map(move |problem| format!("{name}: {problem}")).collect::<Vec<_>>()
        };
        problems.extend(slots.iter().flat_map(|slot| named(slot)));
        Self {
            coherence,
            outbox,
            lease_left: lease_left.filter(|_| node.outbox.is_some()),
            last_error: session.last_error.clone(),
            problems,
        }
    }
}
