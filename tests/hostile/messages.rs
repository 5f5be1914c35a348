//! Each kind of bad message, over RabbitMQ: it is counted, what it may have concerned is cleared, the rest is served on,
//! and the session lives.

use std::time::Duration;

use cachesync::{CacheConfig, Registry, UnknownCaches};
use cachesync_core::{
    codec,
    frame::{EncodedKey, Frame, NodeId, Operation},
    shape::KeyShape,
};
use cachesync_tests::{
    broker::Broker,
    patient,
    stranger::{Properties, Stranger},
    wait::{DEADLINE, eventually},
};

use crate::nodes::{BUSY, Node, frames, json, namespace};

/// The first frame of somebody, of two keys of `users`.
fn frame() -> Frame {
    Frame {
        origin: NodeId::random(),
        session: 1,
        sequence: 1,
        sent_at: 0,
        hold: Duration::ZERO,
        cache: Some("users".parse().expect("a valid name")),
        shape: KeyShape::of::<u64>(),
        operation: Operation::Keys([1u64, 2].map(|key| codec::encode_key(&key).expect("short")).into()),
        authentication: None,
    }
}

/// What becomes of a message.
struct Outcome {
    /// It is counted as one that was not understood.
    bad: bool,
    /// How many of the three users, and of the one role, are left.
    left: (usize, usize),
}

const BAD: Outcome = Outcome { bad: true, left: (0, 1) };
/// Understood, and does as it says: two keys are gone.
const EVICTS: Outcome = Outcome { bad: false, left: (1, 1) };
const CLEARS: Outcome = Outcome { bad: false, left: (0, 1) };
const NOTHING: Outcome = Outcome { bad: false, left: (3, 1) };

/// Publishes to `users`, and looks at what becomes of it.
async fn expect(node: &mut Node, what: &str, properties: &Properties, body: &[u8], outcome: Outcome) {
    node.fill();
    let before = node.registry.stats().bad_messages;
    node.publish("users", properties, body);
    node.hears().await;
    let bad = node.registry.stats().bad_messages - before;
    assert_eq!(
        (bad, node.users.len(), node.roles.len()),
        (outcome.bad.into(), outcome.left.0, outcome.left.1),
        "{what}"
    );
    assert_eq!(node.registry.stats().sessions, 1, "{what}: the session lives");
}

