//! A disk that crashes, behind the interface that every file operation of the house goes through. What it does with bytes
//! that no fsync covered is `image`'s; when it misbehaves is said by whoever holds it.
//!
//! Knows no log and no snapshot. Always: what a successful fsync covered survives a loss of power, and nothing else need;
//! everything written survives the death of the process alone.

mod file; // one file and its two images
mod image;
mod names;

use std::any::Any;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tenon_base::{Dice, Disk, DiskFile, Listed};

use crate::trace::Mix;
use file::CrashFile;
use image::{Image, Loss};
use names::Names;

/// The disk. Clones share it.
#[derive(Clone)]
pub struct CrashDisk {
    state: Arc<Mutex<State>>,
}

/// How the disk misbehaves. Chances are out of 1,000 calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Writes that fail; a part of the bytes may have arrived.
    pub write: u64,
    /// Fsyncs of files that fail; a later one of the same file reports success though what was unsynced may be lost.
    pub sync: u64,
    /// Files that cannot be made, renamed, removed or cut, and directories that cannot be synced.
    pub names: u64,
    /// Bytes that all files together may have, if the disk is small.
    pub capacity_bytes: Option<u64>,
}

#[derive(Debug)]
pub(in crate::disk) struct State {
    dice: Dice,
    files: Vec<Image>,
    names: Names,
    locks: HashSet<PathBuf>,
    trouble: Trouble,
    keeps_order: bool,
    /// Calls that still succeed before the machine or the process stops in the midst of one.
    calls_left: Option<u64>,
    is_halted: bool,
    calls: u64,
    failures: u64,
    /// Of all calls and what they were given.
    sum: u64,
}

/// What a call that changes something is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::disk) enum Call {
    Write,
    Sync,
    Names,
}

/// How a call goes on.
pub(in crate::disk) enum Fate {
    Done,
    /// It is the last thing that happens: a part of it may.
    Halted,
    Failed(io::Error),
}

impl CrashDisk {
    /// An empty disk, healthy. What is left to chance is drawn from `dice`.
    pub fn new(dice: Dice) -> CrashDisk {
        let state = State {
            dice,
            files: Vec::new(),
            names: Names::default(),
            locks: HashSet::new(),
            trouble: Trouble::default(),
            keeps_order: false,
            calls_left: None,
            is_halted: false,
            calls: 0,
            failures: 0,
            sum: 0,
        };
        CrashDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// Misbehaves so from now on; by default, not at all.
    pub fn set_trouble(&self, trouble: Trouble) {
        self.lock_state().trouble = trouble;
    }

    /// Stops everything in the midst of the call after so many more that change something.
    pub fn halt_after(&self, calls: u64) {
        self.lock_state().calls_left = Some(calls);
    }

    /// Whether everything has stopped: nothing that a machine does from then on happens.
    pub fn is_halted(&self) -> bool {
        self.lock_state().is_halted
    }

    /// The process died: locks are gone; everything written is there, and the system writes it out some time.
    pub fn kill(&self) {
        let mut state = self.lock_state();
        state.restart();
        state.files.iter_mut().for_each(Image::kill);
    }

    /// From now on, whatever is lost of a file, the rest is a beginning of what it was: what a log without checksums needs.
    pub fn keep_order(&self) {
        self.lock_state().keeps_order = true;
    }

    /// The machine died: of what no fsync covered some is there, and some is not.
    pub fn lose_power(&self) {
        let mut state = self.lock_state();
        state.restart();
        let State { dice, files, names, keeps_order, .. } = &mut *state;
        for file in files.iter_mut() {
            let loss = Loss::draw(dice, *keeps_order);
            file.lose_power(loss, dice);
        }
        let loss = Loss::draw(dice, false);
        names.lose_power(loss, dice);
    }

    /// Bytes in all files.
    pub fn used_bytes(&self) -> u64 {
        self.lock_state().used_bytes()
    }

    /// Calls that failed.
    pub fn failures(&self) -> u64 {
        self.lock_state().failures
    }

    /// Sums up all calls so far.
    pub fn sum(&self) -> u64 {
        self.lock_state().sum
    }

    /// A file's contents as a process sees them; `None` if there is none.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.lock_state();
        state.names.find(path).map(|file| state.files[file].content().to_vec())
    }

    /// The names of all files, in order.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.lock_state().names.files().map(|(path, _)| path.to_owned()).collect()
    }

    pub(in crate::disk) fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, file: usize) -> Arc<dyn DiskFile> {
        Arc::new(CrashFile { disk: self.clone(), file })
    }
}

