//! The text of `policy-fsync` and `policy-snapshot`, parsed: which policy, pinned to which bytes, with which settings.
//! Opens no file and knows no policy's settings: an unknown one is refused by the policy itself.
//! Always: a file's name is a plain name in the policy directory; printing a parsed text and parsing it again agree.

use std::fmt;
use std::str::FromStr;

/// The longest text of the directive.
pub const SPEC_BYTES_MAX: usize = 4_096;
/// The most settings.
pub const SETTINGS_MAX: usize = 64;

/// A parsed directive: `builtin`, or `FILE.wasm [sha256:HEX] [KEY=VALUE ...]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySpec {
    /// Where the policy comes from.
    pub source: Source,
    /// The digest that the file must have.
    pub sha256: Option<Sha256>,
    /// In the order written; keys are unique.
    pub settings: Vec<Setting>,
}

/// Where a policy comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The default policy.
    Builtin,
    /// A file directly in the policy directory.
    File(String),
}

/// One setting as the operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Letters, digits, `-` and `_`.
    pub key: String,
    /// Without white space.
    pub value: String,
}

/// What an instance is told before its first question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The tenant's name.
    pub tenant: String,
    /// The server's version.
    pub host_version: String,
    /// From the directive.
    pub settings: Vec<Setting>,
}

/// A SHA-256 digest; prints as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256(pub [u8; 32]);

/// What is wrong with a directive's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpecError {
    /// Nothing there.
    Empty,
    /// More than [`SPEC_BYTES_MAX`] bytes.
    TooLong(usize),
    /// The first word is neither `builtin` nor a plain file name that ends in `.wasm`.
    Name(String),
    /// Not 64 hexadecimal digits.
    Sha256(String),
    /// Two digests, or a digest for `builtin`.
    Sha256Unexpected(&'static str),
    /// Not `KEY=VALUE`.
    Setting(String),
    /// The key is there twice.
    SettingTwice(String),
    /// More than [`SETTINGS_MAX`] settings.
    TooManySettings(usize),
}

impl PolicySpec {
    /// The default policy.
    pub const BUILTIN: PolicySpec =
        PolicySpec { source: Source::Builtin, sha256: None, settings: Vec::new() };

    /// `builtin`, or the file's name.
    pub fn name(&self) -> &str {
        match &self.source {
            Source::Builtin => "builtin",
            Source::File(file) => file,
        }
    }

    /// What an instance of this policy is told first.
    pub fn start(&self, tenant: &str, host_version: &str) -> Start {
        Start {
            tenant: tenant.to_owned(),
            host_version: host_version.to_owned(),
            settings: self.settings.clone(),
        }
    }
}

impl FromStr for PolicySpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<PolicySpec, SpecError> {
        if text.len() > SPEC_BYTES_MAX {
            return Err(SpecError::TooLong(text.len()));
        }
        let mut words = text.split_ascii_whitespace();
        let source = match words.next() {
            None => return Err(SpecError::Empty),
            Some("builtin") => Source::Builtin,
            Some(name) if is_plain_file(name) => Source::File(name.to_owned()),
            Some(name) => return Err(SpecError::Name(name.to_owned())),
        };
        let mut spec = PolicySpec { source, sha256: None, settings: Vec::new() };
        for word in words {
            match word.strip_prefix("sha256:") {
                Some(_) if spec.source == Source::Builtin => {
                    return Err(SpecError::Sha256Unexpected(
                        "builtin is part of the server and takes no sha256",
                    ));
                }
                Some(_) if spec.sha256.is_some() => {
                    return Err(SpecError::Sha256Unexpected("there are two sha256, at most one is allowed"));
                }
                Some(hex) => spec.sha256 = Some(hex.parse().map_err(|()| SpecError::Sha256(hex.to_owned()))?),
                None => spec.add_setting(word)?,
            }
        }
        Ok(spec)
    }
}

