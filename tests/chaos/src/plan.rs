//! What a seed means: two rows of faults, one for the broker and one for nodes and their links, which go on side by side.
//!
//! Each row is dealt like cards: every kind comes once before any comes again. The broker's faults clear all caches every few
//! seconds, by which what one node alone has failed to tell is forgotten. So every other time that a node's link is stalled
//! nothing happens to the broker, and the others go on serving what they have.

use std::time::Duration;

use cachesync_tests::proxy::Way;
use fastrand::Rng;

use crate::{LEASE, NODES, faults::Fault};

/// The pause before a fault, in milliseconds. Shorter than a lease, so that some faults meet who has not recovered.
const PAUSE: std::ops::Range<u64> = 200..2_500;

/// Where faults happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the broker.
    Broker,
    /// At a node, or on its link.
    Node,
}

/// One of the rows.
pub struct Plan {
    place: Place,
    dice: Rng,
    deck: Vec<Fault>,
    dealt: usize,
}

impl Plan {
    /// The plan of a seed.
    pub fn new(place: Place, seed: u64) -> Self {
        Self { place, dice: Rng::with_seed(seed ^ place as u64), deck: Vec::new(), dealt: 0 }
    }

    /// What goes wrong next, and after which pause.
    pub fn deal(&mut self) -> (Duration, Fault) {
        if self.deck.is_empty() {
            self.deck = self.shuffled();
        }
        self.dealt += 1;
        let fault = self.deck.pop().expect("a deck is not empty");
        (Duration::from_millis(self.dice.u64(PAUSE)), fault)
    }

    /// Whether this fault, the last one dealt, is to happen while the broker and all others are well.
    pub fn is_alone(&self, fault: Fault) -> bool {
        let round = (self.dealt - 1) / kinds(self.place);
        round.is_multiple_of(2) && matches!(fault, Fault::LinkStalled(..))
    }

    /// Whether every kind has been dealt.
    pub fn has_dealt_all(&self) -> bool {
        self.dealt >= kinds(self.place)
    }

    fn shuffled(&mut self) -> Vec<Fault> {
        let dice = &mut self.dice;
        // Long enough for the lease to run out, also of who had news of it just before.
        let mut long = || LEASE + Duration::from_millis(dice.u64(500..2_000));
        let mut deck = match self.place {
            Place::Broker => vec![
                Fault::BrokerKilled(Duration::ZERO),
                Fault::BrokerEmptied(Duration::ZERO),
                Fault::BrokerStopped(long()),
                Fault::MemoryAlarm(long()),
                Fault::ConnectionsClosed,
                Fault::ExchangeDeleted,
                Fault::QueueDeleted(0),
            ],
            Place::Node => {
                // Much longer than the lease, by which time the others must not be without news that was said to be taken.
                let [stopped, stalled] = [long(), long() + LEASE];
                let mut way = || if dice.bool() { Way::ToBroker } else { Way::ToClient };
                let [half, torn] = [way(), way()];
                let mut node = || dice.usize(0..NODES);
                vec![
                    Fault::NodeStopped(node(), stopped),
                    Fault::NodeKilled(node(), Duration::ZERO),
                    Fault::LinkStalled(node(), stalled),
                    Fault::LinkHalfClosed(node(), half),
                    Fault::LinkCutWithinFrame(node(), torn),
                ]
            }
        };
        for fault in &mut deck {
            match fault {
                Fault::BrokerKilled(away) | Fault::BrokerEmptied(away) | Fault::NodeKilled(_, away) => {
                    *away = Duration::from_millis(dice.u64(0..1_500));
                }
                Fault::QueueDeleted(node) => *node = dice.usize(0..NODES),
                _ => {}
            }
        }
        dice.shuffle(&mut deck);
        deck
    }
}

/// How many kinds of faults there are.
pub fn kinds(place: Place) -> usize {
    match place {
        Place::Broker => 7,
        Place::Node => 5,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_link_is_stalled_while_all_else_is_well_in_every_other_round() {
        let mut plan = Plan::new(Place::Node, 7);
        let alone = (0..4 * kinds(Place::Node)).map(|_| {
            let (_, fault) = plan.deal();
            usize::from(plan.is_alone(fault))
        });
        let alone: Vec<_> = alone.collect();
        let rounds: Vec<_> = alone.chunks(kinds(Place::Node)).map(|round| round.iter().sum::<usize>()).collect();
        assert_eq!(rounds, [1, 0, 1, 0]);
    }

    #[test]
    fn every_kind_is_dealt_once_before_any_is_dealt_again_and_a_seed_is_one_plan() {
        for place in [Place::Broker, Place::Node] {
            let deal = |seed| {
                let mut plan = Plan::new(place, seed);
                (0..3 * kinds(place)).map(|_| plan.deal()).collect::<Vec<_>>()
            };
            for round in deal(7).chunks(kinds(place)) {
                assert_eq!(round.iter().map(|(_, fault)| fault.kind()).collect::<BTreeSet<_>>().len(), kinds(place));
            }
            assert_eq!(format!("{:?}", deal(7)), format!("{:?}", deal(7)));
            assert_ne!(format!("{:?}", deal(7)), format!("{:?}", deal(8)));
        }
    }
}
