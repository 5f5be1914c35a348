//! The report as a picture: how far each ratio is from its baseline, and from its bar.
//!
//! A ratio of a half is as far from 1 as one of two, so the scale is logarithmic and the bars begin at 1: to the left is less
//! than the baseline, to the right is more. The numbers have a column of their own, where no bar gets.

use std::fmt::Write;

use anyhow::{Context, Result};
use plotters::{
    coord::Shift,
    prelude::{DrawingArea, IntoDrawingArea, IntoFont, PathElement, RGBColor, Rectangle, SVGBackend, Text},
    style::{
        Color, FontStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};

use crate::{capitalized, groups, row::Row, shown};

/// A color on white paper, and what it is where the reader prefers dark.
struct Ink {
    light: RGBColor,
    dark: RGBColor,
}

const PAPER: Ink = Ink { light: RGBColor(255, 255, 255), dark: RGBColor(13, 17, 23) };
const TEXT: Ink = Ink { light: RGBColor(31, 35, 40), dark: RGBColor(230, 237, 243) };
const GRID: Ink = Ink { light: RGBColor(209, 217, 224), dark: RGBColor(48, 54, 61) };
const MET: Ink = Ink { light: RGBColor(46, 139, 87), dark: RGBColor(63, 185, 80) };
const MISSED: Ink = Ink { light: RGBColor(201, 60, 55), dark: RGBColor(248, 81, 73) };
const SHOWN: Ink = Ink { light: RGBColor(140, 149, 159), dark: RGBColor(118, 131, 144) };

/// The picture, in pixels, from left to right: what was measured, the bars, the numbers.
const WIDTH: i32 = 1_000;
const MARGIN: i32 = 12;
const PLOT: (i32, i32) = (420, 890);
/// From top to bottom: the legend and the scale; then headings and rows.
const TOP: i32 = 70;
const BOTTOM: i32 = 30;
const LINE: i32 = 16;
const GAP: i32 = 4;
/// Letters that surely fit on a line: those of a wide font take 7.4 pixels at this size.
const LETTERS: usize = 54;
const LETTERS_OF_HEADING: usize = 118;
/// In units of plotters, of which 1.24 are a pixel.
const SIZE: i32 = 16;

/// A heading, or a row with its ratio; the text on as many lines as it needs.
struct Item<'a> {
    text: Vec<String>,
    row: Option<(&'a Row, f64)>,
}

impl Item<'_> {
    fn height(&self) -> i32 {
        // A heading has some room above it.
        let above = if self.row.is_some() { 0 } else { LINE / 2 };
        above + LINE * i32::try_from(self.text.len()).expect("a few lines") + GAP
    }
}

/// The picture as SVG; `None` if no row has a ratio to a baseline.
///
/// # Errors
///
/// If it cannot be drawn.
pub fn chart(rows: &[Row]) -> Result<Option<String>> {
    let items = items(rows);
    let ratios = || items.iter().filter_map(|item| item.row);
    if ratios().next().is_none() {
        return Ok(None);
    }
    let numbers = ratios().flat_map(|(row, ratio)| [Some(ratio), row.bar.filter(|bar| *bar > 0.0)]).flatten();
    let scale = Scale::of(numbers);
    let height = TOP + items.iter().map(Item::height).sum::<i32>() + BOTTOM;
    let mut svg = String::new();
    {
        let size = (u32::try_from(WIDTH)?, u32::try_from(height)?);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&PAPER.light)?;
        legend(&root)?;
        axis(&root, &scale, height)?;
        let mut y = TOP;
        for item in &items {
            draw(&root, &scale, item, y)?;
            y += item.height();
        }
        root.present()?;
    }
    let (head, body) = svg.split_once('>').context("a picture has a beginning")?;
    Ok(Some(format!("{head}>\n{}{body}", dark())))
}