impl PolicySpec {
    fn add_setting(&mut self, word: &str) -> Result<(), SpecError> {
        let is_key = |key: &str| {
            !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let Some((key, value)) = word.split_once('=').filter(|(key, value)| is_key(key) && !value.is_empty())
        else {
            return Err(SpecError::Setting(word.to_owned()));
        };
        if self.settings.iter().any(|setting| setting.key == key) {
            return Err(SpecError::SettingTwice(key.to_owned()));
        }
        if self.settings.len() == SETTINGS_MAX {
            return Err(SpecError::TooManySettings(SETTINGS_MAX));
        }
        self.settings.push(Setting { key: key.to_owned(), value: value.to_owned() });
        Ok(())
    }
}

/// A name that cannot lead out of the policy directory, nor name a hidden or temporary file.
fn is_plain_file(name: &str) -> bool {
    let plain = |byte: u8| byte > b' ' && byte != 0x7f && !b"/\\:\"'".contains(&byte);
    name.ends_with(".wasm") && !name.starts_with('.') && name.len() <= 255 && name.bytes().all(plain)
}

impl fmt::Display for PolicySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        if let Some(sha256) = &self.sha256 {
            write!(f, " sha256:{sha256}")?;
        }
        self.settings.iter().try_for_each(|setting| write!(f, " {setting}"))
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

impl FromStr for Sha256 {
    type Err = ();

    fn from_str(hex: &str) -> Result<Sha256, ()> {
        let mut digest = [0; 32];
        let hex = hex.as_bytes();
        if hex.len() != 2 * digest.len() {
            return Err(());
        }
        for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16).ok_or(());
            *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
        }
        Ok(Sha256(digest))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256({self})")
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| crate::one_line(text, 100);
        match self {
            SpecError::Empty => {
                f.write_str("found nothing, expected 'builtin' or a file of the policy directory")
            }
            SpecError::TooLong(bytes) => write!(f, "found {bytes} bytes, expected at most {SPEC_BYTES_MAX}"),
            SpecError::Name(name) => write!(
                f,
                "found '{}', expected 'builtin' or the plain name of a .wasm file in the policy directory",
                shown(name)
            ),
            SpecError::Sha256(hex) => {
                write!(f, "found 'sha256:{}', expected sha256: and 64 hexadecimal digits", shown(hex))
            }
            SpecError::Sha256Unexpected(sentence) => f.write_str(sentence),
            SpecError::Setting(word) => {
                write!(f, "found '{}', expected sha256:HEX or a setting as key=value", shown(word))
            }
            SpecError::SettingTwice(key) => write!(f, "the setting '{}' is there twice", shown(key)),
            SpecError::TooManySettings(most) => write!(f, "found more than {most} settings"),
        }
    }
}

impl std::error::Error for SpecError {}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn what_is_parsed_prints_back() {
        let full = format!("adaptive-fsync.wasm sha256:{HEX} target-ms=20 mode=a=b");
        for text in ["builtin", "builtin x=1", "a.wasm", &full] {
            assert_eq!(text.parse::<PolicySpec>().expect(text).to_string(), text);
        }
        let spec: PolicySpec =
            format!("  a.wasm\tk=v  sha256:{} ", HEX.to_uppercase()).parse().expect("parses");
        assert_eq!(spec.to_string(), format!("a.wasm sha256:{HEX} k=v"));
        assert_eq!(spec.start("t", "1").settings, [Setting { key: "k".into(), value: "v".into() }]);
    }

    #[test]
    fn errors_say_what_was_found_and_what_was_expected() {
        let long = "x".repeat(SPEC_BYTES_MAX + 1);
        let many = (0..=SETTINGS_MAX).fold("builtin".to_owned(), |text, n| format!("{text} k{n}=1"));
        for (text, part) in [
            ("", "found nothing"),
            (&long, "4097 bytes"),
            ("Builtin", "found 'Builtin'"),
            ("../a.wasm", "plain name"),
            (".a.wasm", "plain name"),
            ("a.so", "plain name"),
            ("a.wasm sha256:12", "64 hexadecimal"),
            (&format!("a.wasm sha256:{HEX} sha256:{HEX}"), "two sha256"),
            (&format!("builtin sha256:{HEX}"), "takes no sha256"),
            ("a.wasm target", "found 'target'"),
            ("a.wasm =1", "found '=1'"),
            ("a.wasm k=", "found 'k='"),
            ("a.wasm k=1 k=2", "'k' is there twice"),
            (&many, "more than 64"),
        ] {
            let error = text.parse::<PolicySpec>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(format!("a.wasm sha256:{}", "é".repeat(32)).parse::<PolicySpec>().is_err());
    }
}
