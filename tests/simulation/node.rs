//! A node: a registry on a clock of its own, its clients, and how it is suspended, dies and comes back.

use std::{sync::Arc, task::Poll};

use cachesync::{Cache, CacheConfig, Registry, UnknownCaches};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
};

use crate::{
    backend::SimulatedBackend,
    client::{Client, Confirm},
    dice::Dice,
    history::Event,
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
    clients: Vec<JoinHandle<()>>,
    confirms: JoinHandle<()>,
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
            .clock(world.clocks.clock());
        for table in TABLES {
            for cache in table.caches() {
                builder = builder.cache(CacheConfig::new(*cache).load_wait(plan.load_wait));
            }
        }
        let registry = builder.start_lazy().await.expect("the registry's settings are right");
        world.note(Some(node), None, Event::Started);
        let (confirm, confirms) = unbounded_channel();
        let client = Client {
            world: world.clone(),
            node,
            incarnation,
            plain: cache(&registry, Table::Plain),
            puts: cache(&registry, Table::Puts),
            registry: registry.clone(),
            confirm,
        };
        let spawn_client = |_| tokio::spawn(awake(world.clone(), node, client.clone().run(dice.fork())));
        let clients = (0..plan.clients).map(spawn_client).collect();
        let confirming = confirm_all(world.clone(), node, incarnation, registry.clone(), confirms);
        let confirms = tokio::spawn(awake(world.clone(), node, confirming));
        self.running = Some(Running { registry, clients, confirms });
    }

    /// It dies: nothing goes out any more, not even what was begun.
    pub(crate) fn crash(&mut self) {
        let Some(Running { registry, clients, confirms }) = self.running.take() else { return };
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
        let Some(Running { registry, clients, confirms }) = self.running.take() else { return };
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

fn cache(registry: &Registry, table: Table) -> Cache<u64, Row> {
    registry.cache(table.caches()[0]).expect("the cache is configured")
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
async fn awake<F: Future>(world: Arc<World>, node: usize, future: F) -> F::Output {
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
