//! What COMMAND DOCS tells beyond a command's row: what changed since the command came, what replaces it, notes on its
//! keys. A table of its own, by full name, because few commands have any of it.
//! Always: sorted by name, so that a look-up is a binary search; commands that are not there (yet) may have a line.

mod table;

/// What is known of one command beyond its row.
#[derive(Clone, Copy, Debug)]
pub struct Docs {
    /// `set`, or `xgroup|create`.
    pub name: &'static str,
    /// Versions and what they changed, oldest first.
    pub history: &'static [(&'static str, &'static str)],
    /// The version since which something else is better, and what.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Whether it is for the server's own use.
    pub is_internal: bool,
    /// Key specifications by their place in the row, and what is to be known of each.
    pub key_notes: &'static [(u8, &'static str)],
}

impl Docs {
    const fn of(name: &'static str) -> Docs {
        Docs { name, history: &[], deprecated: None, is_internal: false, key_notes: &[] }
    }

    const fn changed(mut self, history: &'static [(&'static str, &'static str)]) -> Docs {
        self.history = history;
        self
    }

    const fn deprecated(mut self, since: &'static str, instead: &'static str) -> Docs {
        self.deprecated = Some((since, instead));
        self
    }

    const fn internal(mut self) -> Docs {
        self.is_internal = true;
        self
    }

    const fn keys(mut self, notes: &'static [(u8, &'static str)]) -> Docs {
        self.key_notes = notes;
        self
    }

    /// The note on the key specification at `place`.
    pub fn key_note(&self, place: usize) -> Option<&'static str> {
        self.key_notes.iter().find(|(spec, _)| usize::from(*spec) == place).map(|(_, note)| *note)
    }
}

/// What is known of the command called `full_name` beyond its row, if anything.
pub fn docs(full_name: &str) -> Option<&'static Docs> {
    let at = table::DOCS.binary_search_by(|docs| docs.name.cmp(full_name)).ok()?;
    Some(&table::DOCS[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_every_line_says_something() {
        for pair in table::DOCS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} stands before {}", pair[0].name, pair[1].name);
        }
        for line in table::DOCS {
            let says = !line.history.is_empty() || line.deprecated.is_some();
            assert!(says || line.is_internal || !line.key_notes.is_empty(), "{} says nothing", line.name);
        }
    }

    #[test]
    fn versions_are_versions_and_in_order() {
        let number = |version: &str| -> Vec<u32> {
            let parts: Vec<u32> = version.split('.').map(|part| part.parse().expect("a number")).collect();
            assert_eq!(parts.len(), 3, "{version}");
            parts
        };
        for line in table::DOCS {
            let versions: Vec<Vec<u32>> = line.history.iter().map(|(since, _)| number(since)).collect();
            assert!(versions.is_sorted(), "{}: {:?}", line.name, line.history);
            line.deprecated.map(|(since, _)| number(since));
        }
    }

    #[test]
    fn a_command_is_found_by_its_full_name() {
        assert_eq!(docs("getset").and_then(|docs| docs.deprecated).map(|(since, _)| since), Some("6.2.0"));
        assert!(docs("xgroup|create").is_some() && docs("xgroup").is_none());
        assert!(docs("sort").and_then(|docs| docs.key_note(1)).is_some());
    }
}
