//! Rows of the report, and the numbers in them.

use std::time::Duration;

use serde::Serialize;

/// One row of the report.
#[derive(Debug, Default, Serialize)]
pub struct Row {
    /// Under which heading it stands.
    pub group: &'static str,
    /// What was measured.
    pub what: String,
    /// In proportion to what; empty if to nothing.
    pub against: String,
    /// How many times as much it took.
    pub ratio: Option<f64>,
    /// How many times as much it may take.
    pub bar: Option<f64>,
    /// The absolute numbers, and what else there is to say.
    pub note: String,
}

impl Row {
    /// Prints it to stdout as one line of JSON.
    pub fn print(&self) {
        println!("{}", serde_json::to_string(self).expect("texts and numbers"));
    }
}

/// The value in the middle.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value that this share of all values does not exceed; not a number if there is none.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank among some thousands"
)]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// The median of the ratios of neighbours.
pub fn ratio(subject: &[f64], baseline: &[f64]) -> f64 {
    let ratios: Vec<_> = subject.iter().zip(baseline).map(|(subject, baseline)| subject / baseline).collect();
    median(&ratios)
}

/// In milliseconds.
pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp, reason = "they are chosen and not computed")]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<_> = (1..=1_000).rev().map(f64::from).collect();
        assert_eq!(
            [0.0, 0.5, 0.99, 0.999, 1.0].map(|share| quantile(&values, share)),
            [1.0, 500.0, 990.0, 999.0, 1000.0]
        );
        assert!(median(&[]).is_nan());
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "they are chosen and not computed")]
    fn a_ratio_is_the_median_of_ratios_and_not_the_ratio_of_medians() {
        assert_eq!(ratio(&[2.0, 20.0, 30.0], &[1.0, 10.0, 10.0]), 2.0);
        assert_eq!(ratio(&[1.0, 2.0, 30.0], &[1.0, 1.0, 10.0]), 2.0);
    }
}
