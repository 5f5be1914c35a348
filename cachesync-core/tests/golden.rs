//! R10: what any published version has ever sent is read for ever.
//!
//! `golden/v<version>/` holds the bytes of one frame of each kind, as that version made them. A file is never changed and
//! never removed. A new version, or a new operation, adds to [`FRAMES`] and writes its files once, by
//! `cargo test -p cachesync-core --test golden -- --ignored`.

use std::{collections::BTreeSet, fs, path::PathBuf, time::Duration};

use cachesync_core::{
    Name,
    codec::{self, VERSION},
    frame::{Authentication, Frame, NodeId, Operation},
    mac::MacKey,
    shape::KeyShape,
};

/// The version that made a file, the file's name, and the frame that is in it.
type Golden = (u8, &'static str, fn() -> Frame);

const FRAMES: [Golden; 12] = [
    (1, "keys", || frame(KeyShape::of::<u64>(), Operation::Keys(keys(&[0u64, 1, 250, 251, u64::MAX])))),
    (1, "keys_of_tuples", || {
        let of = [(7u32, String::from("ada"), Some(-3i64)), (0, "zoë".into(), None)];
        frame(KeyShape::of::<(u32, String, Option<i64>)>(), Operation::Keys(keys(&of)))
    }),
    (1, "keys_held", || Frame { hold: HOLD, ..frame(KeyShape::of::<bool>(), Operation::Keys(keys(&[true]))) }),
    (1, "all", || frame(KeyShape::NONE, Operation::All)),
    (1, "all_held", || Frame { hold: HOLD, ..frame(KeyShape::NONE, Operation::All) }),
    (1, "tags", || frame(KeyShape::NONE, Operation::Tags(vec!["team:5".into(), "größe".into(), String::new()]))),
    (1, "heartbeat", || Frame {
        cache: None,
        sequence: 0,
        ..frame(KeyShape::NONE, Operation::Heartbeat { at: 1_234_567_890_123 })
    }),
    (1, "authenticated", || Frame {
        authentication: Some(Authentication { key_id: 300, mac: (0..32).collect() }),
        ..frame(KeyShape::NONE, Operation::All)
    }),
    (1, "signed", || Frame {
        authentication: Some(Authentication { key_id: 7, mac: SIGNED.to_vec() }),
        ..frame(KeyShape::of::<u64>(), Operation::Keys(keys(&[42u64])))
    }),
    (1, "signed_heartbeat", || Frame {
        cache: None,
        authentication: Some(Authentication { key_id: 7, mac: SIGNED_HEARTBEAT.to_vec() }),
        ..frame(KeyShape::NONE, Operation::Heartbeat { at: 1_234_567_890_123 })
    }),
    // What a later version may send: an operation that this one does not know, and fields after those it knows.
    (1, "unknown_operation", || frame(KeyShape::NONE, Operation::Unknown(200))),
    (FAR_AHEAD, "all_with_a_field_more", || frame(KeyShape::NONE, Operation::All)),
];

/// Their MACs in namespace `shop`, by a shared key of number 7 and this secret. Another program made them too.
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const SIGNED: [u8; 32] = [
    230, 147, 245, 218, 129, 56, 225, 255, 242, 27, 90, 205, 192, 195, 84, 81, 69, 166, 46, 104, 75, 70, 253, 86, 73,
    59, 115, 141, 14, 110, 13, 243,
];
const SIGNED_HEARTBEAT: [u8; 32] = [
    248, 239, 229, 35, 41, 152, 5, 83, 95, 184, 212, 192, 130, 151, 220, 206, 186, 130, 170, 197, 172, 229, 205, 110,
    183, 245, 234, 1, 95, 251, 139, 255,
];

/// Stands for any later version whose frames can still be read.
const FAR_AHEAD: u8 = 255;
const HOLD: Duration = Duration::from_millis(5_001);

fn frame(shape: KeyShape, operation: Operation) -> Frame {
    Frame {
        origin: NodeId(0x1234_5678_9abc_def0_0fed_cba9_8765_4321),
        session: 3,
        sequence: 70_000,
        sent_at: 1_760_000_000_000,
        hold: Duration::ZERO,
        cache: Some(Name::new("users").expect("a valid name")),
        shape,
        operation,
        authentication: None,
    }
}

fn keys<K: serde::Serialize>(keys: &[K]) -> Vec<cachesync_core::frame::EncodedKey> {
    keys.iter().map(|key| codec::encode_key(key).expect("a short key")).collect()
}

fn path(version: u8, name: &str) -> PathBuf {
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    golden.join(format!("v{version}")).join(format!("{name}.bin"))
}

/// The bytes as this version makes them, or as a later one may.
fn made(version: u8, frame: &Frame) -> Vec<u8> {
    let mut bytes = codec::encode(frame);
    if version > VERSION {
        bytes[1] = version;
        bytes.extend(b"a field of the future");
    }
    bytes
}

#[test]
fn what_any_version_has_sent_is_read() {
    for (version, name, frame) in FRAMES {
        let bytes =
            fs::read(path(version, name)).unwrap_or_else(|error| panic!("{name} of version {version}: {error}"));
        assert_eq!(codec::decode(&bytes), Ok(frame()), "{name} of version {version}");
    }
}

#[test]
fn what_this_version_sends_is_what_it_has_always_sent() {
    for (version, name, frame) in FRAMES.iter().filter(|(version, ..)| *version == VERSION) {
        assert_eq!(codec::encode(&frame()), fs::read(path(*version, name)).expect("it is there"), "{name}");
    }
}

#[test]
fn what_this_version_signs_is_what_it_has_always_signed() {
    let (key, namespace) = (MacKey::new(7, SECRET).expect("long enough"), Name::new("shop").expect("a valid name"));
    for name in ["signed", "signed_heartbeat"] {
        let bytes = fs::read(path(1, name)).expect("it is there");
        let plain = codec::encode(&Frame { authentication: None, ..codec::decode(&bytes).expect("a frame") });
        assert_eq!(key.sign(&namespace, &plain, 1_760_000_000_000).expect("a frame"), bytes, "{name}");
        let head = codec::decode_head(&bytes).expect("a frame");
        assert!(key.verify(&namespace, &head, &bytes), "{name}");
    }
}

#[test]
fn no_file_is_left_unread_and_no_operation_without_a_file() {
    let expected: BTreeSet<_> = FRAMES.iter().map(|(version, name, _)| path(*version, name)).collect();
    let folders = fs::read_dir(path(1, "keys").ancestors().nth(2).expect("the folder of all")).expect("it is there");
    let files = folders.flat_map(|folder| fs::read_dir(folder.expect("readable").path()).expect("a folder"));
    assert_eq!(files.map(|file| file.expect("readable").path()).collect::<BTreeSet<_>>(), expected);

    let of_this_version = FRAMES.iter().filter(|(version, ..)| *version == VERSION);
    let kinds: BTreeSet<_> = of_this_version
        .map(|(_, _, frame)| match frame().operation {
            Operation::Keys(_) => "keys",
            Operation::All => "all",
            Operation::Tags(_) => "tags",
            Operation::Heartbeat { .. } => "heartbeat",
            _ => "unknown",
        })
        .collect();
    assert_eq!(kinds, BTreeSet::from(["all", "heartbeat", "keys", "tags", "unknown"]));
}

#[test]
#[ignore = "writes the files that are not there yet"]
fn write_what_is_new() {
    for (version, name, frame) in FRAMES {
        let path = path(version, name);
        if !path.exists() {
            fs::create_dir_all(path.parent().expect("a folder")).expect("it can be made");
            fs::write(path, made(version, &frame())).expect("it can be written");
        }
    }
}
