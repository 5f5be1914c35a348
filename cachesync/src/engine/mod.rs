//! The coherence engine: one task per registry that keeps a session with the backend.
//!
//! ```text
//! connect ──> clear ──> renew the lease ──> serve: receive | publish | heartbeat
//!    ^   │                                 ^     │
//!    │   └────────── resumed ──────────────┘     │  the first heartbeat to come back renews the lease
//!    │                                           │
//!    └───────── wait, longer each time ──────────┘  whatever goes wrong
//! ```
//!
//! Invariants:
//! - a session that ends is the only failure there is; what was not confirmed in it is sent first, byte for byte, in
//!   the next one (rule R7);
//! - a new session clears before it renews the lease: the node subscribes, then clears, then serves. One that resumes
//!   right after the last message applied has missed nothing, and neither clears nor renews (rule R8);
//! - one task applies what comes in, in order, so a heartbeat that came back proves that everything before it was
//!   applied (rule R6).

mod authenticity;
pub(crate) mod depth;
mod echoes;
mod generations;
mod ordered;
pub(crate) mod outbox;
pub(crate) mod publisher;
mod receiver;
mod replays;
mod sequence;
mod waiting;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use cachesync_core::{
    Backend, BackendError, BackendErrorKind, Session, Subscriber,
    backend::{Caches, Interest},
};
use publisher::Sender;
use receiver::Receiver;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until, timeout},
};

use crate::{config::UnknownCaches, mutation::Mutation, registry::node::Node};

/// The first wait before a session is tried again.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// The longest such wait; with jitter up to twice as long. Well below the lease, so that a broker that was away for a
/// moment is found before the caches go unused.
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// A session that lasted this long starts the waits anew.
const STABLE: Duration = Duration::from_secs(30);
/// One that lasted this long starts the count of those that were lost anew, of which the 1st, 2nd, 4th, ... is a warning.
const QUIET: Duration = Duration::from_mins(10);

/// For how long what waits is still sent after the last handle of a registry was dropped without shutdown.
const DROP_LIMIT: Duration = Duration::from_secs(5);

/// How often a node sends its heartbeat, and for how long one allows to serve.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) heartbeat: Duration,
    pub(crate) lease: Duration,
}

/// How the registry tells its engine to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Signal {
    Run,
    /// Send what waits, for at most this long, and end.
    Drain(Duration),
}

pub(crate) struct Engine {
    node: Arc<Node>,
    backend: Arc<dyn Backend>,
    pace: Pace,
    signal: watch::Receiver<Signal>,
    receiver: Receiver,
    /// Dropped with the engine, wherever that is.
    _closing: Closing,
}

