//! CONFIG GET: which directives some patterns name, and what they are.
//! Always: a hidden directive answers to its exact name only; each name comes once, in the order of the table.

use crate::config::Config;
use crate::directive::{Directive, Flags};
use crate::glob;

impl Config {
    /// Names and values for CONFIG GET. An alias is a name of its own; a name without wildcards comes back as the client
    /// wrote it.
    pub fn get<P: AsRef<[u8]>>(&self, patterns: &[P]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found: Vec<(Vec<u8>, Directive)> = Vec::new();
        for pattern in patterns {
            let pattern = pattern.as_ref();
            if pattern.iter().any(|byte| b"[*?".contains(byte)) {
                add_matches(&mut found, pattern);
            } else if let Some(directive) = Directive::find(pattern) {
                add(&mut found, pattern, directive);
            }
        }
        found.into_iter().map(|(name, directive)| (name, self.printed(directive))).collect()
    }
}

fn add_matches(found: &mut Vec<(Vec<u8>, Directive)>, pattern: &[u8]) {
    for directive in Directive::ALL {
        if directive.row().flags.has(Flags::HIDDEN) {
            continue;
        }
        for name in directive.names() {
            if glob::matches(pattern, name.as_bytes()) {
                add(found, name.as_bytes(), directive);
            }
        }
    }
}

fn add(found: &mut Vec<(Vec<u8>, Directive)>, name: &[u8], directive: Directive) {
    if !found.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
        found.push((name.to_vec(), directive));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(patterns: &[&str]) -> Vec<String> {
        let found = Config::default().get(patterns);
        found.into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect()
    }

    #[test]
    fn patterns_name_directives_once() {
        assert_eq!(names(&["PORT", "por[t]", "port", "nothing"]), ["PORT"]);
        assert_eq!(names(&["*slave-priority"]), ["slave-priority"]);
        assert_eq!(names(&["rdb-key-save-delay", "*key-save*"]), ["rdb-key-save-delay"]);
        assert!(names(&["*key-save*"]).is_empty());
        assert!(names(&["*"]).len() > Directive::ALL.len());
    }

    #[test]
    fn values_are_printed_as_redis_prints_them() {
        let config = Config::default();
        for (name, value) in [
            ("save", "3600 1 300 100 60 10000"),
            ("bind", "* -::*"),
            ("proto-max-bulk-len", "536870912"),
            ("snapshot-memory-max", "10%"),
            ("shutdown-on-sigterm", "default"),
            ("replicaof", ""),
            ("latency-tracking-info-percentiles", "50 99 99.9"),
            ("policy-fsync", "builtin"),
        ] {
            assert_eq!(config.get(&[name]), [(name.into(), value.into())]);
        }
    }
}
