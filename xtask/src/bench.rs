//! `cargo xtask bench`: runs the programs of `benches/` and gathers what they print.

use std::{
    fs,
    io::Write,
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::{
    cargo,
    rabbitmq::{on_path, root},
};

/// What is counted: the same on a machine that others use, too.
const COUNTED: [&str; 2] = ["counts", "instructions"];
/// What is timed, and too much for each change.
const TIMED: [&str; 6] = ["hits", "misses", "memory", "growth", "sites", "compile"];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Few rounds: shows that all of it runs, with numbers that are worth little.
    #[arg(long)]
    quick: bool,
    /// Runs what does not depend on time alone, writes nothing, and fails if a bar, or the limit of one that is missed so far, is exceeded.
    #[arg(long)]
    check: bool,
    /// Where the report is written.
    #[arg(long, value_name = "FOLDER", default_value = "docs")]
    into: String,
    /// Runs these programs alone.
    #[arg(value_name = "PROGRAM")]
    programs: Vec<String>,
}

pub(crate) fn bench(options: &Options) -> Result<ExitStatus> {
    let chosen: Vec<&str> = match (&options.programs[..], options.check) {
        ([], true) => COUNTED.to_vec(),
        ([], false) => COUNTED.into_iter().chain(TIMED).collect(),
        (programs, _) => programs.iter().map(String::as_str).collect(),
    };
    if chosen.contains(&"instructions") {
        provide_valgrind()?;
    }
    let quick = if options.quick || options.check { &["--quick"][..] } else { &[] };
    let mut lines = String::new();
    for program in chosen {
        eprintln!("{program}");
        let output = run(program, options.check)
            .args(quick)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("cargo cannot be started")?;
        if !output.status.success() {
            return Ok(output.status);
        }
        let printed = String::from_utf8(output.stdout).with_context(|| format!("{program} printed no text"))?;
        print!("{printed}");
        lines += &printed;
    }
    if options.check {
        return report(&lines, run("report", true).arg("--check"));
    }
    fs::create_dir_all(&options.into).with_context(|| format!("no folder {}", options.into))?;
    report(&lines, run("report", false).arg(&options.into).args(quick))
}

fn report(lines: &str, command: &mut Command) -> Result<ExitStatus> {
    let mut report = command.stdin(Stdio::piped()).spawn().context("cargo cannot be started")?;
    report.stdin.take().context("it was piped")?.write_all(lines.as_bytes())?;
    Ok(report.wait()?)
}

/// A program of the package; what is `counted` only is built without the peers, which take minutes.
fn run(program: &str, counted: bool) -> Command {
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", "cachesync-benches", "--bin", program]);
    if !counted {
        command.args(["--features", "peers"]);
    }
    command.arg("--");
    command
}

fn provide_valgrind() -> Result<()> {
    const INSTRUCTIONS: &str = "instructions are counted by valgrind, which is not installed and cannot be installed from \
                                here; do `apt-get install valgrind` as root (Debian, Ubuntu), or use your system's package";
    if on_path("valgrind") {
        return Ok(());
    }
    eprintln!("installing valgrind");
    let root = root().context(INSTRUCTIONS)?;
    let install = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=60"];
    for task in [&["update", "-qq"][..], &["install", "-y", "-qq", "--no-install-recommends", "valgrind"]] {
        let mut words = root.iter().chain(&install).chain(task);
        let program = words.next().context("an empty command")?;
        // A repository that is not ours to mend may fail; what matters is whether there is a valgrind in the end.
        let _ = Command::new(program).args(words).stdin(Stdio::null()).stdout(Stdio::null()).status();
    }
    ensure!(on_path("valgrind"), INSTRUCTIONS);
    Ok(())
}
