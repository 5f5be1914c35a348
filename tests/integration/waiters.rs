//! Single flight, and R9: what becomes of those who wait when a load is cancelled, panics, fails, or takes too long.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use cachesync::{Cache, CacheConfig, ManualClock, Registry, UnknownCaches, cacheable};
use cachesync_tests::{gate::Gate, wait::within};
use futures_util::future::{BoxFuture, join_all};
use tokio::task::JoinSet;

use crate::nodes::{DEADLINE, alone, load, only, pair};

/// Counts the bodies that run, and how many at the same time.
#[derive(Default)]
struct Meter {
    runs: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Meter {
    async fn run<T>(&self, body: impl Future<Output = T>) -> T {
        self.runs.fetch_add(1, SeqCst);
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        let output = body.await;
        self.now.fetch_sub(1, SeqCst);
        output
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_of_one_absent_key_run_the_body_once() {
    // They wait as long as it takes.
    let registry = only(CacheConfig::new("users").load_wait(DEADLINE)).await;
    let users: Cache<u64, String> = registry.cache("users").unwrap();
    let (meter, gate) = (Arc::new(Meter::default()), Gate::new());
    let mut callers = JoinSet::new();
    for _ in 0..1_000 {
        let (users, meter, gate) = (users.clone(), meter.clone(), gate.clone());
        callers.spawn(async move {
            let body = async {
                gate.pass().await;
                "Ada".to_owned()
            };
            users.get_with(1, || meter.run(body)).await
        });
    }
    gate.reached_by(1).await;
    gate.let_through(1_000);
    assert_eq!(within(DEADLINE, callers.join_all()).await, vec!["Ada".to_owned(); 1_000]);
    assert_eq!(meter.runs.load(SeqCst), 1);
    let stats = users.stats();
    assert_eq!((stats.loads, stats.hits + stats.shared), (1, 999));
}

/// Starts callers one after the other, each until it waits or is at the gate.
struct Crowd {
    users: Cache<u64, String>,
    meter: Arc<Meter>,
    gate: Gate,
}

type Loaded = Result<String, String>;

impl Crowd {
    async fn new() -> (Registry, Self) {
        let (registry, users) = alone().await;
        (registry, Self { users, meter: Arc::default(), gate: Gate::new() })
    }

    fn caller(&self, outcome: Loaded) -> tokio::task::JoinHandle<Loaded> {
        let (users, meter, gate) = (self.users.clone(), self.meter.clone(), self.gate.clone());
        tokio::spawn(async move {
            let body = async {
                gate.pass().await;
                assert_ne!(outcome, Err("panic".into()), "on purpose");
                outcome
            };
            users.try_get_with(1, || meter.run(body)).await
        })
    }

    /// Until every task has gone as far as it can; they all run on this thread.
    async fn settled() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_cancelled_load_hands_over_to_one_who_waits() {
    let (_registry, crowd) = Crowd::new().await;
    let leader = crowd.caller(Ok("never".into()));
    crowd.gate.reached_by(1).await;
    let waiting: Vec<_> = (0..10).map(|_| crowd.caller(Ok("Ada".into()))).collect();
    Crowd::settled().await;
    assert_eq!(crowd.meter.runs.load(SeqCst), 1);

    leader.abort();
    crowd.gate.reached_by(1).await;
    Crowd::settled().await;
    assert_eq!(crowd.meter.runs.load(SeqCst), 2, "one of those who waited leads, the others wait for it");
    crowd.gate.let_through(1);
    for answer in within(DEADLINE, join_all(waiting)).await {
        assert_eq!(answer.unwrap(), Ok("Ada".into()));
    }
    assert_eq!(crowd.users.get(&1).as_deref(), Some("Ada"));
}

#[tokio::test]
async fn a_load_that_panics_hands_over_and_leaves_nothing_behind() {
    let (_registry, crowd) = Crowd::new().await;
    let leader = crowd.caller(Err("panic".into()));
    crowd.gate.reached_by(1).await;
    let waiting = crowd.caller(Ok("Ada".into()));
    Crowd::settled().await;
    crowd.gate.let_through(2);
    assert!(within(DEADLINE, leader).await.unwrap_err().is_panic());
    assert_eq!(within(DEADLINE, waiting).await.unwrap(), Ok("Ada".into()));
}

#[tokio::test]
async fn an_error_is_not_cached() {
    let (_registry, users) = alone().await;
    assert_eq!(users.try_get_with(1, async || Err::<String, _>("down")).await, Err("down"));
    assert!(users.is_empty());
    assert_eq!(load(&users, 1, "Ada").await, "Ada");
}

#[tokio::test]
async fn after_an_error_those_who_waited_load_at_the_same_time_but_not_all_at_once() {
    let (_registry, crowd) = Crowd::new().await;
    let leader = crowd.caller(Err("down".into()));
    crowd.gate.reached_by(1).await;
    let waiting: Vec<_> = (0..100).map(|_| crowd.caller(Err("down".into()))).collect();
    Crowd::settled().await;
    crowd.gate.let_through(1);
    assert_eq!(leader.await.unwrap(), Err("down".into()));

    Crowd::settled().await;
    let at_once = crowd.meter.now.load(SeqCst);
    assert!((2..=16).contains(&at_once), "{at_once} at the same time");
    crowd.gate.let_through(100);
    for answer in within(DEADLINE, join_all(waiting)).await {
        assert_eq!(answer.unwrap(), Err("down".into()));
    }
    assert_eq!(crowd.meter.runs.load(SeqCst), 101);
    assert!(crowd.meter.most.load(SeqCst) <= 16);
}

#[tokio::test]
async fn after_an_error_the_first_success_answers_those_who_still_wait() {
    let (_registry, crowd) = Crowd::new().await;
    let leader = crowd.caller(Err("down".into()));
    crowd.gate.reached_by(1).await;
    let waiting: Vec<_> = (0..100).map(|_| crowd.caller(Ok("Ada".into()))).collect();
    Crowd::settled().await;
    crowd.gate.let_through(101);
    leader.await.unwrap().unwrap_err();
    for answer in within(DEADLINE, join_all(waiting)).await {
        assert_eq!(answer.unwrap(), Ok("Ada".into()));
    }
    assert!(crowd.meter.runs.load(SeqCst) <= 1 + 16, "{}", crowd.meter.runs.load(SeqCst));
}

#[cacheable(cache = "users", key = 1u64, registry = registry)]
async fn failing(registry: &Registry, meter: &Meter, gate: &Gate) -> Result<String, String> {
    meter.run(gate.pass()).await;
    Err("down".into())
}

#[tokio::test]
async fn an_error_that_can_be_cloned_answers_all_who_waited() {
    let (registry, _users) = alone().await;
    let (meter, gate) = (Meter::default(), Gate::new());
    let callers = join_all((0..100).map(|_| failing(&registry, &meter, &gate)));
    let release = async {
        gate.reached_by(1).await;
        gate.let_through(1);
    };
    let (answers, ()) = within(DEADLINE, async { tokio::join!(callers, release) }).await;
    assert_eq!(answers, vec![Err("down".to_owned()); 100]);
    assert_eq!(meter.runs.load(SeqCst), 1);
}

#[cacheable(cache = "users", key = 1u64, registry = registry)]
async fn missing(registry: &Registry, meter: &Meter, gate: &Gate) -> Result<Option<String>, NotClone> {
    meter.run(gate.pass()).await;
    Ok(None)
}

#[derive(Debug)]
struct NotClone;

#[tokio::test]
async fn a_row_that_does_not_exist_is_not_cached_but_answers_all_who_waited() {
    let (registry, users) = alone().await;
    let (meter, gate) = (Meter::default(), Gate::new());
    let callers = join_all((0..100).map(|_| missing(&registry, &meter, &gate)));
    let release = async {
        gate.reached_by(1).await;
        gate.let_through(1);
    };
    let (answers, ()) = within(DEADLINE, async { tokio::join!(callers, release) }).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().is_none()));
    assert_eq!(meter.runs.load(SeqCst), 1);
    assert!(users.is_empty());
}

async fn impatient() -> (Registry, Cache<u64, String>) {
    let config = CacheConfig::new("users").load_wait(Duration::from_millis(50));
    let registry = only(config).await;
    let users = registry.cache("users").unwrap();
    (registry, users)
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_waited_too_long_loads_for_itself_and_keeps_nothing() {
    let (_registry, users) = impatient().await;
    let gate = Gate::new();
    let slow = {
        let (users, gate) = (users.clone(), gate.clone());
        tokio::spawn(async move {
            let loader = async || {
                gate.pass().await;
                "slow".to_owned()
            };
            users.get_with(1, loader).await
        })
    };
    gate.reached_by(1).await;
    let start = tokio::time::Instant::now();
    assert_eq!(load(&users, 1, "mine").await, "mine");
    assert_eq!(start.elapsed().as_millis() / 10, 5, "after the load_wait of 50 ms");
    assert_eq!(users.get(&1), None);
    gate.let_through(1);
    slow.await.unwrap();
    assert_eq!(users.get(&1).as_deref(), Some("slow"));
}

#[tokio::test(start_paused = true)]
async fn a_load_that_is_stuck_costs_one_wait_and_not_one_of_every_caller() {
    let (_registry, users) = impatient().await;
    let gate = Gate::new();
    let (stuck, at) = (users.clone(), gate.clone());
    tokio::spawn(async move {
        let loader = async || {
            at.pass().await;
            "stuck".to_owned()
        };
        stuck.get_with(1, loader).await
    });
    gate.reached_by(1).await;
    load(&users, 1, "waited").await;
    let start = tokio::time::Instant::now();
    assert_eq!(load(&users, 1, "leads").await, "leads");
    assert_eq!(users.get(&1).as_deref(), Some("leads"));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_load_that_asks_for_its_own_key_ends() {
    let (_registry, users) = impatient().await;
    let answer = users.get_with(1, async || load(&users, 1, "inner").await + " and outer").await;
    assert_eq!(answer, "inner and outer");
    assert_eq!(users.get(&1).as_deref(), Some("inner and outer"));
}

#[tokio::test(start_paused = true)]
async fn loads_that_wait_for_each_other_end() {
    fn chain<'a>(users: &'a Cache<u64, String>, keys: &'a [u64]) -> BoxFuture<'a, String> {
        Box::pin(async move {
            match keys {
                [] => String::new(),
                [key, rest @ ..] => {
                    let loader = async || {
                        tokio::task::yield_now().await;
                        format!("{key}{}", chain(users, rest).await)
                    };
                    users.get_with(key, loader).await
                }
            }
        })
    }

    let (_registry, users) = impatient().await;
    let (one, other) = tokio::join!(chain(&users, &[1, 2]), chain(&users, &[2, 1]));
    assert_eq!((one.as_str(), other.as_str()), ("12", "21"));
}

#[test]
fn the_wait_is_bounded_on_any_executor() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_registry, users) = runtime.block_on(impatient());
    let gate = Gate::new();
    let slow = {
        let (users, gate) = (users.clone(), gate.clone());
        let loader = async move || {
            gate.pass().await;
            "slow".to_owned()
        };
        runtime.spawn(async move { users.get_with(1, loader).await })
    };
    pollster::block_on(gate.reached_by(1));
    assert_eq!(pollster::block_on(load(&users, 1, "mine")), "mine");
    gate.let_through(1);
    runtime.block_on(slow).unwrap();
}

#[test]
fn a_runtime_that_ends_while_others_wait_on_another_executor_lets_them_load() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_registry, users) = runtime.block_on(alone());
    let gate = Gate::new();
    let (loader, at) = (users.clone(), gate.clone());
    let slow = std::thread::spawn(move || {
        let body = async || {
            at.pass().await;
            "slow".to_owned()
        };
        pollster::block_on(loader.get_with(1, body))
    });
    pollster::block_on(gate.reached_by(1));
    let waiting = std::thread::spawn(move || {
        let mut waiting = Box::pin(load(&users, 1, "mine"));
        assert!(pollster::block_on(async { futures_util::poll!(waiting.as_mut()) }).is_pending());
        drop(runtime);
        pollster::block_on(waiting)
    });
    assert_eq!(waiting.join().unwrap(), "mine");
    gate.let_through(1);
    assert_eq!(slow.join().unwrap(), "slow");
}

