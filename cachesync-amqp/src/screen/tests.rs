//! Each frame that goes out is one that lapin reads, by lapin's own parser.

use amq_protocol::frame::{AMQPFrame, parsing::parse_frame};
use proptest::prelude::*;

use super::*;

fn long(content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    append_long(content, &mut bytes);
    bytes
}

fn text(content: &[u8]) -> Vec<u8> {
    [&[u8::try_from(content.len()).unwrap()], content].concat()
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    [&[kind, 0, 1], &long(payload)[..], &[0xCE]].concat()
}

fn content_header(flags: u16, properties: &[u8]) -> Vec<u8> {
    frame(CONTENT_HEADER, &[&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7], &flags.to_be_bytes()[..], properties].concat())
}

fn delivery(routing_key: &[u8]) -> Vec<u8> {
    let of = [&DELIVER[..], &text(b"tag"), &[0, 0, 0, 0, 0, 0, 0, 9, 0], &text(b"cachesync"), &text(routing_key)];
    frame(METHOD, &of.concat())
}

/// Lists in lists, so many.
fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(vec![b'V'], |inner, _| [&b"A"[..], &long(&inner)].concat())
}

/// What comes out when these bytes come in in pieces of `piece` bytes.
fn screened(bytes: &[u8], piece: usize) -> Vec<u8> {
    let (mut screen, mut ready) = (Screen::default(), Vec::new());
    bytes.chunks(piece).for_each(|piece| screen.take(piece, &mut ready).unwrap());
    ready
}

/// The one frame that lapin reads in what comes out.
fn read(bytes: &[u8]) -> AMQPFrame {
    let screened = screened(bytes, usize::MAX);
    let (rest, frame) = parse_frame(&screened[..]).expect("lapin reads it");
    assert!(rest.is_empty());
    frame
}

fn properties(bytes: &[u8]) -> lapin::BasicProperties {
    let AMQPFrame::Header(_, header) = read(bytes) else { panic!("a content header") };
    assert_eq!(header.body_size, 7);
    header.properties
}

#[test]
fn what_lapin_reads_is_left_as_it_is_in_whatever_pieces_it_comes() {
    let value = [&b"F"[..], &long(&[text(b"in"), nested(MAX_DEPTH - 1)].concat())].concat();
    let headers = long(&[text(b"x-cachesync-version"), b"B\x01".to_vec(), text(b"x"), value].concat());
    let all = [
        text(b"application/json"),
        text("größe".as_bytes()),
        headers,
        vec![1, 9],
        [text(b"id"), text(b"to"), text(b"60000"), text(b"message")].concat(),
        vec![0, 0, 0, 0, 1, 2, 3, 4],
        [text(b"type"), text(b"guest"), text(b"app"), text(b"")].concat(),
    ];
    let frames = [
        delivery("shop.größe".as_bytes()),
        content_header(0b1111_1111_1111_1100, &all.concat()),
        frame(3, b"\xFF a body \xCE of any bytes"),
        frame(8, b""),
        content_header(0, b""),
        // As the last: what a broker answers that speaks another version.
        b"AMQP\0\0\x09\x01".to_vec(),
    ]
    .concat();
    for piece in [1, 2, 7, 8, 20, usize::MAX] {
        assert_eq!(screened(&frames, piece), frames, "in pieces of {piece}");
    }
    let mut rest = &frames[..];
    for _ in 0..6 {
        rest = parse_frame(rest).expect("lapin reads it").0;
    }
    assert!(rest.is_empty());
}

#[test]
fn a_header_that_nests_too_deeply_is_left_out_and_the_others_stay() {
    for depth in [MAX_DEPTH + 1, 1_000, 20_000] {
        let entries =
            [text(b"deep"), nested(depth), text(b"x-stream-offset"), b"l\0\0\0\0\0\0\0\x05".to_vec()].concat();
        let properties = properties(&content_header(0xA000, &[text(b"application/json"), long(&entries)].concat()));
        assert_eq!(properties.content_type().as_ref().map(ToString::to_string).as_deref(), Some("application/json"));
        let headers = properties.headers().as_ref().expect("headers").inner();
        assert_eq!(headers.keys().map(ToString::to_string).collect::<Vec<_>>(), ["x-stream-offset"]);
    }
}

#[test]
fn text_that_is_not_utf8_is_left_out() {
    let entries = [text(b"\xFF"), b"t\x01".to_vec(), text(b"fine"), b"t\x01".to_vec()].concat();
    let properties = properties(&content_header(
        0b1110_0000_0000_1000,
        &[text(b"\xFF\xFE"), text(b"gzip"), long(&entries), text(b"\x80")].concat(),
    ));
    assert!(properties.content_type().is_none() && properties.app_id().is_none());
    assert_eq!(properties.content_encoding().as_ref().map(ToString::to_string).as_deref(), Some("gzip"));
    assert_eq!(properties.headers().as_ref().expect("headers").inner().len(), 1);
}

#[test]
fn what_follows_a_value_of_an_unknown_type_is_left_out() {
    let entries = [text(b"fine"), b"t\x01".to_vec(), text(b"odd"), b"?\0\0".to_vec()].concat();
    let properties = properties(&content_header(0x3000, &[&long(&entries)[..], &[2]].concat()));
    assert_eq!(properties.headers().as_ref().expect("headers").inner().len(), 1);
    assert_eq!(*properties.delivery_mode(), Some(2));
}

#[test]
fn a_routing_key_that_is_not_utf8_names_no_cache() {
    let AMQPFrame::Method(_, method) = read(&delivery(b"shop.users\xFF\xFE")) else { panic!("a method") };
    assert!(format!("{method:?}").contains("shop.users??"), "{method:?}");
}

#[test]
fn a_frame_that_is_longer_than_any_ends_the_connection_and_is_not_waited_for() {
    let mut screen = Screen::default();
    let error = screen.take(&[CONTENT_HEADER, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0], &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

/// The properties of a content header, such as nobody has meant them.
fn any_properties() -> impl Strategy<Value = Vec<u8>> {
    let value = prop_oneof![
        any::<Vec<u8>>(),
        (prop::sample::select(b"tbBsUuIiLlfdDSAFTxV?".to_vec()), any::<Vec<u8>>()).prop_map(|(of, content)| {
            let content = if b"SAFx".contains(&of) { long(&content) } else { content };
            [&[of], &content[..]].concat()
        }),
        (0..12usize).prop_map(nested),
    ];
    let name = prop_oneof![Just(b"name".to_vec()), prop::collection::vec(any::<u8>(), 0..4)];
    let entry = (name, value).prop_map(|(name, value)| [text(&name), value].concat());
    let table = prop::collection::vec(entry, 0..4).prop_map(|entries| long(&entries.concat()));
    prop_oneof![any::<Vec<u8>>(), table]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_in_lapin_reads_what_comes_out(
        flags in prop_oneof![Just(0x2000), any::<u16>()],
        properties in any_properties(),
        routing_key in prop::collection::vec(any::<u8>(), 0..255),
        piece in 1..40usize,
    ) {
        let frames = [delivery(&routing_key), content_header(flags, &properties), frame(3, b"garbage")].concat();
        let screened = screened(&frames, piece);
        let mut rest = &screened[..];
        for _ in 0..3 {
            rest = parse_frame(rest).map_err(|error| TestCaseError::fail(format!("{error}: {screened:?}")))?.0;
        }
        prop_assert!(rest.is_empty());
        // What lapin reads needs no second look.
        prop_assert_eq!(&self::screened(&screened, piece), &screened);
    }
}
