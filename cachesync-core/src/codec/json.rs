//! Evictions in JSON, from programs in any language.

use serde::{Deserialize, de::DeserializeOwned};

use super::{DecodeError, DecodeReason, KeyError, MAX_FRAME_BYTES};
use crate::{mac::MAC_BYTES, name::Name};

/// An eviction in JSON, from a program in any language.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonEviction {
    /// The cache.
    pub cache: Name,
    /// What of it.
    pub target: JsonTarget,
}

/// What a [`JsonEviction`] evicts.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonTarget {
    /// These keys, as JSON values; [`decode_json_key`] reads them.
    Keys(Vec<serde_json::Value>),
    /// Every entry that carries one of these tags.
    Tags(Vec<String>),
    /// Every key.
    All,
}

/// Reads `{"cache": "users", "keys": [42]}`, `{"cache": "users", "tags": ["team:5"]}` or
/// `{"cache": "users", "all": true}`.
///
/// A tag is text: a number is not one.
///
/// # Errors
///
/// [`DecodeError`] for everything else, also for none or several of `keys`, `tags` and `all`, and for unknown fields:
/// a field that is not understood may be the one that matters.
pub fn decode_json(bytes: &[u8]) -> Result<JsonEviction, DecodeError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Json {
        cache: String,
        keys: Option<Vec<serde_json::Value>>,
        tags: Option<Vec<String>>,
        #[serde(default)]
        all: bool,
    }

    if bytes.len() > MAX_FRAME_BYTES {
        return Err(DecodeError { reason: DecodeReason::TooLarge, cache: None });
    }
    let bad = |cache| DecodeError { reason: DecodeReason::BadJson, cache };
    let json: Json = serde_json::from_slice(bytes).map_err(|_| bad(None))?;
    let cache = Name::new(&json.cache).map_err(|_| bad(None))?;
    let target = match (json.keys, json.tags, json.all) {
        (Some(keys), None, false) => JsonTarget::Keys(keys),
        (None, Some(tags), false) => JsonTarget::Tags(tags),
        (None, None, true) => JsonTarget::All,
        _ => return Err(bad(Some(cache))),
    };
    Ok(JsonEviction { cache, target })
}

/// An eviction in JSON with the proof that a holder of a shared key made it:
///
/// ```json
/// {"key": 1, "sent_at": 1760000000000, "nonce": "4f0c", "evict": "{\"cache\": \"users\", \"keys\": [42]}", "mac": "5f..."}
/// ```
///
/// `evict` is the eviction as [`decode_json`] reads it, in a text, so that there is no question of how JSON is written.
/// `mac` is the HMAC-SHA-256, in hexadecimal digits, of these lines, without a line break behind the last one: the word
/// `cachesync-json-1`, the namespace, `key`, `sent_at`, `nonce`, `evict`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedJson {
    /// The number of the shared key.
    pub key: u32,
    /// When it was sent, in milliseconds since the Unix epoch.
    pub sent_at: u64,
    /// What makes two equal evictions different: 1 to 64 of `[A-Za-z0-9_-]`, another one each time.
    pub nonce: String,
    /// The eviction, as text.
    pub evict: String,
    /// The proof.
    pub mac: [u8; MAC_BYTES],
}

impl SignedJson {
    /// What is signed. Unambiguous, as no field but the last one can hold a line break.
    pub(crate) fn signed_text(&self, namespace: &Name) -> String {
        let Self { key, sent_at, nonce, evict, .. } = self;
        format!("cachesync-json-1\n{namespace}\n{key}\n{sent_at}\n{nonce}\n{evict}")
    }
}

/// Reads the envelope; of what it says nothing is checked.
///
/// # Errors
///
/// [`DecodeError`] for everything of another form, also for an eviction without an envelope, and for unknown fields.
pub fn decode_signed_json(bytes: &[u8]) -> Result<SignedJson, DecodeError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Envelope {
        key: u32,
        sent_at: u64,
        nonce: String,
        evict: String,
        mac: String,
    }

    if bytes.len() > MAX_FRAME_BYTES {
        return Err(DecodeError { reason: DecodeReason::TooLarge, cache: None });
    }
    let bad = DecodeError { reason: DecodeReason::BadJson, cache: None };
    let Ok(Envelope { key, sent_at, nonce, evict, mac: digits }) = serde_json::from_slice(bytes) else {
        return Err(bad);
    };
    let mut mac = [0; MAC_BYTES];
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if !(1..=64).contains(&nonce.len())
        || !nonce.bytes().all(allowed)
        || hex::decode_to_slice(digits, &mut mac).is_err()
    {
        return Err(bad);
    }
    Ok(SignedJson { key, sent_at, nonce, evict, mac })
}

