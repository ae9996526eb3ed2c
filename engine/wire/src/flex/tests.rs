use proptest::prelude::*;
use serde::Serialize;

use super::*;

fn frame() -> Flex {
    let content = Flex::Blob(Bytes::from(vec![7u8; 40_000]));
    let chunk = Flex::map([("content", content), ("offset", Flex::UInt(5_000_000_000))]);
    // Members are stored in the order of their keys.
    Flex::map([
        ("component", Flex::Text("UploadChunk".into())),
        ("id", Flex::Text("ä-17".into())),
        ("payload", Flex::map([("chunk", chunk)])),
    ])
}

#[test]
fn what_is_written_reads_back() {
    let list = Flex::List(vec![
        Flex::Text("x".into()),
        Flex::UInt(1),
        Flex::Null,
        Flex::Float(0.5),
    ]);
    let members = Flex::map([
        ("a", Flex::Bool(true)),
        ("b", Flex::Int(-70_000)),
        ("c", Flex::Null),
        ("d", list),
        ("e", Flex::UInt(u64::MAX)),
        ("f", Flex::Blob(Bytes::new())),
    ]);
    for value in [frame(), Flex::Null, Flex::Int(-3), members] {
        assert_eq!(Flex::decode(&value.encode()), Ok(value));
    }
}

#[test]
fn small_numbers_are_written_small() {
    let map = |size: u64| Flex::map([("fileSize", Flex::UInt(size))]).encode();
    // A value stored eight bytes wide becomes a `BigInt` on JavaScript's side.
    assert!(map(200).len() < map(70_000).len());
    assert!(map(70_000).len() < map(5_000_000_000).len());
}

#[test]
fn what_serde_writes_can_be_read() {
    #[derive(Serialize)]
    struct Chunk<'a> {
        offset: u64,
        numbers: Vec<u32>,
        pair: (u8, u8),
        flags: Vec<bool>,
        text: &'a str,
        none: Option<u8>,
    }
    let numbers = vec![1, 70_000];
    let chunk = Chunk {
        offset: 5,
        numbers,
        pair: (1, 2),
        flags: vec![true],
        text: "t",
        none: None,
    };
    let frame = Bytes::from(flexbuffers::to_vec(&chunk).expect("encodes"));
    let value = Flex::decode(&frame).expect("decodes");
    assert_eq!(value.get("offset").and_then(Flex::as_u64), Some(5));
    assert_eq!(
        value.get("numbers"),
        Some(&Flex::List(vec![Flex::UInt(1), Flex::UInt(70_000)]))
    );
    assert_eq!(
        value.get("pair").and_then(Flex::as_bytes),
        Some(Bytes::from_static(&[1, 2]))
    );
    assert_eq!(value.get("text").and_then(Flex::as_str), Some("t"));
    assert_eq!(value.get("none"), Some(&Flex::Null));
}

#[test]
fn the_published_crate_reads_what_we_write() {
    let frame = frame().encode();
    let root = flexbuffers::Reader::get_root(&frame[..])
        .expect("a root")
        .as_map();
    let chunk = root.idx("payload").as_map().idx("chunk").as_map();
    assert_eq!(chunk.idx("offset").as_u64(), 5_000_000_000);
    assert_eq!(chunk.idx("content").as_blob().0.len(), 40_000);
}

#[test]
fn a_frame_that_contains_itself_is_too_complex() {
    // A vector whose only element is the vector itself.
    let looped = Bytes::from_static(&[1, 0, 10 << 2, 2, 10 << 2, 1]);
    assert!(Flex::decode(&looped).is_err());
}

/// Any value, nested a little; members have different keys, in their order.
fn value() -> impl Strategy<Value = Flex> {
    let bytes = proptest::collection::vec(any::<u8>(), 0..300);
    let leaf = prop_oneof![
        Just(Flex::Null),
        any::<bool>().prop_map(Flex::Bool),
        prop_oneof![-300_i64..300, any::<i64>()].prop_map(Flex::Int),
        prop_oneof![0_u64..300, any::<u64>()].prop_map(Flex::UInt),
        prop_oneof![any::<f32>().prop_map(f64::from), any::<f64>()].prop_map(Flex::Float),
        ".{0,300}".prop_map(Flex::Text),
        bytes.prop_map(|bytes| Flex::Blob(bytes.into())),
    ];
    let key = "[a-zäß]{0,6}";
    leaf.prop_recursive(4, 64, 300, move |value| {
        let members = proptest::collection::btree_map(key, value.clone(), 0..20);
        prop_oneof![
            proptest::collection::vec(value, 0..300).prop_map(Flex::List),
            members.prop_map(|members| Flex::Map(members.into_iter().collect())),
        ]
    })
}

/// Asserts that the published crate reads what we mean.
fn agrees(ours: &Flex, theirs: &flexbuffers::Reader<&[u8]>) {
    match ours {
        Flex::Null => assert!(theirs.flexbuffer_type().is_null()),
        Flex::Bool(value) => assert_eq!(theirs.get_bool().ok(), Some(*value)),
        Flex::Int(value) => assert_eq!(theirs.get_i64().ok(), Some(*value)),
        Flex::UInt(value) => assert_eq!(theirs.get_u64().ok(), Some(*value)),
        Flex::Float(value) => {
            let read = theirs.get_f64().ok().map(f64::to_bits);
            assert!(read == Some(value.to_bits()) || value.is_nan(), "{value}");
        }
        Flex::Text(text) => assert_eq!(theirs.get_str().ok(), Some(text.as_str())),
        Flex::Blob(bytes) => assert_eq!(theirs.get_blob().expect("a blob").0, &bytes[..]),
        Flex::List(values) => {
            let read = theirs.get_vector().expect("a vector");
            assert_eq!(read.len(), values.len());
            for (index, value) in values.iter().enumerate() {
                agrees(value, &read.idx(index));
            }
        }
        Flex::Map(members) => {
            let read = theirs.get_map().expect("a map");
            assert_eq!(read.len(), members.len());
            for (key, value) in members {
                agrees(value, &read.idx(key.as_str()));
            }
        }
    }
}

proptest! {
    #[test]
    fn the_published_crate_reads_whatever_we_write(value in value()) {
        let frame = value.encode();
        agrees(&value, &flexbuffers::Reader::get_root(&frame[..]).expect("a root"));
        // Not a number is not equal to itself.
        if !format!("{value:?}").contains("NaN") {
            prop_assert_eq!(Flex::decode(&frame), Ok(value));
        }
    }

    #[test]
    fn no_frame_panics(frame in proptest::collection::vec(any::<u8>(), 0..64)) {
        drop(Flex::decode(&Bytes::from(frame)));
    }

    #[test]
    fn no_damaged_frame_panics(back in 1_usize..160, byte in any::<u8>()) {
        // The interesting bytes are those after the blob.
        let mut damaged = frame().encode().to_vec();
        let at = damaged.len() - back;
        damaged[at] = byte;
        drop(Flex::decode(&Bytes::from(damaged)));
    }
}
