//! Entries that are found by their tags.

use std::{fmt, future::ready, io, time::Duration};

use cachesync::{Cache, Registry, Transaction, cache_evict, cacheable};
use cachesync_core::backend::Format;
use cachesync_tests::wait::{DEADLINE, eventually};

use crate::nodes::{SETTLE, cache, clocked, pair, registry, stats};

#[derive(Clone, Debug, PartialEq)]
struct User {
    team: u64,
    roles: Vec<&'static str>,
}

enum Tag {
    Team(u64),
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Team(team) = self;
        write!(f, "team:{team}")
    }
}

/// The teams of users 1, 2, 3, ... are 1, 2, 1, 2, ...
#[cacheable(cache = "tags", key = id, tags = [Tag::Team(result.team), "users", id], registry = registry)]
async fn find(registry: &Registry, id: u64) -> Option<User> {
    Some(User { team: 2 - id % 2, roles: if id > 2 { vec!["admin", "author"] } else { vec![] } })
}

#[cacheable(cache = "tags", key = id, registry = registry)]
async fn untagged(registry: &Registry, id: u64) -> Option<User> {
    Some(User { team: id, roles: Vec::new() })
}

/// A list that is not in brackets.
#[cacheable(cache = "tags", key = id, tags = result.roles.iter().map(|role| format!("role:{role}")), registry = registry)]
async fn with_roles(registry: &Registry, id: u64) -> Result<Option<User>, String> {
    find(registry, id + 100).await.map(|user| User { roles: vec!["admin", "author"], ..user }).map(Some).ok_or_default()
}

trait OkOrDefault<T> {
    fn ok_or_default(self) -> Result<T, String>;
}

impl<T> OkOrDefault<T> for Option<T> {
    fn ok_or_default(self) -> Result<T, String> {
        self.ok_or_else(String::new)
    }
}

#[cache_evict(cache = "tags", tag = Tag::Team(team), registry = registry)]
async fn save_team(registry: &Registry, team: u64) -> Result<(), String> {
    if team == 0 { Err("there is none".into()) } else { Ok(()) }
}

#[cache_evict(cache = "tags", tag = [format_args!("team:{team}"), "role:admin"], registry = registry)]
async fn save_several(registry: &Registry, team: u64) {
    _ = team;
}

#[cache_evict(cache = "tags", tag = Tag::Team(*result), registry = registry)]
async fn save_some_team(registry: &Registry, team: u64) -> Result<u64, String> {
    Ok(team)
}

fn users(registry: &Registry) -> Cache<u64, User> {
    cache(registry, "tags")
}

/// Caches users 1 to 4.
async fn fill(registry: &Registry) {
    for id in 1..=4 {
        find(registry, id).await.expect("Some");
    }
}

fn held(registry: &Registry) -> Vec<u64> {
    (1..=9).filter(|id| users(registry).get(id).is_some()).collect()
}

#[tokio::test]
async fn an_eviction_by_tag_takes_what_carries_it_on_every_node() {
    let (here, there) = pair(&["tags"]).await;
    fill(&here.registry).await;
    fill(&there.registry).await;
    save_team(&here.registry, 1).await.expect("Ok");
    assert_eq!(held(&here.registry), [2, 4]);
    there.hears("tags", 1).await;
    assert_eq!(held(&there.registry), [2, 4]);
}

#[tokio::test]
async fn an_error_evicts_no_tag() {
    let registry = registry(&["tags"]).await;
    find(&registry, 1).await.expect("Some");
    save_team(&registry, 0).await.expect_err("there is none");
    assert_eq!((held(&registry), stats(&registry, "tags").evicted), (vec![1], 0));
}

#[tokio::test]
async fn an_entry_is_found_by_each_of_its_tags_which_are_texts() {
    for tag in ["team:1", "users", "1"] {
        let registry = registry(&["tags"]).await;
        find(&registry, 1).await.expect("Some");
        for other in ["team", "team:10", "user", "2", ""] {
            users(&registry).evict_tag(other);
        }
        assert_eq!(held(&registry), [1]);
        users(&registry).evict_tag(tag);
        assert_eq!(held(&registry), [0; 0], "{tag}");
    }
}

#[tokio::test]
async fn entries_without_tags_stay() {
    let registry = registry(&["tags"]).await;
    fill(&registry).await;
    untagged(&registry, 9).await.expect("Some");
    users(&registry).evict_tag("users");
    assert_eq!(held(&registry), [9]);
}

#[tokio::test]
async fn tags_can_be_anything_to_iterate_over_and_evicted_several_at_once() {
    let registry = registry(&["tags"]).await;
    fill(&registry).await;
    with_roles(&registry, 5).await.expect("Ok").expect("Some");
    save_several(&registry, 1).await;
    assert_eq!(held(&registry), [2, 4]);
}

#[tokio::test]
async fn the_tag_to_evict_can_be_in_the_result() {
    let registry = registry(&["tags"]).await;
    fill(&registry).await;
    save_some_team(&registry, 2).await.expect("Ok");
    assert_eq!(held(&registry), [1, 3]);
}

#[tokio::test]
async fn an_entry_that_was_loaded_again_carries_its_new_tags_and_not_the_old_ones() {
    let registry = registry(&["tags"]).await;
    find(&registry, 1).await.expect("Some");
    users(&registry).evict(&1);
    untagged(&registry, 1).await.expect("Some");
    save_team(&registry, 1).await.expect("Ok");
    assert_eq!(held(&registry), [1]);
    users(&registry).evict(&1);
    find(&registry, 1).await.expect("Some");
    save_team(&registry, 1).await.expect("Ok");
    assert_eq!(held(&registry), [0; 0]);
}

