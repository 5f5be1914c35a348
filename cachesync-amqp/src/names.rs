//! What the things on the broker are called: routing keys, queues, streams.
//!
//! A name of cachesync is one word of a routing key, and no name begins with `~`: a pattern `<namespace>.*` matches every
//! cache and neither heartbeats nor notes, which have two more words.

use std::collections::HashSet;

use cachesync_core::{
    Name,
    backend::{Caches, Interest, Topic},
};

/// How much of a node's name goes into its queue's, in bytes. A queue's name has at most 255.
const MAX_NODE_NAME_BYTES: usize = 64;

/// The routing key of a message.
pub(crate) fn routing_key(namespace: &Name, topic: &Topic) -> String {
    match topic {
        Topic::Cache(cache) => format!("{namespace}.{cache}"),
        Topic::Heartbeat(node) => format!("{namespace}.~heartbeat.{node}"),
    }
}

/// The routing key of what a session writes into its stream for itself.
pub(crate) fn note(namespace: &Name, note: Note) -> String {
    match note {
        Note::Mark => format!("{namespace}.~stream.mark"),
        Note::Probe => format!("{namespace}.~probe.stream"),
    }
}

/// What a session writes into its stream besides frames; `stream/attach` says what for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    /// Here a session begins.
    Mark,
    /// It comes where the stream is bound for all messages.
    Probe,
}

/// The cache that a routing key names; `None` for a heartbeat, another namespace, or anything that is no name.
pub(crate) fn cache_of(namespace: &Name, routing_key: &str) -> Option<Name> {
    Name::new(routing_key.strip_prefix(namespace.as_str())?.strip_prefix('.')?).ok()
}

/// The patterns by which a session's queue is bound. The heartbeat's is the last.
pub(crate) fn bindings(interest: &Interest) -> Vec<String> {
    let namespace = &interest.namespace;
    let mut bindings: Vec<_> = match &interest.caches {
        Caches::Named(caches) => {
            caches.iter().map(|cache| routing_key(namespace, &Topic::Cache(cache.clone()))).collect()
        }
        Caches::All => vec![format!("{namespace}.*")],
    };
    bindings.push(routing_key(namespace, &Topic::Heartbeat(interest.node)));
    bindings
}

/// The pattern by which a stream is bound for all messages of the namespace.
pub(crate) fn stream_binding(namespace: &Name) -> String {
    format!("{namespace}.#")
}

/// The pattern by which it is bound for marks alone.
pub(crate) fn marks_binding(namespace: &Name) -> String {
    note(namespace, Note::Mark)
}

/// The name on the broker of the stream of this name. Neither it nor a namespace has a `.`, so that each namespace on each
/// exchange has streams of its own.
pub(crate) fn stream(namespace: &Name, exchange: &str, name: &str) -> String {
    format!("cachesync.{namespace}.{exchange}.{name}")
}

/// The name on the broker of the queue that a node holds while it makes or deletes this stream. No stream has it.
pub(crate) fn turn(stream: &str) -> String {
    format!("{stream}.~turn")
}

/// Which messages of a stream a node wants: those by which its queue would be bound, see [`bindings`].
pub(crate) struct Wanted {
    /// The namespace and the point after it.
    prefix: String,
    heartbeat: String,
    /// The routing keys; `None` for those of all caches.
    caches: Option<HashSet<String>>,
}

impl Wanted {
    pub(crate) fn of(interest: &Interest) -> Self {
        let namespace = &interest.namespace;
        let caches = match &interest.caches {
            Caches::All => None,
            Caches::Named(caches) => {
                Some(caches.iter().map(|cache| routing_key(namespace, &Topic::Cache(cache.clone()))).collect())
            }
        };
        let heartbeat = routing_key(namespace, &Topic::Heartbeat(interest.node));
        Self { prefix: format!("{namespace}."), heartbeat, caches }
    }

    /// Whether a message with this routing key is for the node.
    pub(crate) fn has(&self, routing_key: &str) -> bool {
        routing_key == self.heartbeat
            || match &self.caches {
                Some(caches) => caches.contains(routing_key),
                None => routing_key.strip_prefix(&self.prefix).is_some_and(|word| !word.contains('.')),
            }
    }
}

