//! The commands that rules can name, and their categories. What runs them is not known here.
//! Always: a command's number is its place in the order of addition; names are those of the source, whatever the
//! configuration renames.

use std::collections::BTreeMap;

/// The commands and subcommands of a server.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    categories: Vec<(u32, &'static str)>,
    entries: Vec<Entry>,
    by_name: BTreeMap<Vec<u8>, u16>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) categories: u32,
    pub(crate) is_subcommand: bool,
    pub(crate) children: Vec<u16>,
}

impl Catalogue {
    /// Without commands. A category is one bit and a name in lower case.
    pub fn new(categories: impl IntoIterator<Item = (u32, &'static str)>) -> Catalogue {
        Catalogue { categories: categories.into_iter().collect(), ..Catalogue::default() }
    }

    /// Adds a command by its name in lower case, or a subcommand as `parent|name`; `categories` are bits. Parents come
    /// before their children. Returns its number.
    pub fn add(&mut self, full_name: &str, categories: u32) -> u16 {
        let number = u16::try_from(self.entries.len()).expect("fewer than 65,536 commands");
        let parent = full_name.split_once('|').map(|(parent, _)| {
            *self.by_name.get(parent.as_bytes()).expect("a parent is added before its children")
        });
        if let Some(parent) = parent {
            self.entries[usize::from(parent)].children.push(number);
        }
        let is_subcommand = parent.is_some();
        self.entries.push(Entry {
            name: full_name.to_owned(),
            categories,
            is_subcommand,
            children: Vec::new(),
        });
        self.by_name.insert(full_name.as_bytes().to_vec(), number);
        number
    }

    /// The number of a command or of `parent|name`, in letters of either case.
    pub fn find(&self, name: &[u8]) -> Option<u16> {
        self.by_name.get(&name.to_ascii_lowercase()).copied()
    }

    /// The bit of a category, in letters of either case.
    pub fn category(&self, name: &[u8]) -> Option<u32> {
        let is_it = |(_, known): &&(u32, &str)| known.as_bytes().eq_ignore_ascii_case(name);
        self.categories.iter().find(is_it).map(|(bit, _)| *bit)
    }

    pub(crate) fn entry(&self, number: u16) -> &Entry {
        &self.entries[usize::from(number)]
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (u16, &Entry)> {
        (0u16..).zip(&self.entries)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}
