//! Counts the lines of a log.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    span::{Attributes, Id, Record},
};

/// How many lines were logged on the threads that it is the default of. Clones count together.
#[derive(Clone, Default, Debug)]
pub(crate) struct Lines {
    errors: Arc<AtomicUsize>,
    warnings: Arc<AtomicUsize>,
    infos: Arc<AtomicUsize>,
}

impl Lines {
    /// Errors, warnings, and lines that only inform.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        (self.errors.load(SeqCst), self.warnings.load(SeqCst), self.infos.load(SeqCst))
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("cachesync") && *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let lines = match *event.metadata().level() {
            Level::ERROR => &self.errors,
            Level::WARN => &self.warnings,
            _ => &self.infos,
        };
        lines.fetch_add(1, SeqCst);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
