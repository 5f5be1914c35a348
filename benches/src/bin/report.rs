//! Writes the table and the chart from the lines that the other programs print.

use std::{env, fs, io::stdin, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use cachesync_benches::row::Row;
use plotters::prelude::*;

/// Compared with these, whose versions are in the lockfile.
const PEERS: [&str; 8] =
    ["quick_cache", "cached", "moka", "foyer-memory", "cachelito-async", "hydracache", "accelerator", "lapin"];

fn main() -> Result<()> {
    let rows = stdin().lines().map(|line| {
        let line = line?;
        serde_json::from_str::<Row>(&line).with_context(|| format!("not a row: {line}"))
    });
    let rows: Vec<_> = rows.collect::<Result<_>>()?;
    ensure!(!rows.is_empty(), "there is nothing to report");
    let folder = env::args().nth(1).context("where to write to is missing")?;
    if folder == "--check" {
        return check(&rows);
    }
    let quick = env::args().any(|argument| argument == "--quick");
    fs::write(Path::new(&folder).join("benchmarks.md"), table(&rows, &machine()?, quick))?;
    chart(&rows, &Path::new(&folder).join("benchmarks.svg"))
}

/// Fails if a number is not within its limit, or misses its bar.
fn check(rows: &[Row]) -> Result<()> {
    let missed: Vec<_> = rows.iter().filter(|row| !row.passes()).collect();
    ensure!(missed.is_empty(), "missed: {missed:#?}");
    Ok(())
}

/// The report: what was measured, where, and what came out.
fn table(rows: &[Row], machine: &str, quick: bool) -> String {
    let mut text = format!(
        "# Benchmarks\n\nWritten by `cargo xtask bench{}`{}; how ratios are measured is in \
         [benches/README.md](../benches/README.md). A ratio is cachesync divided by what it is compared with, so less is \
         better; with nothing to compare, it is the number itself.\n\n{machine}\n\n![The ratios](benchmarks.svg)\n",
        if quick { " --quick" } else { "" },
        if quick { ", whose numbers are worth little" } else { "" },
    );
    for group in groups(rows) {
        text.extend(["\n## ", &capitalized(group), "\n\n"]);
        text += "| what | against | ratio | bar | | note |\n|---|---|---|---|---|---|\n";
        for row in rows.iter().filter(|row| row.group == group) {
            let number = |number: Option<f64>| number.map_or(String::new(), shown);
            let met = row.met().map_or("shown", |met| if met { "met" } else { "**missed**" });
            let cells = [&row.what, &row.against, &number(row.ratio), &number(row.bar), met, &row.note];
            text.extend(["| ", &cells.map(|cell: &str| cell.replace('|', "\\|")).join(" | "), " |\n"]);
        }
    }
    text
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
    match number {
        0.0 => "0".to_owned(),
        _ if number.fract() == 0.0 || number.abs() >= 100.0 => format!("{number:.0}"),
        _ if number.abs() < 0.1 => format!("{number:.3}"),
        _ => format!("{number:.2}"),
    }
}

/// The ratios to baselines as bars, with their bars as marks, on a logarithmic scale.
fn chart(rows: &[Row], path: &Path) -> Result<()> {
    let rows: Vec<_> = rows
        .iter()
        .filter(|row| !row.against.is_empty())
        .filter_map(|row| row.ratio.filter(|ratio| *ratio > 0.0).map(|ratio| (row, ratio)))
        .collect();
    ensure!(!rows.is_empty(), "no row has a ratio to a baseline");
    let (line, left, width, top) = (18, 560, 1_200, 40);
    let height = top + line * i32::try_from(rows.len())? + 20;
    let root = SVGBackend::new(path, (u32::try_from(width)?, u32::try_from(height)?)).into_drawing_area();
    root.fill(&WHITE)?;
    let least = rows.iter().map(|(_, ratio)| *ratio).fold(0.1, f64::min).log10().floor();
    let most = rows.iter().map(|(_, ratio)| *ratio).fold(10.0, f64::max).log10().ceil();
    #[expect(clippy::cast_possible_truncation, reason = "a place in the picture")]
    let place =
        |ratio: f64| left + (f64::from(width - left - 60) * (ratio.log10().max(least) - least) / (most - least)) as i32;
    let text = |size| ("sans-serif", size).into_font().color(&BLACK);
    root.draw(&Text::new("cachesync divided by its baseline: less is better; a line is the bar", (10, 12), text(16)))?;
    let mut power = least;
    while power <= most {
        let x = place(10_f64.powf(power));
        root.draw(&PathElement::new([(x, top), (x, height - 16)], BLACK.mix(0.2)))?;
        root.draw(&Text::new(shown(10_f64.powf(power)), (x - 8, height - 14), text(12)))?;
        power += 1.0;
    }
    for (number, (row, ratio)) in rows.iter().enumerate() {
        let y = top + line * i32::try_from(number)?;
        let color = match row.met() {
            None => RGBColor(130, 130, 130),
            Some(true) => RGBColor(60, 140, 80),
            Some(false) => RGBColor(200, 60, 50),
        };
        let label = format!("{}: {} / {}", row.group, row.what, row.against).replace('`', "");
        let label: String = label.chars().take(92).collect();
        root.draw(&Text::new(label, (10, y + 2), text(12)))?;
        root.draw(&Rectangle::new([(left, y + 2), (place(*ratio), y + line - 3)], color.filled()))?;
        root.draw(&Text::new(shown(*ratio), (place(*ratio) + 6, y + 2), text(12)))?;
        if let Some(bar) = row.bar {
            root.draw(&PathElement::new([(place(bar), y), (place(bar), y + line - 1)], BLACK.stroke_width(2)))?;
        }
    }
    root.present()?;
    Ok(())
}

/// The machine, the versions, and the date.
fn machine() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |name| name.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism()?;
    let lock: Vec<_> = include_str!("../../../Cargo.lock").split("\n\n").filter_map(package).collect();
    let peers = PEERS.iter().filter_map(|name| lock.iter().find(|(of, _)| of == name));
    let peers: Vec<_> = peers.map(|(name, version)| format!("{name} {version}")).collect();
    Ok(format!(
        "{cpu}, {cores} cores, Linux {}; {}; {}; {}.",
        said("uname", &["-r"])?,
        said("rustc", &["--version"])?,
        peers.join(", "),
        said("date", &["-u", "+%Y-%m-%d"])?,
    ))
}

