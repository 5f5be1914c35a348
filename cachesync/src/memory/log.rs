//! What a hub keeps of the messages that it has delivered, so that a session can resume.
//!
//! Invariants:
//! - messages are numbered over all namespaces of a hub, and no number is given twice. So the random id of the hub and a
//!   number are one message: a position need hold nothing else to prove that it is the one remembered;
//! - of each namespace the last messages are kept, in the order of their numbers, which is that of all sessions.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroUsize,
    sync::Arc,
};

use cachesync_core::{
    Name,
    backend::{Delivery, Format, Interest, Message, Position, Topic},
    frame::NodeId,
};

use super::wants;

/// A message of a hub, shared by the log and by all sessions that it waits for.
#[derive(Debug)]
pub(super) struct Numbered {
    message: Message,
    /// `None` in a hub that keeps nothing.
    position: Option<Position>,
    number: u64,
}

/// The messages of a hub: numbered, and the last of them kept if it is to replay.
#[derive(Default)]
pub(super) struct Log {
    kept: Option<Kept>,
    /// Of the last message.
    number: u64,
}

struct Kept {
    /// By which positions of this hub are known.
    hub: u128,
    /// The most of each namespace.
    most: NonZeroUsize,
    messages: HashMap<Name, VecDeque<Arc<Numbered>>>,
}

impl Numbered {
    pub(super) fn topic(&self) -> &Topic {
        &self.message.topic
    }

    pub(super) fn delivery(&self) -> Delivery {
        let cache = match self.topic() {
            Topic::Cache(cache) => Some(cache.clone()),
            Topic::Heartbeat(_) => None,
        };
        Delivery { body: self.message.body.clone(), format: Format::Frame, cache, position: self.position.clone() }
    }
}

impl Log {
    /// A log that keeps so many messages of each namespace.
    pub(super) fn keeping(most: NonZeroUsize) -> Self {
        // As random as the id of a node, and as unlikely to be met twice.
        let hub = NodeId::random().0;
        Self { kept: Some(Kept { hub, most, messages: HashMap::new() }), number: 0 }
    }

    /// Numbers a message, and keeps it in place of the oldest.
    pub(super) fn add(&mut self, namespace: &Name, message: &Message) -> Arc<Numbered> {
        self.number += 1;
        let number = self.number;
        let position = self.kept.as_ref().map(|kept| kept.position(number));
        let numbered = Arc::new(Numbered { message: message.clone(), position, number });
        if let Some(kept) = &mut self.kept {
            let messages = kept.messages.entry(namespace.clone()).or_default();
            if messages.len() == kept.most.get() {
                messages.pop_front();
            }
            messages.push_back(numbered.clone());
        }
        numbered
    }

    /// What came after `position` and is of interest; `None` if the message there is not kept, or never was.
    pub(super) fn after(&self, position: &Position, interest: &Interest) -> Option<VecDeque<Arc<Numbered>>> {
        let kept = self.kept.as_ref()?;
        let number = kept.number(position)?;
        let messages = kept.messages.get(&interest.namespace)?;
        let place = messages.binary_search_by_key(&number, |message| message.number).ok()?;
        let missed =
            messages.range(place + 1..).filter(|message| wants(interest, &interest.namespace, message.topic()));
        Some(missed.cloned().collect())
    }
}

impl Kept {
    fn position(&self, number: u64) -> Position {
        Position([&self.hub.to_be_bytes()[..], &number.to_be_bytes()[..]].concat())
    }

    /// The number in a position of this hub; `None` in any other.
    fn number(&self, position: &Position) -> Option<u64> {
        let number = position.0.strip_prefix(&self.hub.to_be_bytes()[..])?;
        Some(u64::from_be_bytes(number.try_into().ok()?))
    }
}

#[cfg(test)]
mod tests {
    use cachesync_core::backend::Caches;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn interest(namespace: &str) -> Interest {
        let caches = Caches::Named(vec![name("users")]);
        Interest { namespace: name(namespace), node_name: "node".into(), node: NodeId(1), caches }
    }

    fn add(log: &mut Log, namespace: &str, topic: Topic, body: u8) -> Position {
        log.add(&name(namespace), &Message { topic, body: vec![body] }).position.clone().unwrap()
    }

    fn users() -> Topic {
        Topic::Cache(name("users"))
    }

    fn bodies(log: &Log, position: &Position, namespace: &str) -> Option<Vec<u8>> {
        let missed = log.after(position, &interest(namespace))?;
        Some(missed.iter().flat_map(|message| message.delivery().body).collect())
    }

    #[test]
    fn a_position_is_found_until_as_many_messages_have_come_after_it_as_are_kept() {
        let mut log = Log::keeping(NonZeroUsize::new(3).unwrap());
        let first = add(&mut log, "shop", users(), 1);
        assert_eq!(bodies(&log, &first, "shop"), Some(vec![]));
        add(&mut log, "shop", users(), 2);
        // Of another namespace, which has a bound of its own.
        (0..5).for_each(|body| _ = add(&mut log, "other", users(), body));
        add(&mut log, "shop", users(), 3);
        assert_eq!(bodies(&log, &first, "shop"), Some(vec![2, 3]));
        add(&mut log, "shop", users(), 4);
        assert_eq!(bodies(&log, &first, "shop"), None, "it is gone");
        assert_eq!(log.kept.unwrap().messages[&name("shop")].len(), 3);
    }

    #[test]
    fn only_what_is_of_interest_comes_again() {
        let mut log = Log::keeping(NonZeroUsize::new(100).unwrap());
        let first = add(&mut log, "shop", Topic::Heartbeat(NodeId(1)), 0);
        add(&mut log, "shop", Topic::Cache(name("orders")), 1);
        add(&mut log, "other", users(), 2);
        add(&mut log, "shop", Topic::Heartbeat(NodeId(2)), 3);
        add(&mut log, "shop", Topic::Heartbeat(NodeId(1)), 4);
        add(&mut log, "shop", users(), 5);
        assert_eq!(bodies(&log, &first, "shop"), Some(vec![4, 5]));
    }

    #[test]
    fn a_position_of_another_hub_or_namespace_or_of_nobody_is_not_found() {
        let keeping = || Log::keeping(NonZeroUsize::new(100).unwrap());
        let (mut log, mut other) = (keeping(), keeping());
        let position = add(&mut log, "shop", users(), 1);
        // The same number, in a hub that has as many messages.
        let foreign = add(&mut other, "shop", users(), 1);
        assert_eq!(bodies(&log, &foreign, "shop"), None);
        add(&mut log, "other", users(), 2);
        assert_eq!(bodies(&log, &position, "other"), None);
        let mut ahead = position.clone();
        *ahead.0.last_mut().unwrap() += 7;
        for bad in
            [ahead, Position(vec![]), Position(position.0[..20].to_vec()), Position([position.0, vec![0]].concat())]
        {
            assert_eq!(bodies(&log, &bad, "shop"), None, "{bad:?}");
        }
    }

    #[test]
    fn what_keeps_nothing_has_no_positions() {
        let mut log = Log::default();
        let message = log.add(&name("shop"), &Message { topic: users(), body: vec![1] });
        assert_eq!(message.delivery().position, None);
        assert!(log.after(&Position(vec![0; 24]), &interest("shop")).is_none());
    }
}
