//! A registry that is sent any messages: it lives on, and clears what each may have concerned.

use std::sync::Mutex;

use cachesync::{Cache, CacheConfig, Registry, UnknownCaches};
use cachesync_core::{
    Backend, BackendError, BoxFuture, Name, Publisher, Session, Subscriber,
    backend::{Delivery, Format, Interest, Message, Position, Topic},
    codec::{self, JsonTarget},
    frame::{Frame, Operation},
    shape::KeyShape,
};
use tokio::sync::mpsc;

/// A node with a cache of numbers and one of pairs is sent what these bytes say.
///
/// After each message nothing is cached any more that it evicts, nothing of what an unreadable one may have concerned,
/// and everything of a cache that it does not name; and it was counted as what it is.
pub fn receiver(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let mut target = Target::start().await;
        for delivery in deliveries(bytes).take(16) {
            target.hear(delivery).await;
        }
    });
}

/// What these bytes say: of each message a byte for format and address, two for the length of its body, and the body.
fn deliveries(mut bytes: &[u8]) -> impl Iterator<Item = Delivery> {
    std::iter::from_fn(move || {
        let [how, high, low, rest @ ..] = bytes else { return None };
        let (body, rest) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(rest.len()));
        bytes = rest;
        let format = if how & 1 == 0 { Format::Frame } else { Format::Json };
        let cache = [None, Some("numbers"), Some("pairs"), Some("strangers")][usize::from(how >> 1 & 3)].map(name);
        Some(Delivery { body: body.to_vec(), format, cache, position: None })
    })
}

struct Target {
    registry: Registry,
    numbers: Cache<u64, ()>,
    pairs: Cache<(u32, String), ()>,
    feed: mpsc::UnboundedSender<Delivery>,
    /// How many messages were JSON that could be read, and how many could not be read or had keys that could not.
    read: u64,
    bad: u64,
}

impl Target {
    async fn start() -> Self {
        let (feed, deliveries) = mpsc::unbounded_channel();
        let backend = Feed { fed: Mutex::new(Some(deliveries)), heartbeats: feed.clone() };
        let registry = Registry::builder()
            .namespace("fuzz")
            .cache(CacheConfig::new("numbers").capacity(100))
            .cache(CacheConfig::new("pairs").capacity(100))
            .unknown_caches(UnknownCaches::Bypass)
            .backend(backend)
            .start()
            .await
            .expect("starts");
        let numbers = registry.cache("numbers").expect("configured");
        let pairs = registry.cache("pairs").expect("configured");
        Self { registry, numbers, pairs, feed, read: 0, bad: 0 }
    }

    async fn hear(&mut self, delivery: Delivery) {
        let effect = Effect::of(&delivery);
        for number in numbers() {
            self.numbers.insert(number, ());
        }
        for pair in pairs() {
            self.pairs.insert(pair, ());
        }
        // What a hold keeps out is not there to be evicted.
        let held = (self.numbers.len() < numbers().count(), self.pairs.len() < pairs().count());
        self.feed.send(delivery).expect("the session lives");
        // Behind it, so that it has been applied when this one has been counted.
        let marker = br#"{"cache": "marker", "all": true}"#.to_vec();
        let marker = Delivery { body: marker, format: Format::Json, cache: None, position: None };
        self.feed.send(marker).expect("the session lives");
        self.read += 1 + u64::from(effect.read_as_json);
        self.bad += u64::from(effect.bad);
        while self.registry.stats().json_applied < self.read {
            assert_eq!(self.registry.stats().sessions, 1, "{effect:?}");
            tokio::task::yield_now().await;
        }

        let stats = self.registry.stats();
        assert_eq!((stats.json_applied, stats.bad_messages, stats.sessions), (self.read, self.bad, 1), "{effect:?}");
        for number in numbers() {
            let is_there = self.numbers.get(&number).is_some();
            let evicted = effect.evicts("numbers", |effect| effect.numbers.contains(&number));
            assert!(!(is_there && evicted), "{number} is left: {effect:?}");
            assert!(is_there || evicted || held.0 || effect.names("numbers"), "{number} is gone: {effect:?}");
        }
        for pair in pairs() {
            let is_there = self.pairs.get(&pair).is_some();
            let evicted = effect.evicts("pairs", |effect| effect.pairs.contains(&pair));
            assert!(!(is_there && evicted), "{pair:?} is left: {effect:?}");
            assert!(is_there || evicted || held.1 || effect.names("pairs"), "{pair:?} is gone: {effect:?}");
        }
    }
}

/// The keys that are cached before each message: few, so that the fuzzer hits them, and of several lengths.
fn numbers() -> impl Iterator<Item = u64> {
    [0, 1, 2, 42, 250, 251, 65_536, u64::MAX].into_iter()
}

fn pairs() -> impl Iterator<Item = (u32, String)> {
    [(0, ""), (7, "ada"), (7, "zoë"), (300, "admin")].into_iter().map(|(number, text)| (number, text.into()))
}

fn name(text: &str) -> Name {
    text.parse().expect("a valid name")
}

