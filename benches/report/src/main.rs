//! Writes the table and the chart from the lines that the other programs print, on standard input.

use std::{
    env,
    io::{self, Read},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};
use cachesync_benches_report::{Report, explained::Explained, facts::Facts};

/// What it was called with.
#[derive(Default)]
struct Arguments {
    /// Where the report is.
    into: Option<PathBuf>,
    /// Writes nothing, and fails if a number is not within its limit.
    check: bool,
    /// Measured nothing: writes the report that is there once more.
    again: bool,
    quick: bool,
    /// What regenerates the report.
    command: String,
    /// How many were running on the machine before.
    load: Option<String>,
    /// What else has failed.
    failed: Vec<String>,
}

impl Arguments {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} has no value"));
            match word.as_str() {
                "--into" => arguments.into = Some(value()?.into()),
                "--check" => arguments.check = true,
                "--again" => arguments.again = true,
                "--quick" => arguments.quick = true,
                "--command" => arguments.command = value()?,
                "--load" => arguments.load = Some(value()?),
                "--failed" => arguments.failed.push(value()?),
                _ => bail!("{word} is no argument of this program"),
            }
        }
        Ok(arguments)
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::read(env::args().skip(1))?;
    let into = || arguments.into.as_deref().context("where to write to is missing: --into FOLDER");
    let explained = Explained::here()?;
    let report = if arguments.again {
        Report::load(into()?)?
    } else {
        let mut report = Report { failed: arguments.failed.clone(), ..Report::default() };
        let mut printed = String::new();
        io::stdin().read_to_string(&mut printed)?;
        report.read(&printed);
        report
    };
    if arguments.check {
        return report.check();
    }
    let facts = || Facts::gather(&arguments.command, arguments.load.as_deref(), arguments.quick);
    let report = if arguments.again { report } else { Report { facts: facts(), ..report } };
    report.write(into()?, &explained)?;
    for idle in explained.idle(&report.rows) {
        eprintln!("note: benches/explained.toml explains what is not missed: {idle}");
    }
    report.has_not_failed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read_or_refused() {
        let read = |words: &[&str]| Arguments::read(words.iter().map(|word| (*word).to_owned()));
        let arguments = read(&["--into", "docs", "--failed", "a", "--failed", "b", "--quick"]).expect("they are known");
        assert_eq!(arguments.into, Some("docs".into()));
        assert!(arguments.quick && !arguments.check && arguments.failed == ["a", "b"]);
        read(&["--into"]).err().expect("a value is missing");
        read(&["docs"]).err().expect("it is not known");
    }
}
