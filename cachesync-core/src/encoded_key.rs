//! Keys as they travel.

use std::{fmt, hash, ops::Deref};

/// So many bytes take no allocation: as many as fit beside their number into what a boxed slice with a tag takes.
const SHORT: usize = 22;

/// A key as it travels: its own bincode bytes. Short ones, such as numbers, ids and pairs of them, take no allocation.
///
/// ```
/// use cachesync_core::frame::EncodedKey;
///
/// let key = EncodedKey::from([1, 2, 3]);
/// assert_eq!(key[..], [1, 2, 3]);
/// ```
#[derive(Clone)]
pub struct EncodedKey(Bytes);

#[derive(Clone)]
enum Bytes {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<[u8]>),
}

impl Deref for EncodedKey {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Short { len, bytes } => &bytes[..usize::from(*len)],
            Bytes::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for EncodedKey {
    fn from(bytes: &[u8]) -> Self {
        Self::short(bytes).unwrap_or_else(|| Self(Bytes::Long(bytes.into())))
    }
}

impl From<Vec<u8>> for EncodedKey {
    fn from(bytes: Vec<u8>) -> Self {
        Self::short(&bytes).unwrap_or_else(|| Self(Bytes::Long(bytes.into())))
    }
}

impl<const N: usize> From<[u8; N]> for EncodedKey {
    fn from(bytes: [u8; N]) -> Self {
        bytes.as_slice().into()
    }
}

impl EncodedKey {
    fn short(bytes: &[u8]) -> Option<Self> {
        let len = u8::try_from(bytes.len()).ok()?;
        let mut short = [0; SHORT];
        short.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self(Bytes::Short { len, bytes: short }))
    }
}

impl PartialEq for EncodedKey {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for EncodedKey {}

impl hash::Hash for EncodedKey {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl fmt::Debug for EncodedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EncodedKey").field(&&**self).finish()
    }
}

/// A key that is being written.
#[derive(Default)]
pub(crate) struct KeyWriter {
    len: usize,
    short: [u8; SHORT],
    /// All of it, once it is too long for that.
    long: Vec<u8>,
}

impl KeyWriter {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(place) = self.short.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
        } else {
            if self.len <= SHORT {
                self.long.extend_from_slice(&self.short[..self.len]);
            }
            self.long.extend_from_slice(bytes);
        }
        self.len = end;
    }

    /// How many bytes were written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn finish(self) -> EncodedKey {
        if self.len <= SHORT { self.short[..self.len].into() } else { self.long.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_bytes_however_it_was_made() {
        for len in (0..2 * SHORT).chain([255, 256, 300]) {
            let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(len).collect();
            let key = EncodedKey::from(bytes.as_slice());
            assert_eq!(key[..], bytes);
            assert_eq!(key, EncodedKey::from(bytes.clone()));
            for piece in 1..=len.max(1) {
                let mut writer = KeyWriter::default();
                bytes.chunks(piece).for_each(|some| writer.write(some));
                assert_eq!((writer.len(), writer.finish()), (len, key.clone()), "in pieces of {piece}");
            }
        }
    }

    #[test]
    fn a_key_is_no_larger_than_three_words() {
        assert_eq!(size_of::<EncodedKey>(), 24);
    }
}
