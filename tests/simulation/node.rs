//! A node: a registry on a clock of its own, its clients, and how it is suspended, dies and comes back.

use std::{sync::Arc, task::Poll};

use cachesync::{Cache, CacheConfig, OnPartition, Registry, SharedKeys, UnknownCaches};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
};

use crate::{
    backend::SimulatedBackend,
    client::{Client, Confirm},
    dice::Dice,
    history::Event,
    plan::{Plan, SIGNED_WINDOW},
    source::{Row, TABLES, Table},
    world::World,
};

pub(crate) struct Node {
    world: Arc<World>,
    pub(crate) index: usize,
    /// `None` while it is down.
    pub(crate) running: Option<Running>,
    dice: Dice,
}

pub(crate) struct Running {
    pub(crate) registry: Registry,
    pub(crate) client: Client,
    incarnation: u64,
    clients: Vec<JoinHandle<()>>,
    confirms: JoinHandle<()>,
}

/// A running node's policies past the lease.
pub(crate) struct Policy {
    world: Arc<World>,
    registry: Registry,
    node: usize,
    incarnation: u64,
}

impl Policy {
    /// Changes that of a table, or of all that have none of their own.
    pub(crate) fn set(&self, table: Option<Table>, policy: Option<OnPartition>) {
        let Self { world, registry, node, incarnation } = self;
        match table {
            Some(table) => {
                for cache in table.caches() {
                    registry.set_on_partition_of(cache, policy).expect("the cache is configured");
                }
            }
            None => registry.set_on_partition(policy.unwrap_or_default()),
        }
        world.set_policy(*node, *incarnation, table, policy);
    }
}

impl Running {
    pub(crate) fn policy(&self, world: &Arc<World>, node: usize) -> Policy {
        Policy { world: world.clone(), registry: self.registry.clone(), node, incarnation: self.incarnation }
    }
}

impl Node {
    pub(crate) fn new(world: &Arc<World>, index: usize, dice: Dice) -> Self {
        Self { world: world.clone(), index, running: None, dice }
    }

    /// Starts it. It need not reach the broker.
    pub(crate) async fn start(&mut self) {
        let Self { world, index, dice, .. } = self;
        let (world, node) = (world.clone(), *index);
        let incarnation = world.reincarnate(node);
        let plan = &world.plan;
        let mut builder = Registry::builder()
            .namespace("simulation")
            .node_name(format!("node{node}"))
            .backend(SimulatedBackend { world: world.clone(), node, incarnation })
            .heartbeat(plan.heartbeat)
            .lease(plan.lease)
            .settle(plan.settle)
            .unknown_caches(UnknownCaches::Bypass)
            .clock(world.clocks.clock(node));
        if plan.signs {
            let keys = SharedKeys::new(1, [1; 32]).expect("long enough").window(SIGNED_WINDOW);
            builder = builder.shared_keys(keys);
        }
        for table in TABLES {
            for cache in table.caches() {
                builder = builder.cache(config(plan, table, cache));
            }
        }
        let registry = builder.start_lazy().await.expect("the registry's settings are right");
        world.note(Some(node), None, Event::Started);
        let (confirm, confirms) = unbounded_channel();
        let client = Client {
            world: world.clone(),
            node,
            incarnation,
            caches: Arc::new(TABLES.iter().map(|table| (*table, caches(&registry, *table))).collect()),
            registry: registry.clone(),
            confirm,
        };
        let spawn_client = |_| tokio::spawn(awake(world.clone(), node, client.clone().run(dice.fork())));
        let clients = (0..plan.clients).map(spawn_client).collect();
        let confirming = confirm_all(world.clone(), node, incarnation, registry.clone(), confirms);
        let confirms = tokio::spawn(awake(world.clone(), node, confirming));
        self.running = Some(Running { registry, client, incarnation, clients, confirms });
    }

    /// It dies: nothing goes out any more, not even what was begun.
    pub(crate) fn crash(&mut self) {
        let Some(Running { registry, clients, confirms, .. }) = self.running.take() else { return };
        // From here on what is left of it is not the node's doing.
        self.world.reincarnate(self.index);
        clients.iter().for_each(JoinHandle::abort);
        confirms.abort();
        drop(registry);
        for (_, session) in self.world.broker.cut(Some(self.index), false) {
            self.world.broker.close(session);
        }
        self.orphan();
        self.world.broker.link(self.index, |_| {});
    }

    /// It shuts down: what waits goes out first, as far as that can be.
    pub(crate) async fn shut_down(&mut self) {
        let Some(Running { registry, clients, confirms, .. }) = self.running.take() else { return };
        clients.iter().for_each(JoinHandle::abort);
        // So that what they hold is dropped, and their evictions queued.
        for client in clients {
            _ = client.await;
        }
        _ = registry.shutdown().await;
        confirms.abort();
        self.world.reincarnate(self.index);
        self.orphan();
    }

    fn orphan(&self) {
        let orphaned = self.world.source().orphan(self.index);
        for (key, version) in orphaned {
            self.world.note(Some(self.index), Some(key), Event::WriterDied { version });
        }
    }
}

fn config(plan: &Plan, table: Table, cache: &str) -> CacheConfig {
    let mut config = CacheConfig::new(cache).load_wait(plan.load_wait).max_concurrent_loads(plan.max_loads);
    if let Some((_, ttl)) = plan.ttl.filter(|(of, _)| *of == table) {
        config = config.ttl(ttl);
    }
    if let Some((_, entries)) = plan.small.filter(|(of, _)| *of == table) {
        config = config.capacity(entries);
    }
    if plan.stale == Some(table) {
        config = config.on_partition(OnPartition::ServeStale);
    }
    config
}

pub(crate) fn caches(registry: &Registry, table: Table) -> Vec<Cache<u64, Row>> {
    let cache = |name: &&str| registry.cache(name).expect("the cache is configured");
    table.caches().iter().map(cache).collect()
}

/// Notes which evictions the broker has confirmed. One task and one wait at a time, in their order.
async fn confirm_all(
    world: Arc<World>,
    node: usize,
    incarnation: u64,
    registry: Registry,
    mut confirms: UnboundedReceiver<Confirm>,
) {
    while let Some(Confirm { versions, committed }) = confirms.recv().await {
        let confirmed = match committed {
            Some(committed) => committed.confirmed().await.is_ok(),
            None => loop {
                match registry.flush().await {
                    Ok(()) => break true,
                    Err(error) if error.is_timeout() => {}
                    Err(_) => break false,
                }
            },
        };
        if !confirmed || !world.lives(node, incarnation) {
            return;
        }
        for (key, version) in versions {
            world.source().confirmed(key, version, world.now());
            world.note(Some(node), Some(key), Event::EvictionConfirmed { version });
        }
    }
}

/// Does not run while the node is suspended.
pub(crate) async fn awake<F: Future>(world: Arc<World>, node: usize, future: F) -> F::Output {
    let mut future = Box::pin(future);
    let changed = world.broker.changed(node);
    loop {
        let wakes = changed.notified();
        let output = std::future::poll_fn(|context| {
            if world.broker.is_suspended(node) { Poll::Ready(None) } else { future.as_mut().poll(context).map(Some) }
        })
        .await;
        match output {
            Some(output) => return output,
            None => wakes.await,
        }
    }
}
