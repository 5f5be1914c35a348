//! What is a list of keys or tags: anything to iterate over.
//!
//! `List(expression).items()` iterates. What cannot be iterated over dereferences to [`NoList`], on which one of two traits
//! refuses it, once, in words of what it was to be.

use std::{iter, marker::PhantomData, ops::Deref};

use crate::key::Key;

/// A list, by value.
pub struct List<I>(pub I);

/// First: what can be iterated over.
pub trait Listed {
    /// The iterator.
    type Iter;
    /// What is in the list.
    fn items(self) -> Self::Iter;
}

impl<I: IntoIterator> Listed for List<I> {
    type Iter = I::IntoIter;

    fn items(self) -> I::IntoIter {
        self.0.into_iter()
    }
}

/// What is none.
pub struct NoList<I>(PhantomData<fn() -> I>);

impl<I> Deref for List<I> {
    type Target = NoList<I>;

    fn deref(&self) -> &NoList<I> {
        unreachable!("it is there for its type")
    }
}

/// Last: what is no list of keys.
pub trait KeysRefused<I> {
    /// Compiles for a list only.
    fn items<T>(&self) -> iter::Empty<T>
    where
        I: ManyKeys;
}

impl<I> KeysRefused<I> for NoList<I> {
    fn items<T>(&self) -> iter::Empty<T>
    where
        I: ManyKeys,
    {
        iter::empty()
    }
}

/// Last: what is no list of tags.
pub trait TagsRefused<I> {
    /// Compiles for a list only.
    fn items<T>(&self) -> iter::Empty<T>
    where
        I: ManyTags;
}

impl<I> TagsRefused<I> for NoList<I> {
    fn items<T>(&self) -> iter::Empty<T>
    where
        I: ManyTags,
    {
        iter::empty()
    }
}

/// Keys, one after the other.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of keys",
    label = "not a list of keys",
    note = "`keys` is anything to iterate over: its items are keys, or references to keys; for one key write `key = ...`"
)]
pub trait ManyKeys {}

#[diagnostic::do_not_recommend]
impl<I: IntoIterator> ManyKeys for I {}

/// Tags, one after the other.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of tags",
    label = "not a list of tags",
    note = "`tags` is a list in brackets, or anything to iterate over: for one tag write `tags = [tag]`"
)]
pub trait ManyTags {}

#[diagnostic::do_not_recommend]
impl<I: IntoIterator> ManyTags for I {}

/// The keys of a list, each made by `own`.
pub fn keys_of<T, K: Key>(items: impl Iterator<Item = T>, own: impl Fn(&T) -> K) -> Vec<K> {
    items.map(|item| own(&item)).collect()
}
