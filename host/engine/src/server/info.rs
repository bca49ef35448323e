//! INFO: what the server is and does, in lines. Sections, names, order and units are Redis's; `tenon_version` and the
//! section `policies` are added. What does not exist here shows what it shows in a Redis that does not use it.

mod memory;
mod persistence;
mod replication;
mod server;
mod statistics;
mod table;

pub(super) use table::COMMANDS;

use std::cell::OnceCell;
use std::fmt::{Arguments, Display, Write};

use tenon_base::{Now, Outputs};
use tenon_commands::Outcome;
use tenon_resp::Args;

use super::ServerContext;
use crate::engine::Engine;
use crate::setup::Gauges;

/// What the lines are about.
struct Facts<'a> {
    engine: &'a Engine,
    outputs: &'a Outputs,
    now: Now,
    gauges: OnceCell<Gauges>,
}

impl Facts<'_> {
    /// The allocator's and the system's figures. They take half a millisecond, so only whom they concern reads them.
    fn gauges(&self) -> &Gauges {
        self.gauges.get_or_init(|| (self.engine.identity.gauges)())
    }
}

/// One section.
struct Section {
    /// As it is asked for.
    name: &'static str,
    /// As it is headed.
    title: &'static str,
    shown: Shown,
    write: fn(&mut Lines, &Facts<'_>),
}

/// When a section is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Also when none is asked for.
    Always,
    /// When it is asked for, alone or with all.
    InAll,
    /// When it is asked for by its own name.
    ByName,
}

/// In this order.
const SECTIONS: [Section; 15] = [
    Section { name: "server", title: "Server", shown: Shown::Always, write: server::server },
    Section { name: "clients", title: "Clients", shown: Shown::Always, write: server::clients },
    Section { name: "memory", title: "Memory", shown: Shown::Always, write: memory::memory },
    Section { name: "persistence", title: "Persistence", shown: Shown::Always, write: persistence::write },
    Section { name: "stats", title: "Stats", shown: Shown::Always, write: statistics::stats },
    Section {
        name: "replication",
        title: "Replication",
        shown: Shown::Always,
        write: replication::replication,
    },
    Section { name: "cpu", title: "CPU", shown: Shown::Always, write: server::cpu },
    // There are none: the heading stands alone.
    Section { name: "modules", title: "Modules", shown: Shown::Always, write: |_, _| {} },
    Section { name: "commandstats", title: "Commandstats", shown: Shown::InAll, write: statistics::commands },
    Section { name: "errorstats", title: "Errorstats", shown: Shown::Always, write: statistics::errors },
    Section {
        name: "latencystats",
        title: "Latencystats",
        shown: Shown::InAll,
        write: statistics::latencies,
    },
    Section { name: "cluster", title: "Cluster", shown: Shown::Always, write: replication::cluster },
    Section { name: "keyspace", title: "Keyspace", shown: Shown::Always, write: statistics::keyspace },
    Section { name: "policies", title: "Policies", shown: Shown::Always, write: statistics::policies },
    Section { name: "debug", title: "Debug", shown: Shown::ByName, write: statistics::debug },
];

fn info(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let is_wanted = |section: &Section| section.is_wanted(args.rest(1));
    if SECTIONS.iter().any(|section| section.name == "memory" && is_wanted(section)) {
        context.engine.scripts.tidy();
    }
    let text = text(context.engine, context.now, context.world.outputs, is_wanted);
    context.reply().verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// Every section, for those who derive something from it.
pub(crate) fn everything(engine: &mut Engine, now: Now, outputs: &Outputs) -> String {
    text(engine, now, outputs, |section| section.shown != Shown::ByName)
}

fn text(engine: &mut Engine, now: Now, outputs: &Outputs, is_wanted: impl Fn(&Section) -> bool) -> String {
    engine.note_memory(outputs);
    engine.stats.note_sent(outputs.sent_totals());
    write_sections(&Facts { engine, outputs, now, gauges: OnceCell::new() }, is_wanted)
}

fn write_sections(facts: &Facts<'_>, is_wanted: impl Fn(&Section) -> bool) -> String {
    let mut lines = Lines(String::new());
    for section in SECTIONS.iter().filter(|section| is_wanted(section)) {
        if !lines.0.is_empty() {
            lines.0.push_str("\r\n");
        }
        lines.line(format_args!("# {}", section.title));
        (section.write)(&mut lines, facts);
    }
    lines.0
}

impl Section {
    fn is_wanted(&self, names: Args<'_>) -> bool {
        let asks = |word: &str| names.iter().any(|name| name.eq_ignore_ascii_case(word.as_bytes()));
        let is_default = self.shown == Shown::Always && (names.is_empty() || asks("default"));
        // The one section with a second name.
        let is_named = asks(self.name) || (self.name == "modules" && asks("module_list"));
        let is_in_all = self.shown != Shown::ByName && (asks("all") || asks("everything"));
        is_default || is_named || is_in_all
    }
}

/// The text so far.
struct Lines(String);

impl Lines {
    /// `name:value`.
    fn field(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("{name}:{value}"));
    }

    /// A field that counts nothing here, always zero.
    fn zeros(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.field(name, 0));
    }

    /// `name:0` or `name:1`.
    fn flag(&mut self, name: &str, value: bool) {
        self.field(name, u8::from(value));
    }

    /// A share, or a rate, with two decimals.
    fn hundredths(&mut self, name: &str, value: f64) {
        self.line(format_args!("{name}:{value:.2}"));
    }

    fn line(&mut self, line: Arguments<'_>) {
        // A string takes everything.
        let _ = write!(self.0, "{line}\r\n");
    }
}

/// Text from outside, so that it cannot break a line or a field.
fn safe(text: &str) -> String {
    text.replace(|letter: char| letter.is_control() || matches!(letter, '#' | ':' | ','), "_")
}

#[cfg(test)]
mod tests;
