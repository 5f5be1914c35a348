//! Frames, keys and JSON evictions to bytes and back.
//!
//! | what | form |
//! |---|---|
//! | [`Frame`] | below |
//! | a key | its own bincode bytes, at most [`MAX_KEY_BYTES`] |
//! | a tag | text, at most [`MAX_TAG_BYTES`]; the eviction of a longer one is that of all |
//! | an eviction in JSON | `{"cache": "users", "keys": [42]}`, see [`decode_json`]; signed, see [`SignedJson`] |
//!
//! Architecture invariant: this is the only module of the workspace that names bincode, so that the encoding can be
//! swapped. Nothing here allocates what a length prefix claims, and nothing panics on any input.
//!
//! The layout of a frame is
//!
//! ```text
//! 0xC5 | version: u8 | oldest version that can read it: u8 | body in bincode (standard configuration)
//! ```
//!
//! and the body is origin, session, sequence, sent at, hold, cache, key shape, key id, MAC, operation, payload. The
//! payload of an operation is length-prefixed, so that an operation which a reader does not know can be skipped; a
//! later version may append fields, which an earlier reader skips too. All up to the MAC is the [`Head`], which stays where it
//! is in every version: whoever has the key can tell what is authentic before what can be read.

mod head;
mod json;

use std::{borrow::Cow, time::Duration};

use bincode::{config, enc::write::Writer, error::EncodeError};
use head::Fields;
pub(crate) use head::with_room_for_mac;
pub use head::{Head, decode_head};
pub use json::{JsonEviction, JsonTarget, SignedJson, decode_json, decode_json_key, decode_signed_json};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_bytes::Bytes;

use crate::{
    encoded_key::KeyWriter,
    frame::{Authentication, EncodedKey, Frame, NodeId, Operation},
    name::Name,
    shape::KeyShape,
};

/// The version of the frames that [`encode`] makes.
pub const VERSION: u8 = 1;
/// The oldest version whose readers understand the frames that [`encode`] makes.
const OLDEST_READER: u8 = 1;
const MAGIC: u8 = 0xC5;

/// The most keys, or tags, that one frame names.
pub const MAX_KEYS: usize = 1_000;
/// The longest encoded key, in bytes; the eviction of a longer one travels as [`Operation::All`].
pub const MAX_KEY_BYTES: usize = 16 * 1024;
/// The longest tag, in bytes; the eviction of a longer one travels as [`Operation::All`].
pub const MAX_TAG_BYTES: usize = 1024;
/// The longest message body that is read, in bytes. A writer stays far below it, see [`TARGET_FRAME_BYTES`].
pub const MAX_FRAME_BYTES: usize = 512 * 1024;
/// A writer closes a frame at this many bytes of keys, or of tags.
pub const TARGET_FRAME_BYTES: usize = 128 * 1024;

const OP_KEYS: u8 = 1;
const OP_ALL: u8 = 2;
const OP_TAGS: u8 = 3;
const OP_HEARTBEAT: u8 = 4;

/// Why a message body is not a frame, and what it may have concerned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct DecodeError {
    /// What is wrong with it.
    pub reason: DecodeReason,
    /// The cache that the body names, as far as it could be read.
    pub cache: Option<Name>,
}

/// What is wrong with a message body. One of few, so that it can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeReason {
    /// Not one of our frames at all.
    #[error("the message is not a cachesync frame")]
    NotAFrame,
    /// Made by a version that this one is too old to understand.
    #[error("the frame was made by a cachesync too new to be understood; upgrade this node")]
    TooNew,
    /// Cut short, or not what its version says.
    #[error("the frame is truncated or malformed")]
    Malformed,
    /// Longer than [`MAX_FRAME_BYTES`], with more than [`MAX_KEYS`] keys or tags, or with a tag above
    /// [`MAX_TAG_BYTES`].
    #[error("the message is larger than any that cachesync sends")]
    TooLarge,
    /// Not JSON, or JSON of another form.
    #[error(
        r#"the JSON message is not of the form {{"cache": "users", "keys": [42]}}, with `"tags": ["team:5"]` or `"all": true` in place of the keys where those are meant"#
    )]
    BadJson,
}

/// A key cannot be turned into bytes or back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The key's `Serialize` failed.
    #[error("the key cannot be serialized: {0}")]
    Serialize(String),
    /// The key takes more than [`MAX_KEY_BYTES`].
    #[error("the key takes {0} bytes, more than the {MAX_KEY_BYTES} allowed")]
    TooLong(usize),
    /// The bytes, or the JSON value, are not one key of this type.
    #[error("the key cannot be read: {0}")]
    Deserialize(String),
}

