//! A minute of chaos, in the ordinary test run. It needs RabbitMQ; `cargo xtask test` sees to that.

use std::path::Path;

use cachesync_chaos::{
    node::Transport,
    plan::{Place, kinds},
    run::{Options, run_with},
};

#[test]
fn the_rules_hold_through_a_minute_of_chaos() {
    let options = Options { minutes: 1.0, seed: 1, transport: Transport::Queues, outage: None, mutation: None };
    let report = run_with(&options, Path::new(env!("CARGO_BIN_EXE_cachesync-chaos"))).expect("it can be run");
    println!("{report}");
    assert!(report.passed(), "{report}");
    // Each rule must have had something to decide.
    assert_eq!(report.faults.len(), kinds(Place::Broker) + kinds(Place::Node), "{report}");
    for (what, count, least) in [
        ("reads", report.reads, 20_000),
        ("hits", report.hits, 5_000),
        ("rules A and C", report.floors, 2_000),
        ("commits", report.commits, 500),
        ("commits during an outage", report.commits_during_outages, 20),
        ("rule B", report.compared, 200),
        ("recoveries", report.recoveries.len() as u64, 3),
    ] {
        assert!(count >= least, "it does too little to mean anything: {what}: {count}, not {least}\n{report}");
    }
}
