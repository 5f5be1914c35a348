//! The behaviours; each takes a backend and fails by panicking.

use std::{sync::Arc, time::Duration};

use cachesync_core::{
    Backend,
    backend::{Caches, Format, Message, Topic},
    frame::NodeId,
};
use futures_util::FutureExt;

use crate::peer::{Peer, eviction, evictions, interest, name, namespace, texts};

type AnyBackend = Arc<dyn Backend>;

pub(crate) async fn what_is_published_reaches_every_interested_session_in_order(backend: AnyBackend) {
    let namespace = namespace();
    let mut publisher = Peer::join(&backend, &namespace, &[]).await;
    let mut peers = [
        Peer::join(&backend, &namespace, &["users"]).await,
        Peer::join(&backend, &namespace, &["orders", "users"]).await,
        Peer::join_all(&backend, &namespace).await,
    ];
    let messages = evictions("users", 600);
    publisher.publish(&messages[..400]).await;
    publisher.publish(&messages[400..]).await;
    for peer in &mut peers {
        assert_eq!(peer.next_texts(messages.len()).await, texts(&messages));
        assert!(peer.drain().await.is_empty(), "nothing comes twice");
    }
}

pub(crate) async fn what_a_session_publishes_comes_back_to_it(backend: AnyBackend) {
    let mut peer = Peer::join(&backend, &namespace(), &["users"]).await;
    peer.publish(&[eviction("users", "mine")]).await;
    assert_eq!(peer.next_text().await, "mine");
}

pub(crate) async fn the_order_of_each_publisher_is_kept(backend: AnyBackend) {
    let namespace = namespace();
    let mut listener = Peer::join(&backend, &namespace, &["users", "orders"]).await;
    let mut publishers = [Peer::join(&backend, &namespace, &[]).await, Peer::join(&backend, &namespace, &[]).await];
    let [first, second] = &mut publishers;
    let (from_first, from_second) = (evictions("users", 300), evictions("orders", 300));
    tokio::join!(first.publish(&from_first), second.publish(&from_second));

    let (mut users, mut orders) = (Vec::new(), Vec::new());
    for _ in 0..from_first.len() + from_second.len() {
        let delivery = listener.next().await;
        let text = String::from_utf8(delivery.body).expect("a text");
        match delivery.cache.expect("the addressing tells").as_str() {
            "users" => users.push(text),
            _ => orders.push(text),
        }
    }
    assert_eq!(users, texts(&from_first));
    assert_eq!(orders, texts(&from_second));
}

pub(crate) async fn a_body_arrives_as_it_was_sent(backend: AnyBackend) {
    let mut peer = Peer::join(&backend, &namespace(), &["users"]).await;
    // More than a frame of AMQP holds, and no text.
    for len in [0, 1, 300_000] {
        let body: Vec<u8> = (0..=255).cycle().take(len).collect();
        peer.publish(&[Message { topic: Topic::Cache(name("users")), body: body.clone() }]).await;
        let delivery = peer.next().await;
        assert!(delivery.body == body, "{} bytes arrived, {len} were sent", delivery.body.len());
        assert_eq!(delivery.format, Format::Frame);
        assert!(delivery.cache.is_none_or(|cache| cache == name("users")));
    }
}

pub(crate) async fn other_caches_are_not_heard(backend: AnyBackend) {
    let namespace = namespace();
    let mut peer = Peer::join(&backend, &namespace, &["users"]).await;
    let mut publisher = Peer::join(&backend, &namespace, &[]).await;
    publisher.publish(&[eviction("orders", "no"), eviction("users", "yes"), eviction("user", "no")]).await;
    assert_eq!(peer.drain().await, ["yes"]);
    assert!(publisher.drain().await.is_empty());
}

pub(crate) async fn other_namespaces_are_not_heard(backend: AnyBackend) {
    let ours = namespace();
    let longer = name(&format!("{ours}-2"));
    let mut peer = Peer::join(&backend, &ours, &["users"]).await;
    let mut everything = Peer::join_all(&backend, &ours).await;
    let mut stranger = Peer::join(&backend, &longer, &["users"]).await;
    stranger.publish(&[eviction("users", "theirs")]).await;
    assert!(peer.drain().await.is_empty());
    assert!(everything.drain().await.is_empty());
    assert_eq!(stranger.next_text().await, "theirs");
}

pub(crate) async fn a_session_with_no_caches_hears_its_heartbeats(backend: AnyBackend) {
    let mut peer = Peer::join(&backend, &namespace(), &[]).await;
    peer.publish(&[peer.heartbeat("1"), eviction("users", "no"), peer.heartbeat("2")]).await;
    assert_eq!(peer.next_texts(2).await, ["1", "2"]);
}

pub(crate) async fn a_heartbeat_reaches_its_own_node_alone(backend: AnyBackend) {
    let namespace = namespace();
    let mut peer = Peer::join(&backend, &namespace, &["users"]).await;
    let mut other = Peer::join(&backend, &namespace, &["users"]).await;
    peer.publish(&[peer.heartbeat("beat")]).await;
    let delivery = peer.next().await;
    assert_eq!((delivery.body.as_slice(), delivery.cache), (&b"beat"[..], None));
    assert!(other.drain().await.is_empty());
}

pub(crate) async fn who_hears_all_caches_hears_no_foreign_heartbeat(backend: AnyBackend) {
    let namespace = namespace();
    let mut all = Peer::join_all(&backend, &namespace).await;
    let mut other = Peer::join(&backend, &namespace, &["users"]).await;
    other.publish(&[other.heartbeat("beat"), eviction("users", "1"), eviction("never-declared", "2")]).await;
    all.publish(&[all.heartbeat("own")]).await;
    assert_eq!(all.next_texts(3).await, ["1", "2", "own"]);
}

