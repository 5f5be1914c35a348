//! One number of the report, as programs print it.

use serde::{Deserialize, Serialize};

/// A line of what a program prints; the crate's documentation says what the fields hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Row {
    /// The section of the report.
    pub group: String,
    /// What was measured.
    pub what: String,
    /// The baseline; empty without one.
    pub against: String,
    /// cachesync divided by the baseline.
    pub ratio: Option<f64>,
    /// What `ratio` must not exceed.
    pub bar: Option<f64>,
    /// What `ratio` must not exceed in `cargo xtask bench --check`, where that is not `bar`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Absolute numbers, and what has to be known to read them.
    pub note: String,
}

impl Row {
    /// A row that says only what it is about.
    pub fn new(group: &str, what: impl Into<String>) -> Self {
        Self { group: group.to_owned(), what: what.into(), ..Self::default() }
    }

    /// With a baseline.
    #[must_use]
    pub fn beside(mut self, baseline: impl Into<String>) -> Self {
        self.against = baseline.into();
        self
    }

    /// With a baseline and the ratio to it.
    #[must_use]
    pub fn against(self, baseline: impl Into<String>, ratio: f64) -> Self {
        self.beside(baseline).ratio(ratio)
    }

    /// With a number that is no ratio to anything.
    #[must_use]
    pub fn ratio(mut self, number: f64) -> Self {
        self.ratio = Some(number);
        self
    }

    /// With a bar.
    #[must_use]
    pub fn bar(mut self, bar: f64) -> Self {
        self.bar = Some(bar);
        self
    }

    /// With a note.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// Whether the bar is met; `None` without one. A bar without a number is missed.
    pub fn met(&self) -> Option<bool> {
        self.bar.map(|bar| self.ratio.is_some_and(|ratio| ratio <= bar))
    }

    /// Whether a change may be merged that comes to this number: it is within `limit`, or, without one, meets the bar.
    pub fn passes(&self) -> bool {
        match self.limit {
            Some(limit) => self.ratio.is_some_and(|ratio| ratio <= limit),
            None => self.met() != Some(false),
        }
    }

    /// Prints the row.
    ///
    /// # Panics
    ///
    /// If standard output is closed, or a number is not finite.
    pub fn print(&self) {
        assert!(self.ratio.is_none_or(f64::is_finite), "{self:?} has a number");
        println!("{}", serde_json::to_string(self).expect("a row is plain data"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_what_it_prints_and_what_leaves_fields_out() {
        let row = Row::new("hit", "`u64`").against("moka", 0.5).bar(1.0).note("1 ns");
        assert_eq!(serde_json::from_str::<Row>(&serde_json::to_string(&row).expect("JSON")).expect("a row"), row);
        let short = serde_json::from_str::<Row>(r#"{"group":"hit","what":"`u64`"}"#).expect("a row");
        assert_eq!(short, Row::new("hit", "`u64`"));
        serde_json::from_str::<Row>(r#"{"group":"hit","what":"`u64`","rato":1}"#).expect_err("a field misspelt");
    }

    #[test]
    fn a_bar_is_met_by_what_does_not_exceed_it_and_missed_by_nothing() {
        let row = Row::new("hit", "`u64`").bar(1.6);
        assert_eq!(row.met(), Some(false));
        assert_eq!(row.clone().ratio(1.6).met(), Some(true));
        assert_eq!(row.ratio(1.61).met(), Some(false));
    }
}
