//! The answer to a miss: who waits gets it from another caller, who leads runs the body.
//!
//! One future for both, so that that of an annotated function has one `.await`. What it does when it is dropped is then so
//! little that a hit, which has polled nothing of this, does not notice; and nothing of this is inlined into the path of a hit.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{
    load::{Leading, Led, Load, Miss, Verdict},
    nesting::Place,
    waiter::Waiting,
};
use crate::key::{Key, Value};

impl<K: Key, V: Value, O> Miss<K, V, O> {
    /// Waits for another caller's answer, or leads: runs the body, and keeps what it makes as the cache's configuration says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the body, if it was begun; if others wait for this caller, one of them loads.
    pub fn answer<F: Future<Output = O>>(self, body: F) -> Answer<K, V, O, F> {
        Answer { body: Some(body), stage: Stage::of(self) }
    }
}

pin_project! {
    /// Of what this does nothing is said here: it is compiled for each body, which is for each annotated function. What all
    /// functions that load the same have in common is [`Stage`]'s.
    pub struct Answer<K: Key, V: Value, O, F>
    where
        F: Future<Output = O>,
    {
        #[pin]
        body: Option<F>,
        stage: Stage<K, V, O>,
    }

    impl<K: Key, V: Value, O, F> PinnedDrop for Answer<K, V, O, F>
    where
        F: Future<Output = O>,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.stage.end(this.body);
        }
    }
}

impl<K, V, O, F> Future for Answer<K, V, O, F>
where
    K: Key,
    V: Value,
    F: Future<Output = O>,
{
    type Output = O;

    #[cold]
    #[inline(never)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O> {
        let this = self.project();
        this.stage.poll(this.body, context)
    }
}

/// The body of a function, until it has returned.
trait Body<O> {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O>;
    /// Drops it.
    fn end(self: Pin<&mut Self>);
}

impl<F: Future> Body<F::Output> for Option<F> {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match self.as_pin_mut() {
            Some(body) => body.poll(context),
            None => polled_again(),
        }
    }

    fn end(mut self: Pin<&mut Self>) {
        self.set(None);
    }
}

enum Stage<K: Key, V: Value, O> {
    /// It waits for another caller.
    Waits(Box<Waiting<K, V, O>>),
    /// The body runs.
    Runs(Load<K, V, O>, Place),
    Ended,
}

impl<K: Key, V: Value, O> Stage<K, V, O> {
    fn of(miss: Miss<K, V, O>) -> Self {
        match miss.lead() {
            Leading::Load(load) => Self::runs(load),
            Leading::Wait(wait) => Self::Waits(wait),
        }
    }

    fn runs(load: Load<K, V, O>) -> Self {
        let place = load.place();
        Self::Runs(load, place)
    }

    fn poll(&mut self, mut body: Pin<&mut (dyn Body<O> + '_)>, context: &mut Context<'_>) -> Poll<O> {
        if let Self::Waits(wait) = self {
            match ready!(Pin::new(wait).poll(context)) {
                Led::Answer(output) => {
                    *self = Self::Ended;
                    return Poll::Ready(output);
                }
                Led::Load(load) => *self = Self::runs(load),
            }
        }
        let Self::Runs(_, place) = self else { polled_again() };
        let within = place.enter();
        let output = ready!(body.as_mut().poll(context));
        body.end();
        drop(within);
        if let Self::Runs(load, _) = mem::replace(self, Self::Ended) {
            load.settle(&output, Verdict::default());
        }
        Poll::Ready(output)
    }

    /// Drops the body, as a part of the load that it belongs to, and then gives up its place.
    #[cold]
    #[inline(never)]
    fn end(&mut self, body: Pin<&mut (dyn Body<O> + '_)>) {
        let within = if let Self::Runs(_, place) = self { Some(place.enter()) } else { None };
        body.end();
        drop(within);
        *self = Self::Ended;
    }
}

#[cold]
pub(super) fn polled_again() -> ! {
    panic!("it is not polled again after it was ready")
}
