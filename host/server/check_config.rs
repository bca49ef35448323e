//! `tenon check-config`: whether a server would start with a configuration, said before it is started.
//! Reads what a start would read, loads the policies and the certificates that it names, and changes nothing.

use std::io::Write;
use std::process::ExitCode;

use tenon_config::{Config, Invocation};

use crate::configure::{self, Source};

const HELP: &str = "\
Usage: tenon check-config [FILE.toml | redis.conf] [-] [--directive value ...]

Reads a configuration as a start would: the file with what it includes, standard input, options. Loads the policies, the
certificates and the keys that it names. Says what has no effect, and what would stop the start.

Exit status: 0 a server would start with it; 1 it would not, or not with the policies that it names; 2 the words are
not understood.
";

/// Understands the words behind `check-config` and does it.
pub(crate) fn run(words: &[Vec<u8>]) -> ExitCode {
    match Invocation::parse(words) {
        Ok(Invocation::Help) => {
            say(HELP.trim_end());
            ExitCode::SUCCESS
        }
        Ok(Invocation::Serve(arguments)) if !words.is_empty() => match configure::read(&arguments) {
            Ok((config, source)) => judge(&config, &source),
            Err(error) => refuse(&[error.to_string()]),
        },
        Ok(_) => {
            let _ = write!(std::io::stderr(), "{HELP}");
            ExitCode::from(2)
        }
        Err(error) => refuse(&[error.to_string()]),
    }
}

fn judge(config: &Config, source: &Source) -> ExitCode {
    for notice in config.notices().iter().filter(|notice| !notice.is_default) {
        say(&notice.text);
    }
    let mut faults = Vec::new();
    if let Some(settings) = tenon_engine::tls_settings(config)
        && let Err(sentence) = tenon_driver::check_tls(&settings)
    {
        faults.push(sentence);
    }
    match crate::policies(config, source) {
        Ok(loader) => {
            faults.extend(tenon_engine::policy_refusals(&*loader, config));
        }
        Err(sentence) => faults.push(sentence),
    }
    if !faults.is_empty() {
        return refuse(&faults);
    }
    match &source.file {
        Some(file) => say(&format!("{} is good", file.display())),
        None => say("The configuration is good"),
    }
    ExitCode::SUCCESS
}

fn refuse(sentences: &[String]) -> ExitCode {
    for sentence in sentences {
        // Nobody may be reading; then nobody misses it.
        let _ = writeln!(std::io::stderr(), "{sentence}");
    }
    ExitCode::FAILURE
}

/// A line of the report. Whoever closed the pipe does not want it.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
