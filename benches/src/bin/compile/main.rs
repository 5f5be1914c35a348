//! What annotated functions cost whoever compiles them, beside the same functions written by hand around `quick_cache`.
//!
//! Two crates that differ in nothing else are built in turn, with a changed constant each time, and all that they depend on
//! built before. Both call all of their functions: of an `async fn` that nobody calls there is little to compile.

mod shapes;

use std::{
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use cachesync_benches::{generated::Generated, is_quick, rounds::Rounds, row::Row};
use shapes::{Way, program};

const GROUP: &str = "compile time";
const AGAINST: &str = "the same functions by hand around quick_cache";

fn main() -> Result<()> {
    let functions = if is_quick() { 50 } else { 200 };
    let crates = Crates::write(functions)?;
    let rounds = if is_quick() { 3 } else { 9 };
    for (what, command, incremental) in
        [("cargo build", "build", false), ("cargo check", "check", false), ("cargo build, incremental", "build", true)]
    {
        let row = crates.compare(what, &[command], incremental, rounds)?;
        row.bar(2.0).print();
    }
    crates.do_the_same()?;
    if !is_quick() {
        // Takes longer than all of the above.
        crates.compare("cargo build --release", &["build", "--release"], false, rounds / 3)?.print();
    }
    Ok(())
}

struct Crates {
    annotated: Generated,
    by_hand: Generated,
    functions: usize,
    revision: AtomicU64,
}

impl Crates {
    fn write(functions: usize) -> Result<Self> {
        let tokio = "tokio = { version = \"*\", features = [\"macros\", \"rt\"] }";
        let ours = format!("{tokio}\ncachesync = {{ path = \"{{workspace}}/cachesync\", features = [\"macros\"] }}");
        let theirs = format!("{tokio}\nquick_cache = \"*\"");
        let write = |way, name, dependencies: &str| {
            Generated::write(name, dependencies, &[("main.rs", &program(way, functions, 0))])
        };
        Ok(Self {
            annotated: write(Way::Annotated, "compile-annotated", &ours)?,
            by_hand: write(Way::ByHand, "compile-by-hand", &theirs)?,
            functions,
            revision: AtomicU64::new(0),
        })
    }

    /// The ratio of the times that this takes, after it was done once.
    fn compare(&self, what: &str, command: &[&str], incremental: bool, rounds: u32) -> Result<Row> {
        self.annotated.cargo(command, incremental)?;
        self.by_hand.cargo(command, incremental)?;
        let time = |way, generated: &Generated| -> Result<Duration> {
            let revision = self.revision.fetch_add(1, Ordering::Relaxed) + 1;
            generated.replace("src/main.rs", &program(way, self.functions, revision))?;
            let started = Instant::now();
            generated.cargo(command, incremental)?;
            Ok(started.elapsed())
        };
        let ratio = Rounds { rounds, threads: 1, calls: 1 }.compare(
            |_| time(Way::Annotated, &self.annotated).expect("it was built before"),
            |_| time(Way::ByHand, &self.by_hand).expect("it was built before"),
        );
        let ((low, high), (ours, theirs)) = (ratio.quartiles, ratio.nanoseconds);
        let note = format!(
            "{:.2} s to {:.2} s; half of the rounds {low:.2} to {high:.2}; the whole crate, no dependency",
            ours / 1e9,
            theirs / 1e9
        );
        let what = format!("`{what}` of {} annotated functions", self.functions);
        Ok(Row::new(GROUP, what).against(AGAINST, ratio.median).note(note))
    }

    /// Whether the programs do the same, as they were built last.
    fn do_the_same(&self) -> Result<()> {
        let said = |generated: &Generated| -> Result<String> {
            let output = Command::new(generated.program("debug")).output().context("it cannot be started")?;
            ensure!(output.status.success(), "{generated:?}: {}", output.status);
            Ok(String::from_utf8(output.stdout)?)
        };
        let (ours, theirs) = (said(&self.annotated)?, said(&self.by_hand)?);
        ensure!(ours == theirs, "the programs do not do the same: {ours} and {theirs}");
        Ok(())
    }
}
