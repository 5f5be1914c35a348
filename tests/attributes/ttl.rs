//! How long one entry is kept, when its function says so.

use std::time::Duration;

use cachesync::{CacheConfig, ManualClock, Registry, UnknownCaches, cacheable};

use crate::{
    Calls,
    nodes::{cache, stats},
};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A cache whose entries expire after 30 s, or never; with a clock that stands still.
async fn clocked(name: &str, expires: bool) -> (Registry, ManualClock) {
    let clock = ManualClock::new();
    let config = CacheConfig::new(name);
    let config = if expires { config.ttl(seconds(30)) } else { config };
    let builder = Registry::builder().unknown_caches(UnknownCaches::Bypass).cache(config).clock(clock.clone());
    (builder.start().await.expect("starts"), clock)
}

#[cacheable(cache = "ttl", key = id, ttl = seconds(id + *result / 10))]
async fn by_expression(calls: &Calls, id: u64, value: u64) -> Result<u64, String> {
    calls.count().await;
    Ok(value)
}

#[tokio::test]
async fn an_entry_expires_by_its_own_ttl_in_any_cache() {
    for expires in [false, true] {
        let (registry, clock) = clocked("ttl", expires).await;
        let calls = Calls::default();
        let work = async {
            for (advance, loads) in [(0, 2), (9, 2), (1, 3), (9, 3), (1, 4), (20, 6)] {
                clock.advance(seconds(advance));
                assert_eq!(by_expression(&calls, 5, 50).await, Ok(50), "10 seconds, of parameters and value");
                assert_eq!(by_expression(&calls, 35, 50).await, Ok(50), "40 seconds, which is longer than the cache's");
                assert_eq!(calls.get(), loads, "the cache's expire: {expires}");
            }
        };
        registry.scope(work).await;
        assert_eq!(stats(&registry, "ttl").expired, 4);
    }
}

#[derive(Clone)]
struct Token {
    lives: Duration,
}

impl Token {
    fn ttl(&self) -> Duration {
        self.lives
    }
}

#[cacheable(cache = "ttl-closure", key = id, ttl = |token| token.ttl())]
async fn by_closure(calls: &Calls, id: u64, lives: Duration) -> Option<Token> {
    _ = id;
    calls.count().await;
    Some(Token { lives })
}

#[tokio::test]
async fn a_value_can_say_how_long_it_lives() {
    let (registry, clock) = clocked("ttl-closure", false).await;
    let calls = Calls::default();
    let work = async {
        for (advance, loads) in [(0, 1), (6, 1), (1, 2)] {
            clock.advance(seconds(advance));
            by_closure(&calls, 1, seconds(7)).await.expect("Some");
            assert_eq!(calls.get(), loads);
        }
    };
    registry.scope(work).await;
}

#[cacheable(cache = "ttl-option", key = id, ttl = ttl)]
async fn by_option(calls: &Calls, id: u64, ttl: Option<Duration>) -> u64 {
    _ = id;
    calls.count().await;
    1
}

#[tokio::test]
async fn none_is_the_ttl_of_the_cache() {
    for expires in [true, false] {
        let (registry, clock) = clocked("ttl-option", expires).await;
        let calls = Calls::default();
        let work = async {
            for (advance, loads, loads_in_one_without) in [(0, 2, 2), (9, 2, 2), (1, 3, 3), (20, 5, 4)] {
                clock.advance(seconds(advance));
                by_option(&calls, 1, None).await;
                by_option(&calls, 2, Some(seconds(10))).await;
                assert_eq!(calls.get(), if expires { loads } else { loads_in_one_without });
            }
        };
        registry.scope(work).await;
    }
}

#[tokio::test]
async fn with_a_ttl_of_zero_nothing_is_kept_but_those_who_wait_are_answered() {
    let (registry, _clock) = clocked("ttl-option", true).await;
    let calls = Calls::default();
    let zero = || by_option(&calls, 1, Some(Duration::ZERO));
    let work = async {
        assert_eq!(tokio::join!(zero(), zero(), zero()), (1, 1, 1));
        assert_eq!(calls.get(), 1);
        zero().await;
        assert_eq!(calls.get(), 2);
    };
    registry.scope(work).await;
    assert_eq!(stats(&registry, "ttl-option").entries, 0);
}

#[cacheable(cache = "ttl-evaluated", key = id, ttl = { evaluated.count_now(); seconds(5) })]
async fn counting(evaluated: &Calls, id: u64) -> u64 {
    id
}

impl Calls {
    fn count_now(&self) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[tokio::test]
async fn it_is_evaluated_after_the_body_of_a_load_and_not_for_a_hit() {
    let (registry, clock) = clocked("ttl-evaluated", false).await;
    let evaluated = Calls::default();
    for (advance, expected) in [(0, 1), (4, 1), (1, 2)] {
        clock.advance(seconds(advance));
        registry.scope(counting(&evaluated, 1)).await;
        assert_eq!(evaluated.get(), expected);
    }
    counting(&evaluated, 1).await;
    assert_eq!(evaluated.get(), 2, "nor where nothing can be kept");
}

#[tokio::test]
async fn functions_of_one_cache_have_ttls_of_their_own() {
    #[cacheable(cache = "ttl-evaluated", key = id)]
    async fn without(id: u64) -> u64 {
        id
    }
    let (registry, clock) = clocked("ttl-evaluated", false).await;
    registry.scope(counting(&Calls::default(), 1)).await;
    registry.scope(without(2)).await;
    clock.advance(seconds(5));
    let numbers = cache::<u64, u64>(&registry, "ttl-evaluated");
    assert_eq!([1, 2].map(|key| numbers.get(&key)), [None, Some(2)]);
}
