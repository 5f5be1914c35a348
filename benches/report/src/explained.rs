//! Why bars are missed: `explained.toml`, written by hand, outlives each report.

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::row::Row;

/// What the file holds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Explained {
    missed: Vec<Missed>,
}

/// An explanation, and of which rows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Missed {
    group: String,
    /// How `what` of the rows begins.
    #[serde(default)]
    what: String,
    /// How `against` of the rows begins.
    #[serde(default)]
    against: String,
    why: String,
}

impl Missed {
    fn is_about(&self, row: &Row) -> bool {
        row.group == self.group && row.what.starts_with(&self.what) && row.against.starts_with(&self.against)
    }
}

impl Explained {
    /// The file of this package.
    ///
    /// # Errors
    ///
    /// If it is not of the form that it describes.
    pub fn here() -> Result<Self> {
        Self::parse(include_str!("../../explained.toml")).context("benches/explained.toml")
    }

    /// Of this text.
    ///
    /// # Errors
    ///
    /// If it is no TOML, or not of this form.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(toml::from_str(text)?)
    }

    /// Why this row misses its bar: the first explanation that is about it.
    pub fn why(&self, row: &Row) -> Option<&str> {
        self.missed.iter().find(|missed| missed.is_about(row)).map(|missed| missed.why.trim())
    }

    /// Explanations of what is not, or no longer, missed: they are to be removed, or are about a row that is called
    /// otherwise today. A group of which nothing was measured is left out.
    pub fn idle(&self, rows: &[Row]) -> Vec<String> {
        let was_measured = |missed: &&Missed| rows.iter().any(|row| row.group == missed.group);
        let is_missed = |missed: &Missed| rows.iter().any(|row| row.met() == Some(false) && missed.is_about(row));
        let idle = self.missed.iter().filter(was_measured).filter(|missed| !is_missed(missed));
        idle.map(|missed| format!("{}: {} {}", missed.group, missed.what, missed.against).trim().to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[[missed]]\ngroup = \"hit\"\nwhat = \"`u64` key\"\nagainst = \"quick_cache\"\nwhy = \"\"\"\nThe lease.\n\"\"\"\n";

    #[test]
    fn an_explanation_is_about_the_rows_that_begin_as_it_says() {
        let explained = Explained::parse(TEXT).expect("TOML");
        let row = Row::new("hit", "`u64` key, 1,000 keys").against("quick_cache `get`", 2.0).bar(1.6);
        assert_eq!(explained.why(&row), Some("The lease."));
        for other in [
            Row { group: "miss".to_owned(), ..row.clone() },
            Row { what: "`&str` key".to_owned(), ..row.clone() },
            Row { against: "moka".to_owned(), ..row },
        ] {
            assert_eq!(explained.why(&other), None, "{other:?}");
        }
    }

    #[test]
    fn an_explanation_of_what_is_met_or_called_otherwise_is_idle() {
        let explained = Explained::parse(TEXT).expect("TOML");
        let row = Row::new("hit", "`u64` key").against("quick_cache `get`", 2.0).bar(1.6);
        assert!(
            explained.idle(std::slice::from_ref(&row)).is_empty() && explained.idle(&[Row::new("miss", "")]).is_empty()
        );
        assert_eq!(explained.idle(&[row.clone().ratio(1.5)]), ["hit: `u64` key quick_cache"]);
        assert_eq!(explained.idle(&[Row { what: "by number".to_owned(), ..row }]).len(), 1);
    }

    #[test]
    fn the_file_here_is_of_its_form() {
        Explained::here().expect("it is");
        Explained::parse("[[missed]]\ngroup = \"hit\"\nwhi = \"\"").expect_err("a field misspelt");
    }
}
