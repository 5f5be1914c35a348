use std::fs;

use super::*;

/// Journals of the driver and of node 0 (process 1) and node 1 (process 2): a line is a time in milliseconds and an event,
/// in which `began` of a read is in milliseconds, too.
fn judge(driver: &[&str], nodes: [&[&str]; 2], commits: &[u64]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let millis = |millis: &str| format!("{}", millis.parse::<u64>().unwrap() * 1_000_000);
    let line = |line: &&str| {
        let (at, event) = line.split_once(' ').unwrap();
        let event = match event.strip_prefix("read ").map(|read| read.split_once(' ').unwrap()) {
            Some((began, rest)) => format!("read {} {rest}", millis(began)),
            None => event.to_owned(),
        };
        format!("{} {event}\n", millis(at))
    };
    let mut authors = Vec::new();
    for (process, lines) in [(None, driver), (Some((0, 1)), nodes[0]), (Some((1, 2)), nodes[1])] {
        let journal = folder.path().join(format!("{process:?}"));
        fs::write(&journal, lines.iter().map(line).collect::<String>()).unwrap();
        authors.push(Author { process, journal });
    }
    check(&authors, commits.to_vec()).unwrap()
}

fn rule(report: &Report) -> Option<&'static str> {
    report.violation.as_ref().map(|violation| violation.rule)
}

/// Node 0 writes row 5 in transaction 7; the broker has taken the eviction at 40 ms.
const WRITES: [&str; 4] = ["10 wrote 7 5", "20 committing 7", "30 applied 7", "40 flushed 1"];

#[test]
fn a_stale_read_that_begins_within_the_lease_is_counted_and_one_that_begins_later_breaks_rule_a() {
    let report = judge(&[], [&WRITES, &["2041 read 2039 5 0 cached 0"]], &[7]);
    assert_eq!((rule(&report), report.stale, report.evictions), (None, 1, 1));
    assert_eq!(report.oldest_by_commit, Duration::from_millis(2009));
    assert_eq!(report.oldest_by_confirmation, Duration::from_millis(1999));
    let report = judge(&[], [&WRITES, &["2041 read 2040 5 0 cached 0"]], &[7]);
    assert_eq!((rule(&report), report.stale_beyond), (Some("A"), 1));
    let text = report.violation.unwrap().text;
    assert!(text.starts_with("row 5, node 1 (process 2) at 2.031 s: 0 was read, and 7 had to be known"), "{text}");
    assert!(text.contains("0.010 s  node 0 (process 1)    committing 7"), "{text}");
}

#[test]
fn an_eviction_that_is_not_confirmed_has_to_be_known_on_its_own_node_alone() {
    let writes = &WRITES[..3];
    assert_eq!(rule(&judge(&[], [writes, &["9000 read 8000 5 0 cached 0"]], &[7])), None);
    let own: Vec<_> = writes.iter().copied().chain(["31 read 30 5 0 cached 0"]).collect();
    assert_eq!(rule(&judge(&[], [&own, &[]], &[7])), Some("C"));
    let own: Vec<_> = writes.iter().copied().chain(["31 read 29 5 0 cached 0"]).collect();
    assert_eq!(rule(&judge(&[], [&own, &[]], &[7])), None, "it began before the commit was applied");
}

#[test]
fn what_is_not_committed_is_read_in_its_own_transaction_and_there_it_is() {
    for (reads, expected) in [
        ("15 read 15 5 7 loaded 7", None),
        ("15 read 15 5 0 cached 7", Some("D")),
        ("15 read 15 5 7 loaded 0", Some("D")),
        ("15 read 15 5 8 loaded 0", Some("D")),
    ] {
        let lines = [WRITES[0], reads, WRITES[1], WRITES[2]];
        assert_eq!(rule(&judge(&[], [&lines, &[]], &[7])), expected, "{reads}");
    }
    let rolled_back = ["10 wrote 7 5", "20 rolled-back 7"];
    assert_eq!(rule(&judge(&[], [&rolled_back, &["30 read 30 5 7 loaded 0"]], &[])), Some("D"));
}

#[test]
fn what_is_cached_when_all_is_quiet_is_the_newest_but_for_what_a_dead_writer_told_nobody() {
    let lists = ["9000 entry 5 0"];
    let report = judge(&[], [&WRITES, &lists], &[7]);
    assert_eq!((rule(&report), report.lost, report.compared), (Some("B"), 1, 1));
    // Nobody has confirmed it, and its writer lives: it should have.
    assert_eq!(rule(&judge(&[], [&WRITES[..3], &lists], &[7])), Some("B"));
    let report = judge(&["50 died 1"], [&WRITES[..3], &lists], &[7]);
    assert_eq!((rule(&report), report.died, report.orphans), (None, 1, 1));
    assert_eq!(rule(&judge(&["50 died 1"], [&WRITES, &lists], &[7])), Some("B"), "that was confirmed");
}

#[test]
fn what_is_in_doubt_has_to_be_known_when_it_is_settled_and_told_if_the_database_has_committed_it() {
    let doubts = ["10 wrote 7 5", "20 committing 7", "30 in-doubt 7", "40 settled 7", "50 flushed 1"];
    let reads = ["2060 read 2055 5 0 cached 0"];
    assert_eq!(rule(&judge(&[], [&doubts, &reads], &[7])), Some("A"));
    assert_eq!(rule(&judge(&[], [&doubts, &reads], &[])), None);
}

#[test]
fn a_read_is_as_stale_as_the_first_newer_version_that_is_known_to_be_committed() {
    // Of 6 nobody knows the outcome for a long time, though the database has committed it.
    let writes = ["1 wrote 6 5", "2 committing 6", "3 in-doubt 6", WRITES[0], WRITES[1], WRITES[2], WRITES[3]];
    let report = judge(&[], [&writes, &["1041 read 1030 5 0 cached 0"]], &[6, 7]);
    assert_eq!((rule(&report), report.stale), (None, 1));
    assert_eq!(report.oldest_by_commit, Duration::from_secs(1));
    assert_eq!(report.oldest_by_confirmation, Duration::from_millis(990));
}

#[test]
fn recoveries_are_measured_of_nodes_without_trouble_of_their_own() {
    let driver = [
        "10 fault broker-killed -",
        "20 fault link-stalled 1",
        "30 healed broker-killed -",
        "30 returned",
        "60 healed link-stalled 1",
    ];
    let status = ["25 status coherent 0 0 1 0", "50 status coherent 0 0 1 0"];
    let report = judge(&driver, [&status, &status], &[]);
    assert_eq!(report.recoveries, [Duration::from_millis(20)]);
}

#[test]
fn a_history_that_cannot_be_is_an_error_and_no_verdict() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("driver");
    fs::write(&journal, "1 returned\n").unwrap();
    let authors = [Author { process: None, journal }];
    assert!(check(&authors, vec![7]).is_err(), "7 was committed, and nobody has written that down");
}
