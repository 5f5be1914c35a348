//! Counting what is logged.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher, field::Field, span};

/// How often something with this text is logged by this thread while it works.
pub(crate) fn times_logged(text: &'static str, work: impl FnOnce()) -> usize {
    let count = Arc::new(AtomicUsize::new(0));
    let dispatch = || Dispatch::new(Counter(text, count.clone()));
    // Where there is just one, tracing asks the thread that comes to a line of code first whether anybody wants to hear of it,
    // and remembers the answer for all. That may be the thread of another test, where nobody does.
    let _other = dispatch();
    dispatcher::with_default(&dispatch(), work);
    count.load(SeqCst)
}

/// Counts the events whose message has this text.
struct Counter(&'static str, Arc<AtomicUsize>);

impl Subscriber for Counter {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut found = false;
        event.record(&mut |_: &Field, value: &dyn Debug| {
            found |= format!("{value:?}").contains(self.0);
        });
        self.1.fetch_add(usize::from(found), SeqCst);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
