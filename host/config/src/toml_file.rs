//! Configuration files of our own format: TOML with the directives' names as keys, and the table `[policies]`.
//! Opens no file. A value is turned into the words a redis.conf would have, so that both formats accept the same.
//! Always: keys take effect in the order written; what is wrong is named with line and column.

use tenon_base::split_words;
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use crate::config::Config;
use crate::directive::{Directive, Kind};
use crate::error::{ConfigError, Place, Source, shown};
use crate::nearest::nearest;
use crate::parse::expectation;
use crate::words::join;

/// The decisions `[policies]` has a key for, and the directive each stands for.
pub(crate) const POLICIES: [(&str, Directive); 2] =
    [("fsync", Directive::PolicyFsync), ("snapshot", Directive::PolicySnapshot)];

/// Reads a TOML file into the configuration.
///
/// # Errors
/// The first place that is no TOML, or the first key that is unknown or has a bad value. What stood before it has taken
/// effect.
pub fn load_toml(config: &mut Config, file: &str, text: &[u8]) -> Result<(), ConfigError> {
    let valid = std::str::from_utf8(text).map_err(|error| {
        let valid = std::str::from_utf8(&text[..error.valid_up_to()]).unwrap_or("");
        let document = Document { file, text: valid };
        ConfigError::new(Some(&document.place(valid.len(), false)), "the file is not UTF-8 text", None)
    })?;
    let document = Document { file, text: valid };
    let table = DeTable::parse(valid).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        ConfigError::new(Some(&document.place(start, false)), error.message(), Some("A TOML file".to_owned()))
    })?;
    document.load(config, table.get_ref())
}

struct Document<'a> {
    file: &'a str,
    text: &'a str,
}

type Key<'a> = Spanned<std::borrow::Cow<'a, str>>;

