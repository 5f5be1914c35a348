//! The test that the README shows.

use std::time::Duration;

use cachesync::{CacheConfig, ManualClock, Registry, UnknownCaches, cacheable};

#[cacheable(cache = "rates", key = currency)]
async fn rate(currency: &str) -> f64 {
    if currency == "EUR" { 1.09 } else { 1.0 }
}

#[tokio::test]
async fn a_rate_is_read_again_after_a_minute() {
    let clock = ManualClock::new();
    let registry = Registry::builder()
        .cache(CacheConfig::new("rates").ttl(Duration::from_mins(1)))
        .unknown_caches(UnknownCaches::Bypass) // the other caches of the program are not of interest here
        .clock(clock.clone())
        .start()
        .await
        .unwrap();
    registry
        .scope(async {
            rate("EUR").await;
            clock.advance(Duration::from_secs(59));
            rate("EUR").await;
            clock.advance(Duration::from_secs(1));
            rate("EUR").await;
        })
        .await;
    let rates = registry.stats().caches["rates"];
    assert_eq!((rates.loads, rates.hits), (2, 1));
}
