//! A day without a broker, under write load: memory and the depth of the outbox stay flat, the log stays quiet, and when
//! the broker is back everything is told.

use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use cachesync::{
    Cache, CacheConfig, ManualClock, OnPartition, Registry, Transaction, UnknownCaches, cacheable,
    memory::MemoryBackend,
};
use cachesync_core::{
    Backend, BackendError, BackendErrorKind, BoxFuture, Publisher, Session,
    backend::{Interest, Message, Position, Topic},
};
use tokio::{sync::watch, time::sleep};

use crate::lines::Lines;

const HOURS: usize = 24;
/// Keys that are evicted in an hour, none of them twice. After seven hours they are too many.
const KEYS_PER_HOUR: u64 = 12_000;
const MINUTE: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Well,
    /// There are no sessions.
    Refuses,
    /// What is published is neither taken nor refused.
    NeverConfirms,
    /// Heartbeats are taken, and everything else costs the session.
    LosesSessions,
}

/// A broker that remembers nothing, since what it remembers is counted, too.
#[derive(Clone)]
struct Broker {
    hub: MemoryBackend,
    mode: watch::Sender<Mode>,
}

struct Way {
    inner: Box<dyn Publisher>,
    mode: watch::Receiver<Mode>,
}

impl Backend for Broker {
    fn connect(&self, interest: Interest, resume: Option<Position>) -> BoxFuture<'_, Result<Session, BackendError>> {
        Box::pin(async move {
            if *self.mode.borrow() == Mode::Refuses {
                return Err(BackendError::new(BackendErrorKind::Unreachable, "away for a day"));
            }
            let mut session = self.hub.connect(interest, resume).await?;
            session.publisher = Box::new(Way { inner: session.publisher, mode: self.mode.subscribe() });
            Ok(session)
        })
    }
}

impl Publisher for Way {
    fn publish<'a>(&'a mut self, messages: &'a [Message]) -> BoxFuture<'a, Result<(), BackendError>> {
        Box::pin(async move {
            let lost = || Err(BackendError::new(BackendErrorKind::Lost, "the test says so"));
            let mode = *self.mode.borrow();
            match mode {
                Mode::Well => {}
                Mode::LosesSessions if matches!(messages[0].topic, Topic::Heartbeat(_)) => {}
                Mode::Refuses | Mode::LosesSessions => return lost(),
                Mode::NeverConfirms => {
                    _ = self.mode.wait_for(|mode| *mode != Mode::NeverConfirms).await;
                    return lost();
                }
            }
            self.inner.publish(messages).await
        })
    }
}

/// Displaces what it loaded before, and the tags of that.
#[cacheable(cache = "tagged", key = id, tags = [format!("team:{}", id / 3), "all"], registry = registry)]
async fn tagged(registry: &Registry, id: u64) -> Option<u64> {
    Some(id)
}

async fn node(broker: &Broker, clock: &ManualClock) -> Registry {
    let cache = |name: &str| CacheConfig::new(name).capacity(1_000).on_partition(OnPartition::ServeStale);
    let builder = ["users", "teams", "rates", "orders", "tagged"].map(cache).into_iter();
    builder
        .fold(Registry::builder(), cachesync::RegistryBuilder::cache)
        .namespace("day")
        .unknown_caches(UnknownCaches::Bypass)
        .settle(Duration::from_hours(1))
        .clock(clock.clone())
        .backend(broker.clone())
        .start()
        .await
        .expect("the broker is well at first")
}

fn cache(registry: &Registry, name: &str) -> Cache<u64, u64> {
    registry.cache(name).expect("configured")
}

/// A node that writes all day.
struct Writer {
    registry: Registry,
    clock: ManualClock,
    minute: u64,
}

impl Writer {
    /// A minute of writes.
    async fn minute(&mut self) {
        let Self { registry, minute, .. } = self;
        let [users, teams, rates, orders] = ["users", "teams", "rates", "orders"].map(|name| cache(registry, name));
        let first = *minute * KEYS_PER_HOUR / 60;
        users.evict_many(first..first + KEYS_PER_HOUR / 60);
        teams.evict_tags((0..20).map(|team| *minute * 20 + team));
        (0..10).for_each(|rate| rates.insert((*minute + rate) % 100, *minute));
        for id in 0..20 {
            tagged(registry, *minute * 20 + id).await;
        }
        // Nobody knows whether it was committed, so it is held, and told a second time.
        let transaction = Transaction::begin();
        transaction.scope(async { orders.evict_many(*minute * 50..(*minute + 1) * 50) }).await;
        transaction.commit_with(async { Err("no answer") }).await.expect_err("no answer");
        // One is rolled back, and one is never committed.
        for _ in 0..2 {
            Transaction::begin().scope(async { orders.evict_all() }).await;
        }
        let status = registry.status();
        assert!(status.outbox.keys + status.outbox.tags <= 2 * 100_000, "{status:?}");
        assert!(status.outbox.bytes <= 2 * 16 * 1024 * 1024 && status.outbox.repeats <= 100_000, "{status:?}");
        assert!(status.problems.is_empty(), "{status:?}");
        *minute += 1;
        sleep(MINUTE).await;
        self.clock.advance(MINUTE);
    }