pub(crate) async fn what_was_confirmed_is_delivered_however_late_it_is_asked_for(backend: AnyBackend) {
    let namespace = namespace();
    let mut peer = Peer::join(&backend, &namespace, &["users"]).await;
    let mut publisher = Peer::join(&backend, &namespace, &[]).await;
    // More than any transport sends ahead.
    let messages = evictions("users", 3_000);
    publisher.publish(&messages).await;
    drop(publisher);
    assert_eq!(peer.next_texts(messages.len()).await, texts(&messages));
}

pub(crate) async fn a_dropped_next_loses_nothing(backend: AnyBackend) {
    let namespace = namespace();
    let mut peer = Peer::join(&backend, &namespace, &["users"]).await;
    let mut publisher = Peer::join(&backend, &namespace, &[]).await;
    let messages = evictions("users", 1_000);
    // Dropped while it waits, once before anything is sent, and then all the time while messages arrive.
    assert!(peer.session.subscriber.next().now_or_never().is_none());
    let publishing = tokio::spawn(async move {
        for chunk in messages.chunks(10) {
            publisher.publish(chunk).await;
        }
        texts(&messages)
    });
    let mut received = Vec::new();
    while received.len() < 1_000 {
        // A future that was pending once and is woken at any time meanwhile.
        let patience = Duration::from_micros(50 * (received.len() as u64 % 5));
        match tokio::time::timeout(patience, peer.session.subscriber.next()).await {
            Ok(delivery) => received.push(String::from_utf8(delivery.expect("a delivery").body).expect("a text")),
            Err(_) => assert!(!publishing.is_finished() || received.len() < 1_000),
        }
    }
    assert_eq!(received, publishing.await.expect("published"));
}

pub(crate) async fn a_dropped_session_ends_alone_with_what_was_queued_for_it(backend: AnyBackend) {
    let namespace = namespace();
    let id = NodeId::random();
    let interest = interest(&namespace, id, Caches::Named(vec![name("users")]));
    let dropped = Peer::open(&backend, interest.clone()).await;
    let mut other = Peer::join(&backend, &namespace, &["users"]).await;
    other.publish(&[eviction("users", "1")]).await;
    drop(dropped);
    other.publish(&[eviction("users", "2")]).await;
    let mut again = Peer { id, session: Peer::open(&backend, interest).await };
    other.publish(&[eviction("users", "3")]).await;
    assert_eq!(again.drain().await, ["3"]);
    assert_eq!(other.drain().await, ["1", "2", "3"]);
}

pub(crate) async fn a_closed_session_ends_alone(backend: AnyBackend) {
    let namespace = namespace();
    let mut closing = Peer::join(&backend, &namespace, &["users"]).await;
    let mut other = Peer::join(&backend, &namespace, &["users"]).await;
    closing.publish(&[eviction("users", "last words")]).await;
    closing.session.publisher.close().await;
    drop(closing);
    other.publish(&[eviction("users", "and on")]).await;
    assert_eq!(other.drain().await, ["last words", "and on"]);
}

pub(crate) async fn an_eviction_that_nobody_hears_is_no_error(backend: AnyBackend) {
    let mut peer = Peer::join(&backend, &namespace(), &[]).await;
    peer.publish(&[eviction("users", "anybody?")]).await;
    assert!(peer.drain().await.is_empty());
}

pub(crate) async fn publishing_nothing_succeeds(backend: AnyBackend) {
    let mut peer = Peer::join(&backend, &namespace(), &[]).await;
    peer.publish(&[]).await;
    assert!(peer.drain().await.is_empty());
}

pub(crate) async fn an_abandoned_connect_leaves_the_backend_usable(backend: AnyBackend) {
    let namespace = namespace();
    for patience in [0, 1, 3, 10] {
        let interest = interest(&namespace, NodeId::random(), Caches::All);
        let _ = tokio::time::timeout(Duration::from_millis(patience), backend.connect(interest, None)).await;
    }
    let mut peer = Peer::join(&backend, &namespace, &["users"]).await;
    peer.publish(&[eviction("users", "here")]).await;
    assert_eq!(peer.next_text().await, "here");
}

pub(crate) async fn two_sessions_of_one_node_both_hear(backend: AnyBackend) {
    let namespace = namespace();
    let interest = interest(&namespace, NodeId::random(), Caches::Named(vec![name("users")]));
    // As after a reconnect, while the broker still believes in the old connection.
    let mut old = Peer { id: interest.node, session: Peer::open(&backend, interest.clone()).await };
    let mut new = Peer { id: interest.node, session: Peer::open(&backend, interest).await };
    new.publish(&[eviction("users", "1"), new.heartbeat("beat")]).await;
    assert_eq!(new.next_texts(2).await, ["1", "beat"]);
    assert_eq!(old.next_texts(2).await, ["1", "beat"]);
}

pub(crate) async fn a_flood_does_not_starve_other_tasks(backend: AnyBackend) {
    let namespace = namespace();
    let mut publisher = Peer::join(&backend, &namespace, &[]).await;
    let mut peer = Peer::join(&backend, &namespace, &["users"]).await;
    publisher.publish(&evictions("users", 400)).await;
    // Once its own message has gone round, what was sent ahead is waiting in the session.
    peer.publish(&[peer.heartbeat("round trip")]).await;

    // Polled side by side in one task: `others` gets its turn only if `receiving` is pending now and then.
    let mut turns = 0;
    let receiving = peer.next_texts(401);
    let others = async {
        loop {
            turns += 1;
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ = receiving => {}
        () = others => {}
    }
    assert!(turns >= 2, "401 messages were received in {turns} turns");
}
