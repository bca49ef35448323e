//! INFO: what the server is and does, in lines. Sections, names, order and units are Redis's; `tenon_version` and the
//! section `policies` are added. What does not exist here shows what it shows in a Redis that does not use it.

mod memory;
mod persistence;
mod replication;
mod server;
mod statistics;
mod table;

pub(super) use table::COMMANDS;

use std::fmt::{Arguments, Display, Write};

use tenon_base::{Now, Outputs};
use tenon_commands::Outcome;
use tenon_resp::Args;

use super::ServerContext;
use crate::engine::{Engine, Gauges};

/// What the lines are about.
struct Facts<'a> {
    engine: &'a Engine,
    outputs: &'a Outputs,
    now: Now,
    gauges: Gauges,
}

/// One section.
struct Section {
    /// As it is asked for.
    name: &'static str,
    /// As it is headed.
    title: &'static str,
    /// Whether it is shown when no section is asked for.
    is_default: bool,
    write: fn(&mut Lines, &Facts<'_>),
}

/// The section that belongs to no group.
const DEBUG: &str = "debug";

/// In this order.
const SECTIONS: [Section; 15] = [
    Section { name: "server", title: "Server", is_default: true, write: server::server },
    Section { name: "clients", title: "Clients", is_default: true, write: server::clients },
    Section { name: "memory", title: "Memory", is_default: true, write: memory::memory },
    Section { name: "persistence", title: "Persistence", is_default: true, write: persistence::write },
    Section { name: "stats", title: "Stats", is_default: true, write: statistics::stats },
    Section { name: "replication", title: "Replication", is_default: true, write: replication::replication },
    Section { name: "cpu", title: "CPU", is_default: true, write: server::cpu },
    // There are none: the heading stands alone.
    Section { name: "modules", title: "Modules", is_default: true, write: |_, _| {} },
    Section { name: "commandstats", title: "Commandstats", is_default: false, write: statistics::commands },
    Section { name: "errorstats", title: "Errorstats", is_default: true, write: statistics::errors },
    Section { name: "latencystats", title: "Latencystats", is_default: false, write: statistics::latencies },
    Section { name: "cluster", title: "Cluster", is_default: true, write: replication::cluster },
    Section { name: "keyspace", title: "Keyspace", is_default: true, write: statistics::keyspace },
    Section { name: "policies", title: "Policies", is_default: true, write: statistics::policies },
    Section { name: DEBUG, title: "Debug", is_default: false, write: statistics::debug },
];

fn info(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let gauges = (context.engine.identity.gauges)();
    context.engine.note_memory(context.world.outputs);
    context.engine.stats.note_sent(context.world.outputs.sent_totals());
    let facts = Facts { engine: context.engine, outputs: context.world.outputs, now: context.now, gauges };
    let text = write_sections(&facts, args.rest(1));
    context.reply().verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn write_sections(facts: &Facts<'_>, names: Args<'_>) -> String {
    let mut lines = Lines(String::new());
    for section in SECTIONS.iter().filter(|section| section.is_wanted(names)) {
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
        let is_default = self.is_default && (names.is_empty() || asks("default"));
        // The one section with a second name.
        let is_named = asks(self.name) || (self.name == "modules" && asks("module_list"));
        let is_all = self.name != DEBUG && (asks("all") || asks("everything"));
        is_default || is_named || is_all
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
