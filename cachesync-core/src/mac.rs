//! Message authentication: proof that a holder of a shared key made a message, HMAC-SHA-256 (RFC 2104, FIPS 180-4).
//!
//! Of a frame the code covers
//!
//! ```text
//! "cachesync frame 1" 0x00 | length of the namespace: u32 | namespace
//!     | topic: 0x01 for a cache, 0x02 for a heartbeat | its length: u32 | the cache's name, or the 16 bytes of the node's id
//!     | the frame as it travels, with zeroes in the place of the code
//! ```
//!
//! with big-endian integers. The frame is taken as it came and never encoded again, so what a later version appends is
//! covered too; and as nothing in it is moved or left out, no two frames have the same input. The namespace is in no frame,
//! and the topic is what its [`Head`] says: who carries a frame to another namespace or address makes it invalid.
//!
//! Of an eviction in JSON it covers the lines of [`SignedJson`], which begin otherwise.
//!
//! Architecture invariant: codes are compared in constant time, and a secret is in no `Debug` and no error.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::{
    backend::Topic,
    codec::{self, Head, SignedJson},
    name::Name,
};

/// The shortest secret, in bytes: as long as the code that it makes.
pub const MIN_SECRET_BYTES: usize = 32;
/// The length of a code, in bytes.
pub const MAC_BYTES: usize = 32;

const FRAME_DOMAIN: &[u8] = b"cachesync frame 1\0";
const CACHE_TOPIC: u8 = 1;
const HEARTBEAT_TOPIC: u8 = 2;

/// One shared key: its number, by which messages name it, and what its secret makes.
#[derive(Clone)]
pub struct MacKey {
    id: u32,
    /// The state after the secret was taken in. The secret itself is not kept.
    keyed: Hmac<Sha256>,
}

/// The secret has fewer than [`MIN_SECRET_BYTES`]. Does not say which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the secret of the shared key {id} has {length} bytes; use at least {MIN_SECRET_BYTES} random ones, such as what \
     `openssl rand -hex 32` prints"
)]
pub struct ShortSecret {
    id: u32,
    length: usize,
}

impl MacKey {
    /// The key of this number. The secret is taken as bytes, whatever they say.
    ///
    /// # Errors
    ///
    /// [`ShortSecret`] below [`MIN_SECRET_BYTES`].
    pub fn new(id: u32, secret: &[u8]) -> Result<Self, ShortSecret> {
        let keyed = Hmac::new_from_slice(secret).ok().filter(|_| secret.len() >= MIN_SECRET_BYTES);
        keyed.map(|keyed| Self { id, keyed }).ok_or(ShortSecret { id, length: secret.len() })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// An encoded frame again, dated `sent_at` and signed with this key; all else stays as it is. `None` if `frame` is none.
    pub fn sign(&self, namespace: &Name, frame: &[u8], sent_at: u64) -> Option<Vec<u8>> {
        let (mut signed, mac): (Vec<u8>, _) = codec::with_room_for_mac(frame, sent_at, self.id, MAC_BYTES)?;
        let head = codec::decode_head(&signed)?;
        let code = self.over_frame(namespace, &head, &signed)?.finalize().into_bytes();
        signed.get_mut(mac)?.copy_from_slice(&code);
        Some(signed)
    }

    /// Whether this key has signed `frame`, whose head is `head`, for this namespace.
    pub fn verify(&self, namespace: &Name, head: &Head, frame: &[u8]) -> bool {
        let code = frame.get(head.mac.clone()).filter(|code| code.len() == MAC_BYTES && head.key_id == self.id);
        let (Some(code), Some(made)) = (code, self.over_frame(namespace, head, frame)) else { return false };
        made.verify_slice(code).is_ok()
    }

    fn over_frame(&self, namespace: &Name, head: &Head, frame: &[u8]) -> Option<Hmac<Sha256>> {
        let mut made = self.keyed.clone();
        made.update(FRAME_DOMAIN);
        update_field(&mut made, namespace.as_str().as_bytes());
        match head.topic() {
            Topic::Cache(cache) => {
                made.update(&[CACHE_TOPIC]);
                update_field(&mut made, cache.as_str().as_bytes());
            }
            Topic::Heartbeat(node) => {
                made.update(&[HEARTBEAT_TOPIC]);
                update_field(&mut made, &node.0.to_be_bytes());
            }
        }
        made.update(frame.get(..head.mac.start)?);
        made.update(&[0; MAC_BYTES]);
        made.update(frame.get(head.mac.end..)?);
        Some(made)
    }

    /// The code of an eviction in JSON for this namespace, in hexadecimal digits.
    pub fn sign_json(&self, namespace: &Name, json: &SignedJson) -> String {
        hex::encode(self.over_json(namespace, json).finalize().into_bytes())
    }

    /// Whether this key has signed `json` for this namespace.
    pub fn verify_json(&self, namespace: &Name, json: &SignedJson) -> bool {
        json.key == self.id && self.over_json(namespace, json).verify_slice(&json.mac).is_ok()
    }

    fn over_json(&self, namespace: &Name, json: &SignedJson) -> Hmac<Sha256> {
        let mut made = self.keyed.clone();
        made.update(json.signed_text(namespace).as_bytes());
        made
    }
}

/// A field of which nothing else tells where it ends.
fn update_field(made: &mut Hmac<Sha256>, field: &[u8]) {
    made.update(&u32::try_from(field.len()).expect("a name or an id").to_be_bytes());
    made.update(field);
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MacKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        frame::{Frame, NodeId, Operation},
        shape::KeyShape,
    };

