//! Files and directories in memory, by numbers. Knows no protocol.
//! Always: node 1 is the root; what was removed can be read and written as long as anybody knows its number.

use std::collections::{BTreeMap, HashMap};

const ROOT: u64 = 1;

/// Why something cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    Missing,
    NoDirectory,
    NoFile,
}

impl Error {
    /// As the system numbers it.
    pub(super) fn number(self) -> i32 {
        match self {
            Error::Missing => 2,
            Error::NoDirectory => 20,
            Error::NoFile => 21,
        }
    }
}

enum Node {
    Directory(BTreeMap<Vec<u8>, u64>),
    File(Vec<u8>),
}

/// All of them.
pub(super) struct Tree {
    nodes: HashMap<u64, Node>,
    next: u64,
}

impl Tree {
    /// An empty root.
    pub(super) fn new() -> Tree {
        Tree { nodes: HashMap::from([(ROOT, Node::Directory(BTreeMap::new()))]), next: ROOT + 1 }
    }

    pub(super) fn look_up(&self, directory: u64, name: &[u8]) -> Result<u64, Error> {
        match self.nodes.get(&directory) {
            Some(Node::Directory(names)) => names.get(name).copied().ok_or(Error::Missing),
            _ => Err(Error::NoDirectory),
        }
    }

    /// Makes an empty file or directory under a name that is free.
    pub(super) fn make(&mut self, directory: u64, name: &[u8], is_directory: bool) -> Result<u64, Error> {
        let made = self.next;
        self.names(directory)?.insert(name.to_vec(), made);
        self.next += 1;
        let node = if is_directory { Node::Directory(BTreeMap::new()) } else { Node::File(Vec::new()) };
        self.nodes.insert(made, node);
        Ok(made)
    }

    pub(super) fn remove(&mut self, directory: u64, name: &[u8]) -> Result<(), Error> {
        self.names(directory)?.remove(name).map(drop).ok_or(Error::Missing)
    }

    pub(super) fn rename(&mut self, source: u64, from: &[u8], target: u64, to: &[u8]) -> Result<(), Error> {
        let moved = self.look_up(source, from)?;
        self.names(target)?.insert(to.to_vec(), moved);
        if (source, from) != (target, to) {
            self.names(source)?.remove(from);
        }
        Ok(())
    }

    pub(super) fn read(&self, file: u64, from: u64, count: u32) -> Result<Vec<u8>, Error> {
        let Some(Node::File(bytes)) = self.nodes.get(&file) else { return Err(Error::NoFile) };
        let from = (from as usize).min(bytes.len());
        Ok(bytes[from..from.saturating_add(count as usize).min(bytes.len())].to_vec())
    }

    pub(super) fn write(&mut self, file: u64, at: u64, written: &[u8]) -> Result<(), Error> {
        let bytes = self.bytes(file)?;
        let at = at as usize;
        bytes.resize(bytes.len().max(at + written.len()), 0);
        bytes[at..at + written.len()].copy_from_slice(written);
        Ok(())
    }

    pub(super) fn resize(&mut self, file: u64, size: u64) -> Result<(), Error> {
        self.bytes(file)?.resize(size as usize, 0);
        Ok(())
    }

    /// Number, whether it is a directory, and name of everything in a directory.
    pub(super) fn list(&self, directory: u64) -> Vec<(u64, bool, Vec<u8>)> {
        let Some(Node::Directory(names)) = self.nodes.get(&directory) else { return Vec::new() };
        names.iter().map(|(name, &node)| (node, self.size(node).0, name.clone())).collect()
    }

    /// Whether it is a directory, and how long it is.
    pub(super) fn size(&self, node: u64) -> (bool, u64) {
        match self.nodes.get(&node) {
            Some(Node::File(bytes)) => (false, bytes.len() as u64),
            _ => (true, 0),
        }
    }

    fn names(&mut self, directory: u64) -> Result<&mut BTreeMap<Vec<u8>, u64>, Error> {
        match self.nodes.get_mut(&directory) {
            Some(Node::Directory(names)) => Ok(names),
            _ => Err(Error::NoDirectory),
        }
    }

    fn bytes(&mut self, file: u64) -> Result<&mut Vec<u8>, Error> {
        match self.nodes.get_mut(&file) {
            Some(Node::File(bytes)) => Ok(bytes),
            _ => Err(Error::NoFile),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_written_read_and_put_in_the_place_of_another() {
        let mut tree = Tree::new();
        let directory = tree.make(ROOT, b"d", true).expect("made");
        let file = tree.make(directory, b"new", false).expect("made");
        let old = tree.make(directory, b"old", false).expect("made");
        tree.write(file, 2, b"abc").expect("written");
        tree.write(old, 0, b"x").expect("written");
        tree.rename(directory, b"new", directory, b"old").expect("renamed");
        assert_eq!(tree.look_up(directory, b"old"), Ok(file));
        assert_eq!(tree.look_up(directory, b"new"), Err(Error::Missing));
        assert_eq!(tree.read(file, 1, 3), Ok(b"\0ab".to_vec()));
        assert_eq!(tree.read(old, 0, 9), Ok(b"x".to_vec()), "whoever has it open goes on");
        tree.resize(file, 3).expect("cut");
        assert_eq!((tree.size(file), tree.list(ROOT).len()), ((false, 3), 1));
        assert_eq!(tree.write(directory, 0, b"x"), Err(Error::NoFile));
        tree.remove(directory, b"old").expect("removed");
        assert_eq!(tree.list(directory), []);
    }
}
