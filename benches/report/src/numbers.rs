//! Medians and other quantiles, and units.

use std::time::Duration;

/// The value in the middle; not a number if there is none.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value that this share of all values does not exceed; not a number if there is none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank, which is no more than there are")]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (count(sorted.len() as u64) * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// The median of the ratios of neighbours in time.
pub fn ratio(subject: &[f64], baseline: &[f64]) -> f64 {
    let ratios: Vec<_> = subject.iter().zip(baseline).map(|(subject, baseline)| subject / baseline).collect();
    median(&ratios)
}

/// A duration in nanoseconds.
pub fn nanoseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

/// A duration in milliseconds.
pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "nothing is counted here to 2^53")]
pub fn count(count: u64) -> f64 {
    count as f64
}

/// A count as one writes it: 100,000.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let values: Vec<_> = (1..=1_000).rev().map(f64::from).collect();
        let quantiles = [0.0, 0.5, 0.99, 0.999, 1.0].map(|share| format!("{:.0}", quantile(&values, share)));
        assert_eq!(quantiles, ["1", "500", "990", "999", "1000"]);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn the_median_does_not_see_outliers() {
        assert!((median(&[1.0, 900.0, 2.0, 3.0, 2.5]) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn a_ratio_is_the_median_of_ratios_and_not_the_ratio_of_medians() {
        assert!((ratio(&[2.0, 20.0, 30.0], &[1.0, 10.0, 10.0]) - 2.0).abs() < 1e-9);
        assert!((ratio(&[1.0, 2.0, 30.0], &[1.0, 1.0, 10.0]) - 2.0).abs() < 1e-9);
    }

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!([0, 999, 1_000, 100_000, 1_234_567].map(grouped), ["0", "999", "1,000", "100,000", "1,234,567"]);
    }
}
