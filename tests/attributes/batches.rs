//! Functions with `keys`: what of a list their bodies are asked for, and what becomes of the answer.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    future::pending,
    hash::{BuildHasherDefault, DefaultHasher},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cachesync::{Cache, Registry, Transaction, cache_evict, cacheable};

use crate::nodes::{SETTLE, begun, cache, clocked, registry};

/// What a body was asked for, call by call.
#[derive(Default)]
struct Seen(Mutex<Vec<Vec<u64>>>);

impl Seen {
    fn note<'a>(&self, ids: impl IntoIterator<Item = &'a u64>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(ids.into_iter().copied().collect());
    }

    /// What it was asked for since the last look.
    fn take(&self) -> Vec<Vec<u64>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Ten times each number; of 0 and of hundreds there is nothing.
fn tenfold<'a, C: FromIterator<(u64, u64)>>(ids: impl IntoIterator<Item = &'a u64>) -> C {
    ids.into_iter().filter(|id| *id % 100 != 0).map(|id| (*id, 10 * id)).collect()
}

#[cacheable(cache = "batch", keys = ids, registry = registry)]
async fn find_many(registry: &Registry, seen: &Seen, ids: &[u64]) -> Result<Vec<(u64, u64)>, String> {
    seen.note(ids);
    tokio::task::yield_now().await;
    if ids.contains(&0) { Err("zero".into()) } else { Ok(tenfold(ids)) }
}

#[cacheable(cache = "batch", key = id, registry = registry)]
async fn find_one(registry: &Registry, id: u64) -> Result<u64, String> {
    Ok(1000 + id)
}

#[cache_evict(cache = "batch", keys = ids, registry = registry)]
async fn save(registry: &Registry, ids: &[u64], body: impl Future<Output = ()>) {
    body.await;
}

fn numbers(registry: &Registry) -> Cache<u64, u64> {
    cache(registry, "batch")
}

#[tokio::test]
async fn the_body_is_asked_once_for_the_missing_keys_alone_and_the_answer_is_whole() {
    let (registry, seen) = (registry(&["batch"]).await, Seen::default());
    assert_eq!(find_many(&registry, &seen, &[2, 4]).await, Ok(vec![(2, 20), (4, 40)]));
    let answer = find_many(&registry, &seen, &[5, 4, 3, 5, 2, 3, 1]).await;
    assert_eq!(answer, Ok(vec![(5, 50), (4, 40), (3, 30), (2, 20), (1, 10)]), "in the order of the list");
    assert_eq!(seen.take(), [vec![2, 4], vec![5, 3, 1]], "each missing key once, in the order of the list");
    assert_eq!(find_many(&registry, &seen, &[1, 2, 3, 4, 5]).await.map(|pairs| pairs.len()), Ok(5));
    assert_eq!(find_many(&registry, &seen, &[]).await, Ok(vec![]));
    assert_eq!(seen.take(), [[0; 0]; 0], "nothing is missing");
    let stats = numbers(&registry).stats();
    assert_eq!((stats.loads, stats.hits, stats.not_kept), (5, 7, 0), "each key is counted");
}

#[tokio::test]
async fn a_batch_and_single_loads_share_entries() {
    let (registry, seen) = (registry(&["batch"]).await, Seen::default());
    find_one(&registry, 1).await.expect("Ok");
    assert_eq!(find_many(&registry, &seen, &[1, 2]).await, Ok(vec![(1, 1001), (2, 20)]));
    assert_eq!(find_one(&registry, 2).await, Ok(20));
    assert_eq!(seen.take(), [[2]]);
}

#[tokio::test]
async fn an_error_is_the_answer_and_nothing_is_kept_of_it() {
    let (registry, seen) = (registry(&["batch"]).await, Seen::default());
    find_many(&registry, &seen, &[1]).await.expect("Ok");
    for _ in 0..2 {
        assert_eq!(find_many(&registry, &seen, &[1, 0, 2]).await, Err("zero".into()));
    }
    assert_eq!(seen.take(), [vec![1], vec![0, 2], vec![0, 2]]);
    assert_eq!(numbers(&registry).len(), 1);
}

