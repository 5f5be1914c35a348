//! What goes wrong, and how it is made to.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use cachesync_tests::{
    broker::{Broker, WRITE_OUT},
    proxy::Way,
};
use rustix::process::Signal;
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};

use crate::{node::Transport, run::World};

/// How long to go on trying what a broker that has just come back may refuse, or to wait for a connection to it: longer than it
/// takes to start.
const PATIENCE: Duration = Duration::from_mins(4);

/// Deletes the exchange, for which `rabbitmqctl` has no command of its own.
const DELETE_EXCHANGE: &[&str] =
    &["eval", r#"ok = rabbit_exchange:delete(rabbit_misc:r(<<"/">>, exchange, <<"cachesync">>), false, <<"chaos">>)."#];

/// Something that goes wrong, for as long as it does, or is away before it comes back.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// The broker is killed, and starts on its data.
    BrokerKilled(Duration),
    /// It is killed, and starts on an empty disk.
    BrokerEmptied(Duration),
    /// It is frozen beyond the lease.
    BrokerStopped(Duration),
    /// It is short of memory, and takes nothing, beyond the lease.
    MemoryAlarm(Duration),
    /// Its operator closes all connections.
    ConnectionsClosed,
    /// Somebody deletes the exchange.
    ExchangeDeleted,
    /// Somebody deletes a node's queue, or the stream of all.
    QueueDeleted(usize),
    /// A node's process is frozen beyond the lease.
    NodeStopped(usize, Duration),
    /// It is killed, and replaced.
    NodeKilled(usize, Duration),
    /// Its link forwards nothing, beyond the lease, and its connections stay open.
    LinkStalled(usize, Duration),
    /// One direction of its connections ends.
    LinkHalfClosed(usize, Way),
    /// Its connections end in the middle of a frame.
    LinkCutWithinFrame(usize, Way),
}

impl Fault {
    /// Its kind, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BrokerKilled(_) => "broker-killed",
            Self::BrokerEmptied(_) => "broker-emptied",
            Self::BrokerStopped(_) => "broker-stopped",
            Self::MemoryAlarm(_) => "memory-alarm",
            Self::ConnectionsClosed => "connections-closed",
            Self::ExchangeDeleted => "exchange-deleted",
            Self::QueueDeleted(_) => "queue-deleted",
            Self::NodeStopped(..) => "node-stopped",
            Self::NodeKilled(..) => "node-killed",
            Self::LinkStalled(..) => "link-stalled",
            Self::LinkHalfClosed(..) => "link-half-closed",
            Self::LinkCutWithinFrame(..) => "link-cut-within-frame",
        }
    }

    /// Whether nobody gets anything to the broker while it lasts.
    pub fn is_outage(kind: &str) -> bool {
        matches!(kind, "broker-killed" | "broker-emptied" | "broker-stopped" | "memory-alarm")
    }

    /// The node that it hits; `None` if it hits all.
    pub fn node(&self) -> Option<usize> {
        match self {
            Self::QueueDeleted(node)
            | Self::NodeStopped(node, _)
            | Self::NodeKilled(node, _)
            | Self::LinkStalled(node, _)
            | Self::LinkHalfClosed(node, _)
            | Self::LinkCutWithinFrame(node, _) => Some(*node),
            _ => None,
        }
    }
}

/// Waits until there is something that a fault can hit: one that breaks connections while there are none has not happened.
pub async fn aim(world: &World, fault: Fault) -> Result<()> {
    match fault {
        Fault::LinkHalfClosed(node, _) | Fault::LinkCutWithinFrame(node, _) => {
            timeout(PATIENCE, world.links[node].connected())
                .await
                .with_context(|| format!("node {node} does not connect"))
        }
        Fault::ConnectionsClosed => {
            let began = Instant::now();
            while control(world, &["list_connections", "pid", "--no-table-headers"]).await?.trim().is_empty() {
                ensure!(began.elapsed() < PATIENCE, "no node connects");
                sleep(Duration::from_millis(100)).await;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Makes it happen, and waits until it is over.
pub async fn strike(world: &World, fault: Fault) -> Result<()> {
    match fault {
        Fault::BrokerKilled(away) => {
            if world.options.transport == Transport::Streams {
                // One that has just been made would not be there again: a mistake of the broker's, and not what is asked.
                control(world, WRITE_OUT).await?;
            }
            world.at_broker(Broker::kill).await?;
            sleep(away).await;
            world.at_broker(Broker::restart).await?;
            world.returned();
            Ok(())
        }
        Fault::BrokerEmptied(away) => {
            world.at_broker(Broker::kill).await?;
            sleep(away).await;
            world.at_broker(Broker::restart_empty).await?;
            world.returned();
            Ok(())
        }
        Fault::BrokerStopped(away) => {
            world.at_broker(Broker::stop).await?;
            sleep(away).await;
            world.returned();
            world.at_broker(Broker::cont).await
        }
        Fault::MemoryAlarm(away) => {
            control(world, &["set_vm_memory_high_watermark", "absolute", "1MB"]).await?;
            sleep(away).await;
            // Before the command, which goes on for a while when the alarm has ended: the time to recover is not to be too short.
            world.returned();
            control(world, &["set_vm_memory_high_watermark", "absolute", "1GB"]).await?;
            Ok(())
        }
        Fault::ConnectionsClosed => control(world, &["close_all_connections", "chaos"]).await.map(drop),
        Fault::ExchangeDeleted => control(world, DELETE_EXCHANGE).await.map(drop),
        Fault::QueueDeleted(node) => delete_queue(world, node).await,
        Fault::NodeStopped(node, away) => {
            world.node(node).await.signal(Signal::STOP)?;
            sleep(away).await;
            world.node(node).await.signal(Signal::CONT)
        }
        Fault::NodeKilled(node, away) => world.replace(node, away).await,
        Fault::LinkStalled(node, away) => {
            world.links[node].stall();
            sleep(away).await;
            world.links[node].resume();
            Ok(())
        }
        Fault::LinkHalfClosed(node, way) => {
            world.links[node].half_close(way);
            Ok(())
        }
        Fault::LinkCutWithinFrame(node, way) => {
            world.links[node].cut_within_frame(way);
            Ok(())
        }
    }
}

/// Runs `rabbitmqctl`, again and again against a broker that is still coming back.
pub async fn control(world: &World, arguments: &'static [&'static str]) -> Result<String> {
    let broker: Arc<Broker> = world.broker.clone();
    let began = Instant::now();
    loop {
        let broker = broker.clone();
        match spawn_blocking(move || broker.try_ctl(arguments)).await? {
            Ok(answer) => return Ok(answer),
            Err(error) if began.elapsed() > PATIENCE => return Err(anyhow!(error)),
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Deletes the queue that a node has, or will have in a moment.
async fn delete_queue(world: &World, node: usize) -> Result<()> {
    let prefix = match world.options.transport {
        Transport::Queues => format!("cachesync.chaos.node-{node}."),
        Transport::Streams => "cachesync.chaos.".to_owned(),
    };
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        let queues = control(world, &["list_queues", "name", "--no-table-headers"]).await?;
        if let Some(queue) = queues.lines().find(|queue| queue.starts_with(&prefix)) {
            let (broker, queue) = (world.broker.clone(), queue.to_owned());
            // It may have gone with its session in between.
            if spawn_blocking(move || broker.try_ctl(&["delete_queue", &queue])).await?.is_ok() {
                return Ok(());
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
    Err(anyhow!("node {node} has no queue")).context("a queue is to be deleted")
}
