//! Tags: entries that are found by what they carry.
//!
//! # Why no entry with an evicted tag is left behind
//!
//! What tags an entry will carry may depend on its value, so a load in flight cannot be found by its tags. Instead every
//! eviction has a number, a load notes the number of the last one before it begins, and the index remembers of each tag
//! when it was last evicted. To keep an entry with tags, a load, holding the lock of the key's stripe, compares and
//! registers in one critical section of the index. An eviction by tag marks the tag and takes the keys that carry it in
//! another. The two are in an order. If the mark is first, the load began before it and is refused, or after it and is
//! fresh. If the load is first, its key is among those taken, and evicting the key waits for the stripe's lock, so it
//! finds the entry. And nobody joins a load that began before the mark and may carry the tag, for all such loads are
//! made unjoinable before the eviction returns.
//!
//! Invariant: an entry of the cache whose tags are not in the index carries none. The converse need not hold: the index
//! may name keys whose entries are about to leave.

use std::{fmt, hash::BuildHasher, mem, sync::Arc};

use cachesync_core::codec::MAX_TAG_BYTES;
use hashbrown::{HashMap, HashTable};

use super::{
    erased::{AnyKey, Sought},
    marks::Marks,
};
use crate::{mutation::Mutation, sync::DefaultHashBuilder};

/// What an entry can be found by beside its key: any text. Two tags of different types that print alike are the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tag(Arc<str>);

