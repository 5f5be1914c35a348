//! Loading by hand.

use std::fmt;

use super::{content::Terms, flight::Outcome, lead::Lead};
use crate::{
    key::{Key, Value},
    transaction,
};

/// The right to keep one value that is about to be loaded by hand, made by [`Cache::reserve`](super::Cache::reserve).
///
/// It is for loads that do not fit into a closure: take the reservation, *then* read the source, then
/// [`fill`](Self::fill). If the key is evicted in between, by anybody, the value is not kept (rule R1).
///
/// Dropping it without filling leaves nothing behind.
#[must_use = "fill it with the value, taken before the value was read"]
pub struct Reservation<K: Key, V: Value> {
    lead: Option<Lead<K, V>>,
}

impl<K: Key, V: Value> Reservation<K, V> {
    pub(super) fn new(lead: Option<Lead<K, V>>) -> Self {
        Self { lead }
    }

    /// Keeps `value`, unless the key was evicted since the reservation was made; tells whether it was kept.
    ///
    /// It is not kept either inside a transaction, while the key is held, past the lease, or after the registry was
    /// shut down. Other nodes are not told: nothing has changed.
    pub fn fill(self, value: V) -> bool {
        // What was read inside of a transaction may not be committed.
        let lead = self.lead.filter(|_| transaction::current().is_none());
        lead.is_some_and(|lead| lead.keep(Outcome::Value(value), &Terms::default()))
    }
}

impl<K: Key, V: Value> fmt::Debug for Reservation<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").finish_non_exhaustive()
    }
}