/// Reads a key of a [`JsonEviction`].
///
/// # Errors
///
/// [`KeyError`] when the value is not a key of this type.
pub fn decode_json_key<K: DeserializeOwned>(key: &serde_json::Value) -> Result<K, KeyError> {
    K::deserialize(key).map_err(|error| KeyError::Deserialize(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_names_keys_or_tags_or_all() {
        for (json, target) in [
            (r#"{"cache": "users", "keys": [42, "a"]}"#, JsonTarget::Keys(vec![42.into(), "a".into()])),
            (r#"{"cache": "users", "tags": ["team:5", ""]}"#, JsonTarget::Tags(vec!["team:5".into(), String::new()])),
            (r#"{"cache": "users", "all": true}"#, JsonTarget::All),
            (r#"{"cache": "users", "tags": ["a"], "all": false}"#, JsonTarget::Tags(vec!["a".into()])),
        ] {
            let cache = Name::new("users").unwrap();
            assert_eq!(decode_json(json.as_bytes()), Ok(JsonEviction { cache, target }), "{json}");
        }
        assert_eq!(decode_json_key::<u64>(&42.into()), Ok(42));
        assert!(decode_json_key::<u64>(&"a".into()).is_err());
    }

    /// A number that is read as its neighbour is another key.
    #[test]
    fn a_decimal_key_is_read_as_exactly_as_it_is_written() {
        for text in ["0.1", "-1.7095516222222221e100", "31.245270191439438", "1.2299999999999998e-7", "-0.0"] {
            let json = format!(r#"{{"cache": "users", "keys": [{text}]}}"#);
            let JsonTarget::Keys(keys) = decode_json(json.as_bytes()).unwrap().target else { panic!("{text}") };
            let expected: f64 = text.parse().unwrap();
            assert_eq!(decode_json_key::<f64>(&keys[0]).map(f64::to_bits), Ok(expected.to_bits()), "{text}");
        }
    }

    #[test]
    fn json_of_another_form_is_an_error() {
        for bad in [
            "",
            "[]",
            "null",
            "{",
            r#"{"cache": "users"}"#,
            r#"{"cache": "users", "all": false}"#,
            r#"{"cache": "users", "keys": [1], "all": true}"#,
            r#"{"cache": "users", "keys": [1], "tags": ["a"]}"#,
            r#"{"cache": "users", "tags": ["a"], "all": true}"#,
            r#"{"cache": "users", "keys": 1}"#,
            r#"{"cache": "users", "tags": "a"}"#,
            r#"{"cache": "users", "tags": [5]}"#,
            r#"{"cache": "us.ers", "all": true}"#,
            r#"{"cache": 1, "all": true}"#,
            r#"{"cache": "users", "all": true, "tenant": 3}"#,
            &"[".repeat(100_000),
        ] {
            assert_eq!(decode_json(bad.as_bytes()).unwrap_err().reason, DecodeReason::BadJson, "{bad:.80}");
        }
    }

    #[test]
    fn a_signed_eviction_is_read_as_it_stands_and_nothing_else_is_one() {
        let envelope = |nonce: &str, mac: &str| {
            format!(r#"{{"key": 1, "sent_at": 5, "nonce": "{nonce}", "evict": "two\nlines", "mac": "{mac}"}}"#)
        };
        let mac = "0F".repeat(MAC_BYTES);
        let signed = decode_signed_json(envelope("a-1", &mac).as_bytes()).unwrap();
        assert_eq!((signed.key, signed.sent_at, signed.mac), (1, 5, [15; MAC_BYTES]));
        let namespace = Name::new("shop").unwrap();
        assert_eq!(signed.signed_text(&namespace), "cachesync-json-1\nshop\n1\n5\na-1\ntwo\nlines");
        for bad in [
            envelope("", &mac),
            envelope("a b", &mac),
            envelope(r"a\nb", &mac),
            envelope(&"a".repeat(65), &mac),
            envelope("a", &mac[1..]),
            envelope("a", &mac[2..]),
            envelope("a", &mac.replace('F', "G")),
            envelope("a", &mac).replace("\"key\": 1", "\"key\": -1"),
            envelope("a", &mac).replace("\"key\": 1", "\"key\": 1, \"more\": 1"),
            r#"{"cache": "users", "all": true}"#.to_owned(),
        ] {
            assert_eq!(decode_signed_json(bad.as_bytes()).unwrap_err().reason, DecodeReason::BadJson, "{bad}");
        }
    }

    #[test]
    fn json_that_contradicts_itself_still_names_its_cache() {
        let error = decode_json(br#"{"cache": "users", "keys": [1], "tags": ["a"]}"#).unwrap_err();
        assert_eq!(error.cache, Some(Name::new("users").unwrap()));
        assert!(error.to_string().contains(r#""tags": ["team:5"]"#), "{error}");
    }
}
