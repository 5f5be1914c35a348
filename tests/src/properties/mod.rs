//! What holds of any bytes whatever that come from outside. The fuzz targets in `fuzz/` look for bytes of which it does
//! not; `tests/hostile` asks it of the corpus that they have found worth keeping, and of bytes that it draws.
//!
//! Each function panics over bytes of which its property does not hold.

mod receiver;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};

use cachesync_core::{
    codec::{self, DecodeReason, JsonEviction, JsonTarget, MAX_FRAME_BYTES, MAX_KEYS, MAX_TAG_BYTES, VERSION},
    frame::{EncodedKey, Operation},
    shape::KeyShape,
};
pub use receiver::receiver;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Nothing that is a frame reads differently when it is sent on, and nothing is a frame that ends early.
pub fn frame(bytes: &[u8]) {
    let frame = match codec::decode(bytes) {
        Ok(frame) => frame,
        Err(error) => {
            assert_eq!(bytes.len() > MAX_FRAME_BYTES, error.reason == DecodeReason::TooLarge && error.cache.is_none());
            return;
        }
    };
    assert!(bytes.len() <= MAX_FRAME_BYTES);
    assert_eq!(frame.cache.is_none(), matches!(frame.operation, Operation::Heartbeat { .. }));
    assert!(frame.shape.as_str().len() <= KeyShape::MAX_LEN);
    match &frame.operation {
        Operation::Keys(keys) => assert!(keys.len() <= MAX_KEYS),
        Operation::Tags(tags) => {
            assert!(tags.len() <= MAX_KEYS && tags.iter().all(|tag| tag.len() <= MAX_TAG_BYTES));
        }
        _ => {}
    }

    let sent_on = codec::encode(&frame);
    assert_eq!(codec::decode(&sent_on).as_ref(), Ok(&frame));
    // The last byte, the first, and some between: each of a long one would take too long.
    for end in (0..sent_on.len()).step_by(sent_on.len() / 64 + 1).chain([sent_on.len() - 1]) {
        assert!(codec::decode(&sent_on[..end]).is_err(), "cut at {end}");
    }
    // Of what a later version has appended anything may be missing, and nothing else.
    if bytes[1] <= VERSION {
        assert!(codec::decode(&bytes[..bytes.len() - 1]).is_err());
    }
}

/// Nothing that is an eviction in JSON reads differently when it is written anew, and its keys are what their type says.
pub fn json(bytes: &[u8]) {
    let Ok(eviction) = codec::decode_json(bytes) else { return };
    assert!(bytes.len() <= MAX_FRAME_BYTES);
    let anew = json_of(&eviction);
    // It may be longer than before, by what was written shorter.
    if anew.len() <= MAX_FRAME_BYTES {
        assert_eq!(codec::decode_json(&anew).as_ref(), Ok(&eviction));
    }
    let JsonTarget::Keys(keys) = &eviction.target else { return };
    for key in keys.iter().take(MAX_KEYS) {
        key_of_json::<u64>(key);
        key_of_json::<i8>(key);
        key_of_json::<char>(key);
        key_of_json::<String>(key);
        key_of_json::<Option<bool>>(key);
        key_of_json::<(u32, String)>(key);
        key_of_json::<Vec<Option<u16>>>(key);
        key_of_json::<BTreeMap<String, i64>>(key);
        key_of_json::<Kind>(key);
        key_of_json::<Tree>(key);
    }
}

fn json_of(eviction: &JsonEviction) -> Vec<u8> {
    let cache = eviction.cache.as_str();
    let value = match &eviction.target {
        JsonTarget::Keys(keys) => serde_json::json!({ "cache": cache, "keys": keys }),
        JsonTarget::Tags(tags) => serde_json::json!({ "cache": cache, "tags": tags }),
        JsonTarget::All => serde_json::json!({ "cache": cache, "all": true }),
    };
    serde_json::to_vec(&value).expect("JSON can be written")
}

/// What is a key in JSON is the same key as it travels in frames.
fn key_of_json<K: Serialize + DeserializeOwned + PartialEq + Debug>(json: &serde_json::Value) {
    let Ok(key) = codec::decode_json_key::<K>(json) else { return };
    if let Ok(encoded) = codec::encode_key(&key) {
        assert_eq!(codec::decode_key::<K>(&encoded).as_ref(), Ok(&key));
    }
}

/// Nothing that is a key of some type reads differently when it is sent on.
pub fn key(bytes: &[u8]) {
    // Longer ones are in no frame.
    let encoded = EncodedKey::from(&bytes[..bytes.len().min(codec::MAX_KEY_BYTES)]);
    key_of::<u8>(&encoded);
    key_of::<i128>(&encoded);
    key_of::<bool>(&encoded);
    key_of::<char>(&encoded);
    key_of::<String>(&encoded);
    key_of::<(u32, String, Option<i64>)>(&encoded);
    key_of::<Vec<String>>(&encoded);
    key_of::<[u16; 3]>(&encoded);
    key_of::<BTreeSet<u64>>(&encoded);
    key_of::<BTreeMap<String, Vec<u8>>>(&encoded);
    key_of::<Kind>(&encoded);
    key_of::<serde_json::Value>(&encoded);
}

fn key_of<K: Serialize + DeserializeOwned + PartialEq + Debug>(encoded: &EncodedKey) {
    let Ok(key) = codec::decode_key::<K>(encoded) else { return };
    if let Ok(sent_on) = codec::encode_key(&key) {
        assert_eq!(codec::decode_key::<K>(&sent_on).as_ref(), Ok(&key));
    }
}

/// A key with variants.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Kind {
    One,
    Number(u64),
    Pair(String, i8),
    Named { id: u32, of: Option<String> },
}

/// A key that has itself in it. JSON bounds how deeply; bincode does not, so a cache refuses such a key before it reads
/// any from a frame.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tree {
    name: String,
    children: Vec<Tree>,
}
