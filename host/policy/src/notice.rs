//! Lines for the operator's log, as data: this crate logs nothing itself.
//! Decides how often a kind of line is worth saying, not where it goes.
//! Always: text from a guest or a file passes [`one_line`] before it becomes part of a line.

/// How loud a line is; Redis's levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Redis's `verbose`.
    Verbose,
    /// Redis's `notice`.
    Notice,
    /// Redis's `warning`.
    Warning,
}

/// One line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// How loud.
    pub level: Level,
    /// Without newlines.
    pub text: String,
}

/// Makes one line of at most `bytes_max` bytes out of text from outside: control characters are escaped, what is too
/// long ends in `...`.
pub fn one_line(text: &str, bytes_max: usize) -> String {
    const CUT: &str = "...";
    let mut line = String::with_capacity(text.len().min(bytes_max));
    for character in text.chars() {
        let start = line.len();
        if character.is_control() || matches!(character, '\u{2028}' | '\u{2029}') {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
        if line.len() > bytes_max {
            line.truncate(start);
            while line.len() + CUT.len() > bytes_max && line.pop().is_some() {}
            line.push_str(CUT);
            break;
        }
    }
    line
}

/// Lets one line of a kind through in a while and counts the others.
#[derive(Debug)]
pub(crate) struct Throttle {
    interval_ms: u64,
    last_ms: Option<u64>,
    kept_back: u64,
}

impl Throttle {
    pub(crate) fn new(interval_ms: u64) -> Throttle {
        Throttle { interval_ms, last_ms: None, kept_back: 0 }
    }

    /// The line to log now, with what was kept back since the last one, or nothing.
    pub(crate) fn pass(
        &mut self,
        now_ms: u64,
        level: Level,
        text: impl FnOnce() -> String,
    ) -> Option<Notice> {
        if self.last_ms.is_some_and(|last_ms| now_ms.saturating_sub(last_ms) < self.interval_ms) {
            self.kept_back += 1;
            return None;
        }
        self.last_ms = Some(now_ms);
        let mut text = text();
        match std::mem::take(&mut self.kept_back) {
            0 => {}
            kept_back => text.push_str(&format!(" ({kept_back} more such since the last line)")),
        }
        Some(Notice { level, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_on_its_line() {
        assert_eq!(one_line("a\nb\r\u{1b}[2J", 100), "a\\nb\\r\\u{1b}[2J");
        assert_eq!(one_line("plain", 5), "plain");
        assert_eq!(one_line("longer than that", 9), "longer...");
        assert_eq!(one_line("ääääää", 9), "äää...");
        assert!(one_line(&"\n".repeat(1_000), 512).len() <= 512);
    }

    #[test]
    fn a_throttle_counts_what_it_keeps_back() {
        let mut throttle = Throttle::new(10);
        let mut pass = |now_ms| throttle.pass(now_ms, Level::Notice, || "x".into()).map(|notice| notice.text);
        assert_eq!(pass(0).as_deref(), Some("x"));
        assert_eq!(pass(1), None);
        assert_eq!(pass(9), None);
        assert_eq!(pass(10).as_deref(), Some("x (2 more such since the last line)"));
        assert_eq!(pass(20).as_deref(), Some("x"));
    }
}