/// A heading for each baseline of each group, and the rows below it.
fn items(rows: &[Row]) -> Vec<Item<'_>> {
    let plain = |text: &str| text.replace('`', "");
    let mut items = Vec::new();
    for group in groups(rows) {
        let with_ratio = |row: &&Row| row.group == group && !row.against.is_empty();
        let drawn: Vec<_> = rows
            .iter()
            .filter(with_ratio)
            .filter_map(|row| Some((row, row.ratio.filter(|ratio| *ratio > 0.0)?)))
            .collect();
        let mut baselines: Vec<&str> = Vec::new();
        for (row, _) in &drawn {
            if !baselines.contains(&row.against.as_str()) {
                baselines.push(&row.against);
            }
        }
        for against in baselines {
            let heading = plain(&format!("{}, against {against}", capitalized(group)));
            items.push(Item { text: wrapped(&heading, LETTERS_OF_HEADING), row: None });
            let below = drawn.iter().filter(|(row, _)| row.against == against);
            items.extend(below.map(|drawn| Item { text: wrapped(&plain(&drawn.0.what), LETTERS), row: Some(*drawn) }));
        }
    }
    items
}

/// On lines of so many letters, broken between words.
fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= letters {
            line.extend([" ", word]);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// From the least number to the most.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    fn of(numbers: impl Iterator<Item = f64>) -> Self {
        let (least, most) = numbers.fold((0.5, 2.0), |(least, most), number| (number.min(least), number.max(most)));
        // Some room at both ends.
        Self { least: least / 1.1, most: most * 1.1 }
    }

    fn place(&self, number: f64) -> i32 {
        let share = (number / self.least).ln() / (self.most / self.least).ln();
        #[expect(clippy::cast_possible_truncation, reason = "a place in the picture")]
        let offset = (f64::from(PLOT.1 - PLOT.0) * share).round() as i32;
        PLOT.0 + offset
    }

    /// 1, 2 and 5 times the powers of ten that are on it, or the powers alone where there are many.
    fn ticks(&self) -> Vec<f64> {
        let steps: &[f64] = if self.most / self.least > 1e5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let powers = (-9..9).map(|power| 10_f64.powi(power));
        let ticks = powers.flat_map(|power| steps.iter().map(move |step| step * power));
        ticks.filter(|tick| (self.least..=self.most).contains(tick)).collect()
    }
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn write(root: &Area<'_>, text: &str, place: (i32, i32), h: HPos, ink: &Ink, style: FontStyle) -> Result<()> {
    let style = ("sans-serif", SIZE, style).into_font().color(&ink.light).pos(Pos::new(h, VPos::Top));
    Ok(root.draw(&Text::new(text.to_owned(), place, style))?)
}

fn legend(root: &Area<'_>) -> Result<()> {
    let title = "cachesync divided by its baseline, on a logarithmic scale: less is better";
    write(root, title, (MARGIN, 8), HPos::Left, &TEXT, FontStyle::Bold)?;
    let mut x = MARGIN;
    for (ink, meaning, width) in
        [(&MET, "meets its bar", 150), (&MISSED, "misses its bar", 150), (&SHOWN, "has no bar", 130)]
    {
        root.draw(&Rectangle::new([(x, 32), (x + 14, 43)], ink.light.filled()))?;
        write(root, meaning, (x + 20, 32), HPos::Left, &TEXT, FontStyle::Normal)?;
        x += width;
    }
    root.draw(&PathElement::new([(x + 6, 30), (x + 6, 45)], TEXT.light.stroke_width(2)))?;
    write(root, "the bar", (x + 20, 32), HPos::Left, &TEXT, FontStyle::Normal)?;
    write(root, "ratio (bar)", (WIDTH - MARGIN, 32), HPos::Right, &TEXT, FontStyle::Normal)
}