#[tokio::test]
async fn a_key_that_the_body_does_not_return_is_asked_for_again() {
    let (registry, seen) = (registry(&["batch"]).await, Seen::default());
    for _ in 0..2 {
        assert_eq!(find_many(&registry, &seen, &[100, 1]).await, Ok(vec![(1, 10)]));
    }
    assert_eq!(seen.take(), [vec![100, 1], vec![100]]);
}

#[tokio::test]
async fn without_a_registry_or_the_cache_the_body_sees_the_list() {
    let (bare, seen) = (registry(&[]).await, Seen::default());
    let ended = registry(&["batch"]).await;
    ended.shutdown().await.expect("down");
    for registry in [&bare, &ended] {
        for _ in 0..2 {
            assert_eq!(find_many(registry, &seen, &[2, 1]).await, Ok(vec![(2, 20), (1, 10)]));
        }
    }
    assert_eq!(seen.take(), [[2, 1]; 4]);
}

#[tokio::test]
async fn in_a_transaction_a_batch_reads_what_is_not_pending_and_keeps_nothing() {
    let (registry, seen) = (registry(&["batch"]).await, Seen::default());
    find_many(&registry, &seen, &[1, 2]).await.expect("Ok");
    let transaction = Transaction::begin();
    let inside = async {
        save(&registry, &[2, 9], async {}).await;
        for _ in 0..2 {
            assert_eq!(find_many(&registry, &seen, &[1, 2, 3]).await, Ok(vec![(1, 10), (2, 20), (3, 30)]));
        }
    };
    transaction.scope(inside).await;
    assert_eq!(seen.take(), [vec![1, 2], vec![2, 3], vec![2, 3]]);
    assert_eq!((numbers(&registry).get(&2), numbers(&registry).get(&3)), (Some(20), None));
    transaction.commit();
    assert_eq!((numbers(&registry).get(&1), numbers(&registry).get(&2)), (Some(10), None));
}

#[tokio::test]
async fn held_keys_of_a_batch_are_loaded_and_not_kept_and_the_others_are() {
    let ((registry, clock), seen) = (clocked(&["batch"]).await, Seen::default());
    // In a cache that is not in use yet, all keys would be held.
    assert!(numbers(&registry).is_empty());
    drop(begun(save(&registry, &[1], pending())).await);
    for _ in 0..2 {
        assert_eq!(find_many(&registry, &seen, &[1, 2]).await, Ok(vec![(1, 10), (2, 20)]));
    }
    assert_eq!(seen.take(), [vec![1, 2], vec![1]]);
    clock.advance(SETTLE);
    find_many(&registry, &seen, &[1, 2]).await.expect("Ok");
    assert_eq!(numbers(&registry).len(), 2);
}

type OtherHasher = BuildHasherDefault<DefaultHasher>;

macro_rules! batches {
    ($($name:ident $cache:literal ($list:ty) -> $output:ty $(= $wrap:ident)?;)*) => {
        $(
            #[cacheable(cache = $cache, keys = ids)]
            #[allow(clippy::ptr_arg, reason = "it is one of the types that a list can have")]
            async fn $name(seen: &Seen, ids: $list) -> $output {
                seen.note(ids.iter());
                tokio::task::yield_now().await;
                $($wrap)?(tenfold(ids.iter()))
            }
        )*
    };
}

batches! {
    slice "batch-types-1" (&[u64]) -> HashMap<u64, u64>;
    vec_ref "batch-types-2" (&Vec<u64>) -> BTreeMap<u64, u64>;
    vec "batch-types-3" (Vec<u64>) -> Vec<(u64, u64)>;
    hash_set_ref "batch-types-4" (&HashSet<u64>) -> Result<HashMap<u64, u64>, String> = Ok;
    hash_set "batch-types-5" (HashSet<u64, OtherHasher>) -> HashMap<u64, u64, OtherHasher>;
    tree_ref "batch-types-6" (&BTreeSet<u64>) -> Result<BTreeMap<u64, u64>, String> = Ok;
    tree "batch-types-7" (BTreeSet<u64>) -> Result<Vec<(u64, u64)>, String> = Ok;
}

