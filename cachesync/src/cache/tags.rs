//! Tags: what entries have in common, so that they can be evicted together.
//!
//! A tag is text. Two tags of different types that print alike are the same tag.

use std::{fmt, sync::Arc};

use cachesync_core::codec::MAX_TAG_BYTES;

/// A tag of entries.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tag(Arc<str>);

impl Tag {
    /// The tag that `tag` prints.
    pub(crate) fn new(tag: &(impl fmt::Display + ?Sized)) -> Self {
        Self(tag.to_string().into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is longer than any that travels or is remembered: its eviction is that of all.
    pub(crate) fn is_too_long(&self) -> bool {
        self.0.len() > MAX_TAG_BYTES
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_what_it_prints() {
        assert_eq!(Tag::new(&5u64), Tag::new("5"));
        assert_ne!(Tag::new("team:5"), Tag::new("team:50"));
        assert_eq!(Tag::new(&format_args!("team:{}", 5)).to_string(), "team:5");
    }

    #[test]
    fn a_tag_of_more_than_1024_bytes_is_too_long() {
        assert!(!Tag::new(&"x".repeat(MAX_TAG_BYTES)).is_too_long());
        assert!(Tag::new(&"x".repeat(MAX_TAG_BYTES + 1)).is_too_long());
    }
}
