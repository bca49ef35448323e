//! Disks that misbehave for tests: small ones of the test's own (a file system in a file, or in memory), and faults of
//! system calls, made by strace.
//! Always: what cannot be had on this machine is said, and the test is skipped; what was mounted is taken away again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::server::{Directory, Server};
use super::tools;

const ATTACHED_WITHIN: Duration = Duration::from_secs(30);

/// A file system of the test's own, some of it taken by a ballast that can be dropped.
pub(crate) struct SmallDisk {
    directory: Directory,
    /// Holds the file that the file system is in, if it is in one.
    _image: Option<Directory>,
}

impl SmallDisk {
    /// One in memory, mounted as root or through a sudo that asks for no password.
    pub(crate) fn in_memory(bytes: usize, ballast_bytes: usize) -> Option<SmallDisk> {
        let directory = Directory::new();
        let options = format!("size={bytes},mode=0777");
        let arguments = ["mount", "-t", "tmpfs", "-o", &options, "tmpfs"];
        if !as_root(&arguments, directory.path()) {
            tools::tell(
                "skipped: a tmpfs cannot be mounted here (this needs root, or sudo without a password)",
            );
            return None;
        }
        let disk = SmallDisk { directory, _image: None };
        disk.take(ballast_bytes);
        Some(disk)
    }

    /// One with blocks, inodes and a journal: ext4 in a file. Where the machine has no loop devices, one in memory.
    pub(crate) fn in_a_file(bytes: usize) -> Option<SmallDisk> {
        let (image, directory) = (Directory::new(), Directory::new());
        let file = image.path().join("disk.img");
        fs::File::create(&file).and_then(|file| file.set_len(bytes as u64)).expect("our own directory");
        let made = Command::new("/sbin/mkfs.ext4").args(["-q", "-m", "0"]).arg(&file).output();
        let shown = file.to_str().expect("a path of letters");
        let is_mounted = made.is_ok_and(|output| output.status.success())
            && as_root(&["mount", "-o", "loop", shown], directory.path());
        if is_mounted {
            return Some(SmallDisk { directory, _image: Some(image) });
        }
        tools::tell("a file cannot be mounted as a disk here: a tmpfs stands in for it");
        SmallDisk::in_memory(bytes, 0)
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Takes so many bytes, or all that are left.
    pub(crate) fn take(&self, bytes: usize) {
        let options = fs::File::options().create(true).append(true).open(self.ballast());
        let Ok(mut file) = options else { return };
        for _ in 0..bytes.div_ceil(BLOCK.len()) {
            if file.write_all(&BLOCK).is_err() {
                break;
            }
        }
        // What is only in memory yet takes no room.
        let _ = file.sync_all();
    }

    /// Gives back what was taken.
    pub(crate) fn drop_ballast(&self) {
        let _ = fs::remove_file(self.ballast());
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

const BLOCK: [u8; 4_096] = [b'b'; 4_096];

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the server may still end while the test fails.
        as_root(&["umount", "-l"], self.directory.path());
    }
}

/// Runs a command on a path, as root.
pub(crate) fn as_root(arguments: &[&str], path: &Path) -> bool {
    let plain = Command::new(arguments[0]).args(&arguments[1..]).arg(path).output();
    if plain.is_ok_and(|output| output.status.success()) {
        return true;
    }
    let sudo = Command::new("sudo").arg("-n").args(arguments).arg(path).output();
    sudo.is_ok_and(|output| output.status.success())
}

/// Faults of a process, until it is dropped.
pub(crate) struct Faults(Child);

impl Faults {
    /// Whether faults can be made here; if not that was said.
    pub(crate) fn can_be_made() -> bool {
        if !tools::is_installed("strace", "apt-get install strace") {
            return false;
        }
        let probe = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
        let may_trace = probe.is_ok_and(|output| output.status.success());
        if !may_trace {
            tools::missing("strace may not trace here (ptrace is not permitted)");
        }
        may_trace
    }

    /// From here on calls fail or are slow, as `strace --inject` says; only those on `path`, if it is given.
    pub(crate) fn of(server: &Server, injection: &str, path: Option<&PathBuf>) -> Faults {
        let calls = injection.split(':').next().expect("calls come first");
        let mut command = Command::new("strace");
        command.args([
            "-f",
            "-o",
            "/dev/null",
            "-e",
            &format!("trace={calls}"),
            &format!("--inject={injection}"),
        ]);
        if let Some(path) = path {
            command.arg("-P").arg(path);
        }
        let told = server.directory().join("strace.log");
        let log = fs::File::create(&told).expect("our own directory");
        command.args(["-p", &server.pid().to_string()]).stdin(Stdio::null()).stderr(log);
        let faults = Faults(command.spawn().expect("strace was there a moment ago"));
        let until = Instant::now() + ATTACHED_WITHIN;
        while !fs::read_to_string(&told).is_ok_and(|text| text.contains("attached")) {
            assert!(Instant::now() < until, "strace has not attached");
            sleep(Duration::from_millis(20));
        }
        faults
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        // It lets go of the server when it is asked to end.
        let asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}
