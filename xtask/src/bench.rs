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
    packages::{self, on_path},
    rabbitmq,
};

/// What is counted: the same on a machine that others use, too.
const COUNTED: [&str; 2] = ["counts", "instructions"];
/// What is timed, and too much for each change.
const TIMED: [&str; 6] = ["hits", "misses", "memory", "growth", "sites", "compile"];
/// What is over a broker, or is about one: of another package, so that who measures hits builds no client.
const BROKER: [&str; 4] = ["broadcast", "latency", "team", "nodes"];

const VALGRIND: &str = "instructions are counted by valgrind, which is not installed and cannot be installed from here; do \
                        `apt-get install valgrind` as root (Debian, Ubuntu), or use your system's package";
const RABBITMQ: &str = "some benchmarks are over RabbitMQ, which is not installed and cannot be installed from here; do \
                        `apt-get install rabbitmq-server` as root (Debian, Ubuntu), or use your system's package";
const REDIS: &str = "some benchmarks are beside Redis, which is not installed and cannot be installed from here; do \
                     `apt-get install redis-server` as root (Debian, Ubuntu), or use your system's package";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Few rounds: shows that all of it runs, with numbers that are worth little.
    #[arg(long)]
    quick: bool,
    /// Runs what does not depend on time alone, writes nothing, and fails if a bar, or the limit of one that is missed so far, is exceeded.
    #[arg(long, conflicts_with = "quick")]
    check: bool,
    /// Measures nothing: writes the last report once more, with what `benches/explained.toml` says today.
    #[arg(long, conflicts_with_all = ["quick", "check", "programs"])]
    again: bool,
    /// Where the report is written.
    #[arg(long, value_name = "FOLDER", default_value = "docs")]
    into: String,
    /// Runs these programs alone; the report is of them alone, too.
    #[arg(value_name = "PROGRAM")]
    programs: Vec<String>,
}

impl Options {
    /// The programs to run, in the order of the report.
    fn chosen(&self) -> Result<Vec<&'static str>> {
        let all = || COUNTED.into_iter().chain(TIMED).chain(BROKER);
        for program in &self.programs {
            let known: Vec<_> = all().collect();
            ensure!(known.contains(&program.as_str()), "there is no program {program}; there are {}", known.join(", "));
        }
        Ok(match (&self.programs[..], self.check) {
            ([], true) => COUNTED.to_vec(),
            ([], false) => all().collect(),
            (programs, _) => all().filter(|program| programs.iter().any(|name| name == program)).collect(),
        })
    }

    /// What is written into the report: by this command it is made again.
    fn command(&self) -> String {
        let quick = self.quick.then_some("--quick");
        let words = ["cargo", "xtask", "bench"].into_iter().chain(quick);
        words.chain(self.programs.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
    }
}

/// What the programs have printed, and which of them have failed.
#[derive(Debug, Default)]
struct Gathered {
    lines: String,
    failed: Vec<String>,
}

impl Gathered {
    /// Takes what a program has printed. What it printed before it failed was measured, but for a line that it has not ended.
    fn take(&mut self, program: &str, result: Result<(ExitStatus, Vec<u8>)>) {
        let failed = match result {
            Ok((status, printed)) => {
                let printed = String::from_utf8_lossy(&printed);
                let whole = printed.rfind('\n').map_or(0, |end| end + 1);
                print!("{}", &printed[..whole]);
                self.lines += &printed[..whole];
                match status.success() {
                    true if printed[whole..].is_empty() => return,
                    true => format!("{program}: its last line has no end"),
                    false => format!("{program}: {status}"),
                }
            }
            Err(error) => format!("{program}: {error:#}"),
        };
        self.fail(failed);
    }

    fn fail(&mut self, failed: String) {
        eprintln!("error: {failed}; going on with the rest");
        self.failed.push(failed);
    }
}

