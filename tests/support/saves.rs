//! Saves and rewrites beside whatever a test does, one upon the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use super::chance::Chance;
use super::client::Client;

/// Asks for saves and rewrites by chance, until the server is gone or `is_over` says so.
pub(crate) fn save_and_rewrite(port: u16, mut chance: Chance, is_over: &AtomicBool) {
    let Ok(mut client) = Client::try_connect(port) else { return };
    while !is_over.load(Ordering::Relaxed) {
        let request: &[&str] = if chance.below(2) == 0 { &["BGREWRITEAOF"] } else { &["BGSAVE", "SCHEDULE"] };
        if client.try_command(request).is_err() {
            return;
        }
        sleep(Duration::from_millis(chance.below(120)));
    }
}
