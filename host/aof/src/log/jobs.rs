//! What a log does off the engine's thread: each job is given all it needs and knows no log.
//!
//! Always: one disk operation a step, so that a simulated world can stop between any two.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tenon_base::{Disk, DiskFile, Job, Lane, Step, describe, forget_cached};

use crate::directory::{Directory, make_anew};
use crate::log::tail::Piece;
use crate::manifest::Manifest;

/// Names one job of one log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobId(pub(crate) u64);

/// Work to be run as `Output::Run`; its completion goes to `Log::job_ended`.
pub struct LogJob {
    /// Names the completion.
    pub id: JobId,
    /// Where to run it.
    pub lane: Lane,
    /// The work.
    pub job: Box<dyn Job>,
}

/// What a job came to.
pub(crate) struct JobEnd {
    pub(crate) result: Result<(), String>,
    /// The file that was made, if one was.
    pub(crate) file: Option<Arc<dyn DiskFile>>,
    /// Whether a manifest may have been replaced, even if the job failed.
    pub(crate) touched_manifest: bool,
    /// Whether a file may have been renamed, even if the job failed.
    pub(crate) renamed: bool,
    /// What failed without harm: cutting the old file.
    pub(crate) blemish: Option<String>,
}

impl JobEnd {
    /// The end of a job that made nothing.
    pub(crate) fn of(result: io::Result<()>) -> JobEnd {
        JobEnd::of_result(result.map_err(|error| describe(&error)))
    }

    /// The same, of an error in words.
    pub(crate) fn of_result(result: Result<(), String>) -> JobEnd {
        JobEnd { result, file: None, touched_manifest: false, renamed: false, blemish: None }
    }
}

/// One fsync: what runs most often, so it is small.
pub(crate) struct SyncJob {
    pub(crate) file: Arc<dyn DiskFile>,
    /// Tells that the disk is being asked.
    pub(crate) has_begun: Arc<AtomicBool>,
}

impl Job for SyncJob {
    fn is_urgent(&self) -> bool {
        true
    }

    fn step(&mut self, _disk: &dyn Disk) -> Step {
        if !self.has_begun.swap(true, Ordering::Release) {
            return Step::Again;
        }
        Step::Done(Box::new(JobEnd::of(self.file.sync())))
    }
}

/// One thing to do to the disk.
pub(crate) enum Action {
    MakeDirectory,
    /// Makes the job's file.
    Create(PathBuf),
    /// Goes on with a file that an earlier attempt made.
    Adopt(Arc<dyn DiskFile>),
    Append(Vec<u8>),
    AppendPiece(Piece),
    /// Makes the job's file durable.
    Sync,
    SyncFile(Arc<dyn DiskFile>),
    SyncPath(PathBuf),
    SyncDirectory,
    Rename(PathBuf, PathBuf),
    Persist(Manifest),
    /// Cuts a file to a length; failing to is told, not fatal.
    Cut(Arc<dyn DiskFile>, u64),
    /// Removes a file; failing to costs room only.
    Remove(PathBuf),
}

/// Actions one after the other, until one fails.
pub(crate) struct Actions {
    directory: Directory,
    actions: std::vec::IntoIter<Action>,
    file: Option<Arc<dyn DiskFile>>,
    touched_manifest: bool,
    renamed: bool,
    blemish: Option<String>,
}

impl Actions {
    pub(crate) fn job(directory: &Directory, actions: Vec<Action>) -> Box<dyn Job> {
        Box::new(Actions {
            directory: directory.clone(),
            actions: actions.into_iter(),
            file: None,
            touched_manifest: false,
            renamed: false,
            blemish: None,
        })
    }

    fn act(&mut self, disk: &dyn Disk, action: Action) -> io::Result<()> {
        match action {
            Action::MakeDirectory => self.directory.make(disk),
            Action::Create(path) => make_anew(disk, &path).map(|file| self.file = Some(file)),
            Action::Adopt(file) => {
                self.file = Some(file);
                Ok(())
            }
            Action::Append(bytes) => self.own_file()?.append(&bytes),
            Action::AppendPiece(piece) => self.own_file()?.append(piece.bytes()),
            Action::Sync => self.own_file()?.sync(),
            Action::SyncFile(file) => file.sync(),
            Action::SyncPath(path) => disk.open(&path, false)?.sync(),
            Action::SyncDirectory => disk.sync_directory(self.directory.path()),
            Action::Rename(from, to) => {
                self.renamed = true;
                disk.rename(&from, &to)
            }
            Action::Persist(manifest) => {
                self.touched_manifest = true;
                self.directory.persist(disk, &manifest)
            }
            Action::Cut(file, length) => {
                self.blemish = file.truncate(length).err().map(|error| describe(&error));
                Ok(())
            }
            Action::Remove(path) => {
                forget_cached(disk, &path);
                if let Err(error) = disk.remove(&path)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    self.blemish = Some(format!("removing {}: {error}", path.display()));
                }
                Ok(())
            }
        }
    }

    fn own_file(&self) -> io::Result<&Arc<dyn DiskFile>> {
        self.file.as_ref().ok_or_else(|| io::Error::other("no file was made"))
    }

    fn end(&mut self, result: Result<(), String>) -> Step {
        Step::Done(Box::new(JobEnd {
            result,
            file: self.file.take(),
            touched_manifest: self.touched_manifest,
            renamed: self.renamed,
            blemish: self.blemish.take(),
        }))
    }
}

impl Job for Actions {
    fn step(&mut self, disk: &dyn Disk) -> Step {
        let Some(action) = self.actions.next() else { return self.end(Ok(())) };
        match self.act(disk, action) {
            Ok(()) if self.actions.len() == 0 => self.end(Ok(())),
            Ok(()) => Step::Again,
            Err(error) => self.end(Err(describe(&error))),
        }
    }
}
