//! Starting, installing, scopes, and the end of a registry or its runtime.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use cachesync::{
    Cache, CacheConfig, Coherence, Registry, Transaction, UnknownCaches, amqp::AmqpBackend, cache_evict, cacheable,
    memory::MemoryBackend,
};

use cachesync_tests::wait::eventually;

use crate::{
    logged::times_logged,
    nodes::{DEADLINE, Node, alone, load, node, only, pair},
};

/// The functions of a service whose registry is configured well in some tests and badly in others.
mod service {
    use super::{cache_evict, cacheable};

    #[cacheable(cache = "prices", key = id)]
    pub(super) async fn price(id: u32, from_database: u64) -> u64 {
        let _ = id;
        from_database
    }

    #[cache_evict(cache = "prices", key = id)]
    pub(super) async fn set_price(id: u32) {
        let _ = id;
    }

    #[cacheable(cache = "stock")]
    #[expect(dead_code, reason = "it is linked, and that is all")]
    pub(super) async fn stock(id: u32) -> u64 {
        u64::from(id)
    }

    // Disagrees with `stock` about the key.
    #[cache_evict(cache = "stock", key = id)]
    #[expect(dead_code, reason = "it is linked, and that is all")]
    pub(super) async fn set_stock(id: u64) {
        let _ = id;
    }
}

