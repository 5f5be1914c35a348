//! What call sites cost as they become many: 10,000 annotated functions in one program, beside the same program with ten.
//!
//! The programs are written and built here, and run beside each other. They do on request what is timed, so that the rounds of
//! both alternate. The code of 10,000 functions does not fit the processor's caches, be they annotated or by hand: calls spread
//! over all of them are compared with calls of as many by hand, too.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use cachesync_benches::{
    generated::Generated,
    is_quick,
    numbers::{count, grouped},
    rounds::Rounds,
    row::Row,
};

/// Of these each function has one, in turn.
const CACHES: usize = 100;
const FEW: usize = 10;
const GROUP: &str = "growth in call sites";
/// As many are in one crate: of several, several are compiled at the same time, and one would need 10 GB.
const IN_A_CRATE: usize = 1_000;
/// What both programs are but for their number of functions.
const SERVE: &str = include_str!("../../generated/sites.rs");
/// What the crates of functions have in common.
const COMMON: &str = include_str!("../../generated/sites_common.rs");

fn main() -> Result<()> {
    let sites = if is_quick() { 200 } else { 10_000 };
    let (few, _) = Program::build(FEW)?;
    let (many, built) = Program::build(sites)?;
    let shown = grouped(sites as u64);
    let here = format!("in a program with {shown} call sites");
    let rounds = Rounds { rounds: if is_quick() { 15 } else { 301 }, threads: 1, calls: 20_000 };

    let one =
        many.alone("hits", || rounds.compare(|calls| many.timed("one", calls), |calls| few.timed("one", calls)))?;
    let row = Row::new(GROUP, format!("hits of one function, {here}")).against("the same with 10", one.median);
    row.note(one.note()).print();
    let spread = rounds.compare(|calls| many.timed("spread", calls), |calls| few.timed("spread", calls));
    let row =
        Row::new(GROUP, format!("hits of all functions at random, {here}")).against("the same with 10", spread.median);
    row.note(format!("{}; with what the processor's caches do not hold", spread.note())).print();
    let by_hand = rounds.compare(|calls| many.timed("spread", calls), |calls| many.timed("spread-by-hand", calls));
    Row::new(GROUP, format!("hits of all functions at random, {here}"))
        .against(format!("{shown} functions by hand around quick_cache `get`"), by_hand.median)
        .note(by_hand.note())
        .print();

    let starts = Rounds { rounds: if is_quick() { 9 } else { 51 }, threads: 1, calls: 3 };
    let start = starts.compare(|calls| many.timed("start", calls), |calls| few.timed("start", calls));
    let (with, without) = (start.nanoseconds.0 / 1e3, start.nanoseconds.1 / 1e3);
    Row::new(GROUP, format!("microseconds of `start()`, {here}"))
        .ratio(with)
        .note(format!(
            "{without:.0} microseconds with 10, so {:.0} ns for each call site; 103 caches in both",
            (with - without) * 1e3 / count((sites - FEW) as u64)
        ))
        .print();

    let (statics, remembered) = (many.ask("static", 1)?, many.ask("remembered", 1)?);
    let heap = count(remembered) / count((sites - CACHES) as u64);
    Row::new(GROUP, "bytes of memory a call site")
        .ratio(count(statics) + heap)
        .note(format!("{statics} static; {heap:.0} on the heap once it was called"))
        .print();
    let each = (many.bytes - few.bytes) / count((sites - FEW) as u64);
    Row::new(GROUP, "bytes of the program a function")
        .ratio(each)
        .note(format!(
            "stripped, both an annotated function and one by hand: {:.1} MB with {shown} of each; compiled with `opt-level = 1` in {:.0} s",
            many.bytes / 1e6,
            built.as_secs_f64()
        ))
        .print();
    Ok(())
}

/// A generated program that runs.
struct Program {
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    process: Child,
    bytes: f64,
}

impl Program {
    /// Builds it with this many functions, and starts it; says how long the first took.
    fn build(sites: usize) -> Result<(Self, Duration)> {
        let generated = write(sites)?;
        let started = Instant::now();
        generated.cargo(&["build", "--release"], false)?;
        let built = started.elapsed();
        let program = generated.program("release");
        let mut process = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{} cannot be started", program.display()))?;
        let stdin = process.stdin.take().context("it is piped")?;
        let stdout = BufReader::new(process.stdout.take().context("it is piped")?);
        let bytes = count(fs::metadata(&program)?.len());
        Ok((Self { pipes: Mutex::new((stdin, stdout)), process, bytes }, built))
    }

    /// Asks for something that is done this often.
    fn ask(&self, what: &str, calls: u64) -> Result<u64> {
        let (stdin, stdout) = &mut *self.pipes.lock().expect("no panic");
        writeln!(stdin, "{what} {calls}")?;
        let mut answer = String::new();
        stdout.read_line(&mut answer)?;
        answer.trim().parse().with_context(|| format!("{what}: no answer"))
    }

