//! What an entry holds, and on which terms it is kept.

use std::{any::Any, fmt, sync::Arc, time::Duration};

use super::{flight::Outcome, tags::Tag};
use crate::clock::Moment;

/// An error that was cloned, for all who waited or for those who come later; its type is theirs to guess.
///
/// Boxed within the `Arc`, so that it is one pointer: it stands in every entry's place for a value.
#[derive(Clone)]
pub struct SharedFailure(Arc<Box<dyn Any + Send + Sync>>);

impl SharedFailure {
    pub(crate) fn new<E: Send + Sync + 'static>(error: E) -> Self {
        Self(Arc::new(Box::new(error)))
    }

    /// The error, if it is one of this type.
    pub(crate) fn get<E: 'static>(&self) -> Option<&E> {
        (**self.0).downcast_ref()
    }
}

impl fmt::Debug for SharedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedFailure").finish_non_exhaustive()
    }
}

/// What is known of a key.
#[derive(Clone)]
pub(crate) enum Content<V> {
    Value(V),
    /// That there is nothing: a negative entry.
    Nothing,
    /// That loading it fails: a negative entry too.
    Failure(SharedFailure),
}

impl<V> Content<V> {
    /// What is to be remembered of a load that ended so; `None` of an end that cannot be remembered.
    pub(super) fn of(outcome: Outcome<V>) -> Option<Self> {
        match outcome {
            Outcome::Value(value) => Some(Self::Value(value)),
            Outcome::Nothing => Some(Self::Nothing),
            Outcome::Failed(failure) => failure.map(Self::Failure),
            Outcome::Abandoned => None,
        }
    }

    /// The value, if it is one.
    pub(crate) fn into_value(self) -> Option<V> {
        match self {
            Self::Value(value) => Some(value),
            Self::Nothing | Self::Failure(_) => None,
        }
    }
}

/// What is kept of an entry: at most 16 bytes next to the value. Its tags are in the index of tags.
#[derive(Clone)]
pub(super) struct Stored<V> {
    pub(super) content: Content<V>,
    pub(super) expires: Moment,
}

/// The terms on which one entry is kept.
#[derive(Clone, Default)]
pub(crate) struct Terms {
    /// In place of the cache's.
    pub(crate) ttl: Option<Duration>,
    pub(crate) tags: Vec<Tag>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_sixteen_bytes_beside_its_value_at_the_most() {
        assert!(size_of::<Stored<Arc<str>>>() <= size_of::<Arc<str>>() + 16);
        assert!(size_of::<Stored<Arc<u8>>>() <= size_of::<Arc<u8>>() + 16);
        assert!(size_of::<Stored<u64>>() <= size_of::<u64>() + 16);
        assert!(size_of::<Stored<[u64; 8]>>() <= size_of::<[u64; 8]>() + 16);
    }

    #[test]
    fn a_failure_is_found_by_its_type_alone() {
        let failure = SharedFailure::new(String::from("down"));
        assert_eq!(failure.get::<String>().map(String::as_str), Some("down"));
        assert_eq!(failure.get::<u8>(), None);
    }
}
