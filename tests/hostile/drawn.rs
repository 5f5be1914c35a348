//! Frames, keys and JSON that are drawn: they come back equal, and broken ones are told from whole ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    time::Duration,
};

use cachesync_core::{
    Name,
    codec::{self, JsonTarget, MAX_TAG_BYTES},
    frame::{Authentication, Frame, NodeId, Operation},
    shape::KeyShape,
};
use cachesync_tests::properties;
use proptest::{collection::vec, option, prelude::*};
use serde::{Serialize, de::DeserializeOwned};

fn name() -> impl Strategy<Value = Name> {
    vec(prop::sample::select(b"azAZ09_-".to_vec()), 1..=Name::MAX_LEN)
        .prop_map(|bytes| Name::new(str::from_utf8(&bytes).expect("ASCII")).expect("a valid name"))
}

fn operation() -> impl Strategy<Value = Operation> {
    let key = any::<(u64, String)>().prop_map(|key| codec::encode_key(&key).expect("short"));
    let tag = any::<String>().prop_filter("too long", |tag| tag.len() <= MAX_TAG_BYTES);
    prop_oneof![
        vec(key, 0..20).prop_map(Operation::Keys),
        Just(Operation::All),
        vec(tag, 0..20).prop_map(Operation::Tags),
        any::<u64>().prop_map(|at| Operation::Heartbeat { at }),
        // The numbers that have no meaning yet.
        prop_oneof![Just(0), 5..=255u8].prop_map(Operation::Unknown),
    ]
}

prop_compose! {
    fn frame()(
        origin: u128, session: u64, sequence: u64, sent_at: u64, hold: u64, name in name(), shape in ".{0,64}",
        operation in operation(),
        authentication in option::of((any::<u32>(), vec(any::<u8>(), 1..64))),
    ) -> Frame {
        let heartbeat = matches!(operation, Operation::Heartbeat { .. });
        Frame {
            origin: NodeId(origin),
            session,
            sequence,
            sent_at,
            hold: Duration::from_millis(hold),
            cache: (!heartbeat).then_some(name),
            shape: KeyShape::from_wire(&shape),
            operation,
            authentication: authentication.map(|(key_id, mac)| Authentication { key_id, mac }),
        }
    }
}

fn comes_back<K: Serialize + DeserializeOwned + PartialEq + Debug>(key: &K) -> Result<(), TestCaseError> {
    let encoded = codec::encode_key(key).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert!(codec::decode_key::<K>(&encoded).as_ref() == Ok(key), "{key:?}");
    // In JSON too, and as the same key.
    let json = serde_json::json!({ "cache": "users", "keys": [key] }).to_string();
    let eviction = codec::decode_json(json.as_bytes()).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let JsonTarget::Keys(keys) = eviction.target else { return Err(TestCaseError::fail("keys")) };
    prop_assert!(codec::decode_json_key::<K>(&keys[0]).as_ref() == Ok(key), "{json}");
    Ok(())
}

/// So many cases of each, and nothing is written down: an input that is worth keeping goes into the corpus.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn every_frame_comes_back_equal_and_cut_or_lengthened_it_is_none(frame in frame(), cut: prop::sample::Index) {
        let bytes = codec::encode(&frame);
        prop_assert_eq!(codec::decode(&bytes), Ok(frame));
        prop_assert!(codec::decode(&bytes[..cut.index(bytes.len())]).is_err());
        prop_assert!(codec::decode(&[&bytes[..], &[0]].concat()).is_err());
        properties::frame(&bytes);
    }

    #[test]
    fn a_frame_with_a_byte_of_another_is_none_or_another(
        frame in frame(), at: prop::sample::Index, by in 1..=255u8,
    ) {
        let mut bytes = codec::encode(&frame);
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        // The version may be a later one whose frames are read; of an operation without payload that is ignored, and where
        // there is no MAC so is whose key it was made with.
        let has_all = !matches!(frame.operation, Operation::All | Operation::Unknown(_)) && frame.authentication.is_some();
        if at > 2 && has_all {
            prop_assert_ne!(codec::decode(&bytes), Ok(frame));
        }
        properties::frame(&bytes);
    }

    #[test]
    fn what_a_later_version_appends_is_skipped(frame in frame(), version in 2..=255u8, more: Vec<u8>) {
        let mut bytes = codec::encode(&frame);
        bytes[1] = version;
        bytes.extend(more);
        prop_assert_eq!(codec::decode(&bytes), Ok(frame));
    }

    #[test]
    fn keys_of_every_type_come_back_equal(
        numbers: (u8, i8, u16, i16, u32, i32, u64, i64),
        others: (bool, char, String, Option<String>, Vec<u16>, BTreeSet<i32>, BTreeMap<String, Option<u8>>),
        nested: (u32, (String, [Option<i64>; 3])),
    ) {
        comes_back(&numbers)?;
        comes_back(&others)?;
        comes_back(&nested)?;
    }

    #[test]
    fn numbers_with_decimals_come_back_equal(number in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL) {
        comes_back(&number)?;
    }

    #[test]
    fn any_bytes_keep_the_properties(bytes: Vec<u8>) {
        properties::frame(&bytes);
        properties::json(&bytes);
        properties::key(&bytes);
        let headed = [&[0xC5, 1, 1], &bytes[..]].concat();
        properties::frame(&headed);
    }

    #[test]
    fn a_shape_from_outside_is_bounded_and_read_again_the_same(text in ".{0,600}") {
        let shape = KeyShape::from_wire(&text);
        prop_assert!(shape.as_str().len() <= KeyShape::MAX_LEN);
        prop_assert_eq!(KeyShape::from_wire(shape.as_str()), shape);
    }
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn a_registry_that_is_sent_drawn_messages_keeps_the_properties(
        messages in vec((0..8u8, prop_oneof![vec(any::<u8>(), 0..40), frame().prop_map(|frame| codec::encode(&frame))]), 1..6),
    ) {
        let mut input = Vec::new();
        for (how, body) in messages {
            input.push(how);
            input.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
            input.extend(body);
        }
        properties::receiver(&input);
    }
}
