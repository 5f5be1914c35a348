//! How much waits to be told to the other nodes.

use std::{
    collections::BTreeMap,
    fmt,
    ops::{AddAssign, SubAssign},
};

use cachesync_core::Name;

/// How much waits in a node's outbox: what the broker has yet to confirm.
///
/// Evictions of one key are coalesced, so this is what waits and not how often it was asked for. It is bounded: beyond
/// 100,000 keys and tags, or 16 MiB of them, all entries of the largest cache are evicted in place of its keys and tags.
/// What is being sent counts until the broker has confirmed all of it, beside as much again that came meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OutboxDepth {
    /// Keys.
    pub keys: usize,
    /// Tags.
    pub tags: usize,
    /// Caches of which every entry is evicted.
    pub whole_caches: usize,
    /// The length of the keys and tags, in bytes.
    pub bytes: usize,
    /// Keys, tags and whole caches of unknown outcome that are told once more when their hold is over; until then they
    /// are part of nothing above.
    pub repeats: usize,
}

impl OutboxDepth {
    /// How many keys, tags and whole caches wait for the broker.
    pub fn len(&self) -> usize {
        self.keys + self.tags + self.whole_caches
    }

    /// Whether nothing waits for the broker.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl AddAssign for OutboxDepth {
    fn add_assign(&mut self, more: Self) {
        self.keys += more.keys;
        self.tags += more.tags;
        self.whole_caches += more.whole_caches;
        self.bytes += more.bytes;
        self.repeats += more.repeats;
    }
}

impl SubAssign for OutboxDepth {
    fn sub_assign(&mut self, less: Self) {
        self.keys -= less.keys;
        self.tags -= less.tags;
        self.whole_caches -= less.whole_caches;
        self.bytes -= less.bytes;
        self.repeats -= less.repeats;
    }
}

/// Of how many caches a text says what is left.
const MAX_NAMED: usize = 8;

/// What the broker has not confirmed, by cache. Its text is bounded, however much that is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Left(BTreeMap<Name, OutboxDepth>);

impl Left {
    pub(super) fn add<'a>(&mut self, caches: impl Iterator<Item = (&'a Name, OutboxDepth)>) {
        for (name, depth) in caches {
            *self.0.entry(name.clone()).or_default() += depth;
        }
    }

    /// Of all caches together.
    pub(crate) fn depth(&self) -> OutboxDepth {
        let mut sum = OutboxDepth::default();
        self.0.values().for_each(|depth| sum += *depth);
        sum
    }
}

/// As ``3 keys of `rates`, all of `users` ``, the largest first.
impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut caches: Vec<_> = self.0.iter().collect();
        caches.sort_by_key(|(_, depth)| std::cmp::Reverse((depth.whole_caches, depth.len())));
        let mut separator = "";
        for (name, depth) in caches.iter().take(MAX_NAMED) {
            f.write_str(separator)?;
            separator = ", ";
            match (depth.whole_caches, depth.keys, depth.tags) {
                (0, keys, 0) => write!(f, "{} of `{name}`", counted(keys, "key"))?,
                (0, 0, tags) => write!(f, "{} of `{name}`", counted(tags, "tag"))?,
                (0, keys, tags) => write!(f, "{} and {} of `{name}`", counted(keys, "key"), counted(tags, "tag"))?,
                _ => write!(f, "all of `{name}`")?,
            }
        }
        match caches.len().saturating_sub(MAX_NAMED) {
            0 => Ok(()),
            1 => write!(f, ", and evictions of 1 more cache"),
            more => write!(f, ", and evictions of {more} more caches"),
        }
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(caches: impl IntoIterator<Item = (String, OutboxDepth)>) -> Left {
        Left(caches.into_iter().map(|(name, depth)| (Name::new(&name).unwrap(), depth)).collect())
    }

    #[test]
    fn what_is_left_is_told_by_cache_with_the_largest_first() {
        let depth = |keys, tags, whole_caches| OutboxDepth { keys, tags, whole_caches, ..OutboxDepth::default() };
        let left = left([
            ("a".into(), depth(1, 0, 0)),
            ("b".into(), depth(7, 2, 0)),
            ("c".into(), depth(3, 0, 1)),
            ("d".into(), depth(0, 4, 0)),
            ("e".into(), depth(5, 0, 0)),
        ]);
        let text = "all of `c`, 7 keys and 2 tags of `b`, 5 keys of `e`, 4 tags of `d`, 1 key of `a`";
        assert_eq!(left.to_string(), text);
        assert_eq!(left.depth(), depth(16, 6, 1));
    }

    #[test]
    fn of_very_many_caches_a_few_are_named() {
        let name = |number| format!("{number:0100}");
        let left = left((0..10_000).map(|number| (name(number), OutboxDepth { keys: 1, ..OutboxDepth::default() })));
        let text = left.to_string();
        assert!(text.ends_with(", and evictions of 9992 more caches"), "{text}");
        assert!(text.len() < 1_500, "{}", text.len());
    }
}