#[tokio::test]
async fn every_kind_of_list_and_of_answer_works() {
    macro_rules! check {
        ($name:ident $seen:ident $list:expr => $($ok:ident)?) => {
            for _ in 0..2 {
                let answer = $name($seen, $list).await $(.$ok("Ok"))?;
                let answer: BTreeMap<u64, u64> = answer.into_iter().collect();
                assert_eq!(answer, BTreeMap::from([(1, 10), (2, 20)]), stringify!($name));
            }
            let mut asked = $seen.take().concat();
            asked.sort_unstable();
            assert_eq!(asked, [1, 2], "{} asks for each once", stringify!($name));
        };
    }
    let seen = &Seen::default();
    let caches = (1..=7).map(|number| format!("batch-types-{number}")).collect::<Vec<_>>();
    let registry = registry(&caches.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let work = async {
        check!(slice seen &[2, 1, 2] =>);
        check!(vec_ref seen &vec![2, 1, 2] =>);
        check!(vec seen vec![2, 1, 2] =>);
        check!(hash_set_ref seen &HashSet::from([2, 1]) => expect);
        check!(hash_set seen [2, 1].into_iter().collect() =>);
        check!(tree_ref seen &BTreeSet::from([2, 1]) => expect);
        check!(tree seen BTreeSet::from([2, 1]) => expect);
    };
    registry.scope(work).await;
}

#[cacheable(cache = "batch-text", keys = names)]
async fn lengths(seen: &Seen, names: &[&str]) -> HashMap<String, usize> {
    seen.note(&[names.len() as u64]);
    names.iter().map(|name| ((*name).to_owned(), name.len())).collect()
}

#[cacheable(cache = "batch-tenants", keys = ids, key = |id| (tenant, id))]
async fn of_tenant(seen: &Seen, tenant: &str, mut ids: Vec<u64>) -> BTreeMap<u64, String> {
    seen.note(&ids);
    ids.sort_unstable();
    ids.into_iter().map(|id| (id, format!("{tenant}{id}"))).collect()
}

#[tokio::test]
async fn the_keys_of_texts_are_owned() {
    let seen = Seen::default();
    let work = async {
        for names in [&["a", "bb"][..], &["bb", "ccc", "a"]] {
            let expected: HashMap<_, _> = names.iter().map(|name| ((*name).to_owned(), name.len())).collect();
            assert_eq!(lengths(&seen, names).await, expected);
        }
    };
    registry(&["batch-text"]).await.scope(work).await;
    assert_eq!(seen.take(), [[2], [1]]);
}

#[tokio::test]
async fn a_closure_makes_the_keys_of_the_cache_and_the_answer_is_by_the_elements_of_the_list() {
    let (registry, seen) = (registry(&["batch-tenants"]).await, Seen::default());
    let work = async {
        for tenant in ["a", "b", "a"] {
            let expected = BTreeMap::from([(1, format!("{tenant}1")), (2, format!("{tenant}2"))]);
            assert_eq!(of_tenant(&seen, tenant, vec![2, 1]).await, expected);
        }
    };
    registry.scope(work).await;
    assert_eq!(seen.take(), [[2, 1], [2, 1]], "each tenant has its own");
    assert_eq!(cache::<(String, u64), String>(&registry, "batch-tenants").get(("b", 2)).as_deref(), Some("b2"));
}

#[cacheable(cache = "batch-alike", keys = names, key = |name| name.to_lowercase())]
async fn by_name(seen: &Seen, names: &[&'static str]) -> Vec<(&'static str, usize)> {
    seen.note(&[names.len() as u64]);
    names.iter().map(|name| (*name, name.len())).collect()
}

#[tokio::test]
async fn elements_that_the_closure_makes_one_key_of_are_all_answered_and_loaded_once() {
    let (registry, seen) = (registry(&["batch-alike"]).await, Seen::default());
    let work = async {
        for names in [["Ada", "ada", "Grace", "ada"], ["ADA", "grace", "ada", "ADA"]] {
            let mut answer = by_name(&seen, &names).await;
            answer.sort_unstable();
            let mut expected = names[..3].iter().map(|name| (*name, name.len())).collect::<Vec<_>>();
            expected.sort_unstable();
            assert_eq!(answer, expected);
        }
    };
    registry.scope(work).await;
    assert_eq!(seen.take(), [[2]]);
}

#[tokio::test]
async fn a_pending_tag_hides_entries_from_a_batch() {
    let ((registry, _clock), seen) = (clocked(&["batch-policy"]).await, Seen::default());
    let work = async {
        assert_eq!(with_policy(&seen, &[1, 2]).await.len(), 2);
        let transaction = Transaction::begin();
        let inside = async {
            cache::<u64, u64>(&registry, "batch-policy").evict_tag("digit:1");
            assert_eq!(with_policy(&seen, &[1, 2]).await.len(), 2);
        };
        transaction.scope(inside).await;
        transaction.rollback();
        assert_eq!(with_policy(&seen, &[1, 2]).await.len(), 2);
    };
    registry.scope(work).await;
    assert_eq!(seen.take(), [vec![1, 2], vec![1]]);
}

#[cacheable(
    cache = "batch-policy", keys = ids, unless = *result > 900, ttl = Duration::from_secs(*result),
    tags = [format_args!("digit:{}", result / 10 % 10)], cache_none, none_ttl = Duration::from_secs(5)
)]
async fn with_policy(seen: &Seen, ids: &[u64]) -> Vec<(u64, u64)> {
    seen.note(ids);
    tenfold(ids)
}

