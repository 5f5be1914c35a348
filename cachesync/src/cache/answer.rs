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
};
use crate::key::{Key, Value};

impl<K: Key, V: Value, O> Miss<K, V, O> {
    /// Waits for another caller's answer, or leads: runs the body, and keeps what it makes as the cache's configuration says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the body, if it was begun; if others wait for this caller, one of them loads.
    pub fn answer<F: Future<Output = O>>(self, body: F) -> impl Future<Output = O> + use<K, V, O, F> {
        let stage = match self.lead() {
            Leading::Load(load) => Stage::runs(load),
            Leading::Wait(wait) => Stage::Waits(wait),
        };
        Answer { body: Some(body), stage }
    }
}

pin_project! {
    struct Answer<K: Key, V: Value, O, F, W> {
        #[pin]
        body: Option<F>,
        stage: Stage<K, V, O, W>,
    }

    impl<K: Key, V: Value, O, F, W> PinnedDrop for Answer<K, V, O, F, W> {
        fn drop(this: Pin<&mut Self>) {
            this.end();
        }
    }
}

enum Stage<K: Key, V: Value, O, W> {
    /// It waits for another caller.
    Waits(Pin<Box<W>>),
    /// The body runs.
    Runs(Load<K, V, O>, Place),
    Ended,
}

impl<K: Key, V: Value, O, W> Stage<K, V, O, W> {
    fn runs(load: Load<K, V, O>) -> Self {
        let place = load.place();
        Self::Runs(load, place)
    }
}

impl<K: Key, V: Value, O, F, W> Answer<K, V, O, F, W> {
    /// Drops the body, as a part of the load that it belongs to, and then gives up its place.
    #[cold]
    #[inline(never)]
    fn end(self: Pin<&mut Self>) {
        let mut this = self.project();
        if let Stage::Runs(_, place) = this.stage {
            place.within(|| this.body.set(None));
        }
        *this.stage = Stage::Ended;
    }
}

impl<K, V, O, F, W> Future for Answer<K, V, O, F, W>
where
    K: Key,
    V: Value,
    F: Future<Output = O>,
    W: Future<Output = Led<K, V, O>>,
{
    type Output = O;

    #[cold]
    #[inline(never)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O> {
        let mut this = self.project();
        loop {
            match this.stage {
                Stage::Waits(wait) => match ready!(wait.as_mut().poll(context)) {
                    Led::Answer(output) => {
                        *this.stage = Stage::Ended;
                        return Poll::Ready(output);
                    }
                    Led::Load(load) => *this.stage = Stage::runs(load),
                },
                Stage::Runs(_, place) => {
                    let output = place.within(|| {
                        let body = this.body.as_mut().as_pin_mut().expect("it is not polled again after it was ready");
                        let output = ready!(body.poll(context));
                        this.body.set(None);
                        Poll::Ready(output)
                    });
                    let output = ready!(output);
                    if let Stage::Runs(load, _) = mem::replace(this.stage, Stage::Ended) {
                        load.settle(&output, Verdict::default());
                    }
                    return Poll::Ready(output);
                }
                Stage::Ended => panic!("it is not polled again after it was ready"),
            }
        }
    }
}
