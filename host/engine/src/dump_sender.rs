//! What hands a dump over to replicas once a save has written it: its length, then its bytes, as they are taken. Runs
//! off the engine's thread; writes nothing.
//! Always: what is sent is the file that was written, whatever has taken its name since.

use std::io;
use std::sync::Arc;

use tenon_base::{Disk, DiskFile, Job, Step, describe};

use crate::sync_job::{PIECE_BYTES, SyncEnd, SyncQueue};

/// A dump on its way into the queue of a snapshot.
pub(crate) struct DumpSender {
    file: Arc<dyn DiskFile>,
    bytes: u64,
    read: u64,
    queue: Arc<SyncQueue>,
}

impl DumpSender {
    /// A dump of so many bytes.
    pub(crate) fn new(file: Arc<dyn DiskFile>, bytes: u64, queue: Arc<SyncQueue>) -> DumpSender {
        queue.release(format!("${bytes}\r\n").into_bytes());
        DumpSender { file, bytes, read: 0, queue }
    }

    fn advance(&mut self) -> io::Result<Step> {
        if self.queue.is_cancelled() {
            return Err(io::Error::other("nobody waits for it any more"));
        }
        if self.read == self.bytes {
            let end: SyncEnd = Ok(self.bytes);
            return Ok(Step::Done(Box::new(end)));
        }
        if !self.queue.has_room() {
            return Ok(Step::Starved);
        }
        let left = usize::try_from(self.bytes - self.read).unwrap_or(PIECE_BYTES);
        let mut piece = vec![0; PIECE_BYTES.min(left)];
        let read = self.file.read_at(self.read, &mut piece)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        piece.truncate(read);
        self.read += read as u64;
        self.queue.push(piece);
        Ok(Step::Again)
    }
}

impl Job for DumpSender {
    fn step(&mut self, _: &dyn Disk) -> Step {
        self.advance().unwrap_or_else(|error| {
            let end: SyncEnd = Err(describe(&error));
            Step::Done(Box::new(end))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tenon_aof::memory_disk::MemoryDisk;

    use super::*;

    fn end_of(job: &mut DumpSender, disk: &MemoryDisk) -> Option<SyncEnd> {
        match job.step(disk) {
            Step::Done(end) => Some(*end.downcast::<SyncEnd>().expect("an end")),
            _ => None,
        }
    }

    #[test]
    fn a_dump_is_sent_as_it_was_written_although_another_takes_its_name() {
        let (disk, queue) = (MemoryDisk::new(), Arc::new(SyncQueue::default()));
        let path = Path::new("/data/dump.rdb");
        let content: Vec<u8> = (0..=255).cycle().take(PIECE_BYTES + 3).collect();
        disk.put(path, &content);
        let file = disk.open(path, false).expect("the dump");
        let mut job = DumpSender::new(file, content.len() as u64, Arc::clone(&queue));
        assert!(end_of(&mut job, &disk).is_none());
        disk.put(Path::new("/data/other"), b"other");
        disk.rename(Path::new("/data/other"), path).expect("renamed");
        let end = std::iter::from_fn(|| Some(end_of(&mut job, &disk))).flatten().next();
        assert_eq!(end, Some(Ok(content.len() as u64)));
        let sent: Vec<u8> = std::iter::from_fn(|| queue.take()).flatten().collect();
        assert_eq!(sent, [format!("${}\r\n", content.len()).as_bytes(), &content].concat());
    }

    #[test]
    fn a_dump_that_got_shorter_or_that_nobody_wants_ends_with_a_reason() {
        let (disk, queue) = (MemoryDisk::new(), Arc::new(SyncQueue::default()));
        let path = Path::new("/data/dump.rdb");
        disk.put(path, b"short");
        let file = disk.open(path, false).expect("the dump");
        let mut job = DumpSender::new(Arc::clone(&file), 6, queue);
        assert!(end_of(&mut job, &disk).is_none());
        assert!(end_of(&mut job, &disk).expect("an end").is_err());
        let queue = Arc::new(SyncQueue::default());
        let mut job = DumpSender::new(file, 5, Arc::clone(&queue));
        queue.cancel();
        assert_eq!(end_of(&mut job, &disk), Some(Err("nobody waits for it any more".to_owned())));
    }
}
