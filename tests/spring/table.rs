//! The table of `main.rs` and the tests name each other.

use std::{collections::BTreeSet, path::Path};

const MAIN: &str = include_str!("main.rs");

/// The modules whose tests are counterparts of Spring's.
const MODULES: [(&str, &str); 13] = [
    ("blocks", include_str!("blocks.rs")),
    ("by_hand", include_str!("by_hand.rs")),
    ("conditions", include_str!("conditions.rs")),
    ("evicting", include_str!("evicting.rs")),
    ("failures", include_str!("failures.rs")),
    ("futures", include_str!("futures.rs")),
    ("jsr107", include_str!("jsr107.rs")),
    ("keys", include_str!("keys.rs")),
    ("loading", include_str!("loading.rs")),
    ("putting", include_str!("putting.rs")),
    ("registries", include_str!("registries.rs")),
    ("several", include_str!("several.rs")),
    ("transactions", include_str!("transactions.rs")),
];

/// The modules without counterparts.
const OTHERS: [&str; 3] = ["fixture", "services", "table"];

/// What stands in back quotes.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The rows of the table: Spring's tests, the tests here, the remark.
fn rows() -> Vec<(Vec<&'static str>, Vec<&'static str>, &'static str)> {
    let cells = MAIN.lines().filter_map(|line| line.strip_prefix("//! | ")?.strip_suffix(" |"));
    let rows = cells.map(|row| row.splitn(3, " | ").collect::<Vec<_>>()).filter(|row| row[0] != "Spring's test");
    rows.map(|row| (quoted(row[0]), quoted(row[1]), row.get(2).copied().unwrap_or_default())).collect()
}

/// The name of the function that a line declares.
fn function(line: &str) -> Option<&str> {
    let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    name.split(['(', '<']).next()
}

/// The tests of a module, with what their documentation quotes.
fn tests(source: &'static str) -> Vec<(&'static str, Vec<&'static str>)> {
    let for_both = source.split_once("for_both_services! {\n").and_then(|(_, rest)| rest.split_once('}'));
    let for_both: Vec<_> = for_both.into_iter().flat_map(|(names, _)| names.split_whitespace()).collect();
    let mut found = Vec::new();
    let (mut cited, mut is_test) = (Vec::new(), false);
    for line in source.lines() {
        if let Some(documentation) = line.strip_prefix("/// ") {
            cited.extend(quoted(documentation));
        } else if line == "#[tokio::test]" {
            is_test = true;
        } else {
            if let Some(name) = function(line).filter(|name| is_test || for_both.contains(name)) {
                found.push((name, cited.clone()));
            }
            (cited, is_test) = (Vec::new(), false);
        }
    }
    assert!(for_both.iter().all(|name| found.iter().any(|(found, _)| found == name)), "{for_both:?}");
    found
}

#[test]
fn every_test_is_in_the_table_and_every_test_in_the_table_exists() {
    let here = MODULES
        .iter()
        .flat_map(|(module, source)| tests(source).into_iter().map(move |(name, _)| format!("{module}::{name}")));
    let here: BTreeSet<_> = here.collect();
    let table: BTreeSet<_> = rows().into_iter().flat_map(|(_, tests, _)| tests).map(str::to_owned).collect();
    assert!(here.len() > 100, "{}", here.len());
    assert_eq!(here.difference(&table).collect::<Vec<_>>(), Vec::<&String>::new(), "tests that no row names");
    assert_eq!(table.difference(&here).collect::<Vec<_>>(), Vec::<&String>::new(), "rows without a test");
}

#[test]
fn every_test_says_whose_counterpart_it_is_and_the_table_agrees() {
    let table = rows();
    let all: BTreeSet<_> = table.iter().flat_map(|(spring, ..)| spring).copied().collect();
    let mut wrong = Vec::new();
    for (module, source) in MODULES {
        for (name, cited) in tests(source) {
            let path = format!("{module}::{name}");
            let rows = table.iter().filter(|(_, tests, _)| tests.contains(&path.as_str()));
            let counterparts: BTreeSet<_> = rows.flat_map(|(spring, ..)| spring).copied().collect();
            let methods = cited.iter().map(|cited| cited.rsplit('.').next().unwrap_or(cited));
            let methods: BTreeSet<_> = methods.filter(|method| all.contains(method)).collect();
            if methods.is_empty() || !methods.is_subset(&counterparts) {
                wrong.push(format!("{path} cites {cited:?}, and the table {counterparts:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_row_without_a_test_says_why_and_what_it_refers_to_exists() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (spring, here, remark) in rows() {
        assert!(!spring.is_empty());
        assert!(!here.is_empty() || !remark.is_empty(), "{spring:?}");
        for path in quoted(remark).into_iter().filter_map(|path| path.strip_prefix("tests/")) {
            assert!(tests.join(path).exists(), "{path}, for {spring:?}");
        }
    }
}

#[test]
fn no_module_is_forgotten() {
    let modules: BTreeSet<_> = MAIN.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).collect();
    let known: BTreeSet<_> = MODULES.iter().map(|(module, _)| *module).chain(OTHERS).collect();
    assert_eq!(modules, known);
}
