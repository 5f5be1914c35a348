//! Keys that are kept where their type is not known.
//!
//! What is compiled for each key type is what a user of this crate waits for whenever it is compiled. So tables that few
//! entries need, of tags and of holds, are compiled once, here: they keep keys as [`AnyKey`], each by its hash, and ask the
//! one that is looked for whether it is that.

use std::{any::Any, sync::Arc};

use crate::key::Key;

/// A key, of whatever type.
pub(super) type AnyKey = Arc<dyn Any + Send + Sync>;

/// A key that is looked for among such.
pub(super) trait Sought {
    /// Whether it is that key. Runs the user's `Eq`.
    fn is(&self, kept: &AnyKey) -> bool;
    /// The key, to be kept. Runs the user's `Clone`.
    fn keep(&self) -> AnyKey;
}

impl<K: Key> Sought for K {
    fn is(&self, kept: &AnyKey) -> bool {
        kept.downcast_ref() == Some(self)
    }

    fn keep(&self) -> AnyKey {
        Arc::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_itself_and_no_other_and_none_of_another_type() {
        let kept = 7u64.keep();
        assert!(7u64.is(&kept) && !8u64.is(&kept) && !7u32.is(&kept));
        let sought: &dyn Sought = &String::from("a");
        assert!(sought.is(&String::from("a").keep()));
    }
}
