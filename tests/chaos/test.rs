//! A minute of chaos on queues, and less of it on streams, in the ordinary test run. It needs RabbitMQ; `cargo xtask test`
//! sees to that.

use std::path::Path;

use cachesync_chaos::{
    node::Transport,
    plan::{Place, kinds},
    run::{Options, run_with},
};

fn chaos(minutes: f64, transport: Transport) {
    let options = Options { minutes, seed: 1, transport, outage: None, mutation: None, keep: false };
    let report = run_with(&options, Path::new(env!("CARGO_BIN_EXE_cachesync-chaos"))).expect("it can be run");
    println!("{report}");
    assert!(report.passed(), "{report}");
    // Each rule must have had something to decide, also where the machine has much else to do.
    assert_eq!(report.faults.len(), kinds(Place::Broker) + kinds(Place::Node), "{report}");
    for (what, count, least) in [
        ("reads", report.reads, 10_000),
        ("hits", report.hits, 2_000),
        ("rules A and C", report.floors, 1_000),
        // Without these rule A has nothing to decide.
        ("evictions confirmed", report.evictions, 500),
        ("commits", report.commits, 300),
        ("commits during an outage", report.commits_during_outages, 20),
        ("rule B", report.compared, 300),
        ("recoveries", report.recoveries.len() as u64, 2),
        // A stream on which nothing resumes is a slow queue.
        ("sessions that resumed", report.resumed, u64::from(transport == Transport::Streams)),
    ] {
        assert!(count >= least, "it does too little to mean anything: {what}: {count}, not {least}\n{report}");
    }
}

#[test]
fn the_rules_hold_through_a_minute_of_chaos() {
    chaos(1.0, Transport::Queues);
}

#[test]
fn the_rules_hold_through_half_a_minute_of_chaos_on_streams() {
    chaos(0.5, Transport::Streams);
}
