//! The report: a table and a chart of the rows that programs print, with what is known of the machine and the versions.
//!
//! It is kept as data, too, so that it can be written again without being measured again, say with an explanation that was
//! added.
//!
//! A package of its own, as the programs of both others print rows: none of them may have the annotated functions of another
//! linked in, which its registry would have to know.

pub mod chart;
pub mod explained;
pub mod facts;
pub mod numbers;
pub mod row;
pub mod table;

use std::{env, fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use self::{explained::Explained, facts::Facts, row::Row};

/// Whether the program was called with `--quick`.
pub fn is_quick() -> bool {
    env::args().any(|argument| argument == "--quick")
}

/// The report as data.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// On what, and with what, it was measured.
    pub facts: Facts,
    /// Programs that failed, and how; lines that are no rows.
    pub failed: Vec<String>,
    /// All that was measured.
    pub rows: Vec<Row>,
}

impl Report {
    /// Takes the rows out of what programs have printed. What is no row has failed, and costs no other row.
    pub fn read(&mut self, printed: &str) {
        for line in printed.lines() {
            match serde_json::from_str(line) {
                Ok(row) => self.rows.push(row),
                Err(error) => self.failed.push(format!("not a row ({error}): {line}")),
            }
        }
    }

    /// Reads what [`write`](Self::write) has written.
    ///
    /// # Errors
    ///
    /// If there is none in the folder, or it is of another version of this program.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("benchmarks.json");
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no report", path.display()))
    }

    /// Writes it into a folder: the table, the chart, and the data.
    ///
    /// # Errors
    ///
    /// If a file cannot be written.
    pub fn write(&self, folder: &Path, explained: &Explained) -> Result<()> {
        let chart = chart::chart(&self.rows)?;
        for (name, text) in [
            ("benchmarks.md", table::table(self, explained, chart.is_some())),
            ("benchmarks.svg", chart.unwrap_or_default()),
            ("benchmarks.json", format!("{}\n", serde_json::to_string_pretty(self)?)),
        ] {
            let path = folder.join(name);
            fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        }
        Ok(())
    }

    /// What must hold before a change is merged: nothing has failed, and each number is within its limit, or, without one,
    /// meets its bar.
    ///
    /// # Errors
    ///
    /// If it does not hold.
    pub fn check(&self) -> Result<()> {
        self.has_not_failed()?;
        let missed: Vec<_> = self.rows.iter().filter(|row| !row.passes()).collect();
        ensure!(missed.is_empty(), "missed: {missed:#?}");
        Ok(())
    }

    /// That there is something to report, and nothing missing in it.
    ///
    /// # Errors
    ///
    /// If a program has failed, or printed what is no row; or if there are no rows at all.
    pub fn has_not_failed(&self) -> Result<()> {
        ensure!(self.failed.is_empty(), "the report is not complete:\n  {}", self.failed.join("\n  "));
        ensure!(!self.rows.is_empty(), "there is nothing to report");
        Ok(())
    }
}

/// The groups in the order in which they come first.
fn groups(rows: &[Row]) -> Vec<&str> {
    let mut groups = Vec::new();
    for row in rows {
        if !groups.contains(&row.group.as_str()) {
            groups.push(row.group.as_str());
        }
    }
    groups
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Three digits that mean something.
fn shown(number: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is asked whether it is in between")]
    match number {
        0.0 => "0".to_owned(),
        1_000.0..1e15 => numbers::grouped(number.round() as u64),
        _ if number.fract() == 0.0 || number.abs() >= 100.0 => format!("{number:.0}"),
        _ if number.abs() < 0.1 => format!("{number:.3}"),
        _ => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_row_is_told_and_costs_no_other_row() {
        let mut report = Report::default();
        report
            .read("{\"group\":\"hit\",\"what\":\"first\"}\nthread panicked\n{\"group\":\"hit\",\"what\":\"second\"}\n");
        assert_eq!(report.rows, [Row::new("hit", "first"), Row::new("hit", "second")]);
        let failed = report.has_not_failed().expect_err("a line is no row").to_string();
        assert!(failed.contains("thread panicked"), "{failed}");
    }

    #[test]
    fn a_report_without_rows_has_failed() {
        Report::default().has_not_failed().expect_err("there is nothing to report");
    }

    #[test]
    fn a_report_that_was_written_is_written_again_with_an_explanation() {
        let folder = env::temp_dir().join(format!("cachesync-report-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let mut report = Report { failed: vec!["broadcast: killed".to_owned()], ..Report::default() };
        report.read(r#"{"group":"miss","what":"a miss","against":"quick_cache","ratio":2.3,"bar":2.0}"#);
        report.write(&folder, &Explained::default()).expect("written");
        let again = Report::load(&folder).expect("it is there");
        assert_eq!(again, report);
        let explained = Explained::parse("[[missed]]\ngroup = \"miss\"\nwhy = \"Two locks.\"").expect("TOML");
        again.write(&folder, &explained).expect("written");
        let table = fs::read_to_string(folder.join("benchmarks.md")).expect("it is there");
        assert!(table.contains("Two locks."), "{table}");
        assert!(fs::read_to_string(folder.join("benchmarks.svg")).expect("it is there").contains("</svg>"));
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn a_check_fails_for_a_bar_that_is_missed_and_for_what_has_failed_and_for_no_other_row() {
        let check = |rows: &[Row]| Report { rows: rows.to_vec(), ..Report::default() }.check();
        let met = Row::new("hit", "met").ratio(1.0).bar(1.0);
        check(&[met.clone(), Row::new("hit", "shown").ratio(9.0)]).expect("no bar is missed");
        let limited = Row { limit: Some(2.5), ..Row::new("hit", "limited").bar(2.0) };
        check(&[limited.clone().ratio(2.5)]).expect("the limit counts");
        check(&[limited.ratio(2.6)]).expect_err("and is exceeded");
        check(&[met.clone(), Row::new("hit", "missed").ratio(1.1).bar(1.0)]).expect_err("one is missed");
        Report { rows: vec![met], failed: vec!["counts: killed".to_owned()], ..Report::default() }
            .check()
            .expect_err("one has failed");
    }

    #[test]
    fn numbers_have_three_digits_that_mean_something() {
        let numbers = [0.0, 0.0123, 0.5, 1.0, 1.314, 12.0, 123.4, 108_000.0].map(shown);
        assert_eq!(numbers, ["0", "0.012", "0.50", "1", "1.31", "12", "123", "108,000"]);
    }
}
