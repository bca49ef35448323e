//! A handle on one file of the disk.
//! Always: a write that fails may have put a part of its bytes there, and says so by failing.

use std::io;

use tenon_base::DiskFile;

use crate::disk::{Call, CrashDisk, ENOSPC, Fate};

pub(in crate::disk) struct CrashFile {
    pub(in crate::disk) disk: CrashDisk,
    pub(in crate::disk) file: usize,
}

impl CrashFile {
    fn put(&self, at: Option<u64>, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.lock_state();
        let fate = state.call(Call::Write, &[self.file as u64, at.unwrap_or(u64::MAX)], bytes);
        let wanted = match fate {
            Fate::Done => state.room(bytes.len()),
            // What has stopped before does nothing more at all.
            Fate::Failed(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(error),
            Fate::Halted | Fate::Failed(_) => {
                let (_, dice) = state.image(self.file);
                dice.below(bytes.len() as u64 + 1) as usize
            }
        };
        let (image, _) = state.image(self.file);
        match at {
            None => image.append(&bytes[..wanted]),
            Some(at) => image.write(at as usize, &bytes[..wanted]),
        }
        match fate {
            Fate::Done if wanted < bytes.len() => Err(io::Error::from_raw_os_error(ENOSPC)),
            Fate::Done => Ok(()),
            Fate::Halted => Err(io::ErrorKind::BrokenPipe.into()),
            Fate::Failed(error) => Err(error),
        }
    }
}

impl DiskFile for CrashFile {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.put(None, bytes)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.put(Some(offset), bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.lock_state();
        let (image, _) = state.image(self.file);
        let rest =
            usize::try_from(offset).ok().and_then(|offset| image.content().get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock_state();
        let fate = state.call(Call::Sync, &[self.file as u64], b"");
        let (image, dice) = state.image(self.file);
        match fate {
            Fate::Done => {
                image.sync();
                Ok(())
            }
            Fate::Halted => Err(io::ErrorKind::BrokenPipe.into()),
            Fate::Failed(error) => {
                if error.kind() != io::ErrorKind::BrokenPipe {
                    image.fail_sync(dice);
                }
                Err(error)
            }
        }
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.lock_state();
        match state.call(Call::Names, &[6, self.file as u64, bytes], b"") {
            Fate::Done => {
                state.image(self.file).0.truncate(bytes as usize);
                Ok(())
            }
            Fate::Halted => Err(io::ErrorKind::BrokenPipe.into()),
            Fate::Failed(error) => Err(error),
        }
    }

    fn length(&self) -> io::Result<u64> {
        let mut state = self.disk.lock_state();
        Ok(state.image(self.file).0.content().len() as u64)
    }
}