/// Closes the node when the task ends, also when its runtime is dropped around it, even before it ever ran.
pub(crate) struct Closing(pub(crate) Arc<Node>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Stands in for the engine where there is no backend: closes the node at the end of the registry or its runtime.
pub(crate) async fn attend(closing: Closing, mut signal: watch::Receiver<Signal>) {
    let _closing = closing;
    // An error means that the registry was dropped.
    _ = signal.wait_for(|signal| *signal != Signal::Run).await;
}

impl Engine {
    pub(crate) fn new(node: Arc<Node>, backend: Arc<dyn Backend>, pace: Pace, signal: watch::Receiver<Signal>) -> Self {
        let (receiver, closing) = (Receiver::new(node.clone()), Closing(node.clone()));
        Self { node, backend, pace, signal, receiver, _closing: closing }
    }

    /// Opens a session: subscribes, then clears, then renews the lease. From then on the node serves.
    ///
    /// A session that resumes has missed nothing, so nothing is cleared, and loads in flight keep their tickets: what was
    /// evicted meanwhile comes, and takes them away as ever. It has yet to come, so the lease is not renewed.
    pub(crate) async fn open(&mut self) -> Result<Session, BackendError> {
        let began = self.node.clock.boot();
        let resume = self.receiver.position().cloned();
        let mut session = self.backend.connect(self.interest(), resume.clone()).await?;
        // Nobody can resume what was not asked for.
        session.resumed &= resume.is_some();
        let counters = &self.node.counters;
        if session.resumed {
            counters.resumed.fetch_add(1, Ordering::Relaxed);
        } else {
            self.receiver.forget_position();
            if !Mutation::DoNotClearOnReconnect.is_on() {
                self.node.clear();
            }
        }
        if !session.resumed || Mutation::RenewOnResume.is_on() {
            // Everything confirmed before the attempt began is gone with the clear, everything after it will come.
            self.node.lease.renew(&self.node.clock, began);
        }
        self.node.status.connected(session.resumed);
        counters.sessions.fetch_add(1, Ordering::Relaxed);
        Ok(session)
    }

    /// The same in every session, as a position makes sense only with it: which caches are declared is settled at the
    /// start, and where others are made at their first use all are heard.
    fn interest(&self) -> Interest {
        let caches = match self.node.unknown {
            UnknownCaches::Create(_) => Caches::All,
            UnknownCaches::Fail | UnknownCaches::Bypass => {
                let held = self.node.slots().into_iter().filter(|slot| slot.declared && !slot.info.config.evict_only);
                Caches::Named(held.map(|slot| slot.info.name.clone()).collect())
            }
        };
        Interest {
            namespace: self.node.namespace.clone().expect("the builder requires a namespace with a backend"),
            node_name: self.node.name.clone(),
            node: self.node.origin,
            caches,
        }
    }

    /// Runs until the registry ends.
    pub(crate) async fn run(mut self, first: Option<Session>) {
        let node = self.node.clone();
        let mut signal = self.signal.clone();
        let serve = self.sessions(first);
        tokio::pin!(serve);
        let limit = tokio::select! {
            biased;
            () = &mut serve => None,
            limit = drain_signal(&mut signal) => Some(limit),
        };
        let Some(limit) = limit else { return };
        if let Some(outbox) = &node.outbox {
            outbox.hurry();
        }
        // What waits is sent; without a session there may be nothing to wait for.
        if (node.status.is_connected() || node.has_unconfirmed())
            && timeout(limit, serve).await.is_err()
            && let Some(outbox) = node.outbox.as_ref().filter(|outbox| !outbox.is_empty())
        {
            tracing::warn!("the registry ends, and the broker has not confirmed all evictions: {}", outbox.left());
        }
    }

    /// One session after the other; returns when the registry ends and nothing waits any more.
    async fn sessions(&mut self, mut first: Option<Session>) {
        let mut sender = Sender::new(self.node.clone(), self.pace.heartbeat);
        let mut backoff = backoff();
        let mut losses = 0u64;
        loop {
            let attempt = match first.take() {
                Some(session) => Ok(session),
                None => self.open().await,
            };
            let error = match attempt {
                Ok(session) => {
                    let since = Instant::now();
                    let ended = self.session(&mut sender, session).await;
                    if since.elapsed() >= STABLE {
                        backoff = self::backoff();
                    }
                    if since.elapsed() >= QUIET {
                        losses = 0;
                    }
                    match ended {
                        Ok(()) => return,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            let pause = backoff.next().unwrap_or(BACKOFF_MAX);
            let is_news = self.node.status.lost(error.to_string());
            losses += u64::from(is_news);
            if is_news && losses.is_power_of_two() {
                tracing::warn!(?pause, losses, "the session with the backend was lost: {error}");
            } else {
                tracing::debug!(?pause, "no session with the backend: {error}");
            }
            if self.is_draining() && !self.node.has_unconfirmed() {
                return;
            }
            sleep(pause).await;
        }
    }

    /// Serves one session until it is lost, or until the registry ends and nothing waits any more.
    async fn session(&mut self, sender: &mut Sender, session: Session) -> Result<(), BackendError> {
        let Session { mut publisher, mut subscriber, resumed } = session;
        sender.begin_session();
        self.receiver.begin_session(sender.session(), sender.heartbeats(), resumed);
        let began_at = self.receiver.position().cloned();

        let mut signal = self.signal.clone();
        let ending = async { _ = drain_signal(&mut signal).await };
        let ended = tokio::select! {
            // In this order, so that a flood of messages leaves something of the task's budget for the heartbeats; and
            // in any, so that a simulated run can be repeated.
            biased;
            sent = sender.send(&mut *publisher, ending) => sent,
            error = receive(&self.node, &mut self.receiver, &mut *subscriber, self.pace) => Err(error),
        };
        if resumed && self.receiver.position() == began_at.as_ref() {
            // It came no further than the one before. If that is for what the next message is, resuming would end there
            // for ever.
            self.receiver.forget_position();
        }
        ended?;
        // Nothing is received any more: that the subscription ends with this is no loss.
        publisher.close().await;
        Ok(())
    }

    fn is_draining(&self) -> bool {
        // An error means that the registry was dropped.
        self.signal.has_changed().is_err() || *self.signal.borrow() != Signal::Run
    }
}

/// For how long to go on after the registry has ended.
async fn drain_signal(signal: &mut watch::Receiver<Signal>) -> Duration {
    match signal.wait_for(|signal| *signal != Signal::Run).await.map(|signal| *signal) {
        Ok(Signal::Drain(limit)) => limit,
        // The registry was dropped without shutdown.
        Ok(Signal::Run) | Err(_) => DROP_LIMIT,
    }
}

/// Applies what comes in; ends with the session, or when the node's own heartbeat is late by the lease.
async fn receive(node: &Node, receiver: &mut Receiver, subscriber: &mut dyn Subscriber, pace: Pace) -> BackendError {
    let mut late = Instant::now() + pace.lease;
    // For the mutation that applies each delivery when the next one comes.
    let mut unapplied = None;
    loop {
        let delivery = tokio::select! {
            // First, or a flood of messages could hide that none of them is the heartbeat.
            biased;
            () = sleep_until(late) => {
                // What this session had not applied in a lease the next one would hear again, and be as late.
                receiver.forget_position();
                return BackendError::new(
                    BackendErrorKind::Lost,
                    format!("no heartbeat of this node came back for {:?}", pace.lease),
                );
            }
            delivery = subscriber.next() => delivery,
        };
        match delivery {
            Ok(delivery) => {
                let delivery = if Mutation::KeepPositionOfUnapplied.is_on() {
                    receiver.remember_too_early(&delivery);
                    let Some(before) = unapplied.replace(delivery) else { continue };
                    before
                } else {
                    delivery
                };
                let heartbeat = receiver.apply(delivery);
                if Mutation::RenewOnAnyFrame.is_on() || heartbeat.is_some() && Mutation::RenewFromReceipt.is_on() {
                    node.lease.renew(&node.clock, node.clock.boot());
                }
                if let Some(sent) = heartbeat {
                    let had_run_out = node.lease.left(&node.clock) == Some(Duration::ZERO);
                    node.lease.renew(&node.clock, sent);
                    if node.status.caught_up() || had_run_out {
                        node.status.happened();
                    }
                    // It counts from when it was sent: behind a backlog that is longer than the lease heartbeats come as
                    // often as ever, and too late. A session that does not resume has no backlog. One that comes twice counts once.
                    let age = node.clock.boot().since(sent);
                    late = late.max(Instant::now() + pace.lease.saturating_sub(age));
                }
                // A flood of messages must not keep this task from publishing.
                tokio::task::consume_budget().await;
            }
            Err(error) => return error,
        }
    }
}

fn backoff() -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::default()
        .with_min_delay(BACKOFF_MIN)
        .with_max_delay(BACKOFF_MAX)
        .with_jitter()
        .without_max_times()
        .build()
}