impl Document<'_> {
    fn load(&self, config: &mut Config, table: &DeTable<'_>) -> Result<(), ConfigError> {
        for (key, value) in in_order(table) {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("policies", DeValue::Table(policies)) => self.load_policies(config, policies)?,
                ("policies", _) => return Err(self.error(key, "policies must be a table", None)),
                ("tenants", _) => {
                    let expected = "Leave the table out: this server has the one tenant, default";
                    return Err(self.error(key, "the table tenants is reserved", Some(expected.to_owned())));
                }
                (name @ ("rename-command" | "user"), value) => self.load_lines(config, key, name, value)?,
                (name, value) => match Directive::find(name.as_bytes()) {
                    Some(directive) if directive.names().any(|own| own == name) => {
                        self.load_directive(config, directive, key, value)?;
                    }
                    _ => self.refuse_key(config, key, name)?,
                },
            }
        }
        Ok(())
    }

    /// A key that no directive has; `include` and `loadmodule` get the sentence redis.conf would get.
    fn refuse_key(&self, config: &mut Config, key: &Key<'_>, name: &str) -> Result<(), ConfigError> {
        if matches!(name, "include" | "loadmodule") {
            return config.apply(name.as_bytes(), &[""], &self.place(key.span().start, true));
        }
        let near = nearest(name.to_ascii_lowercase().as_bytes());
        let expected = near
            .map_or("A key is a directive's name, in lower case, or policies".to_owned(), |name| {
                format!("Did you mean {name}?")
            });
        Err(self.error(key, &format!("unknown key '{}'", shown(name.as_bytes())), Some(expected)))
    }

    fn load_directive(
        &self,
        config: &mut Config,
        directive: Directive,
        key: &Key<'_>,
        value: &DeValue<'_>,
    ) -> Result<(), ConfigError> {
        let row = directive.row();
        let words = if row.kind.takes_many() {
            many_words(value)
        } else {
            one_word(row.kind, value).map(|word| vec![word])
        };
        let Some(words) = words else {
            let form = if row.kind.takes_many() { "a string or an array of strings" } else { form(row.kind) };
            let reason = format!("{} cannot be {}", row.name, value_name(value));
            let expected = format!("{} expects {form}: {}", row.name, expectation(row.kind));
            return Err(self.error(key, &reason, Some(expected)));
        };
        config.apply(row.name.as_bytes(), &words, &self.place(key.span().start, true))
    }

    /// An array of lines, each of which redis.conf would have on its own.
    fn load_lines(
        &self,
        config: &mut Config,
        key: &Key<'_>,
        name: &str,
        value: &DeValue<'_>,
    ) -> Result<(), ConfigError> {
        let fail = || self.error(key, &format!("{name} must be an array of strings"), None);
        let DeValue::Array(lines) = value else { return Err(fail()) };
        for line in lines {
            let DeValue::String(line) = line.get_ref() else { return Err(fail()) };
            let words = split_words(line.as_bytes())
                .ok_or_else(|| self.error(key, "Unbalanced quotes in configuration line", None))?;
            config.apply(name.as_bytes(), &words, &self.place(key.span().start, true))?;
        }
        Ok(())
    }

    fn load_policies(&self, config: &mut Config, policies: &DeTable<'_>) -> Result<(), ConfigError> {
        for (key, value) in in_order(policies) {
            let name = key.get_ref().as_ref();
            if name == "directory" {
                self.load_directive(config, Directive::PolicyDirectory, key, value.get_ref())?;
                continue;
            }
            let Some((_, directive)) = POLICIES.into_iter().find(|(decision, _)| *decision == name) else {
                let expected = "policies has the keys directory, fsync and snapshot";
                return Err(self.error(
                    key,
                    &format!("unknown key '{name}' in policies"),
                    Some(expected.to_owned()),
                ));
            };
            if config.is_given(directive) {
                let reason = format!("{} is given twice", directive.name());
                return Err(self.error(key, &reason, Some("Either the directive or the table".to_owned())));
            }
            match value.get_ref() {
                DeValue::Table(policy) => self.load_policy(config, directive, key, policy)?,
                value => self.load_directive(config, directive, key, value)?,
            }
        }
        Ok(())
    }

    /// `[policies.fsync]`: the same as `policy-fsync`, with a key for each part.
    fn load_policy(
        &self,
        config: &mut Config,
        directive: Directive,
        key: &Key<'_>,
        policy: &DeTable<'_>,
    ) -> Result<(), ConfigError> {
        let (mut component, mut pin, mut settings) = (b"builtin".to_vec(), None, Vec::new());
        for (part, value) in in_order(policy) {
            match (part.get_ref().as_ref(), value.get_ref()) {
                ("component", DeValue::String(file)) => component = file.as_bytes().to_vec(),
                ("sha256", DeValue::String(hex)) => pin = Some(format!("sha256:{hex}").into_bytes()),
                ("options", DeValue::Table(options)) => settings = self.settings(options)?,
                (name @ ("component" | "sha256"), value) => {
                    return Err(self.error(
                        part,
                        &format!("{name} cannot be {}", value_name(value)),
                        Some("a string".to_owned()),
                    ));
                }
                ("options", value) => {
                    let expected = "a table of keys and values";
                    return Err(self.error(
                        part,
                        &format!("options cannot be {}", value_name(value)),
                        Some(expected.to_owned()),
                    ));
                }
                (name, _) => {
                    let expected = "a policy has the keys component, sha256 and options";
                    return Err(self.error(
                        part,
                        &format!("unknown key '{name}'"),
                        Some(expected.to_owned()),
                    ));
                }
            }
        }
        let words: Vec<Vec<u8>> = [component].into_iter().chain(pin).chain(settings).collect();
        // One argument, quoted where needed, so that a single word is not split at its blanks.
        config.apply(directive.name().as_bytes(), &[join(&words)], &self.place(key.span().start, true))
    }

    fn settings(&self, options: &DeTable<'_>) -> Result<Vec<Vec<u8>>, ConfigError> {
        let setting = |(key, value): (&Key<'_>, &Spanned<DeValue<'_>>)| {
            let text = match value.get_ref() {
                // A policy sees booleans as it would see them in TOML.
                DeValue::Boolean(yes) => Some(yes.to_string().into_bytes()),
                value => one_word(Kind::Text(crate::directive::TextRule::Any), value),
            };
            let text = text.ok_or_else(|| {
                let reason =
                    format!("the option {} cannot be {}", key.get_ref(), value_name(value.get_ref()));
                self.error(key, &reason, Some("a string, a number or a boolean".to_owned()))
            })?;
            Ok([key.get_ref().as_bytes(), b"=", &text].concat())
        };
        in_order(options).into_iter().map(setting).collect()
    }

    fn error(&self, key: &Key<'_>, reason: &str, expected: Option<String>) -> ConfigError {
        ConfigError::new(Some(&self.place(key.span().start, true)), reason, expected)
    }

    /// The line and column of a byte. Where the parser stumbled, the line may be the middle of a secret's text: then it
    /// is shown only if it begins with a key.
    fn place(&self, offset: usize, is_key: bool) -> Place {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let found = self.text[start..].lines().next().unwrap_or("").trim();
        let begins_with_key =
            found.starts_with('[') || found.split_once('=').is_some_and(|(key, _)| is_bare_key(key.trim()));
        let found = if is_key || begins_with_key { shown(found.as_bytes()) } else { "...".to_owned() };
        let (line, column) = (before.matches('\n').count() + 1, before[start..].chars().count() + 1);
        Place { source: Source::File { name: self.file.to_owned(), line, column: Some(column) }, found }
    }
}