    fn timed(&self, what: &str, calls: u64) -> Duration {
        Duration::from_nanos(self.ask(what, calls).expect("it runs until its input ends"))
    }

    /// Makes sure that `work` caused hits and no loads.
    fn alone<T>(&self, what: &str, work: impl FnOnce() -> T) -> Result<T> {
        let before = (self.ask(what, 1)?, self.ask("loads", 1)?);
        let result = work();
        let after = (self.ask(what, 1)?, self.ask("loads", 1)?);
        ensure!(
            after.0 > before.0 && after.1 == before.1,
            "something else was measured than hits: {before:?}, {after:?}"
        );
        Ok(result)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// Writes the program and the crates of its functions.
fn write(sites: usize) -> Result<Generated> {
    const CACHESYNC: &str =
        "cachesync = { path = \"{workspace}/cachesync\", features = [\"macros\"] }\nquick_cache = \"*\"\n";
    const COMMON_NAME: &str = "sites-common = { path = \"../sites-common\" }\n";
    let mut common = format!(
        "{COMMON}
"
    );
    for number in 0..CACHES {
        writeln!(common, "bare!(BARE_{number});")?;
    }
    Generated::write("sites-common", CACHESYNC, &[("lib.rs", &common)])?;
    let all: Vec<_> = (0..sites).collect();
    let mut dependencies = format!(
        "allocation-counter = \"*\"\ncachesync-benches = {{ path = \"{{workspace}}/benches\" }}\n{CACHESYNC}{COMMON_NAME}"
    );
    let mut profiles = String::new();
    let mut tables = [String::new(), String::new()];
    for (number, part) in all.chunks(IN_A_CRATE).enumerate() {
        let name = format!("sites-{sites}-{number}");
        Generated::write(&name, &format!("{CACHESYNC}{COMMON_NAME}"), &[("lib.rs", &functions(part))])?;
        writeln!(dependencies, "{name} = {{ path = \"../{name}\" }}")?;
        // More of it takes three times as long.
        write!(profiles, "\n[profile.release.package.{name}]\nopt-level = 1\n")?;
        let module = name.replace('-', "_");
        write!(tables[0], "&{module}::ANNOTATED[..], ")?;
        write!(tables[1], "&{module}::BY_HAND[..], ")?;
    }
    let [annotated, by_hand] = tables;
    let gathered = format!(
        "pub use sites_{sites}_0::annotated_0;\npub use sites_common::Function;\n\npub const CACHES: usize = {CACHES};\n\n\
         pub fn annotated() -> Vec<Function> {{\n    [{annotated}].concat()\n}}\n\n\
         pub fn by_hand() -> Vec<Function> {{\n    [{by_hand}].concat()\n}}\n"
    );
    Generated::write(
        &format!("sites-{sites}"),
        &(dependencies + &profiles),
        &[("main.rs", SERVE), ("functions.rs", &gathered)],
    )
}

/// These functions, of both kinds, and tables of them.
fn functions(numbers: &[usize]) -> String {
    let mut text = String::from("use std::sync::Arc;\n\nuse cachesync::cacheable;\nuse sites_common::*;\n");
    let mut add = |line: std::fmt::Arguments<'_>| text.write_fmt(line).expect("a text");
    for number in numbers {
        let cache = number % CACHES;
        add(format_args!(
            "\n#[cacheable(cache = \"cache-{cache}\", key = id)]\n\
             pub async fn annotated_{number}(id: u64) -> Arc<u64> {{\n    Arc::new(id)\n}}\n\n\
             pub async fn by_hand_{number}(id: u64) -> Arc<u64> {{\n    if let Some(value) = BARE_{cache}.get(&id) {{\n        \
             return value;\n    }}\n    let value = Arc::new(id);\n    BARE_{cache}.insert(id, value.clone());\n    value\n}}\n"
        ));
    }
    for (table, function) in [("ANNOTATED", "annotated"), ("BY_HAND", "by_hand")] {
        add(format_args!("\npub static {table}: [Function; {}] = [\n", numbers.len()));
        for number in numbers {
            add(format_args!("    |id| now({function}_{number}(id)),\n"));
        }
        add(format_args!("];\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_functions_of_both_kinds_and_all_are_in_a_table() {
        let text = functions(&(100..350).collect::<Vec<_>>());
        assert_eq!(text.matches("#[cacheable(cache = \"cache-49\"").count(), 3);
        assert_eq!(text.matches("pub async fn annotated_").count(), 250);
        assert_eq!(text.matches("pub async fn by_hand_").count(), 250);
        assert!(text.contains("now(annotated_349(id))") && text.contains("now(by_hand_349(id))"));
    }
}
