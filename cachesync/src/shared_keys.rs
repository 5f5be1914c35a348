//! Shared keys: by what the nodes of a service know each other's messages from those of other tenants of the broker.

use std::{fmt, time::Duration};

use cachesync_core::mac::MacKey;

use crate::error::Error;

const WINDOW: Duration = Duration::from_mins(5);
/// How many leases must fit into a window.
pub(crate) const LEASES_PER_WINDOW: u32 = 2;

/// The shared keys of a service, by which its nodes sign what they send, and refuse what is not signed.
///
/// For [`RegistryBuilder::shared_keys`](crate::RegistryBuilder::shared_keys), where it says what that protects from. A key has a
/// number, which messages name, and a secret of at least 32 random bytes, which nobody but the service's own programs may
/// know. Secrets are in no `Debug`, error or log.
///
/// ```
/// use cachesync::SharedKeys;
///
/// # let (secret, next_secret) = ([1; 32], [2; 32]);
/// // Signs with the first, and accepts both: the second of the three steps by which keys are exchanged.
/// let keys = SharedKeys::new(1, secret)?.accept(2, next_secret)?;
/// assert_eq!(format!("{keys:?}"), "SharedKeys { signs_with: 1, accepts: [1, 2], window: 300s, accepts_unsigned: false }");
/// # Ok::<(), cachesync::Error>(())
/// ```
///
/// # Changing keys
///
/// Without losing an eviction, in three steps, each on all nodes before the next begins:
///
/// 1. `new(1, old)?.accept(2, new)?`: all know both, and sign with the old one;
/// 2. `new(2, new)?.accept(1, old)?`: all sign with the new one;
/// 3. `new(2, new)?`: nobody accepts the old one.
///
/// The first keys of a service come in two: `new(1, secret)?.accept_unsigned(true)`, and when all nodes and all programs that
/// send JSON sign, `new(1, secret)?`.
#[derive(Clone)]
pub struct SharedKeys {
    /// The first of them signs.
    keys: Vec<MacKey>,
    window: Duration,
    unsigned: bool,
}

impl SharedKeys {
    /// Signs with this key, and accepts it.
    ///
    /// The secret is taken as the bytes that it is: of a text of 64 hexadecimal digits these are 64 bytes.
    ///
    /// # Errors
    ///
    /// A [configuration](Error::is_configuration) error if the secret has fewer than 32 bytes.
    pub fn new(id: u32, secret: impl AsRef<[u8]>) -> Result<Self, Error> {
        Self { keys: Vec::new(), window: WINDOW, unsigned: false }.accept(id, secret)
    }

    /// Accepts what another key has signed, too.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new); and if there is a key of this number.
    pub fn accept(mut self, id: u32, secret: impl AsRef<[u8]>) -> Result<Self, Error> {
        if self.key(id).is_some() {
            return Err(Error::configuration(format!("there are two shared keys {id}; give each its own number")));
        }
        self.keys.push(MacKey::new(id, secret.as_ref()).map_err(|error| Error::configuration(error.to_string()))?);
        Ok(self)
    }

    /// How far the date of a message may be from this node's clock; 5 min by default, at least two leases, at most 48 h.
    ///
    /// What a node has heard before it refuses whatever the date; the window is for what it has not: for so long somebody can
    /// play back to it what was sent while it was away. The clocks of all nodes must agree better than this by a lease, or they
    /// refuse each other's evictions, log an error, and say so in [`Status::problems`](crate::Status::problems).
    #[must_use]
    pub fn window(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Signs, and accepts what is not signed all the same, while a service gets its first keys; `false` by default.
    ///
    /// It protects from nothing then, says so in the log and in [`Status::problems`](crate::Status::problems), and counts in
    /// [`RegistryStats::unsigned`](crate::RegistryStats::unsigned) what was not signed: when that stands still on all nodes, it
    /// is time to end this.
    #[must_use]
    pub fn accept_unsigned(mut self, accept: bool) -> Self {
        self.unsigned = accept;
        self
    }

    pub(crate) fn signing_key(&self) -> &MacKey {
        &self.keys[0]
    }

    pub(crate) fn key(&self, id: u32) -> Option<&MacKey> {
        self.keys.iter().find(|key| key.id() == id)
    }

    pub(crate) fn length_of_window(&self) -> Duration {
        self.window
    }

    pub(crate) fn accepts_unsigned(&self) -> bool {
        self.unsigned
    }
}

impl fmt::Debug for SharedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.iter().map(MacKey::id).collect();
        f.debug_struct("SharedKeys")
            .field("signs_with", &self.signing_key().id())
            .field("accepts", &ids)
            .field("window", &self.window)
            .field("accepts_unsigned", &self.unsigned)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_secret_and_two_keys_of_a_number_are_refused_without_being_shown() {
        let short = SharedKeys::new(1, "hunter2").unwrap_err();
        assert!(short.is_configuration() && short.to_string().contains("at least 32 random ones"), "{short}");
        let twice = SharedKeys::new(1, [1; 32]).unwrap().accept(1, "hunter2".repeat(8)).unwrap_err();
        assert!(twice.is_configuration() && twice.to_string().contains("two shared keys 1"), "{twice}");
        for shown in [format!("{short:?} {short}"), format!("{twice:?} {twice}")] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}