#[tokio::test]
async fn tags_are_evicted_by_hand_and_by_json() {
    let (here, there) = pair(&["tags"]).await;
    for node in [&here, &there] {
        fill(&node.registry).await;
        node.backend.inject(Format::Json, Some("tags"), r#"{"cache": "tags", "tags": ["team:1", "none"]}"#);
        eventually(DEADLINE, || node.registry.stats().json_applied == 1).await;
        assert_eq!(held(&node.registry), [2, 4]);
    }
    users(&here.registry).evict_tags(["2", "team:7"]);
    let counted = stats(&there.registry, "tags").evicted_by_others;
    there.hears("tags", counted.max(4)).await;
    assert_eq!((held(&here.registry), held(&there.registry)), (vec![4], vec![4]));
}

#[tokio::test]
async fn a_tag_that_is_too_long_to_travel_stands_for_all() {
    let (here, there) = pair(&["tags"]).await;
    for node in [&here, &there] {
        untagged(&node.registry, 9).await.expect("Some");
    }
    users(&here.registry).evict_tag("x".repeat(1024));
    there.hears("tags", 1).await;
    assert_eq!([held(&here.registry), held(&there.registry)], [[9], [9]]);
    users(&here.registry).evict_tag("x".repeat(1025));
    there.hears("tags", 2).await;
    assert_eq!([held(&here.registry), held(&there.registry)], [[0; 0], [0; 0]]);
}

#[tokio::test]
async fn a_pending_tag_hides_what_carries_it_until_the_end_of_the_transaction() {
    for commit in [true, false] {
        let (here, there) = pair(&["tags"]).await;
        let registry = &here.registry;
        fill(registry).await;
        fill(&there.registry).await;
        untagged(registry, 9).await.expect("Some");
        let transaction = Transaction::begin();
        let inside = async {
            save_team(registry, 1).await.expect("Ok");
            assert_eq!(held(registry), [2, 4, 9], "what carries the tag is not read");
            let loads = users(registry).stats().loads;
            find(registry, 1).await.expect("Some");
            find(registry, 1).await.expect("Some");
            find(registry, 2).await.expect("Some");
            assert_eq!(users(registry).stats().loads, loads + 2, "but loaded, and not kept");
        };
        transaction.scope(inside).await;
        assert_eq!(held(registry), [1, 2, 3, 4, 9], "outside it still is");
        if commit {
            transaction.commit().confirmed().await.expect("told");
            assert_eq!(held(registry), [2, 4, 9]);
            there.hears("tags", 1).await;
            assert_eq!(held(&there.registry), [2, 4]);
        } else {
            transaction.rollback();
            registry.flush().await.expect("told");
            assert_eq!(held(registry), [1, 2, 3, 4, 9]);
            assert_eq!(held(&there.registry), [1, 2, 3, 4]);
        }
    }
}

#[tokio::test]
async fn an_inner_transaction_hands_its_tags_to_the_outer_one() {
    let registry = registry(&["tags"]).await;
    fill(&registry).await;
    let outer = Transaction::begin();
    let inside = async {
        let undone = Transaction::begin();
        undone.scope(save_team(&registry, 2)).await.expect("Ok");
        undone.rollback();
        assert_eq!(held(&registry), [1, 2, 3, 4]);
        let inner = Transaction::begin();
        inner.scope(save_team(&registry, 1)).await.expect("Ok");
        assert_eq!(inner.scope(async { held(&registry) }).await, [2, 4]);
        inner.commit();
        assert_eq!(held(&registry), [2, 4]);
    };
    outer.scope(inside).await;
    assert_eq!(held(&registry), [1, 2, 3, 4]);
    outer.commit();
    assert_eq!(held(&registry), [2, 4]);
}

#[tokio::test]
async fn a_tag_of_unknown_outcome_keeps_tagged_loads_out_for_the_settle_time() {
    let (registry, clock) = clocked(&["tags"]).await;
    fill(&registry).await;
    let transaction = Transaction::begin();
    transaction.scope(save_team(&registry, 1)).await.expect("Ok");
    transaction.commit_with(ready(Err(io::Error::other("reset")))).await.expect_err("reset");
    assert_eq!(held(&registry), [2, 4]);
    find(&registry, 1).await.expect("Some");
    assert_eq!(held(&registry), [2, 4], "it may be the old value");
    untagged(&registry, 9).await.expect("Some");
    assert_eq!(held(&registry), [2, 4, 9], "what cannot carry the tag is kept");
    clock.advance(SETTLE.checked_sub(Duration::from_nanos(1)).expect("longer"));
    find(&registry, 1).await.expect("Some");
    assert_eq!(held(&registry), [2, 4, 9]);
    clock.advance(Duration::from_nanos(1));
    find(&registry, 1).await.expect("Some");
    assert_eq!(held(&registry), [1, 2, 4, 9]);
}

#[tokio::test]
async fn a_hold_by_tag_reaches_other_nodes() {
    let (here, there) = pair(&["tags"]).await;
    fill(&there.registry).await;
    let transaction = Transaction::begin();
    transaction.scope(save_team(&here.registry, 1)).await.expect("Ok");
    transaction.commit_with(ready(Err(io::Error::other("reset")))).await.expect_err("reset");
    there.hears("tags", 1).await;
    find(&there.registry, 1).await.expect("Some");
    assert_eq!(held(&there.registry), [2, 4]);
}
