//! The behaviours of backends that replay, and of those that do not when they are asked to.

use std::sync::Arc;

use cachesync_core::{
    Backend, Name,
    backend::{Caches, Interest, Message, Position, Topic},
    frame::NodeId,
};
use cachesync_tests::wait::{DEADLINE, within};

use crate::peer::{Peer, eviction, evictions, interest, name, namespace, texts};

type AnyBackend = Arc<dyn Backend>;

/// A node that loses its session now and then.
struct Returning {
    backend: AnyBackend,
    interest: Interest,
}

impl Returning {
    fn to(backend: &AnyBackend, namespace: &Name) -> Self {
        let interest = interest(namespace, NodeId::random(), Caches::Named(vec![name("users")]));
        Self { backend: backend.clone(), interest }
    }

    /// A session, and whether it has resumed.
    async fn session(&self, resume: Option<Position>) -> (Peer, bool) {
        let session = within(DEADLINE, self.backend.connect(self.interest.clone(), resume)).await.expect("a session");
        let resumed = session.resumed;
        (Peer { id: self.interest.node, session }, resumed)
    }

    /// The position after the next `count` deliveries of a new session; `publisher` sends them.
    async fn after(&self, count: usize, publisher: &mut Peer) -> Position {
        let (mut peer, _) = self.session(None).await;
        publisher.publish(&evictions("users", count)).await;
        let mut position = None;
        for _ in 0..count {
            position = peer.next().await.position;
        }
        position.expect("a backend that replays has positions")
    }
}

pub(crate) async fn who_resumes_hears_what_was_missed_and_then_what_comes(backend: AnyBackend) {
    let namespace = namespace();
    let mut publisher = Peer::join(&backend, &namespace, &[]).await;
    let node = Returning::to(&backend, &namespace);
    let mut position = node.after(3, &mut publisher).await;
    for round in 0..3 {
        publisher.publish(&[eviction("users", "missed 1"), eviction("orders", "no"), publisher.heartbeat("no")]).await;
        publisher
            .publish(&[Message { body: b"own".into(), ..heartbeat_of(&node) }, eviction("users", "missed 2")])
            .await;
        let (mut peer, resumed) = node.session(Some(position)).await;
        assert!(resumed, "round {round}");
        publisher.publish(&[eviction("users", "live")]).await;
        assert_eq!(peer.next_texts(3).await, ["missed 1", "own", "missed 2"]);
        let last = peer.next().await;
        assert_eq!(last.body, b"live");
        position = last.position.expect("a position");
        if round == 2 {
            assert!(peer.drain().await.is_empty(), "nothing comes twice");
        }
    }
}

/// The heartbeat of a node that is away, as one that was sent before it went.
fn heartbeat_of(node: &Returning) -> Message {
    Message { topic: Topic::Heartbeat(node.interest.node), body: Vec::new() }
}

pub(crate) async fn who_resumes_at_an_earlier_message_hears_the_later_ones_again(backend: AnyBackend) {
    let namespace = namespace();
    let mut publisher = Peer::join(&backend, &namespace, &[]).await;
    let node = Returning::to(&backend, &namespace);
    let (mut peer, _) = node.session(None).await;
    publisher.publish(&evictions("users", 5)).await;
    let first = peer.next().await.position;
    assert_eq!(peer.next_texts(4).await, ["1", "2", "3", "4"]);
    drop(peer);
    let (mut peer, resumed) = node.session(first).await;
    assert!(resumed);
    assert_eq!(peer.next_texts(4).await, ["1", "2", "3", "4"]);
}

pub(crate) async fn between_what_is_replayed_and_what_comes_is_no_gap(backend: AnyBackend) {
    const MESSAGES: usize = 1_000;
    let namespace = namespace();
    let node = Returning::to(&backend, &namespace);
    let mut publisher = Peer::join(&backend, &namespace, &[]).await;
    let mut position = Some(node.after(1, &mut publisher).await);
    let messages = evictions("users", MESSAGES);
    let publishing = tokio::spawn(async move {
        for message in messages.chunks(3) {
            publisher.publish(message).await;
        }
        texts(&messages)
    });
    // Sessions in the midst of it, each of them as long as a few messages.
    let mut heard = Vec::new();
    while heard.len() < MESSAGES {
        let (mut peer, resumed) = node.session(position.take()).await;
        assert!(resumed, "after {}", heard.len());
        for _ in 0..(MESSAGES - heard.len()).min(17) {
            let delivery = peer.next().await;
            heard.push(String::from_utf8(delivery.body).expect("a text"));
            position = delivery.position;
        }
    }
    assert_eq!(heard, publishing.await.expect("published"));
}

pub(crate) async fn a_position_that_is_not_known_opens_a_session_that_does_not_resume(backend: AnyBackend) {
    let namespace = namespace();
    let mut publisher = Peer::join(&backend, &namespace, &[]).await;
    let node = Returning::to(&backend, &namespace);
    let Position(known) = node.after(3, &mut publisher).await;
    let mut unknown = vec![Vec::new(), vec![0], vec![0xff; 1_000], known[1..].to_vec(), [&known[..], &[0]].concat()];
    // Whichever bit is another one: it is another place, or another message.
    for bit in 0..known.len() * 8 {
        let mut other = known.clone();
        other[bit / 8] ^= 1 << (bit % 8);
        unknown.push(other);
    }
    for position in unknown {
        let (mut peer, resumed) = node.session(Some(Position(position.clone()))).await;
        if resumed {
            // It is that of another message, one of the three or of those sent below.
            let mut texts = peer.drain().await;
            texts.retain(|text| text != "live");
            assert!(
                ["1", "2"].ends_with(&texts.iter().map(String::as_str).collect::<Vec<_>>()),
                "{position:?}: {texts:?}"
            );
            continue;
        }
        peer.publish(&[peer.heartbeat("live")]).await;
        assert_eq!(peer.next_text().await, "live", "{position:?}");
    }
    let (_, resumed) = node.session(Some(Position(known))).await;
    assert!(resumed, "the one that is known still is");
}

pub(crate) async fn a_position_of_another_namespace_is_not_known(backend: AnyBackend) {
    let (ours, theirs) = (namespace(), namespace());
    let mut publisher = Peer::join(&backend, &ours, &[]).await;
    let position = Returning::to(&backend, &ours).after(3, &mut publisher).await;
    let mut stranger = Peer::join(&backend, &theirs, &["users"]).await;
    stranger.publish(&evictions("users", 10)).await;
    let (mut peer, resumed) = Returning::to(&backend, &theirs).session(Some(position)).await;
    assert!(!resumed);
    assert!(peer.drain().await.is_empty());
}

pub(crate) async fn a_backend_that_cannot_replay_ignores_where_to_resume(backend: AnyBackend) {
    let namespace = namespace();
    let node = Returning::to(&backend, &namespace);
    for position in [vec![], vec![0; 24], b"anything".to_vec()] {
        let (mut peer, resumed) = node.session(Some(Position(position))).await;
        assert!(!resumed);
        peer.publish(&[eviction("users", "live")]).await;
        let delivery = peer.next().await;
        assert_eq!((delivery.body.as_slice(), delivery.position), (&b"live"[..], None));
    }
}
