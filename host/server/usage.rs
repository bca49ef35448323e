//! What the program says of itself: help, version, the lines at start, refusals.

use std::io::Write;
use std::process::ExitCode;

use tenon_config::{Config, ConfigError, Directive};
use tenon_engine::{Identity, REDIS_VERSION, TENON_VERSION};

use crate::configure::Source;

const HELP: &str = "\
Usage: tenon [FILE.toml | redis.conf] [-] [--directive value ...]
       tenon check-config [FILE] [--directive value ...]
       tenon check rdb FILE | check aof DIRECTORY [--repair] | check backup DIRECTORY
       tenon dump FILE --json
       tenon restore --to TIME|OFFSET DIRECTORY --into DIRECTORY2 | restore --from BACKUP --into DIRECTORY2
       tenon --version | --help

A Redis-compatible storage engine whose durability decisions are WebAssembly components.

  FILE.toml       configuration in TOML: the names of redis.conf, and tables for policies
  redis.conf      configuration as Redis has it
  -               read more configuration (as in redis.conf) from standard input
  --directive     any directive, as in the file; what stands here wins
  check-config    whether a server would start with a configuration, and what in it has no effect
  check           whether a dump, an append-only file or a backup is sound (tenon check --help); a configuration file
                  of that name is ./check
  dump            what is in a dump or an append-only file, one JSON object a line (tenon dump --help)
  restore         a copy of an append-only log that ends at a time or an offset, or a data directory from a backup
                  (tenon restore --help)

Examples:
  tenon                                       serve port 6379 to this machine; dump.rdb is here
  tenon --port 7777 --appendonly yes          with an append-only file in the current directory
  tenon /etc/tenon.toml --loglevel verbose
  echo 'maxclients 100' | tenon -

Exit status: 0 ended as asked; 1 the configuration, an address or a data file was refused; 2 words behind a subcommand
that are not understood; 70 a defect, with a report in the log.
";

pub(crate) fn print_help() {
    write(HELP);
}

pub(crate) fn print_version() {
    write(&format!("Tenon server v={TENON_VERSION} redis={REDIS_VERSION} bits={}\n", usize::BITS));
}

/// Refuses a configuration, in the words that tools around Redis look for.
pub(crate) fn refuse_configuration(error: &ConfigError) -> ExitCode {
    refuse(&format!("\n*** FATAL CONFIG FILE ERROR (Redis {REDIS_VERSION}) ***\n{error}"))
}

/// Refuses to start, before there is a log.
pub(crate) fn refuse(sentence: &str) -> ExitCode {
    // Nobody may be reading; then nobody misses it.
    let _ = writeln!(std::io::stderr(), "{sentence}");
    ExitCode::FAILURE
}

/// The first lines of the log.
pub(crate) fn announce(config: &Config, source: &Source, identity: &Identity) {
    tracing::info!("oO0OoO0OoO0Oo Tenon is starting oO0OoO0OoO0Oo");
    tracing::info!(
        "Tenon version={TENON_VERSION}, Redis version={REDIS_VERSION}, bits={}, pid={}, just started",
        usize::BITS,
        identity.pid
    );
    match &source.file {
        Some(file) => tracing::info!("Configuration loaded from {}", file.display()),
        None => tracing::info!("No configuration file: the defaults and the command line hold"),
    }
    let port = config.integer(Directive::Port);
    tracing::info!("Running mode=standalone, port={port}. PID: {}", identity.pid);
    for notice in config.notices() {
        if notice.is_default {
            tracing::trace!("{}", notice.text);
        } else {
            tracing::info!("{}", notice.text);
        }
    }
}

fn write(text: &str) {
    // A closed pipe is the reader's wish.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
