//! One run: the plan of a seed is carried out, and when all is quiet the caches are compared with the source.

use std::{sync::Arc, time::Duration};

use cachesync::Coherence;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    dice::Dice,
    faults::strike,
    history::Event,
    node::Node,
    plan::Plan,
    source::{Row, RowKey},
    time::Clocks,
    world::{Counts, World},
};

/// The longest that a node waits between two attempts to connect, and an attempt takes.
const RECONNECT: Duration = Duration::from_secs(4 + 3);

/// What came of a run.
pub(crate) struct Outcome {
    pub(crate) digest: u64,
    pub(crate) counts: Counts,
    /// The rule that was broken, and the report.
    pub(crate) violation: Option<(&'static str, String)>,
    pub(crate) trace: String,
}

/// Carries out the plan of a seed; the trace is written only if it is wanted, which takes time.
pub(crate) fn run(seed: u64, traced: bool) -> Outcome {
    // The pauses between attempts to connect have jitter, which is drawn from this generator of the thread.
    fastrand::seed(seed);
    let clocks = Clocks::default();
    let world = World::new(Plan::new(seed), clocks.clone());
    let runtime = clocks.runtime();
    runtime.block_on(carry_out(&world));
    // Before the world is looked at: tasks that are dropped may still have something to note.
    drop(runtime);
    let history = world.history();
    let mut counts = world.counts();
    (counts.runs, counts.events) = (1, history.events() as u64);
    counts.faults = world.plan.faults.len() as u64;
    Outcome {
        digest: history.digest(),
        counts,
        violation: history.rule().map(|rule| (rule, history.report())),
        trace: if traced { history.to_string() } else { String::new() },
    }
}

async fn carry_out(world: &Arc<World>) {
    let start = Instant::now();
    // Sets the start of the clock.
    world.now();
    let mut dice = Dice::new(world.plan.seed ^ 0xd1ce);
    let mut nodes: Vec<_> = (0..world.plan.nodes).map(|node| Node::new(world, node, dice.fork())).collect();
    for node in &mut nodes {
        node.start().await;
    }
    let mut ups: Vec<(Duration, usize)> = Vec::new();
    let mut faults = world.plan.faults.iter().peekable();
    loop {
        let up = ups.iter().min().copied();
        let fault = faults.peek().map(|(at, _)| *at);
        let Some(next) = up.map(|(at, _)| at).into_iter().chain(fault).min() else { break };
        sleep_until(start + next).await;
        if world.history().has_violation() {
            return;
        }
        if let Some(up) = up.filter(|(at, _)| *at == next) {
            ups.retain(|other| *other != up);
            nodes[up.1].start().await;
        } else if let Some((_, fault)) = faults.next() {
            strike(world, &mut nodes, &mut ups, fault).await;
        }
    }
    sleep_until(start + world.plan.active).await;
    calm(world).await;
    if world.history().has_violation() {
        return;
    }
    compare(world, &nodes).await;
}

/// Waits until all faults are over and everybody has had the time to recover.
async fn calm(world: &Arc<World>) {
    let plan = &world.plan;
    let longest = plan.lease * 6;
    let faults_end = plan.faults.iter().map(|(at, _)| *at + longest).max().unwrap_or_default();
    let quiet = faults_end.max(plan.active) + plan.settle + plan.lease + RECONNECT;
    sleep(quiet.saturating_sub(world.now())).await;
    world.note(None, None, Event::FaultsEnd);
}

/// What is cached must be what the source says.
async fn compare(world: &Arc<World>, nodes: &[Node]) {
    if world.plan.is_beyond_the_promise() {
        // A gap is noticed by the next message of the same origin and cache: a trailer, if nothing else. A backlog that is longer
        // than the lease may cost a slow node its session.
        sleep(world.plan.lease * 2 + RECONNECT).await;
    }
    for node in nodes {
        let Some(running) = &node.running else { continue };
        let registry = &running.registry;
        for cache in registry.stats().caches.values() {
            world.count(|counts| {
                counts.expired += cache.expired;
                counts.displaced += cache.displaced;
                counts.shared += cache.shared;
            });
        }
        let status = registry.status();
        if !matches!(status.coherence, Coherence::Coherent { .. }) || !status.outbox.is_empty() {
            world.violated(node.index, None, "live", format!("it has not recovered: {status:?}"));
        }
        for key in world.rows() {
            let RowKey { table, id } = key;
            if table.caches().iter().any(|cache| world.broker.has_gap_for_good(node.index, cache)) {
                continue;
            }
            if table.can_be_gone() {
                // By a function of the service's, which knows of rows that are gone.
                if let Some(row) = running.client.peek(key).await {
                    world.check_entry(node.index, key, row.as_ref());
                }
            } else {
                for cache in table.caches() {
                    let cache = registry.cache::<u64, Row>(cache).expect("the cache is configured");
                    if let Some(row) = cache.get(&id) {
                        world.check_entry(node.index, key, Some(&row));
                    }
                }
            }
        }
    }
}
