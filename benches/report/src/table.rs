//! The report as text: what it was measured on, what is missed and why, and a table for each group.

use std::fmt::Write;

use crate::{Report, capitalized, explained::Explained, groups, row::Row, shown};

/// What stands where nobody has explained a bar that is missed.
const NOT_EXPLAINED: &str =
    "Not explained yet: profile it, and write what the profile shows into `benches/explained.toml`.";

/// The report as Markdown.
pub fn table(report: &Report, explained: &Explained, has_chart: bool) -> String {
    let mut text = head(report);
    if has_chart {
        text += "\n![The ratios, as bars on a logarithmic scale](benchmarks.svg)\n";
    }
    for group in groups(&report.rows) {
        let rows: Vec<_> = report.rows.iter().filter(|row| row.group == group).collect();
        text.extend(["\n## ", &capitalized(group), "\n\n"]);
        text += "| what | against | ratio | bar | | note |\n|---|---|---:|---:|---|---|\n";
        for row in &rows {
            text += &line(row);
        }
        text += &explanations(&rows, explained);
    }
    text
}

fn head(report: &Report) -> String {
    let facts = &report.facts;
    let mut text = format!(
        "# Benchmarks\n\nWritten by `{}` on {}{}. How ratios are measured is in [benches/README.md](../benches/README.md). A \
         ratio is cachesync divided by what it is compared with, so less is better; with nothing to compare, it is the number \
         itself. A bar is what a ratio must not exceed.\n\n{}\n",
        facts.command,
        facts.date,
        if facts.is_quick { ", with few rounds: **its numbers are worth little**" } else { "" },
        summary(&report.rows),
    );
    if !report.failed.is_empty() {
        text += "\n**This report is not complete.** What failed:\n\n";
        report.failed.iter().for_each(|failed| text.extend(["- ", &escaped(failed), "\n"]));
    }
    for (what, found) in [("machine", &facts.machine), ("versions", &facts.versions)] {
        let found: Vec<_> = found.iter().map(|(what, found)| format!("{what} {}", escaped(found))).collect();
        text.extend(["\n", &capitalized(what), ": ", &found.join(", "), ".\n"]);
    }
    text
}

/// How many bars there are, and the groups in which one is missed.
fn summary(rows: &[Row]) -> String {
    let bars = rows.iter().filter(|row| row.met().is_some()).count();
    let missed: Vec<_> = rows.iter().filter(|row| row.met() == Some(false)).cloned().collect();
    if missed.is_empty() {
        return format!("All {bars} bars are met.");
    }
    let of = |group: &&str| {
        let count = missed.iter().filter(|row| row.group == **group).count();
        format!("{count} of [{group}](#{})", anchor(group))
    };
    let groups: Vec<_> = groups(&missed).iter().map(of).collect();
    format!("Of {bars} bars {} are met, and **{} missed**: {}.", bars - missed.len(), missed.len(), groups.join(", "))
}

