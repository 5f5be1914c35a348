//! Batches: functions that take many keys and return a value for each.

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashSet},
    hash::{BuildHasher, Hash},
};

use super::{BatchReturned, NameOf, Pairs, Policy};
use crate::{
    cache::batch,
    call_site::{Call, CallSite},
    key::{Key, Value},
};

/// A parameter that lists keys.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a list of keys",
    label = "not a list of keys",
    note = "`keys` names a parameter of type `&[K]`, `Vec<K>`, `HashSet<K>` or `BTreeSet<K>`, or a reference to one of these"
)]
pub trait KeyList {
    /// What it lists.
    type Item: Clone;
    /// A list of its own.
    type Owned;
    /// What it lists.
    fn items(&self) -> impl Iterator<Item = &Self::Item>;
    /// A list of these.
    fn list(items: Vec<Self::Item>) -> Self::Owned;
}

impl<I: Clone> KeyList for [I] {
    type Item = I;
    type Owned = Vec<I>;

    fn items(&self) -> impl Iterator<Item = &I> {
        self.iter()
    }

    fn list(items: Vec<I>) -> Vec<I> {
        items
    }
}

impl<I: Clone> KeyList for Vec<I> {
    type Item = I;
    type Owned = Self;

    fn items(&self) -> impl Iterator<Item = &I> {
        self.iter()
    }

    fn list(items: Self) -> Self {
        items
    }
}

impl<I: Clone + Eq + Hash, S: BuildHasher + Default> KeyList for HashSet<I, S> {
    type Item = I;
    type Owned = Self;

    fn items(&self) -> impl Iterator<Item = &I> {
        self.iter()
    }

    fn list(items: Vec<I>) -> Self {
        items.into_iter().collect()
    }
}

impl<I: Clone + Ord> KeyList for BTreeSet<I> {
    type Item = I;
    type Owned = Self;

    fn items(&self) -> impl Iterator<Item = &I> {
        self.iter()
    }

    fn list(items: Vec<I>) -> Self {
        items.into_iter().collect()
    }
}

/// A list in the place of the one that was given.
pub fn borrow_list<'a, L: KeyList + ?Sized>(given: &L, list: &'a L::Owned) -> &'a L
where
    L::Owned: Borrow<L>,
{
    _ = given;
    list.borrow()
}

/// How the elements of a list become keys, and what the body's answer calls them.
pub trait Keyring<I> {
    /// The key of the cache.
    type Key: Key;
    /// What the body's answer calls it.
    type Name: Eq + Hash;
    /// The key of an element.
    fn key(&self, item: &I) -> Self::Key;
    /// The name of an element.
    fn name(&self, item: &I, key: &Self::Key) -> Self::Name;
}

/// The key of an element is what the body's answer calls it.
pub struct SameKeys<F>(pub F);

/// The key of an element is made by a closure of the user's; the body's answer calls it as the list does.
pub struct MappedKeys<F>(pub F);

impl<I, K: Key, F: Fn(&I) -> K> Keyring<I> for SameKeys<F> {
    type Key = K;
    type Name = K;

    fn key(&self, item: &I) -> K {
        self.0(item)
    }

    fn name(&self, _: &I, key: &K) -> K {
        key.clone()
    }
}

impl<I: Clone + Eq + Hash, K: Key, F: Fn(&I) -> K> Keyring<I> for MappedKeys<F> {
    type Key = K;
    type Name = I;

    fn key(&self, item: &I) -> K {
        self.0(item)
    }

    fn name(&self, item: &I, _: &K) -> I {
        item.clone()
    }
}

/// `key`, which learns from the list what it is a closure over.
pub fn key_of_each<L: KeyList + ?Sized, K, F: Fn(&L::Item) -> K>(list: &L, key: F) -> F {
    _ = list;
    key
}

/// What a batch found.
pub enum BatchStep<I, N, K: Key, V: Value, O> {
    /// Every key is known.
    Hit(O),
    /// It goes on with this.
    Miss(BatchLoading<I, N, K, V, O>),
}

/// A batch of which some keys are missing.
pub struct BatchLoading<I, N, K: Key, V: Value, O>(Keys<I, N, K, V, O>);

/// How it goes on.
pub enum BatchLed<I, N, K: Key, V: Value, O> {
    /// Others have loaded what was missing.
    Answer(O),
    /// The body is to be run.
    Load(BatchLoad<I, N, K, V, O>),
}

/// A batch of which the body is running. Dropped before it is settled, it leaves nothing behind.
pub struct BatchLoad<I, N, K: Key, V: Value, O>(Keys<I, N, K, V, O>);

enum Keys<I, N, K: Key, V: Value, O> {
    /// No cache takes part: all of these are to be loaded.
    Bypassed(Vec<I>),
    Asked(batch::Batch<I, N, K, V>, How<N, V, O>),
}

/// A batch's answer, or its failure.
type Answer<N, V, O> = Result<Vec<(N, V)>, O>;

/// As for [`load::How`](crate::cache::load::How): function pointers, for the sake of `Send`.
struct How<N, V, O> {
    pairs: fn(O) -> Answer<N, V, O>,
    output: fn(Vec<(N, V)>) -> O,
}