    const SECRET: &[u8; 32] = b"a secret of thirty-two bytes....";

    fn key(id: u32) -> MacKey {
        MacKey::new(id, SECRET).unwrap()
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn frame(operation: Operation) -> Frame {
        Frame {
            origin: NodeId(7),
            session: 3,
            sequence: 70_000,
            sent_at: 5,
            hold: Duration::from_secs(5),
            cache: (!matches!(operation, Operation::Heartbeat { .. })).then(|| name("users")),
            shape: KeyShape::of::<u64>(),
            operation,
            authentication: None,
        }
    }

    fn verifies(key: &MacKey, namespace: &str, frame: &[u8]) -> bool {
        codec::decode_head(frame).is_some_and(|head| key.verify(&name(namespace), &head, frame))
    }

    #[test]
    fn a_signed_frame_is_the_same_frame_with_another_date_and_its_proof() {
        for operation in [Operation::All, Operation::Tags(vec!["a".into()]), Operation::Heartbeat { at: 9 }] {
            let plain = frame(operation);
            let signed = key(300).sign(&name("shop"), &codec::encode(&plain), 1_760_000_000_000).unwrap();
            let read = codec::decode(&signed).unwrap();
            let proof = read.authentication.clone().unwrap();
            assert_eq!((proof.key_id, proof.mac.len()), (300, MAC_BYTES));
            assert_eq!(read, Frame { sent_at: 1_760_000_000_000, authentication: Some(proof), ..plain });
            assert!(verifies(&key(300), "shop", &signed));
            // What was signed once can be signed anew, later.
            let again = key(300).sign(&name("shop"), &signed, 1_770_000_000_000).unwrap();
            assert!(verifies(&key(300), "shop", &again) && again != signed);
        }
    }

    #[test]
    fn no_bit_of_a_signed_frame_can_be_changed_and_none_added_or_taken_away() {
        let signed = key(1).sign(&name("shop"), &codec::encode(&frame(Operation::All)), 1_760_000_000_000).unwrap();
        for bit in 0..8 * signed.len() {
            let mut tampered = signed.clone();
            tampered[bit / 8] ^= 1 << (bit % 8);
            assert!(!verifies(&key(1), "shop", &tampered), "bit {bit}");
        }
        for length in 0..signed.len() {
            assert!(!verifies(&key(1), "shop", &signed[..length]), "cut at {length}");
        }
        assert!(!verifies(&key(1), "shop", &[&signed[..], &[0]].concat()));
    }

    #[test]
    fn another_namespace_number_or_secret_is_another_proof() {
        let signed = key(1).sign(&name("shop"), &codec::encode(&frame(Operation::All)), 5).unwrap();
        assert!(verifies(&key(1), "shop", &signed));
        assert!(!verifies(&key(1), "sho", &signed) && !verifies(&key(1), "shops", &signed));
        assert!(!verifies(&key(2), "shop", &signed));
        assert!(!verifies(&MacKey::new(1, &[1; 40]).unwrap(), "shop", &signed));
        assert!(!verifies(&key(1), "shop", &codec::encode(&frame(Operation::All))), "unsigned");
    }

    #[test]
    fn fields_that_a_later_version_appends_are_covered() {
        let mut later = codec::encode(&frame(Operation::All));
        later[1] = 255;
        later.extend(b"a field of the future");
        let signed = key(1).sign(&name("shop"), &later, 5).unwrap();
        assert!(signed.ends_with(b"a field of the future") && verifies(&key(1), "shop", &signed));
        let mut tampered = signed.clone();
        *tampered.last_mut().unwrap() ^= 1;
        assert!(!verifies(&key(1), "shop", &tampered));
        assert!(!verifies(&key(1), "shop", &signed[..signed.len() - 1]));
    }

    #[test]
    fn a_code_of_another_length_proves_nothing() {
        use crate::frame::Authentication;
        for length in [1, 16, 31, 33, 64] {
            let authentication = Some(Authentication { key_id: 1, mac: vec![0; length] });
            let bytes = codec::encode(&Frame { authentication, ..frame(Operation::All) });
            assert!(!verifies(&key(1), "shop", &bytes), "{length}");
        }
    }

    #[test]
    fn a_secret_that_is_short_is_refused_and_none_is_shown() {
        let error = MacKey::new(4, b"hunter2").unwrap_err();
        assert!(error.to_string().contains("shared key 4 has 7 bytes"), "{error}");
        for shown in [format!("{error:?} {error}"), format!("{:?}", key(1))] {
            assert!(!shown.contains("hunter2") && !shown.contains("secret of thirty"), "{shown}");
        }
        MacKey::new(0, &[0; MIN_SECRET_BYTES - 1]).unwrap_err();
        MacKey::new(0, &[0; 1000]).unwrap();
    }
}
