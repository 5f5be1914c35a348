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

use std::{fmt, hash::BuildHasher, sync::Arc};

use cachesync_core::codec::MAX_TAG_BYTES;
use hashbrown::{HashMap, HashSet};

use super::marks::Marks;
use crate::{key::Key, mutation::Mutation, sync::DefaultHashBuilder};

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
pub(super) struct TagIndex<K> {
    keys: HashMap<Tag, HashSet<K, DefaultHashBuilder>, DefaultHashBuilder>,
    tags: HashMap<K, Box<[Tag]>, DefaultHashBuilder>,
    /// When tags were last evicted.
    marks: Marks,
}

/// Keys that have left the index, to be dropped when no lock is held.
#[must_use = "drop it when no lock is held"]
pub(super) struct Forgotten<K> {
    _keys: Vec<K>,
}

impl<K> Default for TagIndex<K> {
    fn default() -> Self {
        Self { keys: HashMap::default(), tags: HashMap::default(), marks: Marks::new(MAX_MARKS) }
    }
}

impl<K: Key> TagIndex<K> {
    /// Registers a key that carries these tags, loaded since the eviction numbered `began`; `false` if one of them was
    /// evicted after that.
    pub(super) fn register(&mut self, key: &K, tags: &[Tag], began: u64) -> bool {
        let is_older = tags.iter().any(|tag| self.marks.last(self.hash(tag)) > began);
        if is_older && !Mutation::KeepLoadsOlderThanTheirTag.is_on() {
            return false;
        }
        // First: should the key panic below, what it is forgotten by is there.
        self.tags.insert(key.clone(), tags.into());
        for tag in tags {
            let keys = self.keys.entry(tag.clone()).or_default();
            // A tag may be there twice, and no key is to be dropped here.
            if !keys.contains(key) {
                keys.insert(key.clone());
            }
        }
        true
    }

    /// Forgets a key.
    pub(super) fn forget(&mut self, key: &K) -> Forgotten<K> {
        let mut left = Vec::new();
        if let Some((key, tags)) = self.tags.remove_entry(key) {
            for tag in &tags {
                if let Some(keys) = self.keys.get_mut(tag) {
                    left.extend(keys.take(&key));
                    if keys.is_empty() {
                        self.keys.remove(tag);
                    }
                }
            }
            left.push(key);
        }
        Forgotten { _keys: left }
    }

    /// Marks a tag as evicted by the eviction of this number; returns the keys that carry it.
    pub(super) fn evict(&mut self, tag: &Tag, number: u64) -> Vec<K> {
        self.marks.mark(self.hash(tag), number);
        if Mutation::ForgetTags.is_on() {
            return Vec::new();
        }
        self.keys.get(tag).into_iter().flatten().cloned().collect()
    }

    /// Whether the key carries a tag of which `chosen` is true.
    pub(super) fn carries_any(&self, key: &K, chosen: &dyn Fn(&Tag) -> bool) -> bool {
        self.tags.get(key).is_some_and(|tags| tags.iter().any(chosen))
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

    #[test]
    fn keys_are_found_by_each_of_their_tags_until_they_are_forgotten() {
        let mut index = TagIndex::<u64>::default();
        let [a, b] = tags(["a", "b"]);
        assert!(index.register(&1, &[a.clone(), b.clone()], 0));
        assert!(index.register(&2, std::slice::from_ref(&b), 0));
        assert_eq!(index.evict(&a, 1), [1]);
        let mut both = index.evict(&b, 2);
        both.sort_unstable();
        assert_eq!(both, [1, 2]);
        drop(index.forget(&1));
        assert_eq!(index.evict(&b, 3), [2]);
        drop(index.forget(&2));
        assert!(index.keys.is_empty() && index.tags.is_empty(), "nothing piles up");
    }

    #[test]
    fn what_began_before_its_tag_was_evicted_is_refused() {
        let mut index = TagIndex::<u64>::default();
        let [a] = tags(["a"]);
        assert_eq!(index.evict(&a, 5), [0; 0]);
        assert!(!index.register(&1, std::slice::from_ref(&a), 4));
        assert!(index.register(&1, std::slice::from_ref(&a), 5));
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