/// Looks many keys up in the cache of a function.
pub fn batch<L, I, K, G, R, N, V>(
    sites: &'static [CallSite],
    call: Call<'_>,
    list: &L,
    keyring: G,
    returned: R,
) -> BatchStep<I, N, K, V, R::Output>
where
    L: KeyList<Item = I> + ?Sized,
    I: Clone,
    K: Key,
    G: Keyring<I, Key = K, Name = N>,
    R: BatchReturned<Pairs: Pairs<Value = V>>,
    <R::Pairs as Pairs>::Name: NameOf<N>,
    N: Eq + Hash,
    V: Value,
{
    _ = returned;
    let site = sites.first().and_then(|site| Some((site, site.find::<K, V>(&call)?)));
    let Some((site, store)) = site else { return BatchStep::Miss(BatchLoading::bypassed(list)) };
    let keys = list.items().map(|item| {
        let key = keyring.key(item);
        (item.clone(), keyring.name(item, &key), key)
    });
    let transaction = call.current_transaction();
    let batch = batch::Batch::begin(store, transaction.as_deref(), keys, site.function.tagged);
    let how = How {
        pairs: |output| {
            let pairs = R::pairs(output)?.into_pairs();
            Ok(pairs.into_iter().map(|(name, value)| (NameOf::to_listed(name), value)).collect())
        },
        output: |pairs| {
            let pairs = pairs.into_iter().map(|(name, value)| (NameOf::of_listed(name), value));
            R::output(R::Pairs::of_pairs(pairs.collect()))
        },
    };
    let known = batch.is_known();
    let loading = BatchLoad(Keys::Asked(batch, how));
    if known { BatchStep::Hit(loading.answer()) } else { BatchStep::Miss(BatchLoading(loading.0)) }
}

impl<I: Clone, N: Eq + Hash, K: Key, V: Value, O> BatchLoading<I, N, K, V, O> {
    /// No cache is to take part.
    pub fn bypassed<L: KeyList<Item = I> + ?Sized>(list: &L) -> Self {
        Self(Keys::Bypassed(list.items().cloned().collect()))
    }

    /// Waits for the keys that others load.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves nothing behind.
    pub async fn lead(mut self) -> BatchLed<I, N, K, V, O> {
        if let Keys::Asked(batch, _) = &mut self.0 {
            // Boxed, so that the future of a caller who need not wait does not carry the room for it.
            Box::pin(batch.lead()).await;
        }
        self.led()
    }

    /// The same for a function that cannot wait.
    pub fn lead_now(mut self) -> BatchLed<I, N, K, V, O> {
        if let Keys::Asked(batch, _) = &mut self.0 {
            batch.lead_now();
        }
        self.led()
    }

    fn led(self) -> BatchLed<I, N, K, V, O> {
        let load = BatchLoad(self.0);
        match &load.0 {
            Keys::Asked(batch, _) if batch.is_known() => BatchLed::Answer(load.answer()),
            _ => BatchLed::Load(load),
        }
    }
}

impl<I: Clone, N: Eq + Hash, K: Key, V: Value, O> BatchLoad<I, N, K, V, O> {
    /// The keys that the body is to load.
    pub fn missing<L: KeyList<Item = I> + ?Sized>(&mut self, given: &L) -> L::Owned {
        _ = given;
        L::list(match &mut self.0 {
            Keys::Bypassed(items) => std::mem::take(items),
            Keys::Asked(batch, _) => batch.missing(),
        })
    }

    /// Runs the body.
    ///
    /// # Cancel safety
    ///
    /// That of `body`.
    pub fn run<F: Future>(&self, body: F) -> impl Future<Output = F::Output> + use<I, N, K, V, O, F> {
        let batch = match &self.0 {
            Keys::Asked(batch, _) => Some(batch),
            Keys::Bypassed(_) => None,
        };
        batch::run(batch, body)
    }

    /// Whether anything of the outcome may be kept.
    pub fn may_keep(&self) -> bool {
        match &self.0 {
            Keys::Asked(batch, _) => batch.may_keep(),
            Keys::Bypassed(_) => false,
        }
    }

    /// The body has returned; returns the whole answer. `policy` is asked for each value, `none` is for keys that the
    /// body did not return.
    pub fn settle(self, output: O, policy: impl Fn(&V) -> Policy, none: Option<Policy>) -> O {
        let Keys::Asked(batch, how) = self.0 else { return output };
        match (how.pairs)(output) {
            Ok(loaded) => {
                let none = none.map(|Policy(verdict)| verdict);
                (how.output)(batch.settle(loaded, |value| policy(value).0, none.as_ref()))
            }
            Err(output) => {
                batch.fail();
                output
            }
        }
    }

    /// The answer where every key is known.
    fn answer(self) -> O
    where
        N: Eq + Hash,
    {
        match self.0 {
            Keys::Asked(batch, how) => (how.output)(batch.settle(Vec::new(), |_| Policy::new().0, None)),
            Keys::Bypassed(_) => unreachable!("without a cache no key is known"),
        }
    }
}