/// The name and the version of a package in the lockfile.
fn package(section: &str) -> Option<(&str, &str)> {
    let value = |key| {
        section.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = ")).map(|text| text.trim_matches('"'))
    };
    Some((value("name")?, value("version")?))
}

fn said(program: &str, arguments: &[&str]) -> Result<String> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("{program} cannot be started"))?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_section_for_each_group_and_says_what_was_missed() {
        let rows = [
            Row::new("hit", "a|b").against("moka", 0.5).bar(1.0),
            Row::new("memory", "entry").ratio(20.0).bar(16.0),
            Row::new("hit", "second").note("only shown"),
        ];
        let table = table(&rows, "a machine", false);
        assert!(table.contains("| a\\|b | moka | 0.50 | 1 | met |  |"), "{table}");
        assert!(table.contains("| entry |  | 20 | 16 | **missed** |  |"), "{table}");
        assert!(table.find("| second |").expect("a row") < table.find("## Memory").expect("a section"), "{table}");
    }

    #[test]
    fn a_check_fails_for_a_bar_that_is_missed_and_for_no_other_row() {
        let met = Row::new("hit", "met").ratio(1.0).bar(1.0);
        check(&[met.clone(), Row::new("hit", "shown").ratio(9.0)]).expect("no bar is missed");
        let limited = Row { limit: Some(2.5), ..Row::new("hit", "limited").bar(2.0) };
        check(&[limited.clone().ratio(2.5)]).expect("the limit counts");
        check(&[limited.ratio(2.6)]).expect_err("and is exceeded");
        check(&[met, Row::new("hit", "missed").ratio(1.1).bar(1.0)]).expect_err("one is missed");
    }

    #[test]
    fn a_package_of_the_lockfile_has_a_name_and_a_version() {
        assert_eq!(
            package("[[package]]\nname = \"moka\"\nversion = \"0.12.1\"\nsource = \"x\""),
            Some(("moka", "0.12.1"))
        );
        assert_eq!(package("version = 4"), None);
    }
}