#[tokio::test]
async fn what_expired_is_loaded_again_once() {
    let clock = ManualClock::new();
    let registry = Registry::builder()
        .cache(CacheConfig::new("users").ttl(Duration::from_mins(1)))
        .unknown_caches(UnknownCaches::Bypass)
        .clock(clock.clone())
        .start()
        .await
        .unwrap();
    let users: Cache<u64, String> = registry.cache("users").unwrap();
    load(&users, 1, "old").await;
    clock.advance(Duration::from_secs(59));
    assert_eq!(load(&users, 1, "new").await, "old");
    clock.advance(Duration::from_secs(1));
    assert_eq!(users.get(&1), None);
    assert_eq!(load(&users, 1, "new").await, "new");
    assert_eq!(load(&users, 1, "newer").await, "new");
    assert_eq!(users.stats().expired, 1);
}

#[tokio::test]
async fn what_does_not_fit_is_displaced_and_nobody_else_is_told() {
    let (here, there) = pair().await;
    load(&there.users, 1, "Ada").await;
    for key in 0..30_000 {
        load(&here.users, key, "x").await;
    }
    assert!(here.users.len() <= 10_000);
    assert!(here.users.stats().displaced >= 20_000);
    here.registry.flush().await.unwrap();
    assert_eq!(there.registry.stats().frames_applied, 0);
    assert_eq!(there.users.get(&1).as_deref(), Some("Ada"));
}