fn axis(root: &Area<'_>, scale: &Scale, height: i32) -> Result<()> {
    for tick in scale.ticks() {
        let x = scale.place(tick);
        // At 1 it is what is compared with.
        let width = if tick.total_cmp(&1.0).is_eq() { 3 } else { 1 };
        root.draw(&PathElement::new([(x, TOP - 2), (x, height - BOTTOM + 2)], GRID.light.stroke_width(width)))?;
        for y in [TOP - LINE - 2, height - BOTTOM + 4] {
            // A tick is 1, 2 or 5 times a power of ten, and so written in full.
            write(root, &tick.to_string(), (x, y), HPos::Center, &TEXT, FontStyle::Normal)?;
        }
    }
    Ok(())
}

fn draw(root: &Area<'_>, scale: &Scale, item: &Item<'_>, y: i32) -> Result<()> {
    let (x, top, style) =
        if item.row.is_some() { (2 * MARGIN, y, FontStyle::Normal) } else { (MARGIN, y + LINE / 2, FontStyle::Bold) };
    let bottom = y + item.height() - GAP;
    if item.row.is_none() {
        // A heading may be longer than its column, and the grid is not to be seen through it.
        root.draw(&Rectangle::new([(0, y), (WIDTH, bottom)], PAPER.light.filled()))?;
    }
    let mut line = top;
    for text in &item.text {
        write(root, text, (x, line), HPos::Left, &TEXT, style)?;
        line += LINE;
    }
    let Some((row, ratio)) = item.row else { return Ok(()) };
    let ink = match row.met() {
        None => &SHOWN,
        Some(true) => &MET,
        Some(false) => &MISSED,
    };
    let (one, end) = (scale.place(1.0), scale.place(ratio));
    // Also what is exactly 1 is seen.
    let (left, right) = if one == end { (one - 1, one + 1) } else { (one.min(end), one.max(end)) };
    let middle = i32::midpoint(y, bottom);
    root.draw(&Rectangle::new([(left, middle - 6), (right, middle + 5)], ink.light.filled()))?;
    let mut number = shown(ratio);
    if let Some(bar) = row.bar {
        let _ = write!(number, " ({})", shown(bar));
        if bar > 0.0 {
            let x = scale.place(bar);
            root.draw(&PathElement::new([(x, middle - 9), (x, middle + 8)], TEXT.light.stroke_width(2)))?;
        }
    }
    let style = if row.met() == Some(false) { FontStyle::Bold } else { FontStyle::Normal };
    write(root, &number, (WIDTH - MARGIN, middle - LINE / 2), HPos::Right, &TEXT, style)
}

