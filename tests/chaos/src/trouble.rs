//! Which faults go on, and how long nodes take to hear the others again when the broker has returned.

use std::{collections::BTreeSet, time::Duration};

use crate::{NODES, faults::Fault};

/// The faults that go on.
#[derive(Default)]
pub struct Trouble {
    /// How many of them keep everybody from the broker.
    outages: u64,
    /// How many are those of each node.
    nodes: [u64; NODES],
    /// When the broker has returned last, and which nodes have yet to hear the others.
    returned: Option<(Duration, BTreeSet<usize>)>,
    /// How long nodes took that had no trouble of their own.
    pub recoveries: Vec<Duration>,
}

impl Trouble {
    /// A fault begins.
    pub fn begins(&mut self, kind: &str, node: Option<usize>) {
        self.outages += u64::from(Fault::is_outage(kind));
        if let Some(node) = node {
            self.nodes[node] += 1;
            if let Some((_, left)) = &mut self.returned {
                left.remove(&node);
            }
        } else {
            self.returned = None;
        }
    }

    /// It is over.
    pub fn ends(&mut self, kind: &str, node: Option<usize>) {
        self.outages -= u64::from(Fault::is_outage(kind));
        if let Some(node) = node {
            self.nodes[node] -= 1;
        }
    }

    /// Whether nobody gets anything to the broker.
    pub fn is_outage(&self) -> bool {
        self.outages > 0
    }

    /// The broker can be used again.
    pub fn returns(&mut self, at: Duration) {
        let left = (0..NODES).filter(|node| self.nodes[*node] == 0).collect();
        self.returned = Some((at, left));
    }

    /// A node hears the others.
    pub fn hears(&mut self, at: Duration, node: usize) {
        if let Some((returned, left)) = &mut self.returned
            && left.remove(&node)
        {
            self.recoveries.push(at.saturating_sub(*returned));
        }
    }
}
