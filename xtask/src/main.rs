//! The chores of the workspace: `cargo xtask check`, `floors`, `tidy`, `bench`, `differential`, `fuzz`, `policies` and
//! `sim`.
//! Depends on no crate of the house: it judges the house from outside, by its files and its binary.
//! Always: what fails says where, what was found and what was expected, and the exit status is 1.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a chore talks to the person who ran it")]

mod check;

mod floors;
mod tidy;

mod bench;
mod differential;
mod fuzz;
mod policies;
mod sim;

mod problem;
mod source;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask CHORE

  check [--fast]   fmt, clippy, floors, tidy, docs, guests, tests; --fast stops after tidy
  floors           which crate may depend on which, and what the lower floors may not name
  tidy             file and function lengths, openings, leftovers, links
  bench [OPTION]   Tenon against redis-server; `cargo xtask bench --help` lists the options
  differential     random commands to Tenon and to redis-server; `cargo xtask differential --help` lists the options
  fuzz [OPTION]    hostile bytes for what reads them; `cargo xtask fuzz --help` lists the options
  policies [DIR]   the policies below plugins/ as components, in a directory that the server can load them from
  sim SCENARIO     crashes and bad networks by seeds; `cargo xtask sim --help` lists scenarios and options
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["check"] => check::run(false),
        ["check", "--fast"] => check::run(true),
        ["floors"] => workspace::root().and_then(|root| floors::check(&root)).and_then(problem::report),
        ["tidy"] => workspace::root().and_then(|root| tidy::check(&root)).and_then(problem::report),
        ["bench", options @ ..] => bench::run(options),
        ["differential", options @ ..] => differential::run(options),
        ["fuzz", options @ ..] => fuzz::run(options),
        ["policies", options @ ..] => policies::run(options),
        ["sim", options @ ..] => sim::run(options),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        other => Err(format!("`{}` is no chore.\n\n{USAGE}", other.join(" "))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}
