//! A series of times as a picture of letters, as LATENCY GRAPH shows it.

use super::{Sample, Series};

const COLUMNS: usize = 80;
const ROWS: usize = 4;
/// From low to high, within one row.
const LEVELS: [char; 3] = ['_', 'o', '#'];

/// The heading, a line, and the picture with the age of each sample beneath it, from top to bottom.
pub(crate) fn graph(event: &str, series: &Series, now_seconds: i64) -> String {
    let samples: Vec<Sample> = series.samples().collect();
    let times = || samples.iter().map(|sample| sample.spent_ms);
    let (low, high) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    let mut text =
        format!("{event} - high {high} ms, low {low} ms (all time high {} ms)\n", series.longest_ms);
    text.push_str(&"-".repeat(COLUMNS));
    text.push('\n');
    for (index, part) in samples.chunks(COLUMNS).enumerate() {
        if index > 0 {
            text.push('\n');
        }
        draw(&mut text, part, low, high, now_seconds);
    }
    text
}

fn draw(text: &mut String, samples: &[Sample], low: u64, high: u64, now_seconds: i64) {
    let steps = ROWS * LEVELS.len();
    let range = (high - low).max(1) as f64;
    let heights: Vec<usize> = samples
        .iter()
        .map(|sample| (((sample.spent_ms - low) as f64 * steps as f64 / range) as usize).min(steps - 1))
        .collect();
    for row in (0..ROWS).rev() {
        let bottom = row * LEVELS.len();
        text.extend(heights.iter().map(|&height| match height.checked_sub(bottom) {
            None => ' ',
            Some(above) => LEVELS.get(above).copied().unwrap_or('|'),
        }));
        text.push('\n');
    }
    text.push_str(&" ".repeat(samples.len()));
    text.push('\n');
    let ages: Vec<Vec<char>> =
        samples.iter().map(|sample| age(now_seconds - sample.second).chars().collect()).collect();
    for line in 0..ages.iter().map(Vec::len).max().unwrap_or(0) {
        text.extend(ages.iter().map(|letters| letters.get(line).copied().unwrap_or(' ')));
        text.push('\n');
    }
}

fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_the_highest_at_the_top() {
        let mut series = Series::default();
        for (second, spent_ms) in [(0, 100), (70, 150), (100, 220)] {
            series.add(second, spent_ms);
        }
        let expected = format!(
            "command - high 220 ms, low 100 ms (all time high 220 ms)\n{}\n  #\n  |\n #|\n_||\n   \n141\nm00\n ss\n",
            "-".repeat(COLUMNS)
        );
        assert_eq!(graph("command", &series, 110), expected);
    }
}
