//! The corpus of the fuzz targets: each property holds of each input, and none takes memory without proportion.

use std::{fs, path::Path};

use allocation_counter::measure;
use cachesync_core::codec;
use cachesync_tests::properties;

use crate::nodes::BUSY;

/// What holds of each input of a target.
type Property = fn(&[u8]);

/// The inputs of a target, with their names.
fn inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let inputs: Vec<_> = files
        .map(|file| file.expect("readable").path())
        .map(|path| (path.display().to_string(), fs::read(&path).expect("readable")))
        .collect();
    assert!(inputs.len() >= 10, "{target} has {} inputs", inputs.len());
    inputs
}

#[test]
fn each_input_of_the_corpus_keeps_its_property() {
    let _quiet = BUSY.blocking_read();
    let targets: [(&str, Property); 4] = [
        ("frame", properties::frame),
        ("json", properties::json),
        ("key", properties::key),
        ("receiver", properties::receiver),
    ];
    for (target, property) in targets {
        for (name, input) in inputs(target) {
            println!("{name}");
            property(&input);
            // What is cut anywhere is input, too.
            for end in (0..input.len()).step_by(input.len() / 8 + 1) {
                property(&input[..end]);
            }
        }
    }
}

/// How much memory reading takes, per byte of what is read: an empty object in a list is three bytes, and 32 in memory;
/// what holds a list grows by doubling, and there are two of it for a moment. An object of one field takes a whole node of a
/// tree.
const BYTES_PER_BYTE: u64 = 160;

#[track_caller]
fn is_in_proportion(name: &str, input: &[u8]) {
    let read = measure(|| {
        _ = codec::decode(input);
        _ = codec::decode_json(input);
    });
    let allowed = 16 * 1024 + BYTES_PER_BYTE * u64::try_from(input.len()).expect("a length");
    assert!(read.bytes_max <= allowed, "{} for {} bytes: {name}", read.bytes_max, input.len());
}

#[test]
fn reading_takes_memory_in_proportion_to_what_is_read_whatever_it_claims() {
    // Its own is counted by itself, and would be taken for the flood's.
    let _quiet = BUSY.blocking_read();
    for (name, input) in inputs("frame").into_iter().chain(inputs("json")) {
        is_in_proportion(&name, &input);
    }
    let list = |element: &str, times: usize| {
        let elements = vec![element; times].join(",");
        format!(r#"{{"cache": "users", "keys": [{elements}]}}"#).into_bytes()
    };
    for (name, input) in [
        ("lists", list("[]", 100_000)),
        ("objects", list(r#"{"":0}"#, 60_000)),
        ("nested objects", list(&format!("{}1{}", r#"{"":"#.repeat(100), "}".repeat(100)), 800)),
        ("numbers", list("1", 200_000)),
        ("texts", list(r#""""#, 100_000)),
        ("too large", vec![b' '; 20 * 1024 * 1024]),
    ] {
        is_in_proportion(name, &input);
    }
    // A thousand times as many keys as a frame may have, of no bytes each.
    let mut keys = vec![0xC5, 1, 1];
    keys.extend([&[0; 5][..], b"\x05users", &[0, 0, 0, 1]].concat());
    keys.extend([&[0xFC], &500_000u32.to_le_bytes()[..], &[0xFC], &400_000u32.to_le_bytes()].concat());
    keys.resize(keys.len() + 400_000, 0);
    is_in_proportion("keys", &keys);
}