/// The name of a new session's queue.
///
/// It is another one at each attempt: the queue of a half-open old connection lives until the broker notices, and is
/// locked so long.
pub(crate) fn queue(interest: &Interest) -> String {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let node: String = interest
        .node_name
        .bytes()
        .take(MAX_NODE_NAME_BYTES)
        .map(|byte| if allowed(byte) { char::from(byte) } else { '_' })
        .collect();
    format!("cachesync.{}.{node}.{:016x}", interest.namespace, rand::random::<u64>())
}

#[cfg(test)]
mod tests {
    use cachesync_core::frame::NodeId;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn interest(node_name: &str, caches: Caches) -> Interest {
        Interest { namespace: name("shop"), node_name: node_name.into(), node: NodeId(7), caches }
    }

    #[test]
    fn a_routing_key_leads_back_to_its_cache() {
        let key = routing_key(&name("shop"), &Topic::Cache(name("users")));
        assert_eq!(key, "shop.users");
        assert_eq!(cache_of(&name("shop"), &key), Some(name("users")));
    }

    #[test]
    fn a_routing_key_that_names_no_cache_leads_nowhere() {
        let heartbeat = routing_key(&name("shop"), &Topic::Heartbeat(NodeId(7)));
        assert_eq!(heartbeat, "shop.~heartbeat.00000000000000000000000000000007");
        for key in [heartbeat.as_str(), "shop", "shop.", "shopusers", "shop.a.b", "shopping.users", "x", "", "shop.a b"]
        {
            assert_eq!(cache_of(&name("shop"), key), None, "{key}");
        }
    }

    #[test]
    fn a_session_is_bound_to_its_caches_and_its_own_heartbeat() {
        let heartbeat = "shop.~heartbeat.00000000000000000000000000000007";
        let named = interest("a", Caches::Named(vec![name("users"), name("orders")]));
        assert_eq!(bindings(&named), ["shop.users", "shop.orders", heartbeat]);
        assert_eq!(bindings(&interest("a", Caches::All)), ["shop.*", heartbeat]);
    }

    #[test]
    fn of_a_stream_a_node_wants_what_its_queue_would_be_bound_to() {
        let named = Wanted::of(&interest("a", Caches::Named(vec![name("users")])));
        let all = Wanted::of(&interest("a", Caches::All));
        for (key, is_named, is_any) in [
            ("shop.users", true, true),
            ("shop.orders", false, true),
            ("shop.no name", false, true),
            ("shop.~heartbeat.00000000000000000000000000000007", true, true),
            ("shop.~heartbeat.00000000000000000000000000000008", false, false),
            ("shop.users.more", false, false),
            ("shop", false, false),
            ("shopping.users", false, false),
            ("", false, false),
        ] {
            assert_eq!((named.has(key), all.has(key)), (is_named, is_any), "{key}");
        }
    }

    #[test]
    fn a_stream_belongs_to_its_exchange_and_namespace() {
        assert_eq!(stream(&name("shop"), "cachesync", "stream"), "cachesync.shop.cachesync.stream");
        assert_ne!(stream(&name("a"), "b.c", "d"), stream(&name("a"), "b", "c-d"));
        assert_eq!(stream_binding(&name("shop")), "shop.#");
    }

    #[test]
    fn no_node_takes_a_note_for_an_eviction_and_a_mark_is_bound_apart_from_a_probe() {
        for note in [Note::Mark, Note::Probe] {
            let key = super::note(&name("shop"), note);
            assert_eq!(cache_of(&name("shop"), &key), None);
            assert!(!Wanted::of(&interest("a", Caches::All)).has(&key));
            assert_eq!(key == marks_binding(&name("shop")), note == Note::Mark);
        }
    }

    #[test]
    fn a_queue_shows_the_node_and_is_new_each_time() {
        let interest = interest("höst 1/#\n", Caches::All);
        let queue = queue(&interest);
        assert!(queue.starts_with("cachesync.shop.h__st_1___."), "{queue}");
        assert_ne!(queue, super::queue(&interest));
    }

    #[test]
    fn a_queue_name_fits_whatever_the_node_is_called() {
        let mut interest = interest(&"n".repeat(5_000), Caches::All);
        interest.namespace = name(&"x".repeat(Name::MAX_LEN));
        assert!(queue(&interest).len() <= 255);
    }
}