impl State {
    fn restart(&mut self) {
        self.locks.clear();
        self.trouble = Trouble::default();
        (self.calls_left, self.is_halted) = (None, false);
    }

    /// Counts a call that changes something, and says how it goes on.
    pub(in crate::disk) fn call(&mut self, call: Call, figures: &[u64], bytes: &[u8]) -> Fate {
        if self.is_halted {
            return Fate::Failed(io::ErrorKind::BrokenPipe.into());
        }
        self.calls += 1;
        let mut sum = Mix(self.sum);
        sum.word(call as u64);
        figures.iter().for_each(|&figure| sum.word(figure));
        sum.bytes(bytes);
        self.sum = sum.0;
        if let Some(left) = &mut self.calls_left {
            if *left == 0 {
                self.is_halted = true;
                return Fate::Halted;
            }
            *left -= 1;
        }
        let chance = match call {
            Call::Write => self.trouble.write,
            Call::Sync => self.trouble.sync,
            Call::Names => self.trouble.names,
        };
        if chance > 0 && self.dice.below(1_000) < chance {
            self.failures += 1;
            return Fate::Failed(io::Error::from_raw_os_error(EIO));
        }
        Fate::Done
    }

    /// As [`State::call`], for calls of which nothing happens if they are the last.
    fn names_call(&mut self, figures: &[u64], path: &Path) -> io::Result<()> {
        match self.call(Call::Names, figures, path.as_os_str().as_encoded_bytes()) {
            Fate::Done => Ok(()),
            Fate::Halted => Err(io::ErrorKind::BrokenPipe.into()),
            Fate::Failed(error) => Err(error),
        }
    }

    fn used_bytes(&self) -> u64 {
        self.names.files().map(|(_, file)| self.files[file].content().len() as u64).sum()
    }

    /// How many of `bytes` more still fit.
    pub(in crate::disk) fn room(&mut self, bytes: usize) -> usize {
        let Some(capacity) = self.trouble.capacity_bytes else { return bytes };
        let room = usize::try_from(capacity.saturating_sub(self.used_bytes())).unwrap_or(usize::MAX);
        self.failures += u64::from(room < bytes);
        bytes.min(room)
    }

    pub(in crate::disk) fn image(&mut self, file: usize) -> (&mut Image, &mut Dice) {
        (&mut self.files[file], &mut self.dice)
    }

    fn make(&mut self, path: &Path) -> usize {
        self.files.push(Image::new(self.keeps_order));
        let file = self.files.len() - 1;
        self.names.put(path, file);
        file
    }
}

const EIO: i32 = 5;
pub(in crate::disk) const ENOSPC: i32 = 28;

impl Disk for CrashDisk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock_state();
        let file = match state.names.find(path) {
            Some(file) => file,
            None if create => {
                state.names_call(&[0], path)?;
                state.names.check_parent(path)?;
                state.make(path)
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(self.handle(file))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock_state();
        state.names_call(&[1], path)?;
        state.names.check_parent(path)?;
        let file = match state.names.find(path) {
            Some(file) => {
                state.files[file].truncate(0);
                file
            }
            None => state.make(path),
        };
        Ok(self.handle(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock_state();
        state.names_call(&[2], to)?;
        state.names.check_parent(to)?;
        state.names.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock_state();
        state.names_call(&[3], path)?;
        state.names.remove(path)
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock_state();
        if state.names.is_directory(path) {
            return Ok(());
        }
        state.names_call(&[4], path)?;
        state.names.check_parent(path)?;
        state.names.make_directory(path);
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock_state();
        state.names_call(&[5], path)?;
        state.names.sync(path);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let state = self.lock_state();
        if !state.names.is_directory(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(state.names.list(path, |file| state.files[file].content().len() as u64))
    }

    fn free_bytes(&self, _path: &Path) -> Option<u64> {
        let mut state = self.lock_state();
        state.trouble.capacity_bytes?;
        let failures = state.failures;
        let room = state.room(usize::MAX) as u64;
        state.failures = failures;
        Some(room)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        if !self.lock_state().locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Held { disk: self.clone(), path: path.to_owned() }))
    }
}

struct Held {
    disk: CrashDisk,
    path: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.disk.lock_state().locks.remove(&self.path);
    }
}

#[cfg(test)]
mod tests;
