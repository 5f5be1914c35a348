//! Names of caches and namespaces.
//!
//! Invariant: a [`Name`] is 1 to [`Name::MAX_LEN`] bytes of `[A-Za-z0-9_-]`, so it is one word of an AMQP routing
//! key, a valid part of a queue name, and safe to print.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// The name of a cache or of a namespace: 1 to 100 bytes of `[A-Za-z0-9_-]`.
///
/// Cloning is cheap: the text is shared.
///
/// ```
/// use cachesync_core::Name;
///
/// let name: Name = "users".parse()?;
/// assert_eq!(name.as_str(), "users");
/// assert!("users.by-email".parse::<Name>().is_err());
/// # Ok::<(), cachesync_core::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 100;

    /// Checks `text` and makes a name of it.
    ///
    /// # Errors
    ///
    /// [`InvalidName`] when `text` is empty, longer than [`Name::MAX_LEN`] bytes, or has a character outside of
    /// `[A-Za-z0-9_-]`.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        if !Self::is_valid(text) {
            return Err(InvalidName { text: text.chars().take(Self::MAX_LEN).collect() });
        }
        Ok(Self(text.into()))
    }

    /// Whether `text` is a valid name; at compile time too.
    ///
    /// ```
    /// use cachesync_core::Name;
    ///
    /// const _: () = assert!(Name::is_valid("users"));
    /// ```
    pub const fn is_valid(text: &str) -> bool {
        let bytes = text.as_bytes();
        // Neither `for` nor closures are const.
        let mut at = 0;
        while at < bytes.len() {
            if !(bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_' || bytes[at] == b'-') {
                return false;
            }
            at += 1;
        }
        !bytes.is_empty() && bytes.len() <= Self::MAX_LEN
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// A text that is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid name: use 1 to 100 letters, digits, `_` or `-`")]
pub struct InvalidName {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_of_a_routing_key() {
        for good in ["users", "users_by-email", "A", &"x".repeat(100)] {
            assert_eq!(Name::new(good).expect(good).as_str(), good);
        }
        for bad in ["", "a.b", "a b", "a*", "#", "~heartbeat", "é", "a\n", &"x".repeat(101)] {
            let error = Name::new(bad).expect_err(bad).to_string();
            assert!(error.contains("use 1 to 100 letters"), "{error}");
        }
    }

    #[test]
    fn the_error_shows_at_most_a_hundred_characters() {
        let error = Name::new(&"x".repeat(10_000)).unwrap_err().to_string();
        assert!(error.len() < 200, "{}", error.len());
    }
}