/// What the heading of a group is linked by.
fn anchor(group: &str) -> String {
    let kept = group.to_lowercase();
    kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn line(row: &Row) -> String {
    let number = |number: Option<f64>| number.map_or(String::new(), shown);
    let (what, against, note) = (escaped(&row.what), escaped(&row.against), escaped(&row.note));
    let (mark, ratio) = match row.met() {
        None => ("", number(row.ratio)),
        Some(true) => ("met", number(row.ratio)),
        Some(false) => ("❌ **missed**", format!("**{}**", row.ratio.map_or("none".to_owned(), shown))),
    };
    format!("| {what} | {against} | {ratio} | {} | {mark} | {note} |\n", number(row.bar))
}

/// A paragraph for each reason, with the rows that it is the reason of.
fn explanations(rows: &[&Row], explained: &Explained) -> String {
    let mut reasons: Vec<(Option<&str>, Vec<String>)> = Vec::new();
    for row in rows.iter().filter(|row| row.met() == Some(false)) {
        let why = explained.why(row);
        let bar = row.bar.unwrap_or_default();
        // With one digit more than the table, since both may look the same there.
        let ratio = row.ratio.map_or("no number".to_owned(), |ratio| format!("{ratio:.3}"));
        let against =
            if row.against.is_empty() { String::new() } else { format!(", against {}", escaped(&row.against)) };
        let missed = format!("{}{against} ({ratio}, at most {})", escaped(&row.what), shown(bar));
        match reasons.iter_mut().find(|(other, _)| *other == why) {
            Some((_, rows)) => rows.push(missed),
            None => reasons.push((why, vec![missed])),
        }
    }
    let mut text = String::new();
    for (why, rows) in reasons {
        let _ = write!(text, "\n**Missed:** {}. {}\n", rows.join("; "), why.unwrap_or(NOT_EXPLAINED));
    }
    text
}

/// As text in a cell of a table: a bar ends a cell also within code, and outside of it a bracket begins a tag.
fn escaped(text: &str) -> String {
    let mut in_code = false;
    let mut escaped = String::new();
    for character in text.chars() {
        in_code ^= character == '`';
        match character {
            '|' => escaped += "\\|",
            '<' if !in_code => escaped += "&lt;",
            '\n' => escaped.push(' '),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Facts;

    fn of(rows: &[Row]) -> Report {
        Report { rows: rows.to_vec(), ..Report::default() }
    }

    fn without_explanations(rows: &[Row]) -> String {
        table(&of(rows), &Explained::default(), false)
    }

    #[test]
    fn the_table_has_a_section_for_each_group_and_says_what_was_missed() {
        let table = without_explanations(&[
            Row::new("hit", "first").against("moka", 0.5).bar(1.0),
            Row::new("memory", "entry").ratio(20.0).bar(16.0),
            Row::new("hit", "second").note("only shown"),
        ]);
        assert!(table.contains("| first | moka | 0.50 | 1 | met |  |"), "{table}");
        assert!(table.contains("| entry |  | **20** | 16 | ❌ **missed** |  |"), "{table}");
        assert!(table.contains("| second |  |  |  |  | only shown |"), "{table}");
        assert!(table.find("| second |").expect("a row") < table.find("## Memory").expect("a section"), "{table}");
        assert!(table.contains("Of 2 bars 1 are met, and **1 missed**: 1 of [memory](#memory)."), "{table}");
    }

    #[test]
    fn what_would_end_a_cell_or_begin_a_tag_is_escaped() {
        let table = without_explanations(&[Row::new("hit", "a|b `c|d` `Arc<u64>` Arc<u64>\nnext")]);
        assert!(table.contains("| a\\|b `c\\|d` `Arc<u64>` Arc&lt;u64> next |"), "{table}");
    }

    #[test]
    fn a_bar_without_a_number_is_missed() {
        let table = without_explanations(&[Row::new("hit", "lost").bar(1.0)]);
        assert!(table.contains("| lost |  | **none** | 1 | ❌ **missed** |  |"), "{table}");
        assert!(table.contains("**Missed:** lost (no number, at most 1). Not explained yet"), "{table}");
    }

    #[test]
    fn what_is_missed_is_explained_once_for_all_rows_and_what_is_met_is_not() {
        let explained =
            Explained::parse("[[missed]]\ngroup = \"hit\"\nwhat = \"slow\"\nwhy = \"The clock.\"").expect("TOML");
        let row = |what: &str, ratio| Row::new("hit", what).against("moka", ratio).bar(1.6);
        let rows = [row("slow a", 1.601), row("slow b", 1.7), row("slow c", 1.0), row("other", 2.0)];
        let table = table(&of(&rows), &explained, false);
        let one = "**Missed:** slow a, against moka (1.601, at most 1.60); slow b, against moka (1.700, at most 1.60). The clock.\n";
        assert!(table.contains(one) && !table.contains("slow c, against"), "{table}");
        assert!(table.contains("other, against moka (2.000, at most 1.60). Not explained yet"), "{table}");
        assert!(without_explanations(&rows[2..3]).contains("All 1 bars are met."));
    }

    #[test]
    fn the_head_says_on_what_it_was_measured_and_what_failed() {
        let facts = Facts {
            command: "cargo xtask bench --quick".to_owned(),
            date: "2026-01-02".to_owned(),
            is_quick: true,
            machine: vec![("processor".to_owned(), "A CPU".to_owned()), ("cores".to_owned(), "2".to_owned())],
            versions: vec![("lapin".to_owned(), "4.0.0".to_owned())],
        };
        let report = Report { facts, failed: vec!["team: exit status: 1".to_owned()], ..of(&[Row::new("hit", "a")]) };
        let table = table(&report, &Explained::default(), true);
        for part in [
            "Written by `cargo xtask bench --quick` on 2026-01-02, with few rounds",
            "Machine: processor A CPU, cores 2.",
            "Versions: lapin 4.0.0.",
            "**This report is not complete.** What failed:\n\n- team: exit status: 1\n",
            "(benchmarks.svg)",
        ] {
            assert!(table.contains(part), "{part}: {table}");
        }
    }

    #[test]
    fn a_group_is_linked_as_its_heading_is_called() {
        assert_eq!(anchor("hit, beside peers"), "hit-beside-peers");
    }
}
