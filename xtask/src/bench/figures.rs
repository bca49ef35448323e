//! Figures as people read them: medians, ratios, bars, one line each.

/// What a figure is held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bar {
    None,
    /// Tenon's figure over Redis's.
    RatioAtMost(f64),
    RatioAtLeast(f64),
    /// Tenon's figure itself.
    AtMost(f64),
}

/// One row of a table.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) unit: &'static str,
    pub(super) tenon: f64,
    pub(super) redis: f64,
    pub(super) bar: Bar,
    /// Whatever qualifies the figures: busy shares, policy cost.
    pub(super) note: String,
}

pub(super) fn print_header() {
    println!(
        "\n{:<32} {:<11} {:>11} {:>11} {:>7}  {:<12} note",
        "work", "unit", "Tenon", "Redis", "ratio", "bar"
    );
}

impl Row {
    pub(super) fn print(&self) {
        let Row { name, unit, tenon, redis, note, .. } = self;
        let digits = if *tenon >= 1000.0 { 0 } else { 3 };
        let ratio = if *redis == 0.0 { "-".to_owned() } else { format!("{:.2}", tenon / redis) };
        println!(
            "{name:<32} {unit:<11} {tenon:>11.digits$} {redis:>11.digits$} {ratio:>7}  {:<12} {note}",
            self.held()
        );
    }

    fn held(&self) -> String {
        let ratio = self.tenon / self.redis;
        let (text, holds) = match self.bar {
            Bar::None => return "-".to_owned(),
            Bar::RatioAtMost(most) => (format!("<= {most:.2}"), ratio <= most),
            Bar::RatioAtLeast(least) => (format!(">= {least:.2}"), ratio >= least),
            Bar::AtMost(most) => (format!("<= {most}"), self.tenon <= most),
        };
        format!("{text} {}", if holds { "ok" } else { "MISSED" })
    }
}

/// The middle of the values; of an even number, the mean of the middle two; 0 of none.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => 0.0,
        (length, middle) if length % 2 == 1 => values[middle],
        (_, middle) => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([]), 0.0);
    }

    #[test]
    fn bars_hold_or_are_missed() {
        let row =
            |bar| Row { name: String::new(), unit: "", tenon: 9.0, redis: 10.0, bar, note: String::new() };
        assert_eq!(row(Bar::RatioAtMost(0.9)).held(), "<= 0.90 ok");
        assert_eq!(row(Bar::RatioAtMost(0.85)).held(), "<= 0.85 MISSED");
        assert_eq!(row(Bar::RatioAtLeast(1.0)).held(), ">= 1.00 MISSED");
        assert_eq!(row(Bar::AtMost(90.0)).held(), "<= 90 ok");
        assert_eq!(row(Bar::None).held(), "-");
    }
}
