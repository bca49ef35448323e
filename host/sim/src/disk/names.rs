//! The names of files and directories twice: as processes see them, and as the disk has them for certain; between the two,
//! the changes whose directories were not synced.
//! Always: a change of a name happens as a whole or not at all, and a rename is one change.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use tenon_base::{Dice, FileKind, Listed};

use crate::disk::image::Loss;

/// All names.
#[derive(Debug, Default)]
pub(in crate::disk) struct Names {
    seen: Tree,
    sure: Tree,
    changes: Vec<Change>,
}

#[derive(Clone, Debug, Default)]
struct Tree {
    files: BTreeMap<PathBuf, usize>,
    directories: BTreeSet<PathBuf>,
}

#[derive(Clone, Debug)]
enum Change {
    Put(PathBuf, usize),
    Move { from: PathBuf, to: PathBuf, file: usize },
    Remove(PathBuf, usize),
    Directory(PathBuf),
}

impl Names {
    pub(in crate::disk) fn find(&self, path: &Path) -> Option<usize> {
        self.seen.files.get(path).copied()
    }

    pub(in crate::disk) fn files(&self) -> impl Iterator<Item = (&Path, usize)> {
        self.seen.files.iter().map(|(path, &file)| (path.as_path(), file))
    }

    /// The roots of the world are there from its beginning.
    pub(in crate::disk) fn is_directory(&self, path: &Path) -> bool {
        is_root(path) || self.seen.directories.contains(path)
    }

    pub(in crate::disk) fn check_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(parent) if !self.is_directory(parent) => Err(io::ErrorKind::NotFound.into()),
            _ => Ok(()),
        }
    }

    pub(in crate::disk) fn put(&mut self, path: &Path, file: usize) {
        self.change(Change::Put(path.to_owned(), file));
    }

    pub(in crate::disk) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.find(from).ok_or(io::ErrorKind::NotFound)?;
        self.change(Change::Move { from: from.to_owned(), to: to.to_owned(), file });
        Ok(())
    }

    pub(in crate::disk) fn remove(&mut self, path: &Path) -> io::Result<()> {
        let file = self.find(path).ok_or(io::ErrorKind::NotFound)?;
        self.change(Change::Remove(path.to_owned(), file));
        Ok(())
    }

    pub(in crate::disk) fn make_directory(&mut self, path: &Path) {
        self.change(Change::Directory(path.to_owned()));
    }

    pub(in crate::disk) fn list(&self, path: &Path, length: impl Fn(usize) -> u64) -> Vec<Listed> {
        let within = |name: &Path| name.parent() == Some(path);
        let named = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let files = self.seen.files.iter().filter(|(name, _)| within(name));
        let files = files.map(|(name, &file)| Listed {
            name: named(name),
            kind: FileKind::File,
            bytes: length(file),
        });
        let directories = self.seen.directories.iter().filter(|name| within(name));
        let directories =
            directories.map(|name| Listed { name: named(name), kind: FileKind::Directory, bytes: 0 });
        files.chain(directories).collect()
    }

    /// The names in a directory are sure from now on.
    pub(in crate::disk) fn sync(&mut self, directory: &Path) {
        for change in std::mem::take(&mut self.changes) {
            if change.is_in(directory) {
                change.apply(&mut self.sure);
            } else {
                self.changes.push(change);
            }
        }
    }

    /// What is left after a loss of power.
    pub(in crate::disk) fn lose_power(&mut self, loss: Loss, dice: &mut Dice) {
        let changes = std::mem::take(&mut self.changes);
        let kept = loss.kept(changes.len(), dice);
        for (index, change) in changes.into_iter().enumerate() {
            if kept.map_or_else(|| dice.below(2) == 0, |kept| index < kept) {
                change.apply(&mut self.sure);
            }
        }
        // Nothing is in a directory that is not there.
        let directories = std::mem::take(&mut self.sure.directories);
        for directory in directories {
            if self.sure.has_parent(&directory) {
                self.sure.directories.insert(directory);
            }
        }
        let files = std::mem::take(&mut self.sure.files);
        self.sure.files = files.into_iter().filter(|(path, _)| self.sure.has_parent(path)).collect();
        self.seen = self.sure.clone();
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.changes.push(change);
    }
}

impl Tree {
    fn has_parent(&self, path: &Path) -> bool {
        path.parent().is_none_or(|parent| is_root(parent) || self.directories.contains(parent))
    }
}

impl Change {
    fn apply(&self, tree: &mut Tree) {
        match self {
            Change::Put(path, file) => {
                tree.files.insert(path.clone(), *file);
            }
            Change::Move { from, to, file } => {
                tree.forget(from, *file);
                tree.files.insert(to.clone(), *file);
            }
            Change::Remove(path, file) => tree.forget(path, *file),
            Change::Directory(path) => {
                tree.directories.insert(path.clone());
            }
        }
    }

    fn is_in(&self, directory: &Path) -> bool {
        let within = |path: &Path| path.parent() == Some(directory);
        match self {
            Change::Put(path, _) | Change::Remove(path, _) | Change::Directory(path) => within(path),
            Change::Move { from, to, .. } => within(from) || within(to),
        }
    }
}

impl Tree {
    /// A name goes, if it still stands for that file.
    fn forget(&mut self, path: &Path, file: usize) {
        if self.files.get(path) == Some(&file) {
            self.files.remove(path);
        }
    }
}

fn is_root(path: &Path) -> bool {
    path.parent().is_none() || path.parent() == Some(Path::new("/"))
}
