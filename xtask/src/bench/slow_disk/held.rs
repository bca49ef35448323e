//! A file system in memory whose fsync takes as long as one likes. The kernel holds the file's lock while it waits for the
//! answer (`fuse_fsync`), and a write to the file waits for that lock: what file systems do whose write needs what a
//! sync holds. It knows what servers do with a log and a dump, and no more: no links, no permissions, no times.
//! Speaks the kernel's protocol (`linux/fuse.h`, version 7.31) over `/dev/fuse`, which `mount` gets as its standard
//! input; so it needs root and no library.
//! Always: only fsyncs wait; everything else is answered at once.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use super::tree::{Error, Tree};

/// Room for the largest request: a write of 128 KiB and what is before it.
const REQUEST_BYTES_MAX: usize = (128 << 10) + 4_096;
const WRITE_BYTES_MAX: u32 = 128 << 10;
const HEADER_BYTES: usize = 40;
/// What is said of a name or an attribute may be believed for so many seconds.
const VALID_SECONDS: u64 = 3_600;
const BLOCK_BYTES: u32 = 4_096;

/// `linux/errno.h`.
const NO_SUCH_CALL: i32 = 38;

/// `enum fuse_opcode`, as far as it is needed.
mod call {
    pub(super) const LOOKUP: u32 = 1;
    pub(super) const FORGET: u32 = 2;
    pub(super) const GETATTR: u32 = 3;
    pub(super) const SETATTR: u32 = 4;
    pub(super) const MKDIR: u32 = 9;
    pub(super) const UNLINK: u32 = 10;
    pub(super) const RMDIR: u32 = 11;
    pub(super) const RENAME: u32 = 12;
    pub(super) const OPEN: u32 = 14;
    pub(super) const READ: u32 = 15;
    pub(super) const WRITE: u32 = 16;
    pub(super) const STATFS: u32 = 17;
    pub(super) const RELEASE: u32 = 18;
    pub(super) const FSYNC: u32 = 20;
    pub(super) const FLUSH: u32 = 25;
    pub(super) const INIT: u32 = 26;
    pub(super) const OPENDIR: u32 = 27;
    pub(super) const READDIR: u32 = 28;
    pub(super) const RELEASEDIR: u32 = 29;
    pub(super) const FSYNCDIR: u32 = 30;
    pub(super) const CREATE: u32 = 35;
    pub(super) const INTERRUPT: u32 = 36;
    pub(super) const BATCH_FORGET: u32 = 42;
    pub(super) const RENAME2: u32 = 45;
}

/// The file system, mounted until it is dropped.
pub(crate) struct HeldDisk {
    at: PathBuf,
    is_slow: Arc<AtomicBool>,
}

impl HeldDisk {
    /// Mounts one whose fsyncs take `delay` while it is told to be slow.
    pub(crate) fn mount(delay: Duration) -> Result<HeldDisk, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let at = std::env::temp_dir().join(format!("tenon-bench-disk-{}-{number}", std::process::id()));
        let device = File::options().read(true).write(true).open("/dev/fuse");
        let device = device.map_err(|error| format!("/dev/fuse: {error}"))?;
        fs::create_dir_all(&at).map_err(|error| format!("{}: {error}", at.display()))?;
        let disk = HeldDisk { at, is_slow: Arc::default() };
        let input = device.try_clone().map_err(|error| error.to_string())?;
        // Whoever mounts it waits for nothing, and the kernel's first request waits for us.
        let mounted = Command::new("mount")
            .args([
                "-i",
                "-t",
                "fuse",
                "-o",
                "fd=0,rootmode=40755,user_id=0,group_id=0,allow_other",
                "tenon-bench",
            ])
            .arg(&disk.at)
            .stdin(Stdio::from(input))
            .output()
            .map_err(|error| format!("mount: {error}"))?;
        if !mounted.status.success() {
            return Err(String::from_utf8_lossy(&mounted.stderr).trim().to_owned());
        }
        let serving = Serving { device: Arc::new(device), is_slow: Arc::clone(&disk.is_slow), delay };
        thread::spawn(move || serving.run());
        Ok(disk)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    /// From here on fsyncs are slow, or not any more.
    pub(crate) fn set_slow(&self, is_slow: bool) {
        self.is_slow.store(is_slow, Ordering::Relaxed);
    }
}

impl Drop for HeldDisk {
    fn drop(&mut self) {
        self.set_slow(false);
        // Lazily: a server may still be about to end. With the last use the kernel ends the conversation, too.
        let _ = Command::new("umount").arg("-l").arg(&self.at).output();
        let _ = fs::remove_dir(&self.at);
    }
}

/// The other end of the kernel's requests.
struct Serving {
    device: Arc<File>,
    is_slow: Arc<AtomicBool>,
    delay: Duration,
}

/// One request: what is called, on which node, and what comes with it.
struct Request<'a> {
    call: u32,
    unique: u64,
    node: u64,
    body: &'a [u8],
}

impl Serving {
    fn run(&self) {
        let tree = Mutex::new(Tree::new());
        let mut buffer = vec![0; REQUEST_BYTES_MAX];
        // An error is the end: the file system was taken away.
        while let Ok(count) = (&*self.device).read(&mut buffer) {
            let Some(request) = Request::parse(&buffer[..count]) else { return };
            match request.call {
                call::FORGET | call::BATCH_FORGET | call::INTERRUPT => {}
                call::FSYNC if self.is_slow.load(Ordering::Relaxed) => {
                    let (device, delay, unique) = (Arc::clone(&self.device), self.delay, request.unique);
                    thread::spawn(move || {
                        thread::sleep(delay);
                        reply(&device, unique, Ok(Vec::new()));
                    });
                }
                _ => {
                    let mut tree = tree.lock().unwrap_or_else(PoisonError::into_inner);
                    reply(&self.device, request.unique, answer(&request, &mut tree));
                }
            }
        }
    }
}

