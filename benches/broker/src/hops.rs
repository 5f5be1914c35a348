//! The way of one eviction in parts: until the engine hands it to the backend, with the backend and its broker, and in the
//! engine that hears it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use cachesync_core::{
    Backend, BackendError, BoxFuture, Publisher, Session, Subscriber,
    backend::{Delivery, Interest, Message, Position, Topic},
};

/// A moment that another task notes.
#[derive(Debug, Clone, Default)]
pub struct Noted(Arc<Mutex<Option<Instant>>>);

impl Noted {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// What was noted last, if anything was since the last look.
    pub fn take(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A backend that notes when it is handed evictions, and when it hands them over.
#[derive(Debug)]
pub struct Noting<B> {
    /// The backend that does the work.
    pub backend: B,
    /// When the engine last had it publish about a cache.
    pub published: Noted,
    /// When it last gave the engine a delivery about a cache.
    pub delivered: Noted,
}

impl<B: Backend> Backend for Noting<B> {
    fn connect(&self, interest: Interest, resume: Option<Position>) -> BoxFuture<'_, Result<Session, BackendError>> {
        Box::pin(async move {
            let Session { publisher, subscriber, resumed } = self.backend.connect(interest, resume).await?;
            Ok(Session {
                publisher: Box::new(NotingPublisher(publisher, self.published.clone())),
                subscriber: Box::new(NotingSubscriber(subscriber, self.delivered.clone())),
                resumed,
            })
        })
    }

    fn confirm_timeout(&self) -> Option<std::time::Duration> {
        self.backend.confirm_timeout()
    }
}

struct NotingPublisher(Box<dyn Publisher>, Noted);

impl Publisher for NotingPublisher {
    fn publish<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), BackendError>> {
        if messages.iter().any(|message| matches!(message.topic, Topic::Cache(_))) {
            self.1.now();
        }
        self.0.publish(messages)
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        self.0.close()
    }
}

struct NotingSubscriber(Box<dyn Subscriber>, Noted);

impl Subscriber for NotingSubscriber {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivery, BackendError>> {
        Box::pin(async move {
            let delivery = self.0.next().await?;
            if delivery.cache.is_some() {
                self.1.now();
            }
            Ok(delivery)
        })
    }
}