/// The node hears the others as ever.
async fn serves_on(node: &mut Node) {
    node.fill();
    assert_eq!(node.users.get_with(&1, async || 99).await, 1, "a hit");
    node.publish("users", &frames(), &codec::encode(&frame()));
    eventually(DEADLINE, || node.users.len() == 1).await;
    assert!(node.is_coherent() && node.registry.stats().sessions == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_frames_are_counted_clear_their_cache_and_are_survived() {
    let _quiet = BUSY.read().await;
    let node = &mut Node::start().await;
    let good = codec::encode(&frame());
    let of_the_future = |oldest_reader| [&[0xC5, 9, oldest_reader], &good[3..], b"more"].concat();
    expect(node, "a good one", &frames(), &good, EVICTS).await;
    expect(node, "garbage", &frames(), b"garbage", BAD).await;
    expect(node, "nothing", &frames(), b"", BAD).await;
    expect(node, "truncated", &frames(), &good[..good.len() - 1], BAD).await;
    expect(node, "lengthened", &frames(), &[&good[..], &[0]].concat(), BAD).await;
    expect(node, "only for later versions", &frames(), &of_the_future(2), BAD).await;
    expect(node, "of a later version", &frames(), &of_the_future(1), EVICTS).await;
    expect(node, "of 20 MB", &frames(), &vec![0xC5; 20_000_000], BAD).await;
    let with = |operation| codec::encode(&Frame { operation, ..frame() });
    expect(node, "an operation of the future", &frames(), &with(Operation::Unknown(200)), CLEARS).await;
    let no_number = Operation::Keys(vec![EncodedKey::from([0xFD, 1])]);
    expect(node, "a key that is none", &frames(), &with(no_number), BAD).await;
    let foreign = Frame { shape: KeyShape::of::<(u32, String)>(), ..frame() };
    expect(node, "keys of another shape", &frames(), &codec::encode(&foreign), CLEARS).await;
    assert!(node.registry.status().problems[0].contains("has keys of the form `(u32,str)`"));
    let unknown = Frame { cache: Some("strangers".parse().expect("a valid name")), ..frame() };
    expect(node, "a cache that nobody has", &frames(), &codec::encode(&unknown), NOTHING).await;
    serves_on(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_json_is_counted_clears_its_cache_and_is_survived() {
    let _quiet = BUSY.read().await;
    let node = &mut Node::start().await;
    let keys = |keys: &str| format!(r#"{{"cache": "users", "keys": [{keys}]}}"#).into_bytes();
    let nested = |depth: usize| keys(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)));
    expect(node, "good", &json(), &keys("1, 2"), EVICTS).await;
    for wrong in [r#""1""#, "-1", "1.0", "null", "[1]", r#"{"id": 1}"#, "18446744073709551616", "1e400"] {
        expect(node, wrong, &json(), &keys(wrong), BAD).await;
    }
    expect(node, "a good key and a wrong one", &json(), &keys(r#"1, "x""#), BAD).await;
    expect(node, "no JSON", &json(), b"{", BAD).await;
    expect(node, "no object", &json(), b"[]", BAD).await;
    expect(node, "twice the cache", &json(), br#"{"cache": "users", "cache": "roles", "all": true}"#, BAD).await;
    expect(node, "deeper than is read", &json(), &nested(100_000), BAD).await;
    expect(node, "as deep as is read", &json(), &nested(100), BAD).await;
    expect(node, "10 MB of it", &json(), &keys(&"1,".repeat(5_000_000)), BAD).await;
    let as_many_as_fit = keys(&vec!["9"; 200_000].join(","));
    expect(node, "as many keys as fit", &json(), &as_many_as_fit, NOTHING).await;
    expect(node, "a cache that nobody has", &json(), br#"{"cache": "strangers", "all": true}"#, NOTHING).await;
    serves_on(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_that_are_wrong_or_lie_are_survived() {
    let _quiet = BUSY.read().await;
    let node = &mut Node::start().await;
    let good = codec::encode(&frame());
    let json_body = br#"{"cache": "users", "keys": [1, 2]}"#;
    expect(node, "JSON that says that it is a frame", &frames(), json_body, BAD).await;
    expect(node, "a frame that says that it is JSON", &json(), &good, BAD).await;
    expect(node, "a frame of another type", &Properties::content_type(b"image/png"), &good, EVICTS).await;
    expect(node, "a type that is no text", &Properties::content_type(b"\xFF\xFE"), &good, EVICTS).await;
    expect(node, "no properties", &Properties::default(), &good, EVICTS).await;
    for depth in [100, 1_000, 10_000, 20_000] {
        let deep = Properties::nested(depth);
        expect(node, "headers in headers, with JSON", &json().headers(&deep), json_body, EVICTS).await;
        expect(node, "headers in headers, with a frame", &frames().headers(&deep), &good, EVICTS).await;
        expect(node, "headers in headers, with garbage", &frames().headers(&deep), b"garbage", BAD).await;
    }
    let wrong_version = Properties::number(b"x-cachesync-version");
    expect(node, "a version that lies", &frames().headers(&wrong_version), &good, EVICTS).await;
    let no_text = Properties::number(b"\xFF");
    expect(node, "a header whose name is no text", &json().headers(&no_text), json_body, EVICTS).await;
    serves_on(node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_elsewhere_does_not_come() {
    let _quiet = BUSY.read().await;
    let node = &mut Node::start().await;
    node.fill();
    let good = codec::encode(&frame());
    for elsewhere in
        ["shop.users", "users", "", "#", "*.*", &format!("{}.strangers", node.namespace), &node.namespace.clone()]
    {
        node.publish_to(elsewhere.as_bytes(), &frames(), &good);
        node.publish_to(elsewhere.as_bytes(), &frames(), b"garbage");
    }
    node.hears().await;
    let stats = node.registry.stats();
    assert_eq!((stats.bad_messages, stats.frames_applied, node.users.len(), node.roles.len()), (0, 0, 3, 1));
}

/// Such a node hears everything of its namespace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_names_no_cache_clears_all_that_is_here_and_is_survived() {
    let _quiet = BUSY.read().await;
    let (url, namespace) = (Broker::shared().url(), namespace());
    let created = UnknownCaches::Create(CacheConfig::new("any"));
    let builder = Registry::builder().namespace(&namespace).unknown_caches(created);
    let registry = patient::registry(builder.backend(patient::backend(url)));
    let registry = registry.start().await.expect("the broker runs");
    let [users, roles] = ["users", "roles"].map(|name| registry.cache::<u64, u8>(name).expect("made"));
    let mut stranger = Stranger::connect(url).expect("the broker runs");
    for (bad, address) in [&b"users\xFF\xFE"[..], b"not a name", b"", "größe".as_bytes()].into_iter().enumerate() {
        users.insert(1, 1);
        roles.insert(1, 1);
        let routing_key = [namespace.as_bytes(), b".", address].concat();
        stranger.publish("cachesync", &routing_key, &frames(), b"garbage").expect("published");
        eventually(DEADLINE, || registry.stats().bad_messages == bad as u64 + 1).await;
        eventually(DEADLINE, || users.is_empty() && roles.is_empty()).await;
    }
    assert_eq!(registry.stats().sessions, 1, "the session lives");
    let caches: Vec<_> = registry.describe().caches.into_iter().map(|cache| cache.name).collect();
    assert_eq!(caches.len(), 2, "no cache is made for it: {caches:?}");
    // A body that says whom it concerns is believed, wherever it was sent.
    users.insert(1, 1);
    roles.insert(1, 1);
    stranger
        .publish("cachesync", format!("{namespace}.\u{1}").as_bytes(), &json(), br#"{"cache": "users"}"#)
        .expect("published");
    eventually(DEADLINE, || users.is_empty()).await;
    assert_eq!(roles.len(), 1);
}
