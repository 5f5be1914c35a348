//! A flood of messages of every kind that mean no good, as fast as the broker takes them.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime},
};

use cachesync_core::{
    Name, codec,
    frame::{EncodedKey, Frame, NodeId, Operation},
    mac::MacKey,
    shape::KeyShape,
};

use crate::stranger::{Properties, Stranger};

/// Several programs that publish without waiting for confirms. They end when this is dropped.
#[derive(Debug)]
pub struct Flood {
    ended: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    publishers: Vec<JoinHandle<io::Result<()>>>,
}

impl Flood {
    /// Begins to flood `cache` of the nodes of `namespace`, over the broker at `url`.
    pub fn start(url: &str, exchange: &str, namespace: &str, cache: &str, publishers: u64) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let sent = Arc::new(AtomicU64::new(0));
        let publishers = (0..publishers)
            .map(|publisher| {
                let [url, exchange, namespace, cache] = [url, exchange, namespace, cache].map(str::to_owned);
                let (ended, sent) = (ended.clone(), sent.clone());
                thread::spawn(move || {
                    let mut stranger = Stranger::connect(&url)?;
                    let namespace: Name = namespace.parse().map_err(io::Error::other)?;
                    let routing_key = format!("{namespace}.{cache}");
                    // Another one for each, and the same at each run.
                    let mut number = publisher << 32;
                    while !ended.load(Relaxed) {
                        let (properties, body) = message(number, &namespace, &cache);
                        stranger.publish(&exchange, routing_key.as_bytes(), &properties, &body)?;
                        sent.fetch_add(1, Relaxed);
                        number += 1;
                    }
                    stranger.settle()
                })
            })
            .collect();
        Self { ended, sent, publishers }
    }

    /// How many messages went out so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Whether the broker has ended all of it.
    pub fn has_ended(&self) -> bool {
        self.publishers.iter().all(JoinHandle::is_finished)
    }

    /// Ends it, and returns how many messages went out.
    ///
    /// # Errors
    ///
    /// What ended a publisher before: the broker, that is.
    pub fn end(mut self) -> io::Result<u64> {
        self.ended.store(true, Relaxed);
        for publisher in self.publishers.drain(..) {
            publisher.join().expect("it does not panic")?;
        }
        Ok(self.sent())
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
    }
}

/// The message of this number: one of ten kinds.
fn message(number: u64, namespace: &Name, cache: &str) -> (Properties, Vec<u8>) {
    let frames = Properties::content_type(b"application/x-cachesync-frame");
    let json = Properties::content_type(b"application/json");
    let frame = Frame {
        origin: NodeId(u128::from(number) << 64 | u128::from(scramble(number))),
        session: 1,
        sequence: scramble(number + 1),
        sent_at: 0,
        hold: Duration::ZERO,
        cache: cache.parse().ok(),
        shape: KeyShape::of::<u64>(),
        operation: Operation::Keys(vec![EncodedKey::from([u8::try_from(number % 250).expect("less")])]),
        authentication: None,
    };
    match number % 10 {
        0 => (frames, random_bytes(number)),
        1 => (frames, codec::encode(&frame)),
        // A frame of which a byte is another.
        2 => {
            let mut bytes = codec::encode(&frame);
            let at = usize::try_from(scramble(number)).unwrap_or(0) % bytes.len();
            bytes[at] ^= 0xFF;
            (frames, bytes)
        }
        3 => (frames, codec::encode(&Frame { shape: KeyShape::of::<String>(), ..frame })),
        4 => (json, format!(r#"{{"cache": "{cache}", "keys": ["no number"]}}"#).into_bytes()),
        5 => (json, random_bytes(number)),
        6 => (json, vec![b'['; 2_000]),
        7 => (json.headers(&Properties::nested(3_000)), format!(r#"{{"cache": "{cache}"}}"#).into_bytes()),
        // Of now, and signed by who does not know the secret of key 1: where there is such a key it takes the most to refuse.
        8 => {
            let guessed = MacKey::new(1, &[7; 32]).expect("long enough");
            let now = SystemTime::UNIX_EPOCH.elapsed().map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(0));
            let signed = guessed.sign(namespace, &codec::encode(&frame), now);
            (frames, signed.expect("it is a frame"))
        }
        _ => (Properties::content_type(b"\xFF\xFE").headers(&Properties::number(b"\xFF")), b"{}".to_vec()),
    }
}

fn random_bytes(number: u64) -> Vec<u8> {
    (0..scramble(number) % 64).flat_map(|word| scramble(number ^ word << 48).to_le_bytes()).collect()
}

/// The finalizer of `SplitMix64`.
fn scramble(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