impl<'a> Request<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Request<'a>> {
        let body = bytes.get(HEADER_BYTES..)?;
        Some(Request { call: u32_at(bytes, 4), unique: u64_at(bytes, 8), node: u64_at(bytes, 16), body })
    }

    /// The names at the end of the body, each with a zero behind it.
    fn names(&self, from: usize) -> impl Iterator<Item = &'a [u8]> {
        self.body.get(from..).unwrap_or_default().split(|&byte| byte == 0)
    }

    fn name(&self, from: usize) -> &'a [u8] {
        self.names(from).next().unwrap_or_default()
    }
}

fn reply(device: &File, unique: u64, answer: Result<Vec<u8>, i32>) {
    let (error, body) = answer.map_or_else(|error| (-error, Vec::new()), |body| (0, body));
    let mut bytes = Vec::with_capacity(16 + body.len());
    bytes.extend((16 + body.len() as u32).to_le_bytes());
    bytes.extend(error.to_le_bytes());
    bytes.extend(unique.to_le_bytes());
    bytes.extend(body);
    // Whoever asked may be gone.
    let _ = (&*device).write(&bytes);
}

fn answer(request: &Request<'_>, tree: &mut Tree) -> Result<Vec<u8>, i32> {
    let (node, body) = (request.node, request.body);
    let answer = match request.call {
        call::INIT => Ok(initial()),
        call::LOOKUP => tree.look_up(node, request.name(0)).map(|found| entry(found, tree)),
        call::GETATTR => Ok(attributes(node, tree)),
        call::SETATTR => {
            let is_size_set = u32_at(body, 0) & 1 << 3 != 0;
            let set = if is_size_set { tree.resize(node, u64_at(body, 16)) } else { Ok(()) };
            set.map(|()| attributes(node, tree))
        }
        call::MKDIR => tree.make(node, request.name(8), true).map(|made| entry(made, tree)),
        call::CREATE => {
            let found =
                tree.look_up(node, request.name(16)).or_else(|_| tree.make(node, request.name(16), false));
            found.map(|made| [entry(made, tree), vec![0; 16]].concat())
        }
        call::UNLINK | call::RMDIR => tree.remove(node, request.name(0)).map(|()| Vec::new()),
        call::RENAME | call::RENAME2 => {
            let mut names = request.names(if request.call == call::RENAME { 8 } else { 16 });
            let (from, to) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
            tree.rename(node, from, u64_at(body, 0), to).map(|()| Vec::new())
        }
        call::OPEN | call::OPENDIR => Ok(vec![0; 16]),
        call::READ => tree.read(node, u64_at(body, 8), u32_at(body, 16)),
        call::WRITE => {
            let bytes = body.get(40..).unwrap_or_default();
            tree.write(node, u64_at(body, 8), bytes).map(|()| words(&[bytes.len() as u32, 0]))
        }
        call::READDIR => Ok(listing(tree.list(node), u64_at(body, 8), u32_at(body, 16))),
        call::STATFS => {
            let blocks: [u64; 5] = [1 << 20; 5];
            let numbers = words(&[BLOCK_BYTES, 255, BLOCK_BYTES, 0, 0, 0, 0, 0, 0, 0]);
            Ok([blocks.map(u64::to_le_bytes).concat(), numbers].concat())
        }
        call::FSYNC | call::FSYNCDIR | call::FLUSH | call::RELEASE | call::RELEASEDIR => Ok(Vec::new()),
        _ => return Err(NO_SUCH_CALL),
    };
    answer.map_err(Error::number)
}

/// `struct fuse_init_out`: what we speak, and how much a write may bring.
fn initial() -> Vec<u8> {
    let mut bytes = words(&[7, 31, 128 << 10, 1 << 5, 0, WRITE_BYTES_MAX, 1]);
    bytes.resize(64, 0);
    bytes
}

/// `struct fuse_entry_out`.
fn entry(node: u64, tree: &Tree) -> Vec<u8> {
    let mut bytes = [node, 0, VALID_SECONDS, VALID_SECONDS].map(u64::to_le_bytes).concat();
    bytes.extend([0; 8]);
    bytes.extend(attribute(node, tree));
    bytes
}

/// `struct fuse_attr_out`.
fn attributes(node: u64, tree: &Tree) -> Vec<u8> {
    let mut bytes = [VALID_SECONDS, 0].map(u64::to_le_bytes).concat();
    bytes.extend(attribute(node, tree));
    bytes
}

/// `struct fuse_attr`, without times.
fn attribute(node: u64, tree: &Tree) -> Vec<u8> {
    let (is_directory, size) = tree.size(node);
    let mode = if is_directory { 0o040_755 } else { 0o100_644 };
    let mut bytes = [node, size, size.div_ceil(512), 0, 0, 0].map(u64::to_le_bytes).concat();
    bytes.extend(words(&[0, 0, 0, mode, 1, 0, 0, 0, BLOCK_BYTES, 0]));
    bytes
}

/// As many of `struct fuse_dirent` as fit, from one on.
fn listing(names: Vec<(u64, bool, Vec<u8>)>, from: u64, bytes_max: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, (node, is_directory, name)) in names.into_iter().enumerate().skip(from as usize) {
        if bytes.len() + 24 + name.len().next_multiple_of(8) > bytes_max as usize {
            break;
        }
        bytes.extend([node, number as u64 + 1].map(u64::to_le_bytes).concat());
        bytes.extend(words(&[name.len() as u32, if is_directory { 4 } else { 8 }]));
        bytes.extend(&name);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes
}

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let found = bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    found.map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
    found.map_or(0, u64::from_le_bytes)
}
