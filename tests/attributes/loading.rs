//! Which calls of a `#[cacheable]` function run its body, and what is kept of what that returns.

use std::sync::Arc;

use cachesync::{Registry, cacheable};

use crate::{Calls, registry};

#[cacheable(cache = "load-result", skip(calls))]
async fn result(calls: &Calls, id: u64) -> Result<u64, String> {
    calls.count().await;
    if id == 0 {
        return Err("no such user".into());
    }
    Ok(id * 10)
}

#[tokio::test]
async fn a_hit_does_not_run_the_body() {
    let calls = Calls::default();
    let work = async {
        assert_eq!(result(&calls, 1).await, Ok(10));
        assert_eq!(result(&calls, 1).await, Ok(10));
        assert_eq!(calls.get(), 1);
        assert_eq!(result(&calls, 2).await, Ok(20));
        assert_eq!(calls.get(), 2);
    };
    registry(&["load-result"]).await.scope(work).await;
}

#[tokio::test]
async fn an_error_is_not_kept() {
    let calls = Calls::default();
    let work = async {
        assert!(result(&calls, 0).await.is_err());
        assert!(result(&calls, 0).await.is_err());
        assert_eq!(calls.get(), 2);
    };
    registry(&["load-result"]).await.scope(work).await;
}

#[tokio::test]
async fn without_a_registry_or_without_the_cache_the_body_runs_every_time() {
    let calls = Calls::default();
    for _ in 0..2 {
        assert_eq!(result(&calls, 1).await, Ok(10));
    }
    assert_eq!(calls.get(), 2);
    registry(&[]).await.scope(result(&calls, 1)).await.expect("uncached");
    assert_eq!(calls.get(), 3);
}

#[cacheable(cache = "load-option", skip(calls))]
async fn option(calls: &Calls, id: u64) -> Option<u64> {
    calls.count().await;
    (id > 0).then_some(id)
}

#[cacheable(cache = "load-both", skip(calls))]
async fn both(calls: &Calls, id: u64) -> Result<Option<u64>, String> {
    calls.count().await;
    Ok((id > 0).then_some(id))
}

#[tokio::test]
async fn of_an_option_only_some_is_kept_also_within_a_result() {
    let calls = Calls::default();
    let work = async {
        for expected in [1, 1] {
            assert_eq!(option(&calls, 1).await, Some(1));
            assert_eq!(calls.get(), expected);
        }
        for expected in [2, 3] {
            assert_eq!(option(&calls, 0).await, None);
            assert_eq!(calls.get(), expected);
        }
        for expected in [4, 4] {
            assert_eq!(both(&calls, 1).await, Ok(Some(1)));
            assert_eq!(calls.get(), expected);
        }
        for expected in [5, 6] {
            assert_eq!(both(&calls, 0).await, Ok(None));
            assert_eq!(calls.get(), expected);
        }
    };
    registry(&["load-option", "load-both"]).await.scope(work).await;
}

type Answer = Result<u64, String>;

#[cacheable(cache = "load-alias", skip(calls))]
async fn alias(calls: &Calls) -> Answer {
    Err(format!("failure {}", calls.count().await))
}

#[cacheable(cache = "load-whole", cache_value, skip(calls))]
async fn whole(calls: &Calls) -> Answer {
    Err(format!("failure {}", calls.count().await))
}

#[tokio::test]
async fn a_result_is_one_by_any_name_and_whole_with_cache_value() {
    let calls = Calls::default();
    let work = async {
        assert_eq!(alias(&calls).await, Err("failure 1".into()));
        assert_eq!(alias(&calls).await, Err("failure 2".into()));
        assert_eq!(whole(&calls).await, Err("failure 3".into()));
        assert_eq!(whole(&calls).await, Err("failure 3".into()));
    };
    registry(&["load-alias", "load-whole"]).await.scope(work).await;
}

#[cacheable(cache = "load-question", skip(calls))]
async fn question(calls: &Calls, text: &str) -> Result<u64, std::num::ParseIntError> {
    calls.count().await;
    let first = text.split('-').next().map(str::parse).transpose()?;
    if let Some(first) = first {
        return Ok(first);
    }
    text.parse()
}

#[tokio::test]
async fn a_question_mark_and_a_return_leave_the_body_and_not_the_function() {
    let calls = Calls::default();
    let work = async {
        for expected in [1, 2] {
            assert!(question(&calls, "x").await.is_err());
            assert_eq!(calls.get(), expected, "an error by `?` is an error");
        }
        for expected in [3, 3] {
            assert_eq!(question(&calls, "7-8").await, Ok(7));
            assert_eq!(calls.get(), expected, "an early return is kept");
        }
    };
    registry(&["load-question"]).await.scope(work).await;
}

struct Users {
    tenant: String,
    registry: Registry,
    calls: Calls,
}

impl Users {
    #[cacheable(cache = "load-explicit", key = (&self.tenant, id), registry = self.registry)]
    async fn find(&self, id: u64) -> Option<String> {
        self.calls.count().await;
        Some(format!("{}{id}", self.tenant))
    }
}

#[tokio::test]
async fn an_explicit_registry_comes_before_the_scope() {
    let own = registry(&["load-explicit"]).await;
    let users = Users { tenant: "a".into(), registry: own.clone(), calls: Calls::default() };
    for _ in 0..2 {
        assert_eq!(users.find(1).await.as_deref(), Some("a1"));
    }
    assert_eq!(users.calls.get(), 1, "without any scope");
    registry(&["load-explicit"]).await.scope(users.find(1)).await;
    assert_eq!(users.calls.get(), 1, "in another one's");
    let cache = own.cache::<(String, u64), String>("load-explicit").expect("its types");
    assert_eq!(cache.get(("a", 1)).as_deref(), Some("a1"));
}

#[cacheable(cache = "load-parameter", key = id, registry = &registries[0])]
async fn by_parameter(registries: &[Arc<Registry>], calls: &Calls, id: u64) -> Option<u64> {
    calls.count().await;
    Some(id)
}

#[tokio::test]
async fn a_registry_can_be_any_expression_that_refers_to_one() {
    let calls = Calls::default();
    let registries = [Arc::new(registry(&["load-parameter"]).await)];
    for _ in 0..2 {
        assert_eq!(by_parameter(&registries, &calls, 1).await, Some(1));
    }
    assert_eq!(calls.get(), 1);
}

#[cacheable(cache = "negative-second", cache_none)]
async fn perhaps(id: u64) -> Option<u64> {
    let _ = id;
    None
}

#[cacheable(cache = ["negative-first", "negative-second"])]
async fn certainly(id: u64) -> u64 {
    id
}

#[tokio::test]
async fn of_several_caches_one_whose_entry_says_nothing_to_the_function_is_filled_too() {
    let registry = registry(&["negative-first", "negative-second"]).await;
    let work = async {
        assert_eq!(perhaps(1).await, None);
        assert_eq!(certainly(1).await, 1);
    };
    registry.scope(work).await;
    let second = registry.cache::<u64, u64>("negative-second").expect("it has it");
    assert_eq!((second.get(&1), second.stats().hits), (Some(1), 1));
}
