//! The same comparison in several processes.
//!
//! Where a process has its maps in memory, and by which random numbers they hash, is decided once, when it starts, and costs or
//! saves a tenth where maps are larger than the processor's caches. More rounds of one process do not even that out. So the
//! rounds are divided among processes, and the median is over all of them.

use std::{
    env,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    is_quick,
    numbers::quantile,
    rounds::{Ratio, Samples},
    row::Row,
};

/// A comparison as one process tells it to the one that has started it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sampled {
    /// The row, without its ratio.
    row: Row,
    /// The rounds of this process.
    samples: Samples,
}

impl Sampled {
    /// Of a row that says what was compared, and with what.
    pub fn new(row: Row, samples: Samples) -> Self {
        Self { row, samples }
    }

    /// Tells it.
    ///
    /// # Panics
    ///
    /// If standard output is closed.
    pub fn tell(&self) {
        println!("{}", serde_json::to_string(self).expect("it is plain data"));
    }
}

/// Starts this program with these arguments in so many processes, one after the other; the rows of all that they tell.
///
/// # Errors
///
/// If one of them fails, or tells of something else than the others.
pub fn gather(processes: u32, arguments: &[&str]) -> Result<Vec<Row>> {
    let mut told = Vec::new();
    for _ in 0..processes {
        let mut command = Command::new(env::current_exe()?);
        command.args(arguments).args(is_quick().then_some("--quick"));
        let output = command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("this program cannot be started again")?;
        ensure!(output.status.success(), "{arguments:?}: {}", output.status);
        let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        told.push(lines.map(serde_json::from_slice).collect::<Result<Vec<Sampled>, _>>()?);
    }
    merged(&told)
}

/// The rows of what all processes have told in the same order.
fn merged(told: &[Vec<Sampled>]) -> Result<Vec<Row>> {
    let first = told.first().context("there was no process")?;
    let row = |(index, sampled): (usize, &Sampled)| {
        let same: Vec<_> =
            told.iter().filter_map(|told| told.get(index).filter(|other| other.row == sampled.row)).collect();
        ensure!(same.len() == told.len(), "not every process has compared {:?}", sampled.row);
        let ratio = Ratio::of(&same.iter().flat_map(|sampled| sampled.samples.iter().copied()).collect::<Vec<_>>());
        let medians: Vec<_> = same.iter().map(|sampled| Ratio::of(&sampled.samples).median).collect();
        let (least, most) = (quantile(&medians, 0.0), quantile(&medians, 1.0));
        let note = format!("{}; medians of {} processes {least:.2} to {most:.2}", ratio.note(), same.len());
        let row = sampled.row.clone();
        let note = if row.note.is_empty() { note } else { format!("{}; {note}", row.note) };
        Ok(row.ratio(ratio.median).note(note))
    };
    first.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(what: &str, ratios: &[f64]) -> Sampled {
        Sampled::new(Row::new("hit", what).bar(1.6), ratios.iter().map(|ratio| (10.0 * ratio, 10.0)).collect())
    }

    #[test]
    fn the_median_is_over_the_rounds_of_all_processes() {
        let told = [
            vec![sampled("a", &[1.0, 1.1, 1.2]), sampled("b", &[5.0])],
            vec![sampled("a", &[2.0, 2.1]), sampled("b", &[5.0])],
        ];
        let rows = merged(&told).expect("they have compared the same");
        assert_eq!(rows.iter().map(|row| row.what.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert!((rows[0].ratio.expect("a ratio") - 1.2).abs() < 1e-9 && rows[0].bar == Some(1.6), "{rows:?}");
        assert!(rows[0].note.ends_with("medians of 2 processes 1.10 to 2.00"), "{rows:?}");
    }

    #[test]
    fn processes_that_compare_something_else_are_not_merged() {
        merged(&[vec![sampled("a", &[1.0])], vec![sampled("b", &[1.0])]]).expect_err("another row");
        merged(&[vec![sampled("a", &[1.0])], vec![]]).expect_err("no row");
        merged(&[]).expect_err("no process");
    }
}
