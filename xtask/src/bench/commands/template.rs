//! Requests whose numbers change from one time to the next: made once, then only digits are written.
//! Always: a template keeps its length.

use crate::bench::wire::request;

/// Digits of every number.
const DIGITS: usize = 8;

/// What stands in a template where a number goes; none of it occurs in the texts.
const MARKS: [(&str, u8); 3] = [("{k}", 1), ("{n}", 2), ("{r}", 3)];

/// Requests that belong together.
pub(super) struct Template {
    bytes: Vec<u8>,
    /// Where numbers begin, and which.
    numbers: Vec<(usize, Number)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Key,
    Member,
    /// A key of its own.
    Random,
}

impl Template {
    /// Each text becomes a request: words between spaces, the numbers still missing, `{16384}` as many bytes.
    pub(super) fn new(texts: &[&str]) -> Template {
        let mut bytes = Vec::new();
        for text in texts {
            let words: Vec<String> = text.split(' ').map(word).collect();
            bytes.extend(request(&words.iter().map(String::as_str).collect::<Vec<_>>()));
        }
        let mut numbers = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let number = match bytes[at] {
                1 => Number::Key,
                2 => Number::Member,
                3 => Number::Random,
                _ => {
                    at += 1;
                    continue;
                }
            };
            numbers.push((at, number));
            at += DIGITS;
        }
        Template { bytes, numbers }
    }

    /// Writes the numbers, `random` for each other key.
    pub(super) fn write(&mut self, key: u32, member: u32, mut random: impl FnMut() -> u32) {
        for &(at, number) in &self.numbers {
            let mut rest = match number {
                Number::Key => key,
                Number::Member => member,
                Number::Random => random(),
            };
            for digit in self.bytes[at..at + DIGITS].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
    }

    /// The requests as they were written last.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn word(text: &str) -> String {
    let bytes = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')?.parse().ok());
    if let Some(bytes) = bytes {
        return "x".repeat(bytes);
    }
    let filled = |text: String, (name, mark): &(&str, u8)| {
        text.replace(name, &char::from(*mark).to_string().repeat(DIGITS))
    };
    MARKS.iter().fold(text.to_owned(), filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_spelt_with_their_numbers() {
        let mut template = Template::new(&["SET s{k} {3}", "SADD t{k} 1{n} {r} {r}"]);
        for (key, member) in [(7, 23), (12_345_678, 0)] {
            let mut next = 40;
            template.write(key, member, || {
                next += 1;
                next
            });
            let (key, member) = (format!("{key:08}"), format!("{member:08}"));
            let mut expected = request(&["SET", &format!("s{key}"), "xxx"]);
            let words = ["SADD", &format!("t{key}"), &format!("1{member}"), "00000041", "00000042"];
            expected.extend(request(&words));
            assert_eq!(template.bytes().escape_ascii().to_string(), expected.escape_ascii().to_string());
        }
    }
}
