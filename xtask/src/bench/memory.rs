//! Resident memory per key, for 16-byte keys with values of 16 and of 64 bytes.

use std::thread::sleep;
use std::time::Duration;

use super::figures::{Bar, Row, print_header};
use super::options::Options;
use super::process::resident_bytes;
use super::server::{Aof, Contender};
use super::wire::preload;

/// Measures each server alone, one after the other, and prints the difference that the keys made.
pub(super) fn run(options: &Options, contenders: &[Contender; 2]) -> Result<(), String> {
    let cases = [(16, Bar::AtMost(90.0)), (64, Bar::AtMost(135.0))];
    let name = |value_bytes: usize| format!("memory per key, {value_bytes}-byte values");
    if !cases.iter().any(|(value_bytes, _)| options.wants(&name(*value_bytes))) {
        return Ok(());
    }
    print_header();
    for (value_bytes, bar) in cases.into_iter().filter(|(value_bytes, _)| options.wants(&name(*value_bytes)))
    {
        let mut figures = [0.0; 2];
        for (contender, figure) in contenders.iter().zip(&mut figures) {
            let server = contender.start(Aof::Off, None, &[])?;
            let empty = resident_bytes(server.pid())?;
            preload(server.port, options.memory_keys, value_bytes)?;
            sleep(Duration::from_secs(1));
            let full = resident_bytes(server.pid())?;
            *figure = full.saturating_sub(empty) as f64 / f64::from(options.memory_keys);
        }
        let [tenon, redis] = figures;
        let note = format!("{} keys of 16 bytes", options.memory_keys);
        Row { name: name(value_bytes), unit: "bytes", tenon, redis, bar, note }.print();
    }
    Ok(())
}
