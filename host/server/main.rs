//! The program: reads the configuration, sets up log and process, builds the engine, runs it.
//! Decides nothing about data. Exit codes: 0 ended as asked, 1 could not start or a file is bad,
//! 2 words not understood, 70 a defect.

mod check;
mod check_config;
mod configure; // read me first
mod dump;
mod log_directory;
mod logging;
mod process;
mod read_only;
mod restore;
mod supervisor;
mod syslog;
mod usage;

use std::process::ExitCode;
use std::sync::Arc;

use tenon_base::{Disk, Outputs, World};
use tenon_config::{Arguments, Config, Directive, Invocation};
use tenon_driver::{Clock, Driver, NoInterlude, RealDisk};
use tenon_engine::{Engine, Setup};

use crate::configure::Source;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let words: Vec<Vec<u8>> =
        std::env::args_os().skip(1).map(std::os::unix::ffi::OsStringExt::into_vec).collect();
    match words.split_first().map(|(first, rest)| (first.as_slice(), rest)) {
        Some((b"check", rest)) => return check::run(rest),
        Some((b"check-config", rest)) => return check_config::run(rest),
        Some((b"dump", rest)) => return dump::run(rest),
        Some((b"restore", rest)) => return restore::run(rest),
        _ => {}
    }
    match Invocation::parse(&words) {
        Ok(Invocation::Help) => usage::print_help(),
        Ok(Invocation::Version) => usage::print_version(),
        Ok(Invocation::Serve(arguments)) => return serve(&arguments),
        Err(error) => return usage::refuse_configuration(&error),
    }
    ExitCode::SUCCESS
}

fn serve(arguments: &Arguments) -> ExitCode {
    let (mut config, source) = match configure::read(arguments) {
        Ok(read) => read,
        Err(error) => return usage::refuse_configuration(&error),
    };
    let supervision = supervisor::detect(&mut config);
    let is_supervised = config.choice(Directive::Supervised) != "no";
    if config.bool(Directive::Daemonize) && !is_supervised && !process::is_daemon() {
        return process::become_daemon();
    }
    if process::is_daemon() {
        process::leave_session();
    }
    let log = match logging::start(&config) {
        Ok(log) => log,
        Err(sentence) => return usage::refuse(&sentence),
    };
    if let Some(line) = supervision {
        tracing::warn!("{line}");
    }
    let code = match run(config, source, log) {
        Ok(code) => code,
        Err(sentence) => {
            sentence.lines().for_each(|line| tracing::warn!("{line}"));
            1
        }
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn run(config: Config, source: Source, log: logging::Handle) -> Result<i32, String> {
    let clock = Clock::start();
    let identity = process::identity(clock.now());
    usage::announce(&config, &source, &identity);
    process::make_room_for_clients(&config);
    let _pid_file = process::PidFile::write(&config)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let mut engine = Engine::new(Setup {
        policy_loader: policies(&config, &source)?,
        dice: process::dice()?,
        secret: process::entropy()?,
        config_file: source.file,
        set_log_level: log.set_level,
        set_log_role: log.set_role,
        tell_supervisor: supervisor::teller(&config),
        config,
        identity,
    });
    let mut outputs = Outputs::default();
    let mut stopwatch = clock;
    let mut world =
        World { outputs: &mut outputs, stopwatch: &mut stopwatch, interlude: &mut NoInterlude, disk: &*disk };
    engine.start(clock.now(), &mut world)?;
    Driver::new(engine, outputs, clock, disk).run().map_err(|error| format!("The event loop failed: {error}"))
}

fn policies(config: &Config, source: &Source) -> Result<Arc<dyn tenon_policy::PolicyLoader>, String> {
    let directory = configure::policy_directory(config, source);
    let policies = tenon_wasm::WasmPolicies::new(directory, tenon_wasm::Limits::default());
    Ok(Arc::new(policies.map_err(|error| error.to_string())?))
}
