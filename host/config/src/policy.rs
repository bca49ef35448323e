//! Which policy decides: the value of `policy-fsync` and `policy-snapshot`, for example
//! `adaptive-fsync.wasm sha256:HEX target-ms=20`.
//! Does not look whether the file exists, nor whether the policy knows its settings.
//! Always: a component is a file name, never a path; a pin stands only beside a component; keys are unique.

use crate::words::join;

const SETTINGS_MAX: usize = 64;
const SETTING_BYTES_MAX: usize = 4096;
const PIN: &str = "sha256:";

/// Who takes one kind of decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySelection {
    /// The component's file in the policy directory; `None` is the built-in policy.
    pub component: Option<String>,
    /// What the file's SHA-256 must be.
    pub sha256: Option<[u8; 32]>,
    /// Told to the policy in this order, as the operator wrote them.
    pub settings: Vec<(String, String)>,
}

impl PolicySelection {
    /// The words of a directive, or a sentence: what was found and what is expected. No word is `builtin`.
    pub(crate) fn parse(words: &[&[u8]]) -> Result<Self, String> {
        let mut words = words.iter().map(|word| {
            std::str::from_utf8(word).map_err(|_| format!("{} is not UTF-8 text", tenon_base::quoted(word)))
        });
        let component = component(words.next().transpose()?.unwrap_or(""))?;
        let mut selection = Self { component, ..Self::default() };
        for word in words {
            selection.add(word?)?;
        }
        if selection.component.is_none() && selection.sha256.is_some() {
            return Err("a sha256 pins a component file, and builtin has none".to_owned());
        }
        Ok(selection)
    }

    /// One word behind the component: the pin or a setting.
    fn add(&mut self, word: &str) -> Result<(), String> {
        if let Some(hex) = word.strip_prefix(PIN) {
            let pin = parse_sha256(hex)
                .ok_or(format!("'{word}' is no pin: expected sha256: and 64 hexadecimal digits"))?;
            return match self.sha256.replace(pin) {
                None => Ok(()),
                Some(_) => Err("the sha256 is given twice".to_owned()),
            };
        }
        let (key, value) = word
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or(format!("'{word}' is neither sha256:HEX nor key=value"))?;
        if word.len() > SETTING_BYTES_MAX || self.settings.len() == SETTINGS_MAX {
            return Err(format!(
                "a policy takes at most {SETTINGS_MAX} settings of {SETTING_BYTES_MAX} bytes each"
            ));
        }
        if self.settings.iter().any(|(own, _)| own == key) {
            return Err(format!("the setting '{key}' is given twice"));
        }
        self.settings.push((key.to_owned(), value.to_owned()));
        Ok(())
    }

    /// As CONFIG GET prints it and a file writes it.
    pub(crate) fn print(&self) -> String {
        let mut words = vec![self.component.clone().unwrap_or("builtin".to_owned())];
        words.extend(self.sha256_hex().map(|hex| format!("{PIN}{hex}")));
        words.extend(self.settings.iter().map(|(key, value)| format!("{key}={value}")));
        join(&words)
    }

    /// The pin in hexadecimal digits.
    pub fn sha256_hex(&self) -> Option<String> {
        self.sha256.map(|pin| pin.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

fn component(word: &str) -> Result<Option<String>, String> {
    if word.is_empty() || word.eq_ignore_ascii_case("builtin") {
        return Ok(None);
    }
    let is_file_name = word.ends_with(".wasm") && !word.starts_with('.') && !word.contains(['/', '\\', '\0']);
    if !is_file_name {
        return Err(format!(
            "'{word}' is neither builtin nor the name of a .wasm file in the policy directory"
        ));
    }
    Ok(Some(word.to_owned()))
}

fn parse_sha256(hex: &str) -> Option<[u8; 32]> {
    let (pairs, []) = hex.as_bytes().as_chunks::<2>() else { return None };
    let byte = |[high, low]: &[u8; 2]| {
        let (high, low) = (char::from(*high).to_digit(16)?, char::from(*low).to_digit(16)?);
        Some((high * 16 + low) as u8)
    };
    pairs.iter().map(byte).collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tenon_base::split_words;

    fn parse(line: &str) -> Result<PolicySelection, String> {
        let words = split_words(line.as_bytes()).unwrap();
        PolicySelection::parse(&words.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    #[test]
    fn a_selection_survives_printing() {
        let pin = "ab".repeat(32);
        for line in [
            "builtin".to_owned(),
            "builtin target-ms=20".to_owned(),
            format!("adaptive-fsync.wasm sha256:{pin} target-ms=20 \"note=two words\" empty="),
        ] {
            let selection = parse(&line).unwrap();
            assert_eq!(selection.print(), line);
        }
        assert_eq!(parse("a.wasm k=v=w").unwrap().settings, [("k".to_owned(), "v=w".to_owned())]);
        assert_eq!(parse("").unwrap(), PolicySelection::default());
    }

    #[test]
    fn nonsense_is_refused_with_a_sentence() {
        for (line, sentence) in [
            ("native", "'native' is neither builtin nor the name of a .wasm file in the policy directory"),
            (
                "../a.wasm",
                "'../a.wasm' is neither builtin nor the name of a .wasm file in the policy directory",
            ),
            ("a.wasm sha256:12", "'sha256:12' is no pin: expected sha256: and 64 hexadecimal digits"),
            ("a.wasm fast", "'fast' is neither sha256:HEX nor key=value"),
            ("a.wasm =1", "'=1' is neither sha256:HEX nor key=value"),
            ("a.wasm k=1 k=2", "the setting 'k' is given twice"),
        ] {
            assert_eq!(parse(line), Err(sentence.to_owned()), "{line}");
        }
        assert!(
            parse(&format!("builtin sha256:{}", "00".repeat(32))).unwrap_err().contains("builtin has none")
        );
    }
}