pub(crate) fn bench(options: &Options) -> Result<ExitStatus> {
    if options.again {
        let mut command = run("report", true);
        return command.args(["--again", "--into", &options.into]).status().context("cargo cannot be started");
    }
    let load = fs::read_to_string("/proc/loadavg").ok();
    let load = load.as_deref().and_then(|averages| averages.split(' ').next());
    let chosen = options.chosen()?;
    let quick = if options.quick || options.check { &["--quick"][..] } else { &[] };
    if !options.check {
        // Before hours of measuring, and not after.
        fs::create_dir_all(&options.into).with_context(|| format!("no folder {}", options.into))?;
    }
    let mut gathered = Gathered::default();
    if chosen.iter().any(|program| ["broadcast", "latency"].contains(program))
        && let Err(error) = packages::provide("redis-server", || on_path("redis-server"), REDIS)
    {
        // They run without, and leave out its rows.
        gathered.fail(format!("Redis: {error:#}"));
    }
    for program in chosen {
        eprintln!("{program}");
        let result = provide(program).and_then(|()| {
            let mut command = run(program, options.check);
            let command = command.args(quick).stdin(Stdio::null()).stderr(Stdio::inherit());
            let output = command.output().context("cargo cannot be started")?;
            Ok((output.status, output.stdout))
        });
        gathered.take(program, result);
    }
    let mut report = run("report", options.check);
    if options.check {
        report.arg("--check");
    } else {
        report.args(["--into", &options.into, "--command", &options.command()]).args(quick);
        report.args(load.map(|load| ["--load", load]).into_iter().flatten());
    }
    for failed in &gathered.failed {
        report.args(["--failed", failed]);
    }
    let mut report = report.stdin(Stdio::piped()).spawn().context("cargo cannot be started")?;
    report.stdin.take().context("it was piped")?.write_all(gathered.lines.as_bytes())?;
    Ok(report.wait()?)
}

/// A program; what is `counted` only is built without the peers, which take minutes.
fn run(program: &str, counted: bool) -> Command {
    let package = match program {
        "report" => "cachesync-benches-report",
        _ if BROKER.contains(&program) => "cachesync-benches-broker",
        _ => "cachesync-benches",
    };
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "--package", package, "--bin", program]);
    if package == "cachesync-benches" && (!counted || program == "hits") {
        command.args(["--features", "peers"]);
    }
    command.arg("--");
    command
}

/// Installs what a program needs.
fn provide(program: &str) -> Result<()> {
    match program {
        "instructions" => packages::provide("valgrind", || on_path("valgrind"), VALGRIND),
        "broadcast" | "latency" | "team" => rabbitmq::provide_own(RABBITMQ),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn options(programs: &[&str], quick: bool, check: bool) -> Options {
        let programs = programs.iter().map(|program| (*program).to_owned()).collect();
        Options { quick, check, again: false, into: "docs".to_owned(), programs }
    }

    #[test]
    fn programs_of_both_packages_are_chosen_by_name_and_run_in_the_order_of_the_report() {
        let chosen = |programs: &[&str], check| options(programs, false, check).chosen().expect("they are known");
        assert_eq!(chosen(&["latency", "hits"], false), ["hits", "latency"]);
        assert_eq!(chosen(&[], true), COUNTED);
        assert_eq!(chosen(&[], false).len(), COUNTED.len() + TIMED.len() + BROKER.len());
        let error = options(&["hit"], false, false).chosen().expect_err("there is none").to_string();
        assert!(error.contains("there is no program hit;") && error.contains("broadcast"), "{error}");
    }

    #[test]
    fn the_command_in_the_report_makes_the_same_report() {
        assert_eq!(options(&[], false, false).command(), "cargo xtask bench");
        assert_eq!(options(&["hits"], true, false).command(), "cargo xtask bench --quick hits");
    }

    #[test]
    fn a_program_that_fails_keeps_its_whole_lines_and_costs_no_others() {
        let mut gathered = Gathered::default();
        gathered.take("counts", Ok((ExitStatus::from_raw(0), b"1\n2\n".to_vec())));
        gathered.take("hits", Ok((ExitStatus::from_raw(9), b"3\n{\"gro".to_vec())));
        gathered.take("team", Err(anyhow::anyhow!("no RabbitMQ")));
        gathered.take("nodes", Ok((ExitStatus::from_raw(0), b"4\n".to_vec())));
        assert_eq!(gathered.lines, "1\n2\n3\n4\n");
        let [hits, team] = &gathered.failed[..] else { panic!("{gathered:?}") };
        assert!(hits.starts_with("hits: signal: 9") && team == "team: no RabbitMQ", "{gathered:?}");
    }
}
