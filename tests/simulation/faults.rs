//! Faults: what goes wrong, and how it is made to.
//!
//! One more is a variant of [`Fault`], a line in [`Fault::any`], which draws it, and an arm of [`strike`], which lets it
//! happen. What ends by itself does so in a task of its own, and everything ends within six leases: then the run is to
//! be calm.

use std::{sync::Arc, time::Duration};

use cachesync::OnPartition;
use tokio::time::sleep;

use crate::{
    broker::Link,
    dice::Dice,
    history::Event,
    node::Node,
    source::{TABLES, Table},
    world::World,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// The broker drops a session and its queue; the node learns of it later. Until then its messages may still be
    /// taken.
    Cut { node: usize, notice: Duration, half_open: bool },
    /// Nothing goes in or out, and the broker may lose patience.
    Partition { node: usize, lasts: Duration, cut: bool },
    /// The same for all at once.
    Split { lasts: Duration, cut: bool },
    /// The same for short times, again and again.
    Flap { node: usize, closed: Duration, open: Duration, times: u32 },
    /// Nothing goes out of a node.
    StallPublish { node: usize, lasts: Duration },
    /// Nothing comes in.
    StallDeliver { node: usize, lasts: Duration },
    /// What comes in trickles: so many milliseconds from one message to the next, at the most.
    Slow { node: usize, lasts: Duration, trickle: u64 },
    /// A node is cut off and cannot connect.
    Refuse { node: usize, lasts: Duration },
    /// All sessions and queues are gone, and none can be had for a while.
    BrokerDown { lasts: Duration },
    /// A node dies, and another takes its place.
    Crash { node: usize, lasts: Duration },
    /// A node shuts down, and another takes its place.
    Restart { node: usize, lasts: Duration },
    /// A node does not run for a while, and its clock does; or its machine sleeps, and only boot time goes on.
    Suspend { node: usize, lasts: Duration, sleeps: bool },
    /// A node wakes up, and finds that its machine slept; nobody else noticed.
    ClockJump { node: usize, by: Duration },
    /// A node loses its session, and of what the broker keeps for it all but the last messages. Without any it is made anew.
    Truncate { node: usize, keeps: Option<usize> },
    /// What comes for a node in this time is lost, and its session goes on: beyond the promise.
    LoseTail { node: usize, lasts: Duration },
    /// Somebody lets a table, or all that have no policy of their own, be served past the lease for a while.
    ServeStale { node: usize, table: Option<Table>, lasts: Duration },
}

/// Draws what goes wrong, and when; in the order of time.
pub(crate) fn any(
    dice: &mut Dice,
    count: usize,
    nodes: usize,
    lease: Duration,
    active: Duration,
) -> Vec<(Duration, Fault)> {
    let mut faults = Vec::new();
    for _ in 0..count {
        let at = dice.millis(200..u64::try_from(active.as_millis()).unwrap_or(u64::MAX));
        let fault = Fault::any(dice, nodes, lease);
        if dice.chance(150) {
            faults.push(fault.next(dice, at, nodes, lease));
        }
        if let Fault::ServeStale { node, lasts, .. } = fault {
            // Otherwise it is seldom past the lease when it counts.
            faults.push((at + lasts / 4, Fault::StallDeliver { node, lasts: lease * 3 }));
        }
        faults.push((at, fault));
    }
    faults.sort_by_key(|(at, _)| *at);
    faults
}

impl Fault {
    fn any(dice: &mut Dice, nodes: usize, lease: Duration) -> Self {
        let node = dice.index(nodes);
        let lease = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        let short = dice.chance(500);
        let lasts = dice.millis(if short { 10..lease } else { lease..3 * lease });
        let notice = dice.millis(0..if short { 50 } else { 2 * lease });
        let cut = dice.chance(500);
        match dice.within(0..19) {
            0..=2 | 16 | 17 => Self::Cut { node, notice, half_open: cut },
            3 | 4 => Self::Partition { node, lasts, cut },
            5 => Self::Split { lasts, cut },
            6 => Self::StallPublish { node, lasts },
            7 => Self::StallDeliver { node, lasts },
            8 => Self::Refuse { node, lasts },
            9 => Self::BrokerDown { lasts },
            10 => Self::Crash { node, lasts },
            11 => Self::Restart { node, lasts },
            12 => Self::Suspend { node, lasts, sleeps: cut },
            13 => Self::Flap { node, closed: lasts / 8, open: dice.millis(1..lease / 4), times: 4 },
            14 => Self::Slow { node, lasts, trickle: dice.within(50..500) },
            15 => Self::ClockJump { node, by: if short { lasts } else { Duration::from_hours(dice.within(1..48)) } },
            _ => Self::ServeStale { node, table: cut.then(|| dice.pick(&TABLES)), lasts },
        }
    }

    /// A second one that follows from it: at the same instant, during the recovery, or once more.
    fn next(&self, dice: &mut Dice, at: Duration, nodes: usize, lease: Duration) -> (Duration, Self) {
        let (node, lasts) = self.place();
        let recovering = at + lasts + dice.millis(0..400);
        let again = dice.millis(10..2000);
        match dice.within(0..4) {
            0 => (at, Self::any(dice, nodes, lease)),
            1 => (recovering, Self::Crash { node, lasts: again }),
            2 => (recovering, Self::Cut { node, notice: again / 10, half_open: false }),
            _ => (recovering, self.clone()),
        }
    }

