//! A node's side of the simulated broker: the backend that its registry is given.

use std::{future::pending, sync::Arc, time::Duration};

use cachesync_core::{
    Backend, BackendError, BackendErrorKind, BoxFuture, Publisher, Session, Subscriber,
    backend::{Delivery, Interest, Message, Position},
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::{
    broker::{Next, lost},
    history::Event,
    source::TABLES,
    world::World,
};

/// How long an attempt to connect takes at the most.
const PATIENCE: Duration = Duration::from_secs(3);

/// The backend of one incarnation of a node.
pub(crate) struct SimulatedBackend {
    pub(crate) world: Arc<World>,
    pub(crate) node: usize,
    pub(crate) incarnation: u64,
}

struct Half {
    world: Arc<World>,
    node: usize,
    incarnation: u64,
    session: u64,
}

struct Outgoing(Half);

struct Incoming(Half);

impl SimulatedBackend {
    async fn open(&self, interest: Interest, resume: Option<Position>) -> Result<Session, BackendError> {
        let Self { world, node, incarnation } = self;
        let broker = &world.broker;
        world.note(Some(*node), None, Event::Connecting);
        sleep(broker.millis(1..30)).await;
        let answered = async {
            loop {
                let changed = broker.changed(*node);
                let changed = changed.notified();
                let (refuses, is_silent) = broker.refuses(*node);
                if !is_silent {
                    return !refuses;
                }
                changed.await;
            }
        };
        if timeout(PATIENCE, answered).await != Ok(true) {
            world.note(Some(*node), None, Event::Refused);
            return Err(BackendError::new(BackendErrorKind::Unreachable, "the simulated broker is away"));
        }
        if !world.lives(*node, *incarnation) {
            return pending().await;
        }
        let (session, resumed) = broker.open(*node, interest, resume.as_ref());
        let half = || Half { world: world.clone(), node: *node, incarnation: *incarnation, session };
        // Whoever drops this future gives the queue back.
        let (outgoing, incoming) = (Outgoing(half()), Incoming(half()));
        sleep(broker.millis(0..20)).await;
        world.note(Some(*node), None, Event::Session(session));
        if resumed {
            // Nothing is cleared, and what is missing still is.
            world.note(Some(*node), None, Event::Resumed(session));
            world.bump(*node, TABLES);
        } else {
            world.connected(*node);
        }
        Ok(Session { publisher: Box::new(outgoing), subscriber: Box::new(incoming), resumed })
    }
}

impl Backend for SimulatedBackend {
    fn connect(&self, interest: Interest, resume: Option<Position>) -> BoxFuture<'_, Result<Session, BackendError>> {
        Box::pin(async move {
            if !self.world.lives(self.node, self.incarnation) {
                return pending().await;
            }
            self.open(interest, resume).await
        })
    }
}

impl Half {
    /// Waits until the node can publish.
    async fn ready(&self) -> Result<(), BackendError> {
        loop {
            if !self.world.lives(self.node, self.incarnation) {
                return pending().await;
            }
            let changed = self.world.broker.changed(self.node);
            let changed = changed.notified();
            if self.world.broker.can_publish(self.session)? {
                return Ok(());
            }
            changed.await;
        }
    }

    async fn publish(&self, messages: &[Message]) -> Result<(), BackendError> {
        let Self { world, node, session, .. } = self;
        let mut last = Instant::now();
        for (number, message) in messages.iter().enumerate() {
            if let Err(error) = self.ready().await {
                self.straggle(&messages[number..]);
                return Err(error);
            }
            last = last.max(world.broker.take(world, *session, *node, message));
        }
        sleep_until(last + world.broker.millis(world.plan.network.confirm.clone())).await;
        self.ready().await?;
        world.note(Some(*node), None, Event::Confirmed { session: *session, messages: messages.len() as u64 });
        Ok(())
    }

    /// What a lost session was sending may still be under way.
    fn straggle(&self, messages: &[Message]) {
        if !self.world.broker.chance(300) {
            return;
        }
        let (world, session, node, messages) = (self.world.clone(), self.session, self.node, messages.to_vec());
        tokio::spawn(async move {
            sleep(world.broker.millis(0..2000)).await;
            for message in messages {
                world.broker.take(&world, session, node, &message);
            }
        });
    }
}

impl Publisher for Outgoing {
    fn publish<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(self.0.publish(messages))
    }
}

impl Subscriber for Incoming {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivery, BackendError>> {
        let Half { world, node, incarnation, session } = &self.0;
        Box::pin(async move {
            loop {
                if !world.lives(*node, *incarnation) {
                    return pending().await;
                }
                let changed = world.broker.changed(*node);
                let changed = changed.notified();
                match world.broker.next(world, *session) {
                    Next::Ended => {
                        world.note(Some(*node), None, Event::SessionLost(*session));
                        return Err(lost());
                    }
                    Next::Delivery(delivery, clears) => {
                        world.delivered(*node, &delivery);
                        if clears {
                            world.bump(*node, TABLES);
                        }
                        return Ok(delivery);
                    }
                    Next::Wait(None) => changed.await,
                    Next::Wait(Some(until)) => {
                        tokio::select! {
                            biased;
                            () = changed => {}
                            () = sleep_until(until) => {}
                        }
                    }
                }
            }
        })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.0.world.broker.close(self.0.session);
    }
}
