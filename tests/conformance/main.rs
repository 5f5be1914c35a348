//! One suite that every backend passes: what `cachesync_core::backend` promises, seen from outside.
//!
//! A behaviour is a function over any backend, in `behaviours`, or in `replay` if it is about sessions that resume;
//! `conformance!` makes a module of tests from all of them for one backend. Each test has a namespace of its own, so
//! backends may share a broker.

use std::{num::NonZeroUsize, sync::Arc};

use cachesync::memory::MemoryBackend;
use cachesync_amqp::{AmqpBackend, Stream};
use cachesync_tests::{broker::Broker, patient};

mod behaviours;
mod peer;
mod replay;

/// Tests `$backend`, an expression that makes an `Arc<dyn Backend>`, in the module `$name`. One that replays says so, and
/// keeps at least 10,000 messages.
macro_rules! conformance {
    ($name:ident, $backend:expr) => {
        conformance! { $name, $backend,
            replay: a_backend_that_cannot_replay_ignores_where_to_resume;
        }
    };
    ($name:ident, $backend:expr, replays) => {
        conformance! { $name, $backend,
            replay: who_resumes_hears_what_was_missed_and_then_what_comes;
            replay: who_resumes_at_an_earlier_message_hears_the_later_ones_again;
            replay: between_what_is_replayed_and_what_comes_is_no_gap;
            replay: a_position_that_is_not_known_opens_a_session_that_does_not_resume;
            replay: a_position_of_another_namespace_is_not_known;
        }
    };
    ($name:ident, $backend:expr, $(replay: $replay:ident;)+) => {
        conformance! { @tests $name, $backend,
            $(replay::$replay;)+
            behaviours::what_is_published_reaches_every_interested_session_in_order;
            behaviours::what_a_session_publishes_comes_back_to_it;
            behaviours::the_order_of_each_publisher_is_kept;
            behaviours::a_body_arrives_as_it_was_sent;
            behaviours::other_caches_are_not_heard;
            behaviours::other_namespaces_are_not_heard;
            behaviours::a_session_with_no_caches_hears_its_heartbeats;
            behaviours::a_heartbeat_reaches_its_own_node_alone;
            behaviours::who_hears_all_caches_hears_no_foreign_heartbeat;
            behaviours::what_was_confirmed_is_delivered_however_late_it_is_asked_for;
            behaviours::a_dropped_next_loses_nothing;
            behaviours::a_dropped_session_ends_alone_with_what_was_queued_for_it;
            behaviours::a_closed_session_ends_alone;
            behaviours::an_eviction_that_nobody_hears_is_no_error;
            behaviours::publishing_nothing_succeeds;
            behaviours::an_abandoned_connect_leaves_the_backend_usable;
            behaviours::two_sessions_of_one_node_both_hear;
            behaviours::a_flood_does_not_starve_other_tasks;
        }
    };
    (@tests $name:ident, $backend:expr, $($module:ident::$behaviour:ident;)+) => {
        mod $name {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $behaviour() {
                    use super::*;

                    crate::$module::$behaviour($backend).await;
                }
            )+
        }
    };
}

conformance!(amqp, Arc::new(amqp()));
conformance!(amqp_streams, Arc::new(amqp().stream(Stream::new())), replays);
conformance!(memory, Arc::new(MemoryBackend::new()));
conformance!(memory_that_replays, Arc::new(MemoryBackend::replaying(NonZeroUsize::new(10_000).unwrap())), replays);

fn amqp() -> AmqpBackend {
    patient::backend(Broker::shared().url())
}