    /// Which node it befalls, and for how long.
    fn place(&self) -> (usize, Duration) {
        match *self {
            Self::Partition { node, lasts, .. }
            | Self::StallPublish { node, lasts }
            | Self::StallDeliver { node, lasts }
            | Self::Slow { node, lasts, .. }
            | Self::Refuse { node, lasts }
            | Self::Crash { node, lasts }
            | Self::Restart { node, lasts }
            | Self::Suspend { node, lasts, .. }
            | Self::LoseTail { node, lasts }
            | Self::ServeStale { node, lasts, .. } => (node, lasts),
            Self::Split { lasts, .. } | Self::BrokerDown { lasts } => (0, lasts),
            Self::Cut { node, notice, .. } => (node, notice),
            Self::Flap { node, closed, open, times } => (node, (closed + open) * times),
            Self::ClockJump { node, .. } | Self::Truncate { node, .. } => (node, Duration::ZERO),
        }
    }
}

/// Lets a fault happen; what ends by itself does so in a task of its own.
pub(crate) async fn strike(world: &Arc<World>, nodes: &mut [Node], ups: &mut Vec<(Duration, usize)>, fault: &Fault) {
    world.note(None, None, Event::Fault(fault.clone()));
    match fault {
        Fault::Cut { node, notice, half_open } => cut(world, Some(*node), *notice, *half_open),
        Fault::Partition { node, lasts, cut: is_cut } => {
            close(world, *node, *lasts, both);
            if *is_cut {
                cut(world, Some(*node), *lasts * 2, false);
            }
        }
        Fault::Split { lasts, cut: is_cut } => {
            for node in 0..nodes.len() {
                close(world, node, *lasts, both);
            }
            if *is_cut {
                cut(world, None, *lasts * 2, false);
            }
        }
        Fault::StallPublish { node, lasts } => {
            close(world, *node, *lasts, |link, by| link.out_closed = link.out_closed.wrapping_add_signed(by));
        }
        Fault::StallDeliver { node, lasts } => {
            close(world, *node, *lasts, |link, by| link.in_closed = link.in_closed.wrapping_add_signed(by));
        }
        Fault::Refuse { node, lasts } => {
            close(world, *node, *lasts, |link, by| link.refused = link.refused.wrapping_add_signed(by));
            cut(world, Some(*node), Duration::from_millis(5), false);
        }
        Fault::BrokerDown { lasts } => {
            world.broker_is_down(true);
            cut(world, None, Duration::from_millis(20), false);
            let (world, lasts) = (world.clone(), *lasts);
            tokio::spawn(async move {
                sleep(lasts).await;
                world.broker_is_down(false);
            });
        }
        Fault::Crash { node, lasts } => {
            if nodes[*node].running.is_some() {
                nodes[*node].crash();
                ups.push((world.now() + *lasts, *node));
            }
        }
        Fault::Restart { node, lasts } => {
            if nodes[*node].running.is_some() {
                nodes[*node].shut_down().await;
                ups.push((world.now() + *lasts, *node));
            }
        }
        Fault::Flap { node, closed, open, times } => {
            let (world, node, closed, open, times) = (world.clone(), *node, *closed, *open, *times);
            tokio::spawn(async move {
                for _ in 0..times {
                    close(&world, node, closed, both);
                    sleep(closed + open).await;
                }
            });
        }
        Fault::Slow { node, lasts, trickle } => {
            let trickle = i32::try_from(*trickle).unwrap_or(0);
            close(world, *node, *lasts, move |link, by| {
                link.trickle = link.trickle.saturating_add_signed(i64::from(by * trickle));
            });
        }
        Fault::Truncate { node, keeps } => {
            cut(world, Some(*node), Duration::from_millis(20), false);
            world.broker.truncate(*node, *keeps);
        }
        Fault::LoseTail { node, lasts } => lose_tail(world, *node, *lasts),
        Fault::ClockJump { node, by } => world.jumps(*node, *by),
        Fault::ServeStale { node, table, lasts } => {
            let Some(running) = &nodes[*node].running else { return };
            let policy = running.policy(world, *node);
            policy.set(*table, Some(OnPartition::ServeStale));
            let (table, lasts) = (*table, *lasts);
            tokio::spawn(async move {
                sleep(lasts).await;
                policy.set(table, None);
            });
        }
        Fault::Suspend { node, lasts, sleeps } => {
            if *sleeps {
                world.clocks.sleeps(*node, 1);
                let (world, node, lasts) = (world.clone(), *node, *lasts);
                tokio::spawn(async move {
                    sleep(lasts).await;
                    world.clocks.sleeps(node, -1);
                    world.slept(node, lasts);
                });
            }
            close(world, *node, *lasts, |link, by| link.suspended = link.suspended.wrapping_add_signed(by));
        }
    }
}

fn both(link: &mut Link, by: i32) {
    link.out_closed = link.out_closed.wrapping_add_signed(by);
    link.in_closed = link.in_closed.wrapping_add_signed(by);
}

fn close(world: &Arc<World>, node: usize, lasts: Duration, change: impl Fn(&mut Link, i32) + Send + 'static) {
    world.broker.link(node, |link| change(link, 1));
    let world = world.clone();
    tokio::spawn(async move {
        sleep(lasts).await;
        world.broker.link(node, |link| change(link, -1));
    });
}

fn lose_tail(world: &Arc<World>, node: usize, lasts: Duration) {
    close(world, node, lasts, |link, by| link.in_closed = link.in_closed.wrapping_add_signed(by));
    let world = world.clone();
    tokio::spawn(async move {
        // Just before the way is open again.
        sleep(lasts.saturating_sub(Duration::from_millis(1))).await;
        world.broker.lose_tail(node);
    });
}

fn cut(world: &Arc<World>, node: Option<usize>, notice: Duration, half_open: bool) {
    for (node, session) in world.broker.cut(node, half_open) {
        world.note(Some(node), None, Event::SessionCut(session));
        let world = world.clone();
        tokio::spawn(async move {
            sleep(notice).await;
            world.broker.notice(session);
        });
    }
}