/// The body of a frame of version 1. Later versions append fields and never change these. In bincode a structure is its fields,
/// one after the other.
#[derive(Serialize, Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    fields: Fields<'a>,
    #[serde(borrow)]
    mac: &'a Bytes,
    operation: u8,
    #[serde(borrow)]
    payload: &'a Bytes,
}

/// The bytes of `frame`.
pub fn encode(frame: &Frame) -> Vec<u8> {
    let (operation, payload) = encode_operation(&frame.operation);
    let fields = Fields {
        origin: frame.origin.0,
        session: frame.session,
        sequence: frame.sequence,
        sent_at: frame.sent_at,
        // Rounded up: a hold that is too short would be none.
        hold_ms: u64::try_from(frame.hold.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX),
        cache: Cow::Borrowed(frame.cache.as_ref().map_or("", Name::as_str)),
        shape: Cow::Borrowed(frame.shape.as_str()),
        key_id: frame.authentication.as_ref().map_or(0, |authentication| authentication.key_id),
    };
    let body = Body {
        fields,
        mac: Bytes::new(frame.authentication.as_ref().map_or(&[], |authentication| &authentication.mac)),
        operation,
        payload: Bytes::new(&payload),
    };
    let mut bytes = vec![MAGIC, VERSION, OLDEST_READER];
    bytes.extend(to_bytes(&body));
    bytes
}

fn encode_operation(operation: &Operation) -> (u8, Vec<u8>) {
    match operation {
        Operation::Keys(keys) => {
            let keys: Vec<_> = keys.iter().map(|key| Bytes::new(key)).collect();
            (OP_KEYS, to_bytes(&keys))
        }
        Operation::All => (OP_ALL, Vec::new()),
        Operation::Tags(tags) => (OP_TAGS, to_bytes(tags)),
        Operation::Heartbeat { at } => (OP_HEARTBEAT, to_bytes(at)),
        Operation::Unknown(operation) => (*operation, Vec::new()),
    }
}

/// For our own plain types, which always encode.
fn to_bytes<T: Serialize>(value: &T) -> Vec<u8> {
    bincode::serde::encode_to_vec(value, config::standard()).expect("integers, strings and bytes always encode")
}

/// Reads a frame.
///
/// # Errors
///
/// [`DecodeError`] when `bytes` are not a frame that this version can read. An operation that it does not know is
/// not an error but [`Operation::Unknown`].
pub fn decode(bytes: &[u8]) -> Result<Frame, DecodeError> {
    let unreadable = |reason| DecodeError { reason, cache: None };
    if bytes.len() > MAX_FRAME_BYTES {
        return Err(unreadable(DecodeReason::TooLarge));
    }
    let [MAGIC, version, oldest_reader, body @ ..] = bytes else {
        return Err(unreadable(DecodeReason::NotAFrame));
    };
    if *oldest_reader > VERSION {
        return Err(unreadable(DecodeReason::TooNew));
    }
    let (Body { fields, mac, operation, payload }, consumed): (Body<'_>, usize) =
        from_bytes(body).ok_or(unreadable(DecodeReason::Malformed))?;
    // Fields that a newer version appended may follow; after a frame of our own version there is nothing.
    if consumed != bytes.len() - 3 && *version <= VERSION {
        return Err(unreadable(DecodeReason::Malformed));
    }
    let cache = match fields.cache.as_ref() {
        "" => None,
        name => Some(Name::new(name).map_err(|_| unreadable(DecodeReason::Malformed))?),
    };
    let operation =
        decode_operation(operation, payload).map_err(|reason| DecodeError { reason, cache: cache.clone() })?;
    if cache.is_none() != matches!(operation, Operation::Heartbeat { .. }) {
        return Err(DecodeError { reason: DecodeReason::Malformed, cache });
    }
    Ok(Frame {
        origin: NodeId(fields.origin),
        session: fields.session,
        sequence: fields.sequence,
        sent_at: fields.sent_at,
        hold: Duration::from_millis(fields.hold_ms),
        cache,
        shape: KeyShape::from_wire(&fields.shape),
        operation,
        authentication: (!mac.is_empty()).then(|| Authentication { key_id: fields.key_id, mac: mac.to_vec() }),
    })
}

fn decode_operation(operation: u8, payload: &[u8]) -> Result<Operation, DecodeReason> {
    match operation {
        OP_KEYS => {
            let keys: Vec<&Bytes> = from_bytes_exactly(payload)?;
            if keys.len() > MAX_KEYS {
                return Err(DecodeReason::TooLarge);
            }
            Ok(Operation::Keys(keys.into_iter().map(|key| EncodedKey::from(&**key)).collect()))
        }
        OP_ALL => Ok(Operation::All),
        OP_TAGS => {
            let tags: Vec<String> = from_bytes_exactly(payload)?;
            if tags.len() > MAX_KEYS || tags.iter().any(|tag| tag.len() > MAX_TAG_BYTES) {
                return Err(DecodeReason::TooLarge);
            }
            Ok(Operation::Tags(tags))
        }
        OP_HEARTBEAT => from_bytes_exactly(payload).map(|at| Operation::Heartbeat { at }),
        unknown => Ok(Operation::Unknown(unknown)),
    }
}

fn from_bytes<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<(T, usize)> {
    bincode::serde::borrow_decode_from_slice(bytes, config::standard().with_limit::<MAX_FRAME_BYTES>()).ok()
}

fn from_bytes_exactly<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, DecodeReason> {
    match from_bytes(bytes) {
        Some((value, consumed)) if consumed == bytes.len() => Ok(value),
        _ => Err(DecodeReason::Malformed),
    }
}

/// The bytes of a cache's key, as they travel.
///
/// # Errors
///
/// [`KeyError`] when the key's `Serialize` fails, or the bytes are more than [`MAX_KEY_BYTES`].
pub fn encode_key<K: Serialize + ?Sized>(key: &K) -> Result<EncodedKey, KeyError> {
    let mut bytes = KeyWriter::default();
    bincode::serde::encode_into_writer(key, To(&mut bytes), config::standard())
        .map_err(|error| KeyError::Serialize(error.to_string()))?;
    if bytes.len() > MAX_KEY_BYTES {
        return Err(KeyError::TooLong(bytes.len()));
    }
    Ok(bytes.finish())
}

/// Where bincode writes a key to.
struct To<'a>(&'a mut KeyWriter);