#[cacheable(cache = "batch-policy", key = id)]
async fn one_of_policy(id: u64) -> Option<u64> {
    Some(1000 + id)
}

#[tokio::test]
async fn the_policy_is_that_of_each_value() {
    let ((registry, clock), seen) = (clocked(&["batch-policy"]).await, Seen::default());
    let numbers = cache::<u64, u64>(&registry, "batch-policy");
    let work = async {
        let all = [1, 2, 11, 95, 100];
        assert_eq!(with_policy(&seen, &all).await, [(1, 10), (2, 20), (11, 110), (95, 950)]);
        assert_eq!(with_policy(&seen, &all).await, [(1, 10), (2, 20), (11, 110), (95, 950)]);
        assert_eq!(seen.take(), [vec![1, 2, 11, 95, 100], vec![95]], "95 is refused, and that 100 is absent is known");
        assert_eq!(one_of_policy(100).await, None, "to others too");
        clock.advance(Duration::from_secs(5));
        assert_eq!(one_of_policy(100).await, Some(1100));
        clock.advance(Duration::from_secs(5));
        assert_eq!([1, 2].map(|key| numbers.get(&key)), [None, Some(20)]);
        numbers.evict_tag("digit:1");
        assert_eq!([2, 11].map(|key| numbers.get(&key)), [Some(20), None]);
    };
    registry.scope(work).await;
}

#[cacheable(cache = "batch-surplus", keys = ids)]
async fn with_more(more: u64, ids: &[u64]) -> Vec<(u64, u64)> {
    [ids, &[more]].concat().iter().map(|id| (*id, 10 * id)).collect()
}

#[tokio::test]
async fn what_nobody_asked_for_is_returned_and_not_kept() {
    let registry = registry(&["batch-surplus"]).await;
    let numbers = cache::<u64, u64>(&registry, "batch-surplus");
    assert_eq!(registry.scope(with_more(7, &[1, 2])).await, [(1, 10), (2, 20), (7, 70)]);
    assert_eq!([1, 2, 7].map(|key| numbers.get(&key)), [Some(10), Some(20), None]);
}

#[cacheable(cache = "batch-plain", keys = ids)]
fn plain(seen: &Seen, ids: &[u64]) -> HashMap<u64, u64> {
    seen.note(ids);
    tenfold(ids)
}

