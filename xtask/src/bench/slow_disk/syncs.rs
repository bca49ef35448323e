//! Fsyncs that take seconds, made in one of two ways: by a file system of ours ([`super::held`]), where they hold the lock
//! of the file, or by strace, which holds the call back and no lock.
//! Always: whatever was begun ends with its handle.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const ATTACHED_WITHIN: Duration = Duration::from_secs(10);

/// Makes the fsyncs of a process slow until it is dropped.
pub(super) struct TracedSyncs(Child);

impl TracedSyncs {
    pub(super) fn of(pid: u32, delay: Duration) -> Result<TracedSyncs, String> {
        let told = std::env::temp_dir().join(format!("tenon-bench-strace-{pid}"));
        let log = File::create(&told).map_err(|error| format!("{}: {error}", told.display()))?;
        let child = Command::new("strace")
            .args(["-f", "-o", "/dev/null", "-e", "trace=fdatasync,fsync"])
            .arg(format!("--inject=fdatasync,fsync:delay_exit={}", delay.as_micros()))
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|error| format!("strace: {error}"))?;
        let traced = TracedSyncs(child);
        let until = Instant::now() + ATTACHED_WITHIN;
        let said = loop {
            let said = fs::read_to_string(&told).unwrap_or_default();
            if said.contains("attached") || Instant::now() > until {
                break said;
            }
            sleep(Duration::from_millis(20));
        };
        let _ = fs::remove_file(&told);
        if said.contains("attached") { Ok(traced) } else { Err(format!("strace does not attach: {said}")) }
    }
}

impl Drop for TracedSyncs {
    fn drop(&mut self) {
        // It lets go of the server when it is asked to end.
        let asked = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}
