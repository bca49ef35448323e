//! ACL files: a line for each user, `user NAME RULES`. Empty lines are allowed, comments are not: they would be lost when
//! the file is written anew.
//! Always: all lines are looked at, and every error is told with its line.

use std::collections::BTreeMap;

use crate::catalogue::Catalogue;
use crate::error::RuleError;
use crate::user::User;
use crate::words::{has_blanks, merge};

/// The users of a file, or all that is wrong with it.
pub(crate) fn parse(
    file_name: &str,
    text: &[u8],
    catalogue: &Catalogue,
    all_channels: bool,
) -> Result<BTreeMap<Vec<u8>, User>, String> {
    let mut users = BTreeMap::new();
    let mut errors = String::new();
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        // A name may be empty; rules that are empty mean nothing.
        let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
        let [b"user", name, rules @ ..] = words.as_slice() else {
            errors +=
                &format!("{file_name}:{number} should start with user keyword followed by the username. ");
            continue;
        };
        let shown = String::from_utf8_lossy(name);
        if has_blanks(name) {
            errors += &format!("'{file_name}:{number}: username '{shown}' contains invalid characters. ");
        } else if users.contains_key(*name) {
            errors += &format!("WARNING: Duplicate user '{shown}' found on line {number}. ");
        } else {
            let mut user = User::new(catalogue, all_channels);
            errors += &apply(&mut user, rules, &format!("{file_name}:{number}"), catalogue, all_channels);
            users.insert(name.to_vec(), user);
        }
    }
    if errors.is_empty() {
        return Ok(users);
    }
    errors += "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
    Err(errors)
}

/// Applies rules; returns what is wrong with them. A rule is shown only if it cannot be a password.
fn apply(user: &mut User, rules: &[&[u8]], place: &str, catalogue: &Catalogue, all_channels: bool) -> String {
    let Ok(rules) = merge(rules) else {
        return format!("{place}: Unmatched parenthesis in selector definition. ");
    };
    let mut errors = String::new();
    let mut has_told = false;
    for rule in rules {
        let rule = rule.trim_ascii();
        match user.apply(rule, catalogue, all_channels) {
            Err(error @ RuleError::Unknown) => {
                let rule = String::from_utf8_lossy(rule);
                errors += &format!("{place}: Error in applying operation '{rule}': {error}. ");
            }
            // What follows may be wrong only because of the first.
            Err(error) if !std::mem::replace(&mut has_told, true) => {
                errors += &format!("{place}: {error}. ");
            }
            Ok(()) | Err(_) => {}
        }
    }
    errors
}