#[tokio::test]
async fn a_plain_function_can_take_a_batch() {
    let seen = Seen::default();
    let work = async {
        assert_eq!(plain(&seen, &[1, 2]), HashMap::from([(1, 10), (2, 20)]));
        assert_eq!(plain(&seen, &[3, 2]), HashMap::from([(3, 30), (2, 20)]));
    };
    registry(&["batch-plain"]).await.scope(work).await;
    assert_eq!(seen.take(), [vec![1, 2], vec![3]]);
}

#[cacheable(cache = "batch-condition", keys = ids, condition = ids.len() < 3)]
async fn few(seen: &Seen, ids: Vec<u64>) -> HashMap<u64, u64> {
    seen.note(&ids);
    tenfold(&ids)
}

#[tokio::test]
async fn a_batch_whose_condition_is_false_is_its_body() {
    let (registry, seen) = (registry(&["batch-condition"]).await, Seen::default());
    let work = async {
        few(&seen, vec![1, 2]).await;
        for _ in 0..2 {
            assert_eq!(few(&seen, vec![1, 2, 3]).await.len(), 3);
        }
    };
    registry.scope(work).await;
    assert_eq!(seen.take(), [vec![1, 2], vec![1, 2, 3], vec![1, 2, 3]]);
    assert_eq!(cache::<u64, u64>(&registry, "batch-condition").get(&3), None);
}

/// What only some calls may evaluate.
fn of_few<T>(ids: &[u64], value: T) -> T {
    assert!(ids.len() < 3, "evaluated for nothing");
    value
}

#[cacheable(
    cache = "batch-skipped", keys = ids, condition = ids.len() < 3, ttl = of_few(ids, SETTLE),
    tags = [of_few(ids, "few"), of_few(ids, *result).to_string()]
)]
async fn few_values(ids: &[u64]) -> HashMap<u64, u64> {
    tenfold(ids)
}

#[cacheable(
    cache = "batch-skipped", keys = ids, condition = ids.len() < 3, unless = of_few(ids, false), tags = [of_few(ids, 1)],
    cache_none, none_ttl = of_few(ids, SETTLE)
)]
fn few_absences(ids: &[u64]) -> HashMap<u64, u64> {
    tenfold(ids)
}

#[tokio::test]
async fn what_is_said_of_entries_is_not_evaluated_where_none_is_kept() {
    let registry = registry(&["batch-skipped"]).await;
    let whole = HashMap::from([(1, 10), (2, 20)]);
    let work = async {
        assert_eq!(few_values(&[0, 1, 2]).await, whole);
        assert_eq!(few_absences(&[0, 1, 2]), whole);
        let reading = Transaction::read_only();
        let of_transaction = async { (few_values(&[1, 2]).await, few_absences(&[1, 2])) };
        assert_eq!(reading.scope(of_transaction).await, (whole.clone(), whole.clone()));
        assert_eq!(few_absences(&[0, 1]), HashMap::from([(1, 10)]));
    };
    registry.scope(work).await;
    let numbers = cache::<u64, u64>(&registry, "batch-skipped");
    assert_eq!((numbers.get(&1), numbers.get(&2)), (Some(10), None));
}

#[cache_evict(cache = "batch-many", keys = result.iter().map(|pair| pair.0))]
async fn save_many(pairs: Vec<(u64, u64)>) -> Result<Vec<(u64, u64)>, String> {
    if pairs.is_empty() { Err("nothing".into()) } else { Ok(pairs) }
}

#[cache_evict(cache = "batch-many", keys = ids.values(), before)]
async fn save_values(ids: &BTreeMap<&str, u64>) {
    tokio::task::yield_now().await;
}

#[tokio::test]
async fn an_eviction_can_take_many_keys() {
    let registry = registry(&["batch-many"]).await;
    let numbers = cache::<u64, u64>(&registry, "batch-many");
    (1..=5).for_each(|key| numbers.insert(key, key));
    let work = async {
        save_many(vec![(1, 0), (3, 0), (9, 0)]).await.expect("Ok");
        save_many(vec![]).await.expect_err("nothing");
        save_values(&BTreeMap::from([("a", 5)])).await;
    };
    registry.scope(work).await;
    assert_eq!((1..=5).filter(|key| numbers.get(key).is_some()).collect::<Vec<_>>(), [2, 4]);
}