/// What makes it dark where the reader prefers that: a style sheet counts more than the colors drawn.
fn dark() -> String {
    let hex = |RGBColor(red, green, blue): RGBColor| format!("#{red:02X}{green:02X}{blue:02X}");
    let mut rules = String::new();
    for Ink { light, dark } in [PAPER, TEXT, GRID, MET, MISSED, SHOWN] {
        let (light, dark) = (hex(light), hex(dark));
        let _ = writeln!(rules, "[fill=\"{light}\"] {{ fill: {dark} }} [stroke=\"{light}\"] {{ stroke: {dark} }}");
    }
    format!("<style>@media (prefers-color-scheme: dark) {{\n{rules}}}</style>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(rows: &[Row]) -> String {
        chart(rows).expect("it can be drawn").expect("there is a ratio")
    }

    /// The values of an attribute of all elements with this color.
    fn values(svg: &str, color: &str, attribute: &str) -> Vec<i32> {
        let elements = svg.lines().filter(|line| line.starts_with("<rect") || line.starts_with("<polyline"));
        let value = |line: &str| {
            let (_, rest) = line.split_once(&format!(" {attribute}=\""))?;
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        elements.filter(|line| line.contains(color)).filter_map(value).collect()
    }

    #[test]
    fn bars_end_at_their_ratio_to_both_sides_of_one_and_marks_are_at_the_bar() {
        let svg = drawn(&[
            Row::new("hit", "twice").against("moka", 2.0).bar(1.5),
            Row::new("hit", "half").against("moka", 0.5).bar(1.0),
        ]);
        let scale = Scale::of([2.0, 0.5].into_iter());
        let (one, half) = (scale.place(1.0), scale.place(0.5));
        // The first of each color is in the legend.
        assert_eq!(values(&svg, "#C93C37", "x")[1..], [one]);
        assert_eq!(values(&svg, "#C93C37", "width")[1..], [scale.place(2.0) - one]);
        assert_eq!(values(&svg, "#2E8B57", "x")[1..], [half]);
        assert_eq!(values(&svg, "#1F2328", "points")[1..], [scale.place(1.5), one]);
        assert_eq!(one - half, scale.place(2.0) - one, "the scale is logarithmic");
    }

    #[test]
    fn rows_without_a_ratio_to_a_baseline_are_not_drawn() {
        let other = [
            Row::new("memory", "bytes").ratio(12.0),
            Row::new("hit", "lost"),
            Row::new("hit", "none").against("moka", 0.0),
        ];
        assert_eq!(chart(&other).expect("nothing to draw"), None);
        let svg = drawn(&[&other[..], &[Row::new("hit", "one").against("moka", 1.0)]].concat());
        assert!(!svg.contains("bytes") && !svg.contains("lost") && svg.contains("one"), "{svg}");
    }

    #[test]
    fn text_is_escaped_and_has_no_marks_of_code() {
        let svg = drawn(&[Row::new("hit", "`Arc<u64>` & \"more\"").against("moka", 1.0)]);
        assert!(svg.contains("Arc&lt;u64&gt; &amp; "), "{svg}");
    }

    #[test]
    fn long_texts_are_broken_between_words_and_lose_none() {
        let text = "50,000 evictions by evict_many, of keys that nobody has cached, applied on 16 other nodes";
        let lines = wrapped(text, LETTERS);
        assert!(lines.len() == 2 && lines.iter().all(|line| line.len() <= LETTERS), "{lines:?}");
        assert_eq!(lines.join(" "), text);
    }

    #[test]
    fn rows_do_not_overlap_and_end_within_the_picture() {
        let text = "so many words that they need a line more than one has ".repeat(2);
        let rows: Vec<_> =
            (1..20_u32).map(|number| Row::new("hit", &*text).against("moka", f64::from(number))).collect();
        let items = items(&rows);
        assert!(items[1..].iter().all(|item| item.height() == 2 * LINE + GAP));
        let svg = drawn(&rows);
        let (tops, heights) = (values(&svg, "#8C959F", "y"), values(&svg, "#8C959F", "height"));
        let ends: Vec<_> = tops.iter().zip(&heights).map(|(top, height)| top + height).collect();
        assert!(tops[1..].iter().zip(&ends).all(|(top, end)| top > end), "{tops:?} {ends:?}");
        let height = values(&svg, "#FFFFFF", "height")[0];
        assert!(*ends.last().expect("there are some") < height - BOTTOM, "{ends:?} {height}");
    }

    #[test]
    fn each_color_that_is_drawn_has_one_for_the_dark() {
        let row = |what: &str, ratio| Row::new("hit", what).against("moka", ratio);
        let svg = drawn(&[row("met", 0.5).bar(1.0), row("missed", 2.0).bar(1.0), row("shown", 3.0)]);
        let (style, body) = svg.split_once("</style>").expect("a style sheet");
        for color in body.match_indices("=\"#").map(|(at, _)| &body[at + 2..at + 9]) {
            assert!(style.contains(&format!("[fill=\"{color}\"]")), "{color}");
        }
    }

    #[test]
    fn the_scale_has_a_tick_at_one_and_few_enough_to_be_told_apart() {
        for numbers in [vec![1.0], vec![0.001, 50.0], vec![1e-7, 1e3]] {
            let scale = Scale::of(numbers.into_iter());
            let places: Vec<_> = scale.ticks().into_iter().map(|tick| scale.place(tick)).collect();
            assert!(places.contains(&scale.place(1.0)), "{places:?}");
            assert!(places.windows(2).all(|two| two[1] - two[0] >= 24), "{places:?}");
        }
    }
}