#[tokio::test]
async fn a_start_reports_every_mistake_at_once_with_function_file_and_line() {
    let error = Registry::builder()
        .cache(CacheConfig::new("stock").capacity(0))
        .cache(CacheConfig::new("stock"))
        .cache(CacheConfig::new("no good"))
        .backend(MemoryBackend::new())
        .start()
        .await
        .unwrap_err();
    assert!(error.is_unknown_cache() && error.is_type_mismatch() && error.is_configuration());
    let text = error.to_string();
    for part in [
        "cache `prices` is not configured, but `integration::lifecycle::service::price` (",
        "), `integration::lifecycle::service::set_price` (",
        ") use it",
        "lifecycle.rs:",
        "cache `stock` has keys of type `u32`, not `u64` as `integration::lifecycle::service::set_stock` (",
        "the type was settled by `integration::lifecycle::service::stock` (",
        "cache `stock`: the capacity must be at least 1",
        "\"no good\" is not a valid name",
        "needs a namespace",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert_eq!(text.matches("say what is to happen by `.unknown_caches(...)`").count(), 1, "once is enough:\n{text}");
}

#[tokio::test]
async fn functions_that_disagree_about_a_cache_that_is_not_configured_are_reported_too() {
    let error = Registry::builder().start().await.unwrap_err().to_string();
    let part = "cache `stock` has keys of type `u32`, not `u64` as `integration::lifecycle::service::set_stock` (";
    assert!(error.contains(part) && error.contains("cache `stock` is not configured"), "{error}");
}

#[tokio::test]
async fn a_key_type_that_disagrees_fails_the_start_even_where_unknown_caches_are_allowed() {
    let start = |unknown| Registry::builder().cache(CacheConfig::new("stock")).unknown_caches(unknown).start();
    for unknown in [UnknownCaches::Bypass, UnknownCaches::Create(CacheConfig::new("any"))] {
        let error = start(unknown).await.unwrap_err();
        assert!(error.is_type_mismatch() && !error.is_unknown_cache(), "{error}");
    }
}

#[tokio::test]
async fn contradictory_settings_are_refused() {
    let seconds = std::time::Duration::from_secs;
    let error = node().heartbeat(seconds(1)).lease(seconds(2)).start().await.unwrap_err();
    assert!(error.is_configuration() && error.to_string().contains("lease of 2s is too short"), "{error}");
    // No broker is asked: these times contradict each other whatever it does.
    let slow = || AmqpBackend::new("amqp://localhost").unwrap().publish_timeout(seconds(3));
    let error = node().backend(slow().publish_timeout(seconds(4))).start_lazy().await.unwrap_err();
    assert!(error.is_configuration() && error.to_string().contains("make the lease at least 12s"), "{error}");
    node().backend(slow()).start_lazy().await.unwrap().shutdown().await.unwrap();
    let error = node().settle(std::time::Duration::MAX).start().await.unwrap_err();
    assert!(error.is_configuration() && error.to_string().contains("too long"), "{error}");
    let error = node().namespace("a.b").start().await.unwrap_err();
    assert!(error.is_configuration(), "{error}");
}

#[test]
fn a_start_outside_of_a_runtime_is_an_error_and_not_a_panic() {
    let error = pollster::block_on(node().start()).unwrap_err();
    assert!(error.to_string().contains("on a Tokio runtime"), "{error}");
}

#[tokio::test]
async fn unknown_caches_are_bypassed_or_created() {
    // `stock` is left out of these registries' caches by naming the registry, as its functions disagree.
    let bypass = Registry::builder().unknown_caches(UnknownCaches::Bypass).start().await.unwrap();
    bypass
        .scope(async {
            assert_eq!(service::price(1, 10).await, 10);
            assert_eq!(service::price(1, 20).await, 20);
        })
        .await;
    assert!(bypass.cache::<u32, u64>("prices").unwrap_err().is_unknown_cache());
}

#[tokio::test]
async fn a_cache_is_of_the_types_that_its_functions_ask_for() {
    let registry = only(CacheConfig::new("prices")).await;
    let error = registry.cache::<String, u64>("prices").unwrap_err();
    assert!(error.is_type_mismatch());
    assert_eq!(error.to_string(), "cache `prices` has keys of type `u32`, not `alloc::string::String`");
    let error = registry.cache::<u32, String>("prices").unwrap_err();
    assert_eq!(error.to_string(), "cache `prices` has values of type `u64`, not `alloc::string::String`");
    let error = registry.cache::<u32, u64>("price").unwrap_err();
    assert!(error.is_unknown_cache() && error.to_string().contains("configured are `prices`"), "{error}");
    registry.cache::<u32, u64>("prices").unwrap();
}

/// Types that are known only at the first call.
#[cacheable(cache = "generic", key = id, registry = registry)]
async fn generic<K: cachesync::Key>(registry: &Registry, id: K, value: u8) -> u8 {
    let _ = id;
    value
}

#[cache_evict(cache = "generic", key = id, registry = registry)]
async fn evict_generic<K: cachesync::Key>(registry: &Registry, id: K) {
    let _ = id;
}

#[tokio::test]
async fn a_disagreement_at_the_first_call_runs_uncached_evicts_all_and_is_shown() {
    let registry = only(CacheConfig::new("generic")).await;
    assert_eq!(generic(&registry, 1u64, 10).await, 10);
    assert_eq!(generic(&registry, 1u64, 20).await, 10);
    assert_eq!(generic(&registry, "one".to_owned(), 30).await, 30);
    assert_eq!(generic(&registry, "one".to_owned(), 40).await, 40);
    assert_eq!(generic(&registry, 1u64, 50).await, 10, "those who agree go on");
    evict_generic(&registry, "one".to_owned()).await;
    assert_eq!(generic(&registry, 1u64, 60).await, 60, "which entry was meant cannot be known");
    let problems = registry.status().problems;
    assert_eq!(problems.len(), 2, "{problems:#?}");
    assert!(problems.iter().any(|problem| problem.contains("`integration::lifecycle::generic`")), "{problems:#?}");
    let description = registry.describe().to_string();
    assert!(description.contains("problem: cache `generic` has keys of type `u64`"), "{description}");
}

#[tokio::test]
async fn a_description_lists_who_loads_and_who_evicts() {
    let registry = only(CacheConfig::new("prices")).await;
    let description = registry.describe();
    let prices = &description.caches[0];
    assert_eq!((prices.key.as_deref(), prices.value.as_deref()), (Some("u32"), Some("u64")));
    let functions: Vec<_> = prices.functions.iter().map(|function| (function.role.as_str(), &*function.name)).collect();
    assert_eq!(
        functions,
        [
            ("loads", "integration::lifecycle::service::price"),
            ("evicts key", "integration::lifecycle::service::set_price")
        ]
    );
    let json = serde_json::to_value(&description).unwrap();
    assert_eq!(json["caches"][0]["functions"][1]["role"], "evicts key");
    assert!(description.to_string().contains("lifecycle.rs:"), "{description}");
}

async fn prices() -> Registry {
    let prices = CacheConfig::new("prices");
    only(prices).await
}

/// The only test of this program that installs: the default is the process's.
#[tokio::test]
async fn the_innermost_scope_counts_then_the_installed_registry_then_none() {
    assert_eq!(service::price(1, 10).await, 10, "without a registry the body runs");
    assert_eq!(service::price(1, 11).await, 11);
    service::set_price(1).await;

    let (installed, outer, inner) = (prices().await, prices().await, prices().await);
    installed.install().unwrap();
    installed.install().unwrap();
    assert!(outer.install().unwrap_err().is_already_installed());
    assert_eq!(service::price(1, 20).await, 20);
    outer
        .scope(async {
            assert_eq!(service::price(1, 30).await, 30);
            inner.scope(async { assert_eq!(service::price(1, 40).await, 40) }).await;
            assert_eq!(service::price(1, 50).await, 30);
            service::set_price(1).await;
            assert_eq!(service::price(1, 60).await, 60);
        })
        .await;
    assert_eq!(service::price(1, 70).await, 20);

    installed.shutdown().await.unwrap();
    assert_eq!(service::price(1, 80).await, 80, "after the shutdown the body runs");
    assert_eq!(service::price(1, 90).await, 90);
    outer.install().unwrap();
    assert_eq!(service::price(1, 100).await, 60, "a registry that has ended gives way");
    outer.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tests_that_run_at_the_same_time_do_not_see_each_others_entries() {
    let tasks = (0..8).map(|task| {
        tokio::spawn(async move {
            let registry = prices().await;
            let body = async {
                for _ in 0..100 {
                    assert_eq!(service::price(1, task).await, task);
                    tokio::task::yield_now().await;
                }
            };
            registry.scope(body).await;
            assert_eq!(registry.stats().caches["prices"].loads, 1);
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

/// What everybody sees of a registry that has ended.
async fn assert_uncached(registry: &Registry, users: &Cache<u64, String>, has_others: bool) {
    assert_eq!(registry.status().coherence, Coherence::ShutDown);
    assert_eq!(users.get(&1), None);
    assert!(users.is_empty());
    assert_eq!(load(users, 1, "one").await, "one");
    assert_eq!(load(users, 1, "two").await, "two");
    users.insert(1, "three".into());
    assert!(!users.reserve(&1).fill("four".into()));
    users.evict(&1);
    users.evict_all();
    assert!(users.is_empty());
    let transaction = Transaction::begin();
    transaction.scope(async { users.evict(&1) }).await;
    let confirmed = transaction.commit().confirmed().await;
    if has_others {
        assert!(confirmed.unwrap_err().is_shut_down(), "they were not told");
    } else {
        confirmed.unwrap();
    }
    registry.shutdown().await.unwrap();
}

#[tokio::test]
async fn after_the_shutdown_calls_run_uncached() {
    for backend in [None, Some(MemoryBackend::new())] {
        let has_others = backend.is_some();
        let builder = match backend {
            None => node(),
            Some(hub) => node().backend(hub),
        };
        let registry = builder.start().await.unwrap();
        let users = registry.cache("users").unwrap();
        load(&users, 1, "Ada").await;
        registry.shutdown().await.unwrap();
        assert_uncached(&registry, &users, has_others).await;
    }
}

#[test]
fn when_the_runtime_is_gone_calls_run_uncached() {
    for hub in [None, Some(MemoryBackend::new())] {
        let has_others = hub.is_some();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (registry, users) = runtime.block_on(async {
            match hub {
                None => alone().await,
                Some(hub) => {
                    let Node { registry, users, .. } = Node::on(&hub).await;
                    (registry, users)
                }
            }
        });
        pollster::block_on(async {
            load(&users, 1, "Ada").await;
            assert_eq!(users.get(&1).as_deref(), Some("Ada"));
        });
        drop(runtime);
        let another = tokio::runtime::Runtime::new().unwrap();
        another.block_on(assert_uncached(&registry, &users, has_others));
    }
}

/// The runtime ends before the registry's task has run for the first time.
#[test]
fn a_runtime_that_ends_at_once_ends_its_registries() {
    for hub in [None, Some(MemoryBackend::new())] {
        let has_others = hub.is_some();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let builder = match hub {
            None => node(),
            Some(hub) => node().backend(hub),
        };
        let registry = runtime.block_on(builder.start()).unwrap();
        drop(runtime);
        let users = registry.cache("users").unwrap();
        pollster::block_on(assert_uncached(&registry, &users, has_others));
    }
}

#[test]
#[should_panic(expected = "enable_time")]
fn a_runtime_without_timers_is_refused_at_the_start() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _ = runtime.block_on(node().start());
}

#[test]
fn flush_works_on_any_executor() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (here, _there) = runtime.block_on(pair());
    here.users.evict(&1);
    pollster::block_on(here.registry.flush()).unwrap();
}

#[test]
fn after_the_shutdown_there_is_one_warning_per_call_site_also_if_it_was_used_before() {
    let warnings = times_logged("::generic` (", || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let config = CacheConfig::new("generic");
            let registry = only(config).await;
            generic(&registry, 1u64, 10).await;
            registry.shutdown().await.unwrap();
            for _ in 0..3 {
                generic(&registry, 1u64, 20).await;
            }
        });
    });
    assert_eq!(warnings, 1);
}

#[tokio::test]
async fn what_outlives_its_registry_is_not_kept_alive_by_call_sites() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);

    #[derive(Clone)]
    struct Noted(#[expect(dead_code)] std::sync::Arc<OnDrop>);

    struct OnDrop;

    impl Drop for OnDrop {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, SeqCst);
        }
    }

    #[cacheable(cache = "noted", key = id, registry = registry)]
    async fn noted(registry: &Registry, id: u8) -> Noted {
        let _ = id;
        Noted(std::sync::Arc::new(OnDrop))
    }

    let config = CacheConfig::new("noted");
    let registry = only(config).await;
    noted(&registry, 1).await;
    assert_eq!(DROPPED.load(SeqCst), 0);
    drop(registry);
    eventually(DEADLINE, || DROPPED.load(SeqCst) == 1).await;
}
