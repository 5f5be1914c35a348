//! Evictions in JSON, from programs in any language.

use serde::{Deserialize, de::DeserializeOwned};

use super::{DecodeError, DecodeReason, KeyError, MAX_FRAME_BYTES};
use crate::name::Name;

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
    fn json_that_contradicts_itself_still_names_its_cache() {
        let error = decode_json(br#"{"cache": "users", "keys": [1], "tags": ["a"]}"#).unwrap_err();
        assert_eq!(error.cache, Some(Name::new("users").unwrap()));
        assert!(error.to_string().contains(r#""tags": ["team:5"]"#), "{error}");
    }
}