/// The entries in the order written; the parser hands them out sorted by name.
fn in_order<'a, 'i>(table: &'a DeTable<'i>) -> Vec<(&'a Key<'i>, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

fn is_bare_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.\"'".contains(&byte))
}

/// The word a value stands for, or `None` if it is a table, an array or a date.
fn one_word(kind: Kind, value: &DeValue<'_>) -> Option<Vec<u8>> {
    Some(match value {
        DeValue::String(text) => text.as_bytes().to_vec(),
        DeValue::Boolean(yes) => if *yes { b"yes" } else { b"no".as_slice() }.to_vec(),
        DeValue::Integer(number) => integer_word(kind, number)?,
        DeValue::Float(number) => number.as_str().trim_start_matches('+').as_bytes().to_vec(),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => return None,
    })
}

/// The digits of a number. For an octal directive `0o770` and `770` mean the same, as in redis.conf.
fn integer_word(kind: Kind, number: &DeInteger<'_>) -> Option<Vec<u8>> {
    let digits = number.as_str().trim_start_matches('+');
    if number.radix() == 10 {
        return Some(digits.as_bytes().to_vec());
    }
    let value = u64::from_str_radix(digits, number.radix()).ok()?;
    let is_octal = matches!(kind, Kind::Octal { .. });
    Some(if is_octal { format!("{value:o}") } else { value.to_string() }.into_bytes())
}

/// The words of a string, or of an array of them.
fn many_words(value: &DeValue<'_>) -> Option<Vec<Vec<u8>>> {
    let DeValue::Array(items) = value else {
        return Some(vec![one_word(Kind::Bool, value)?]);
    };
    let mut words = Vec::new();
    for item in items {
        words.extend(split_words(&one_word(Kind::Bool, item.get_ref())?)?);
    }
    if words.is_empty() {
        words.push(Vec::new());
    }
    // One argument, quoted where needed, so that a single word is not split at its blanks.
    Some(if words.len() == 1 && !words[0].is_empty() { vec![join(&words).into_bytes()] } else { words })
}

fn form(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "true or false",
        Kind::Integer { .. } | Kind::Rate { .. } | Kind::Octal { .. } => "a number",
        Kind::Memory { .. } | Kind::MemoryOrPercent { .. } => "a number or a string",
        _ => "a string",
    }
}

fn value_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