impl Tag {
    /// The tag that `tag` prints.
    pub(crate) fn new(tag: &(impl fmt::Display + ?Sized)) -> Self {
        Self(tag.to_string().into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is longer than any that travels or is remembered: its eviction is that of all.
    pub(crate) fn is_too_long(&self) -> bool {
        self.0.len() > MAX_TAG_BYTES
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

/// How many tags are remembered by themselves as evicted.
const MAX_MARKS: usize = 4_096;

/// Which key carries which tags.
pub(super) struct TagIndex {
    keys: HashMap<Tag, HashTable<Carrier>, DefaultHashBuilder>,
    tags: HashTable<Carrying>,
    /// When tags were last evicted.
    marks: Marks,
}

/// A key that carries a tag. It is one with that of [`Carrying`], by which it is known again.
struct Carrier {
    hash: u64,
    key: AnyKey,
}

/// What a key carries.
struct Carrying {
    hash: u64,
    key: AnyKey,
    tags: Box<[Tag]>,
}

/// Keys that have left the index, to be dropped when no lock is held.
#[must_use = "drop it when no lock is held"]
pub(super) struct Forgotten {
    _key: Option<AnyKey>,
}

impl Default for TagIndex {
    fn default() -> Self {
        Self { keys: HashMap::default(), tags: HashTable::new(), marks: Marks::new(MAX_MARKS) }
    }
}

impl TagIndex {
    /// Registers a key that carries these tags, loaded since the eviction numbered `began`; `false` if one of them was
    /// evicted after that.
    pub(super) fn register(&mut self, hash: u64, key: &dyn Sought, tags: &[Tag], began: u64) -> bool {
        let is_older = tags.iter().any(|tag| self.marks.last(self.hash(tag)) > began);
        if is_older && !Mutation::KeepLoadsOlderThanTheirTag.is_on() {
            return false;
        }
        // After this no code of the user's is run.
        let carried = self.tags.find_mut(hash, |carrying| carrying.hash == hash && key.is(&carrying.key));
        let key = if let Some(carrying) = carried {
            let (key, before) = (carrying.key.clone(), mem::replace(&mut carrying.tags, tags.into()));
            self.unlist(hash, &key, &before);
            key
        } else {
            let key = key.keep();
            let carrying = Carrying { hash, key: key.clone(), tags: tags.into() };
            self.tags.insert_unique(hash, carrying, |carrying| carrying.hash);
            key
        };
        for tag in tags {
            let keys = self.keys.entry(tag.clone()).or_default();
            // A tag may be there twice.
            if keys.find(hash, |carrier| Arc::ptr_eq(&carrier.key, &key)).is_none() {
                keys.insert_unique(hash, Carrier { hash, key: key.clone() }, |carrier| carrier.hash);
            }
        }
        true
    }

    /// Forgets a key.
    pub(super) fn forget(&mut self, hash: u64, key: &dyn Sought) -> Forgotten {
        let is_it = |carrying: &Carrying| carrying.hash == hash && key.is(&carrying.key);
        let Ok(found) = self.tags.find_entry(hash, is_it) else { return Forgotten { _key: None } };
        // The last of those that go: none of the others is dropped as a key.
        let Carrying { key, tags, .. } = found.remove().0;
        self.unlist(hash, &key, &tags);
        Forgotten { _key: Some(key) }
    }

    /// The key carries none of these tags any more.
    fn unlist(&mut self, hash: u64, key: &AnyKey, tags: &[Tag]) {
        for tag in tags {
            if let Some(keys) = self.keys.get_mut(tag) {
                if let Ok(found) = keys.find_entry(hash, |carrier| Arc::ptr_eq(&carrier.key, key)) {
                    found.remove();
                }
                if keys.is_empty() {
                    self.keys.remove(tag);
                }
            }
        }
    }

    /// Marks a tag as evicted by the eviction of this number; returns the keys that carry it.
    pub(super) fn evict(&mut self, tag: &Tag, number: u64) -> Vec<AnyKey> {
        self.marks.mark(self.hash(tag), number);
        if Mutation::ForgetTags.is_on() {
            return Vec::new();
        }
        self.keys.get(tag).into_iter().flatten().map(|carrier| carrier.key.clone()).collect()
    }

    /// Whether the key carries a tag of which `chosen` is true.
    pub(super) fn carries_any(&self, hash: u64, key: &dyn Sought, chosen: &dyn Fn(&Tag) -> bool) -> bool {
        let carrying = self.tags.find(hash, |carrying| carrying.hash == hash && key.is(&carrying.key));
        carrying.is_some_and(|carrying| carrying.tags.iter().any(chosen))
    }

    fn hash(&self, tag: &Tag) -> u64 {
        self.keys.hasher().hash_one(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags<const N: usize>(texts: [&str; N]) -> [Tag; N] {
        texts.map(Tag::new)
    }

    fn keys(keys: &[AnyKey]) -> Vec<u64> {
        let mut keys: Vec<u64> = keys.iter().map(|key| *key.downcast_ref().expect("a number")).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn keys_are_found_by_each_of_their_tags_until_they_are_forgotten() {
        let mut index = TagIndex::default();
        let [a, b] = tags(["a", "b"]);
        assert!(index.register(1, &1u64, &[a.clone(), b.clone()], 0));
        assert!(index.register(2, &2u64, std::slice::from_ref(&b), 0));
        assert_eq!(keys(&index.evict(&a, 1)), [1]);
        assert_eq!(keys(&index.evict(&b, 2)), [1, 2]);
        assert!(index.carries_any(1, &1u64, &|tag| *tag == a) && !index.carries_any(2, &2u64, &|tag| *tag == a));
        drop(index.forget(1, &1u64));
        assert_eq!(keys(&index.evict(&b, 3)), [2]);
        drop(index.forget(2, &2u64));
        assert!(index.keys.is_empty() && index.tags.is_empty(), "nothing piles up");
    }

    #[test]
    fn a_key_that_is_registered_again_carries_what_it_was_registered_with_last() {
        let mut index = TagIndex::default();
        let [a, b, c] = tags(["a", "b", "c"]);
        assert!(index.register(1, &1u64, &[a.clone(), b.clone()], 0));
        assert!(index.register(1, &1u64, &[b.clone(), c.clone()], 0));
        assert!(index.evict(&a, 1).is_empty());
        assert_eq!((keys(&index.evict(&b, 2)), keys(&index.evict(&c, 3))), (vec![1], vec![1]));
        drop(index.forget(1, &1u64));
        assert!(index.keys.is_empty() && index.tags.is_empty(), "nothing piles up");
    }

    #[test]
    fn keys_that_hash_alike_carry_each_its_own_tags() {
        let mut index = TagIndex::default();
        let [a, b] = tags(["a", "b"]);
        assert!(index.register(7, &1u64, &[a.clone(), a.clone(), b.clone()], 0));
        assert!(index.register(7, &2u64, std::slice::from_ref(&a), 0));
        assert_eq!((keys(&index.evict(&a, 1)), keys(&index.evict(&b, 2))), (vec![1, 2], vec![1]));
        drop(index.forget(7, &1u64));
        assert_eq!((keys(&index.evict(&a, 3)), keys(&index.evict(&b, 4))), (vec![2], vec![]));
    }

    #[test]
    fn what_began_before_its_tag_was_evicted_is_refused() {
        let mut index = TagIndex::default();
        let [a] = tags(["a"]);
        assert!(index.evict(&a, 5).is_empty());
        assert!(!index.register(1, &1u64, std::slice::from_ref(&a), 4));
        assert!(index.register(1, &1u64, std::slice::from_ref(&a), 5));
    }

    #[test]
    fn a_tag_is_its_text() {
        assert_eq!(Tag::new(&5u8), Tag::new("5"));
        assert_eq!(Tag::new(&format_args!("team:{}", 7)).to_string(), "team:7");
    }

    #[test]
    fn a_tag_of_more_than_1024_bytes_is_too_long() {
        assert!(!Tag::new(&"x".repeat(MAX_TAG_BYTES)).is_too_long());
        assert!(Tag::new(&"x".repeat(MAX_TAG_BYTES + 1)).is_too_long());
    }
}
