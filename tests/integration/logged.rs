//! Listening to what is logged.

use std::{
    fmt::Debug,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    dispatcher::{self, DefaultGuard},
    field::Field,
    span,
};

/// How often something with this text is logged by this thread while it works.
pub(crate) fn times_logged(text: &'static str, work: impl FnOnce()) -> usize {
    let count = Arc::new(AtomicUsize::new(0));
    let counting = count.clone();
    let listening = listen(text, move |_| _ = counting.fetch_add(1, SeqCst));
    work();
    drop(listening);
    count.load(SeqCst)
}

/// The numbers in this field of what is logged with this text by this thread while it works.
pub(crate) fn numbers_logged(text: &'static str, field: &'static str, work: impl FnOnce()) -> Vec<u64> {
    texts_logged(text, field, work).iter().map(|text| text.parse().expect("a number")).collect()
}

/// The same of any field.
pub(crate) fn texts_logged(text: &'static str, field: &'static str, work: impl FnOnce()) -> Vec<String> {
    let texts = Arc::new(Mutex::new(Vec::new()));
    let noting = texts.clone();
    let note = move |event: &Event<'_>| {
        event.record(&mut |recorded: &Field, value: &dyn Debug| {
            if recorded.name() == field {
                noting.lock().unwrap().push(format!("{value:?}"));
            }
        });
    };
    let listening = listen(text, note);
    work();
    drop(listening);
    let texts = texts.lock().unwrap();
    texts.clone()
}

/// For as long as it is there this thread listens.
pub(crate) struct Listening {
    _default: DefaultGuard,
    _other: Dispatch,
}

/// Does this in the midst of logging whenever this thread logs something with this text. What is logged by that is lost.
pub(crate) fn listen(text: &'static str, then: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Listening {
    // Where there is just one, tracing asks the thread that comes to a line of code first whether anybody wants to hear of it,
    // and remembers the answer for all. That may be the thread of another test, where nobody does.
    let other = Dispatch::new(Listener { text, then: |_: &Event<'_>| {} });
    Listening { _default: dispatcher::set_default(&Dispatch::new(Listener { text, then })), _other: other }
}

/// Listens for the events whose message has this text.
struct Listener<F> {
    text: &'static str,
    then: F,
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Subscriber for Listener<F> {
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
            found |= format!("{value:?}").contains(self.text);
        });
        if found {
            (self.then)(event);
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