impl Writer for To<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.write(bytes);
        Ok(())
    }
}

/// Reads back what [`encode_key`] made.
///
/// # Errors
///
/// [`KeyError`] when the bytes are not exactly one key of this type.
pub fn decode_key<K: DeserializeOwned>(key: &EncodedKey) -> Result<K, KeyError> {
    // The limit counts what values take in memory, up to 16 times of what they take on the wire. It guards against
    // forged lengths; how long the bytes themselves are is known here.
    let limit = config::standard().with_limit::<{ 16 * MAX_KEY_BYTES }>();
    match bincode::serde::decode_from_slice(key, limit) {
        Ok((value, consumed)) if consumed == key.len() => Ok(value),
        Ok(_) => Err(KeyError::Deserialize("it has bytes left over".into())),
        Err(error) => Err(KeyError::Deserialize(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(operation: Operation) -> Frame {
        let heartbeat = matches!(operation, Operation::Heartbeat { .. });
        Frame {
            origin: NodeId(0x1234_5678_9abc_def0_1234_5678_9abc_def0),
            session: 3,
            sequence: 7,
            sent_at: 1_760_000_000_000,
            hold: Duration::from_secs(5),
            cache: (!heartbeat).then(|| Name::new("users").unwrap()),
            shape: KeyShape::of::<u64>(),
            operation,
            authentication: None,
        }
    }

    fn frames() -> Vec<Frame> {
        let keys = [1u64, 2, u64::MAX].iter().map(|key| encode_key(key).unwrap()).collect();
        let mut frames: Vec<_> = [
            Operation::Keys(keys),
            Operation::All,
            Operation::Tags(vec!["a".into(), "b".into()]),
            Operation::Heartbeat { at: 42 },
        ]
        .into_iter()
        .map(frame)
        .collect();
        frames.push(Frame {
            authentication: Some(Authentication { key_id: 2, mac: vec![9; 32] }),
            ..frame(Operation::All)
        });
        frames
    }

    #[test]
    fn a_key_of_any_length_is_its_own_bytes() {
        for length in 0..70 {
            let key = (7u8, "a".repeat(length), vec![300u32; length / 2]);
            let encoded = encode_key(&key).unwrap();
            assert_eq!(encoded[..], bincode::serde::encode_to_vec(&key, config::standard()).unwrap());
            assert_eq!(decode_key::<(u8, String, Vec<u32>)>(&encoded).unwrap(), key);
        }
    }

    #[test]
    fn every_frame_comes_back_equal() {
        for frame in frames() {
            assert_eq!(decode(&encode(&frame)), Ok(frame));
        }
    }

    #[test]
    fn a_frame_cut_anywhere_is_an_error_and_never_a_panic() {
        for frame in frames() {
            let bytes = encode(&frame);
            for end in 0..bytes.len() {
                assert!(decode(&bytes[..end]).is_err(), "{frame:?} cut at {end}");
            }
        }
    }

    #[test]
    fn bytes_after_a_frame_are_an_error_unless_a_newer_version_appended_them() {
        let mut bytes = encode(&frame(Operation::All));
        bytes.push(0);
        assert_eq!(decode(&bytes).unwrap_err().reason, DecodeReason::Malformed);
        bytes[1] = VERSION + 1;
        assert_eq!(decode(&bytes), Ok(frame(Operation::All)));
    }

    #[test]
    fn a_frame_that_only_newer_readers_understand_is_refused() {
        let mut bytes = encode(&frame(Operation::All));
        bytes[1] = 9;
        bytes[2] = VERSION + 1;
        assert_eq!(decode(&bytes).unwrap_err().reason, DecodeReason::TooNew);
    }

    #[test]
    fn an_unknown_operation_still_names_its_cache() {
        let unknown = frame(Operation::Unknown(200));
        assert_eq!(decode(&encode(&unknown)), Ok(unknown));
    }

    #[test]
    fn a_forged_length_prefix_is_an_error_not_an_allocation() {
        // 0xFD announces eight bytes of length in bincode's variable encoding.
        let huge = [0xFD, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F];
        assert_eq!(decode_operation(OP_KEYS, &huge), Err(DecodeReason::Malformed));
        assert_eq!(decode_operation(OP_TAGS, &huge), Err(DecodeReason::Malformed));
        assert!(decode_key::<String>(&EncodedKey::from(huge)).is_err());
        let mut bytes = vec![MAGIC, VERSION, OLDEST_READER];
        bytes.extend(huge);
        assert!(decode(&bytes).is_err());
    }

    #[test]
    fn too_many_keys_and_too_long_a_body_are_refused() {
        let keys = (0..=MAX_KEYS as u64).map(|key| encode_key(&key).unwrap()).collect();
        let error = decode(&encode(&frame(Operation::Keys(keys)))).unwrap_err();
        assert_eq!(error, DecodeError { reason: DecodeReason::TooLarge, cache: Some(Name::new("users").unwrap()) });
        assert_eq!(decode(&vec![MAGIC; MAX_FRAME_BYTES + 1]).unwrap_err().reason, DecodeReason::TooLarge);
    }

    #[test]
    fn tags_have_limits_of_number_and_length() {
        let tag = |bytes| "t".repeat(bytes);
        for good in [vec![], vec![String::new()], vec![tag(MAX_TAG_BYTES)], vec![tag(1); MAX_KEYS]] {
            let good = frame(Operation::Tags(good));
            assert_eq!(decode(&encode(&good)), Ok(good));
        }
        for bad in [vec![tag(MAX_TAG_BYTES + 1)], vec![tag(1); MAX_KEYS + 1]] {
            let error = decode(&encode(&frame(Operation::Tags(bad)))).unwrap_err();
            assert_eq!(error, DecodeError { reason: DecodeReason::TooLarge, cache: Some(Name::new("users").unwrap()) });
        }
    }

    #[test]
    fn tags_that_are_not_text_or_not_all_there_are_an_error() {
        let not_utf8 = [1, 2, 0xFF, 0xFE];
        let one_is_missing = [2, 1, b'a'];
        let one_too_many = [1, 1, b'a', 1, b'b'];
        let cut_short = [1, 5, b'a'];
        for garbage in [&not_utf8[..], &one_is_missing, &one_too_many, &cut_short, &[]] {
            assert_eq!(decode_operation(OP_TAGS, garbage), Err(DecodeReason::Malformed), "{garbage:?}");
        }
    }

    /// What the first version to be published reads. Its bytes never change.
    #[test]
    fn the_eviction_of_tags_is_operation_three_and_every_reader_of_version_one_understands_it() {
        assert_eq!(encode_operation(&Operation::Tags(vec!["a".into(), "bc".into()])), (3, b"\x02\x01a\x02bc".to_vec()));
        assert_eq!(encode(&frame(Operation::Tags(vec!["a".into()])))[..3], [MAGIC, 1, 1]);
    }

    #[test]
    fn a_key_comes_back_equal_and_nothing_may_follow_it() {
        let key = (7u32, String::from("ada"), Some(-3i64));
        let mut encoded = encode_key(&key).unwrap();
        assert_eq!(decode_key::<(u32, String, Option<i64>)>(&encoded).as_ref(), Ok(&key));
        encoded = [&encoded[..], &[0]].concat().into();
        assert!(decode_key::<(u32, String, Option<i64>)>(&encoded).is_err());
    }

    #[test]
    fn what_can_be_encoded_can_be_decoded() {
        let key: Vec<u64> = vec![1; MAX_KEY_BYTES - 3];
        assert_eq!(decode_key::<Vec<u64>>(&encode_key(&key).unwrap()), Ok(key));
    }

    #[test]
    fn a_key_that_is_too_long_is_refused_on_the_way_out() {
        let error = encode_key(&"x".repeat(MAX_KEY_BYTES)).unwrap_err().to_string();
        assert!(error.contains("more than the 16384 allowed"), "{error}");
    }
}