    /// Two transactions with so many keys, one of unknown outcome.
    async fn large_transactions(&self, keys: u64) {
        let evicting = |name| {
            let (cache, transaction) = (cache(&self.registry, name), Transaction::begin());
            async move {
                transaction.scope(async { (0..keys).for_each(|key| cache.evict(&key)) }).await;
                transaction
            }
        };
        drop(evicting("teams").await.commit());
        evicting("orders").await.commit_with(async { Err("no answer") }).await.expect_err("no answer");
    }

    async fn hour(&mut self) {
        for _ in 0..60 {
            self.minute().await;
        }
        self.registry.flush().await.expect_err("nobody is there");
    }
}

/// What a day without a broker leaves behind.
fn day(mode: Mode) {
    let lines = Lines::default();
    let _logged = tracing::subscriber::set_default(lines.clone());
    let broker = Broker { hub: MemoryBackend::new(), mode: watch::Sender::new(Mode::Well) };
    let sound = Broker { hub: broker.hub.clone(), mode: watch::Sender::new(Mode::Well) };
    let clock = ManualClock::new();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("starts");
    let mut writer =
        runtime.block_on(async { Writer { registry: node(&broker, &clock).await, clock: clock.clone(), minute: 0 } });
    broker.mode.send_replace(mode);

    let mut live = 0;
    let mut samples = Vec::new();
    for hour in 0..HOURS - 1 {
        let AllocationInfo { bytes_current, bytes_max, .. } = measure(|| {
            runtime.block_on(async {
                writer.hour().await;
                match hour {
                    2 => writer.large_transactions(100_000).await,
                    // All caches but one are evicted as a whole from here on.
                    8 => writer.large_transactions(if mode == Mode::Refuses { 1_000_000 } else { 150_000 }).await,
                    _ => {}
                }
            });
        });
        let peak = live + i64::try_from(bytes_max).expect("fewer");
        live += bytes_current;
        samples.push((live, peak));
    }
    // In the first hours everything has been as large as it gets.
    let most =
        |samples: &[(i64, i64)]| samples.iter().copied().reduce(|a, b| (a.0.max(b.0), a.1.max(b.1))).expect("some");
    let (early, late) = (most(&samples[..10]), most(&samples[10..]));
    println!("{mode:?}: {samples:?} {:?}", lines.counts());
    assert!(late.0 <= early.0 * 11 / 10, "{mode:?}: what is live grows: {samples:?}");
    assert!(early.1 < 48 << 20 && late.1 < 8 << 20, "{mode:?}: at its peak it is large: {samples:?}");
    let drift = samples[HOURS - 2].0 - samples[10].0;
    assert!(drift < 64 << 10, "{mode:?}: it grows by {drift} bytes in twelve hours: {samples:?}");

    // Another node, which hears well, has what is written in the last hour.
    let there = runtime.block_on(async {
        let there = node(&sound, &clock).await;
        let [users, rates] = ["users", "rates"].map(|name| cache(&there, name));
        for key in 0..200 {
            users.get_with(writer.minute * KEYS_PER_HOUR / 60 + key, async || 0).await;
            rates.get_with(key, async || 0).await;
        }
        writer.hour().await;
        assert_eq!((users.len(), rates.len()), (200, 200), "it has heard of nothing");
        broker.mode.send_replace(Mode::Well);
        there
    });
    runtime.block_on(async {
        let drained = async {
            while !writer.registry.status().outbox.is_empty() || !cache(&there, "users").is_empty() {
                sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(MINUTE, drained).await.expect("the broker is back");
        let rates = cache(&there, "rates");
        let left: Vec<u64> = (0..200).filter(|key| rates.get(key).is_some()).collect();
        assert!(left.iter().copied().eq(100..200), "no more than was written is evicted: {left:?}");
        writer.registry.shutdown().await.expect("all is told");
    });
    let (errors, warnings, infos) = lines.counts();
    assert!(errors == 0 && warnings <= 20 && infos <= 20, "{mode:?}: {lines:?}");
}

#[test]
fn a_day_in_which_the_broker_refuses_leaves_memory_and_the_outbox_flat() {
    day(Mode::Refuses);
}

#[test]
fn a_day_in_which_the_broker_never_confirms_leaves_memory_and_the_outbox_flat() {
    day(Mode::NeverConfirms);
}

#[test]
fn a_day_of_sessions_that_are_lost_again_and_again_leaves_memory_and_the_outbox_flat() {
    day(Mode::LosesSessions);
}
