//! One suite that every backend passes: what `cachesync_core::backend` promises, seen from outside.
//!
//! A behaviour is a function over any backend in `behaviours`; `conformance!` makes a module of tests from all of them
//! for one backend. Each test has a namespace of its own, so backends may share a broker.

use std::sync::Arc;

use cachesync::memory::MemoryBackend;
use cachesync_amqp::AmqpBackend;
use cachesync_core::Backend;
use cachesync_tests::broker::Broker;

mod behaviours;
mod peer;

/// Tests `$backend`, an expression that makes an `Arc<dyn Backend>`, in the module `$name`.
macro_rules! conformance {
    ($name:ident, $backend:expr) => {
        conformance! { $name, $backend,
            what_is_published_reaches_every_interested_session_in_order;
            what_a_session_publishes_comes_back_to_it;
            the_order_of_each_publisher_is_kept;
            a_body_arrives_as_it_was_sent;
            other_caches_are_not_heard;
            other_namespaces_are_not_heard;
            a_session_with_no_caches_hears_its_heartbeats;
            a_heartbeat_reaches_its_own_node_alone;
            who_hears_all_caches_hears_no_foreign_heartbeat;
            what_was_confirmed_is_delivered_however_late_it_is_asked_for;
            a_dropped_next_loses_nothing;
            a_dropped_session_ends_alone_with_what_was_queued_for_it;
            a_closed_session_ends_alone;
            an_eviction_that_nobody_hears_is_no_error;
            publishing_nothing_succeeds;
            an_abandoned_connect_leaves_the_backend_usable;
            two_sessions_of_one_node_both_hear;
            a_flood_does_not_starve_other_tasks;
        }
    };
    ($name:ident, $backend:expr, $($behaviour:ident;)+) => {
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $behaviour() {
                    use super::*;

                    crate::behaviours::$behaviour($backend).await;
                }
            )+
        }
    };
}

conformance!(amqp, amqp());
conformance!(memory, Arc::new(MemoryBackend::new()));

fn amqp() -> Arc<dyn Backend> {
    Arc::new(AmqpBackend::new(Broker::shared().url()).expect("the broker's URL"))
}
