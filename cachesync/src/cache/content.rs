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

/// What is kept of an entry: 8 bytes next to a value of pointers. Its tags are in the index of tags.
///
/// A [`Content`] and an [`Expiry`], so folded that the compiler puts both the expiry and what kind of content it is into the
/// 8 bytes that the latter takes alone. A smaller entry is more often found in one line of the processor's cache.
#[derive(Clone)]
pub(super) enum Stored<V> {
    Value(V, Expiry),
    Nothing(Expiry),
    Failure(SharedFailure, Expiry),
}

impl<V> Stored<V> {
    pub(super) fn new(content: Content<V>, expires: Moment) -> Self {
        let expiry = Expiry::at(expires);
        match content {
            Content::Value(value) => Self::Value(value, expiry),
            Content::Nothing => Self::Nothing(expiry),
            Content::Failure(failure) => Self::Failure(failure, expiry),
        }
    }

    #[inline]
    pub(super) fn content(self) -> Content<V> {
        match self {
            Self::Value(value, _) => Content::Value(value),
            Self::Nothing(_) => Content::Nothing,
            Self::Failure(failure, _) => Content::Failure(failure),
        }
    }

    #[inline]
    pub(super) fn expiry(&self) -> Expiry {
        let (Self::Value(_, expiry) | Self::Nothing(expiry) | Self::Failure(_, expiry)) = self;
        *expiry
    }
}

/// When an entry expires, to 66 microseconds: the upper 48 bits of that [`Moment`], so packed that no 8 bytes are
/// needed for them. An entry is never served past its time; it may be refused that much before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, packed(2))]
pub(super) struct Expiry {
    lower: u32,
    upper: u16,
}

impl Expiry {
    pub(super) const NEVER: Self = Self { upper: u16::MAX, lower: u32::MAX };

    #[expect(clippy::cast_possible_truncation, reason = "the parts of a number")]
    fn at(moment: Moment) -> Self {
        Self { upper: (moment.0 >> 48) as u16, lower: (moment.0 >> 16) as u32 }
    }

    /// Whether it is later than `now`.
    #[inline]
    pub(super) fn is_after(self, now: Moment) -> bool {
        (u64::from(self.upper) << 48 | u64::from(self.lower) << 16) > now.0
    }
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
    fn an_entry_takes_eight_bytes_beside_its_value() {
        assert_eq!(size_of::<Stored<Arc<str>>>(), size_of::<Arc<str>>() + 8);
        assert_eq!(size_of::<Stored<Arc<u8>>>(), size_of::<Arc<u8>>() + 8);
        assert_eq!(size_of::<Stored<u64>>(), size_of::<u64>() + 8);
        assert_eq!(size_of::<Stored<[u64; 8]>>(), size_of::<[u64; 8]>() + 8);
        assert_eq!(size_of::<Option<Stored<Arc<u8>>>>(), size_of::<Arc<u8>>() + 8);
    }

    #[test]
    fn an_expiry_is_never_later_than_its_moment_and_little_earlier() {
        for at in [1, 65_535, 65_536, 65_537, 123_456_789_012_345, u64::MAX - 1, u64::MAX] {
            let expiry = Expiry::at(Moment(at));
            assert!(!expiry.is_after(Moment(at)), "{at}");
            assert!(at < 65_536 || expiry.is_after(Moment(at - 65_536)), "{at}");
        }
        assert_eq!(Expiry::at(Moment::NEVER), Expiry::NEVER);
        assert!(Expiry::NEVER.is_after(Moment(u64::MAX >> 1)));
    }

    #[test]
    fn a_failure_is_found_by_its_type_alone() {
        let failure = SharedFailure::new(String::from("down"));
        assert_eq!(failure.get::<String>().map(String::as_str), Some("down"));
        assert_eq!(failure.get::<u8>(), None);
    }
}
