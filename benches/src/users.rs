//! Hits by number, as `hits` and `growth` both measure them.
//!
//! At 100,000 keys most of a hit is waiting for memory: the slot of the hash table, the entry, the value, each in a line of its
//! own. What lies where is decided when the maps are made and filled. So both get the same keys in the same random order, each
//! key by one and at once by the other, that their values lie equally dense; and which of the two is made first, and which gets
//! a key first, is up to chance. Filled one after the other the ratio is a tenth higher, 1.69 in place of 1.59 (medians of 16 and
//! of 8 processes), since a load allocates more than the value.

use std::{hint::black_box, sync::Arc, time::Duration};

use quick_cache::sync::Cache as Bare;
use rand::{random, seq::SliceRandom};

use crate::{
    node::{self, Node},
    rounds::{Keys, Rounds, Samples, block_on, timed},
};

/// What is compared with, as the report calls it.
pub const BASELINE: &str = "`async fn` around quick_cache `get`";

/// A sample of hits of this many keys, by `call`.
pub fn hits<'a, F: Future>(
    rounds: Rounds,
    keys: u64,
    call: impl Fn(u64) -> F + Sync + 'a,
) -> impl Fn(u64) -> Duration + Sync + 'a {
    move |calls| block_on(timed(rounds.clock(), calls, Keys::below(keys), &call))
}

/// The first `keys` numbers, cached by [`node::user`] and in a bare `quick_cache`.
#[derive(Debug)]
pub struct Users {
    bare: Bare<u64, Arc<u64>>,
    keys: u64,
}

impl Users {
    /// Caches them.
    pub fn fill(keys: u64, capacity: usize) -> Self {
        let made_first = random::<bool>().then(|| Bare::new(capacity));
        block_on(node::user(0));
        let bare = made_first.unwrap_or_else(|| Bare::new(capacity));
        let mut all: Vec<_> = (0..keys).collect();
        all.shuffle(&mut rand::rng());
        block_on(async {
            for key in all {
                if random() {
                    black_box((node::user(key).await, node::bare_user(&bare, key).await));
                } else {
                    black_box((node::bare_user(&bare, key).await, node::user(key).await));
                }
            }
        });
        Self { bare, keys }
    }

    /// How many calls a sample has: so many that what the other has displaced from the processor's caches is back early on.
    pub fn calls(&self) -> u64 {
        let calls = if self.keys <= 1_000 { 50_000 } else { 200_000 };
        if crate::is_quick() { calls / 10 } else { calls }
    }

    /// Compares their hits.
    ///
    /// # Panics
    ///
    /// If something else was measured than hits.
    pub fn samples(&self, node: &Node, rounds: Rounds) -> Samples {
        node.all_hits("users", rounds.calls_in_all(), || {
            rounds.samples(
                hits(rounds, self.keys, node::user),
                hits(rounds, self.keys, |id| node::bare_user(&self.bare, id)),
            )
        })
    }
}
