//! Dates and the window: what is old for a good reason is heard, and clocks that differ are reported.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_waited_for_longer_than_the_window_is_dated_when_it_goes_out() {
    let hub = MemoryBackend::new();
    let clock = ManualClock::new();
    let (here, there) = (Node::at(&hub, keys(), &clock).await, Node::at(&hub, keys(), &clock).await);
    load(&here.users, 1, "old").await;
    // Encoded, and not confirmed; and one more in the outbox.
    there.backend.take_messages(false);
    there.users.evict(&1);
    eventually(DEADLINE, || there.backend.holds_back("users")).await;
    there.users.evict(&2);
    there.backend.refuse(Some("away"));
    there.backend.cut();
    for _ in 0..20 {
        clock.advance(WINDOW / 2);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    there.backend.take_messages(true);
    there.backend.refuse(None);
    let before = here.users.stats().evicted_by_others;
    there.registry.flush().await.unwrap();
    eventually(DEADLINE, || here.users.stats().evicted_by_others >= before + 2).await;
    assert_eq!((here.users.len(), here.registry.stats().refused), (0, RefusedStats::default()));
    let frames: Vec<_> = there.recorded().iter().map(|message| codec::decode(&message.body).unwrap()).collect();
    assert_eq!((frames[0].session, frames[0].sequence), (1, 1), "all else is as it was");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_resumes_after_longer_than_the_window_hears_all_that_it_missed_and_nothing_twice() {
    let hub = MemoryBackend::replaying(NonZeroUsize::new(10_000).unwrap());
    let clock = ManualClock::new();
    let (here, there) = (Node::at(&hub, keys(), &clock).await, Node::at(&hub, keys(), &clock).await);
    there.evict_on(&here, 1).await;
    let known = there.recorded();
    for key in 1..=4 {
        load(&here.users, key, "old").await;
    }
    here.backend.refuse(Some("away"));
    here.backend.cut();
    // Of one that is known, and of one that has started meanwhile.
    there.users.evict(&2);
    there.registry.flush().await.unwrap();
    let newcomer = Node::at(&hub, keys(), &clock).await;
    newcomer.users.evict(&3);
    newcomer.registry.flush().await.unwrap();
    let mut tenant = Tenant::on(&hub).await;
    tenant.publish(&known).await;
    tenant.publish(&there.recorded()).await;
    for _ in 0..20 {
        clock.advance(WINDOW / 2);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    here.backend.refuse(None);
    eventually(DEADLINE, || here.registry.stats().resumed == 1).await;
    eventually(DEADLINE, || here.users.len() == 2).await;
    eventually(DEADLINE, || here.registry.status().lease_left != Some(Duration::ZERO)).await;
    assert_eq!((here.users.get(&1).as_deref(), here.users.get(&4).as_deref()), (Some("old"), Some("old")));
    let stats = here.registry.stats();
    assert_eq!((here.users.stats().cleared, stats.gaps, stats.refused.out_of_time), (0, 0, 0));
    assert!(stats.refused.replayed >= 2 * known.len() as u64, "{stats:?}");

    // Up to date again, dates count from now: of somebody unknown nothing old is believed.
    let key = MacKey::new(1, &SECRET).unwrap();
    tenant.publish(&[message(sign(&key, "test", &users_frame(), now()))]).await;
    here.expect_refused(|refused| refused.out_of_time, 1).await;
    assert_eq!(here.users.len(), 2);
}

/// All machines sleep, such as those of one host that is suspended: no session ends by that, so nothing is cleared.
#[tokio::test(start_paused = true)]
async fn what_was_under_way_while_all_slept_for_longer_than_the_window_is_no_playback() {
    let hub = MemoryBackend::new();
    let clock = ManualClock::new();
    let (here, there) = (Node::at(&hub, keys(), &clock).await, Node::at(&hub, keys(), &clock).await);
    let mut tenant = Tenant::on(&hub).await;
    load(&here.users, 1, "old").await;
    load(&here.users, 2, "kept").await;
    here.backend.deliver(false);
    // One message more gets through.
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The first that `there` evicts in this session, so its number says nothing.
    there.users.evict(&1);
    there.registry.flush().await.unwrap();
    assert_eq!(here.registry.stats().frames_applied, 0);
    clock.suspend(2 * WINDOW);
    here.backend.deliver(true);
    eventually(DEADLINE, || here.registry.status().lease_left != Some(Duration::ZERO)).await;
    assert_eq!(
        (here.users.len(), here.registry.stats().refused, here.registry.stats().sessions),
        (1, RefusedStats::default(), 1)
    );

    // Awake, dates count from now, and no heartbeat from before the sleep makes that earlier.
    let asleep = here.backend.published()[0].clone();
    tenant.publish(&[asleep]).await;
    let key = MacKey::new(1, &SECRET).unwrap();
    tenant.publish(&[message(sign(&key, "test", &users_frame(), now()))]).await;
    here.expect_refused(|refused| refused.out_of_time, 1).await;
    assert_eq!(here.users.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn clocks_that_differ_by_more_than_the_window_are_reported_and_by_less_do_not_matter() {
    for (ahead, told) in [(WINDOW.mul_f64(0.95), false), (WINDOW.mul_f64(1.05), true)] {
        let hub = MemoryBackend::new();
        let fast = ManualClock::new();
        fast.advance(ahead);
        let (here, there) = (Node::on(&hub, keys()).await, Node::at(&hub, keys(), &fast).await);
        load(&here.users, 1, "old").await;
        load(&there.users, 1, "old").await;
        here.users.evict(&1);
        there.users.evict(&1);
        for (node, direction) in [(&here, "future"), (&there, "past")] {
            let seen = || node.registry.stats().refused.out_of_time + node.users.stats().evicted_by_others;
            eventually(DEADLINE, || seen() == 1).await;
            assert_eq!(node.registry.stats().refused.out_of_time, u64::from(told));
            for problems in [node.registry.status().problems, node.registry.describe().problems] {
                assert_eq!(problems.len(), usize::from(told), "{problems:?}");
                let expected = |text: &String| text.contains("clocks differ") && text.contains(direction);
                assert!(problems.iter().all(expected), "{problems:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_window_that_does_not_suit_the_lease_is_refused() {
    let start = async |window| node().backend(MemoryBackend::new()).shared_keys(keys().window(window)).start().await;
    for window in [Duration::ZERO, Duration::from_secs(19), Duration::from_hours(49)] {
        let error = start(window).await.unwrap_err();
        assert!(error.is_configuration() && error.to_string().contains("a window of"), "{error}");
    }
    start(Duration::from_secs(20)).await.unwrap();
}
