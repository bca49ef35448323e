//! CONFIG REWRITE of a TOML file: the old text and the values in force give the new text.
//! Reads and writes no file.
//! Always: whatever did not change stays byte for byte, comments and layout too (where something did, a byte order mark goes
//! and the last line gets its end); a policy keeps the form it was found in.

use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value as TomlValue};

use crate::config::Config;
use crate::directive::{Directive, Kind, Row};
use crate::error::ConfigError;
use crate::policy::PolicySelection;
use crate::rewrite::SIGNATURE;
use crate::toml_file::{POLICIES, load_toml};
use crate::value::Value;
use crate::words::join;

/// The new text of a configuration file.
///
/// # Errors
/// The old text is no configuration (somebody edited it since the start), or a value cannot be said in TOML because it is
/// not UTF-8.
pub fn rewrite_toml(file: &str, old: &str, config: &Config) -> Result<String, ConfigError> {
    let mut before = Config::default();
    load_toml(&mut before, file, old.as_bytes())?;
    let is_changed = |directive: &Directive| before.value(*directive) != config.value(*directive);
    let changed: Vec<Directive> = Directive::ALL.into_iter().filter(is_changed).collect();
    let has_same_users = before.users().eq(config.users());
    if changed.is_empty() && has_same_users {
        return Ok(old.to_owned());
    }
    let mut document: DocumentMut =
        old.parse().map_err(|error: toml_edit::TomlError| ConfigError::new(None, error.message(), None))?;
    let mut is_signed = old.contains(SIGNATURE);
    if !has_same_users {
        write_users(document.as_table_mut(), config, &mut is_signed);
    }
    for directive in changed {
        let root = document.as_table_mut();
        if let (Some(policy), Value::Policy(selection)) =
            (policy_item(root, directive), config.value(directive))
        {
            rewrite_policy(policy, before.policy(directive), selection);
            continue;
        }
        let value = toml_value(directive.row(), config.value(directive))?;
        if let Some(old) = find(root, directive) {
            replace(old, value);
        } else {
            insert(root, directive.name(), value, &mut is_signed);
        }
    }
    Ok(document.to_string())
}

/// Adds a key that the file does not have.
fn insert(root: &mut Table, name: &str, value: TomlValue, is_signed: &mut bool) {
    root.insert(name, Item::Value(value));
    if !*is_signed && let Some(mut key) = root.key_mut(name) {
        key.leaf_decor_mut().set_prefix(format!("\n{SIGNATURE}\n"));
        *is_signed = true;
    }
}

/// The users as an array of lines, or no such array if there are none.
fn write_users(root: &mut Table, config: &Config, is_signed: &mut bool) {
    const NAME: &str = "user";
    if config.users().len() == 0 {
        root.remove(NAME);
        return;
    }
    let lines: TomlValue = config.users().map(join).collect::<Array>().into();
    match root.get_mut(NAME) {
        Some(old) => replace(old, lines),
        None => insert(root, NAME, lines, is_signed),
    }
}

/// The value's place in the file, under any of its names.
fn find(root: &mut Table, directive: Directive) -> Option<&mut Item> {
    if directive == Directive::PolicyDirectory
        && root
            .get("policies")
            .and_then(Item::as_table_like)
            .is_some_and(|policies| policies.contains_key("directory"))
    {
        return root.get_mut("policies")?.as_table_like_mut()?.get_mut("directory");
    }
    let name = directive.names().find(|name| root.contains_key(name))?;
    root.get_mut(name)
}

/// The policy's entry in the table `policies`, if the file has one.
fn policy_item(root: &mut Table, directive: Directive) -> Option<&mut Item> {
    let (decision, _) = POLICIES.into_iter().find(|(_, own)| *own == directive)?;
    root.get_mut("policies")?.as_table_like_mut()?.get_mut(decision)
}

/// Touches only the parts that changed.
fn rewrite_policy(item: &mut Item, before: &PolicySelection, now: &PolicySelection) {
    let Some(table) = item.as_table_like_mut() else {
        return replace(item, now.print().into());
    };
    if before.component != now.component {
        set_or_remove(table, "component", now.component.clone().map(Into::into));
    }
    if before.sha256 != now.sha256 {
        set_or_remove(table, "sha256", now.sha256_hex().map(Into::into));
    }
    if before.settings != now.settings {
        let options: InlineTable = now.settings.iter().map(|(key, value)| (key, scalar(value))).collect();
        set_or_remove(table, "options", (!options.is_empty()).then(|| options.into()));
    }
}

fn set_or_remove(table: &mut dyn TableLike, key: &str, value: Option<TomlValue>) {
    match (table.get_mut(key), value) {
        (Some(old), Some(value)) => replace(old, value),
        (None, Some(value)) => {
            table.insert(key, Item::Value(value));
        }
        (_, None) => {
            table.remove(key);
        }
    }
}

/// Sets the value and keeps the blanks and the comment around it.
fn replace(item: &mut Item, mut value: TomlValue) {
    if let Some(old) = item.as_value() {
        *value.decor_mut() = old.decor().clone();
    }
    *item = Item::Value(value);
}

fn toml_value(row: &Row, value: &Value) -> Result<TomlValue, ConfigError> {
    let text = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).map_err(|_| {
            ConfigError::new(None, format!("{} is not UTF-8 text, which TOML cannot hold", row.name), None)
        })
    };
    Ok(match value {
        Value::Bool(yes) => (*yes).into(),
        Value::Integer(number) if matches!(row.kind, Kind::Octal { .. }) => format!("{number:o}").into(),
        Value::Integer(number) => (*number).into(),
        Value::Memory(bytes) => crate::number::format_memory(*bytes).into(),
        Value::SavePoints(points) => points
            .iter()
            .map(|point| format!("{} {}", point.seconds, point.changes))
            .collect::<Array>()
            .into(),
        // Each is split once more when it is read.
        Value::Words(words) => words.iter().map(|word| join(&[word])).collect::<Array>().into(),
        Value::Replica(Some(address)) => {
            join(&[&address.host[..], address.port.to_string().as_bytes()]).into()
        }
        Value::Replica(None) => "no one".into(),
        _ => text(&value.print(row))?.into(),
    })
}

/// A policy's setting in the type it was most likely written in: the policy is told the same text either way.
fn scalar(text: &str) -> TomlValue {
    match (text.parse::<i64>(), text.parse::<bool>()) {
        (Ok(number), _) if number.to_string() == text => number.into(),
        (_, Ok(truth)) => truth.into(),
        _ => text.into(),
    }
}