/// What a message has to do, said in another way than the receiver does it.
#[derive(Debug, Default)]
struct Effect {
    /// Whose cache may be cleared; `None` for all of them, where `all` is set.
    cache: Option<Name>,
    /// All of it goes.
    all: bool,
    /// These go, and others may, since the message has a cache that is its own.
    numbers: Vec<u64>,
    pairs: Vec<(u32, String)>,
    read_as_json: bool,
    bad: bool,
}

impl Effect {
    fn of(delivery: &Delivery) -> Self {
        let unreadable = |cache: Option<Name>| Self {
            cache: cache.or_else(|| delivery.cache.clone()),
            all: true,
            bad: true,
            ..Self::default()
        };
        match delivery.format {
            Format::Frame => codec::decode(&delivery.body).map_or_else(|error| unreadable(error.cache), Self::of_frame),
            Format::Json => match codec::decode_json(&delivery.body) {
                Ok(eviction) => Self::of_json(eviction.cache, &eviction.target),
                Err(error) => unreadable(error.cache),
            },
        }
    }

    fn of_frame(frame: Frame) -> Self {
        // Somebody else's heartbeat. That of the node itself nobody guesses.
        let Some(cache) = frame.cache else { return Self { cache: Some(name("none")), ..Self::default() } };
        let mut effect = Self { cache: Some(cache), ..Self::default() };
        match &frame.operation {
            Operation::Keys(keys) if keys.is_empty() => {}
            Operation::Keys(keys) if frame.shape == effect.shape() => {
                let is_pairs = effect.is("pairs");
                for key in keys {
                    let read = if is_pairs {
                        codec::decode_key(key).map(|key| effect.pairs.push(key)).is_ok()
                    } else {
                        codec::decode_key(key).map(|key| effect.numbers.push(key)).is_ok()
                    };
                    effect.all |= !read;
                }
                effect.bad = effect.all && effect.is_here();
            }
            // Nobody carries a tag here.
            Operation::Tags(_) => {}
            _ => effect.all = true,
        }
        effect
    }

    fn of_json(cache: Name, target: &JsonTarget) -> Self {
        let mut effect = Self { cache: Some(cache), read_as_json: true, ..Self::default() };
        match target {
            JsonTarget::Keys(keys) => {
                for key in keys {
                    let read = if effect.is("pairs") {
                        codec::decode_json_key(key).map(|key| effect.pairs.push(key)).is_ok()
                    } else {
                        codec::decode_json_key(key).map(|key| effect.numbers.push(key)).is_ok()
                    };
                    effect.all |= !read;
                }
                effect.bad = effect.all && effect.is_here();
            }
            JsonTarget::Tags(_) => {}
            JsonTarget::All => effect.all = true,
        }
        effect
    }

    fn is(&self, cache: &str) -> bool {
        self.cache.as_ref().is_some_and(|name| name.as_str() == cache)
    }

    fn is_here(&self) -> bool {
        self.is("numbers") || self.is("pairs")
    }

    fn shape(&self) -> KeyShape {
        if self.is("pairs") { KeyShape::of::<(u32, String)>() } else { KeyShape::of::<u64>() }
    }

    /// Whether something of this cache may be gone for it: the frame's sequence may leave a gap, too.
    fn names(&self, cache: &str) -> bool {
        self.is(cache) || self.all && self.cache.is_none()
    }

    fn evicts(&self, cache: &str, key: impl Fn(&Self) -> bool) -> bool {
        self.names(cache) && (self.all || key(self))
    }
}

/// A transport that delivers what it is fed, and the node's own heartbeats.
struct Feed {
    fed: Mutex<Option<mpsc::UnboundedReceiver<Delivery>>>,
    heartbeats: mpsc::UnboundedSender<Delivery>,
}

impl Backend for Feed {
    fn connect(&self, _: Interest, _: Option<Position>) -> BoxFuture<'_, Result<Session, BackendError>> {
        Box::pin(async {
            // An unreadable message is no reason for a second session.
            let fed = self.fed.lock().expect("nobody panics").take().expect("one session");
            let publisher = Box::new(Echo(self.heartbeats.clone()));
            Ok(Session { publisher, subscriber: Box::new(Fed(fed)), resumed: false })
        })
    }
}

struct Echo(mpsc::UnboundedSender<Delivery>);

impl Publisher for Echo {
    fn publish<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), BackendError>> {
        for message in messages.iter().filter(|message| matches!(message.topic, Topic::Heartbeat(_))) {
            let (body, format) = (message.body.clone(), Format::Frame);
            // An error says that the session has ended.
            _ = self.0.send(Delivery { body, format, cache: None, position: None });
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

struct Fed(mpsc::UnboundedReceiver<Delivery>);

impl Subscriber for Fed {
    fn next(&mut self) -> BoxFuture<'_, Result<Delivery, BackendError>> {
        Box::pin(async {
            match self.0.recv().await {
                Some(delivery) => Ok(delivery),
                None => std::future::pending().await,
            }
        })
    }
}
