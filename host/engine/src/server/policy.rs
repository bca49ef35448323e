//! POLICY: what decides, and how it fares. Loading and swapping is done by `policies` and `transition`.

use tenon_base::{ConnectionId, World};
use tenon_commands::{Argument, Categories, CommandError, Flags, Group, Outcome, Row};
use tenon_policy::{AvailableFile, Decision, Guard, Status};
use tenon_resp::{Args, Reply};

use super::{ServerContext, ServerHandler};
use crate::engine::Engine;
use crate::policies::{Decisions, Which};
use crate::session::Parked;
use crate::transition::Reason;

/// POLICY and its subcommands.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    name: "policy",
    run: super::container,
    arity: -2,
    flags: Flags::NONE,
    keys: &[],
    categories: Categories::ADMIN.and(Categories::DANGEROUS),
    tips: &[],
    group: Group::Server,
    since: "0.1.0",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands that show and replace policies.",
    arguments: &[],
    subcommands: &[
        Row {
            categories: Categories::ADMIN.and(Categories::DANGEROUS),
            ..Row::help(help, Group::Server, "0.1.0")
        },
        Row {
            name: "info",
            run: info,
            arity: 3,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &["nondeterministic_output"],
            group: Group::Server,
            since: "0.1.0",
            complexity: "O(1)",
            summary: "Tells everything about the policy of one decision.",
            arguments: &[Argument::string("decision")],
            subcommands: &[],
        },
        Row {
            name: "list",
            run: list_all,
            arity: 2,
            flags: ADMINISTRATION.and(Flags::NO_MULTI),
            keys: &[],
            categories: Categories::NONE,
            tips: &["nondeterministic_output"],
            group: Group::Server,
            since: "0.1.0",
            complexity: "O(N) where N is the number of files in the policy directory",
            summary: "Lists who decides, and the unused files of the policy directory.",
            arguments: &[],
            subcommands: &[],
        },
        Row {
            name: "reload",
            run: reload,
            arity: -2,
            flags: ADMINISTRATION.and(Flags::NO_MULTI),
            keys: &[],
            categories: Categories::NONE,
            tips: &[],
            group: Group::Server,
            since: "0.1.0",
            complexity: "O(N) where N is the size of the components",
            summary: "Loads policies again, as they are configured.",
            arguments: &[Argument::string("decision").optional()],
            subcommands: &[],
        },
    ],
}];

const ADMINISTRATION: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE);

fn help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.help(
        "POLICY",
        &[
            "LIST",
            "    Who takes each decision, and the unused files of the policy directory.",
            "INFO <decision>",
            "    Everything about one decision's policy: fsync or snapshot.",
            "RELOAD [<decision>]",
            "    Load policies again, as configured. Ends a quarantine. What runs goes on if that fails.",
        ],
    )
}

fn info(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let which = decision(args.get(2))?;
    let mut out = Vec::new();
    let mut reply = Reply::new(&mut out, context.session().proto);
    let count = reply.defer_map();
    let mut pairs = Pairs { reply, count: 0 };
    let configured = context.engine.config.printed(which.directive());
    let policies = &context.engine.policies;
    match which {
        Which::Fsync => pairs.everything(which, &configured, &policies.fsync),
        Which::Snapshot => pairs.everything(which, &configured, &policies.snapshot),
    }
    let Pairs { mut reply, count: pairs } = pairs;
    reply.finish(count, pairs);
    context.reply().raw(&out);
    Ok(())
}

fn list_all(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let client = context.connection;
    context.session().parked = Some(Parked::Job);
    context.engine.list_policies(client, context.world);
    Ok(())
}

/// Answers POLICY LIST, now that the policy directory was looked at.
pub(crate) fn list(
    engine: &mut Engine,
    client: ConnectionId,
    files: &[AvailableFile],
    world: &mut World<'_>,
) {
    let Some(session) = engine.sessions.get(client) else { return };
    let is_used = |file: &AvailableFile| {
        Which::ALL.into_iter().any(|which| {
            engine.policies.loaded_name(which) == file.file
                || engine.configured_file(which).as_ref() == Some(&file.file)
        })
    };
    let unused: Vec<&AvailableFile> = files.iter().filter(|file| !is_used(file)).collect();
    let mut reply = Reply::new(world.outputs.writer(client), session.proto);
    reply.array(Which::ALL.len() + unused.len());
    for which in Which::ALL {
        let count = reply.defer_map();
        let mut pairs = Pairs { reply: reply.reborrow(), count: 0 };
        let configured = engine.config.printed(which.directive());
        match which {
            Which::Fsync => pairs.outline(which, &configured, &engine.policies.fsync),
            Which::Snapshot => pairs.outline(which, &configured, &engine.policies.snapshot),
        }
        let pairs = pairs.count;
        reply.finish(count, pairs);
    }
    for found in unused {
        let count = reply.defer_map();
        let mut pairs = Pairs { reply: reply.reborrow(), count: 0 };
        pairs.text("file", &found.file);
        pairs.text_or_null("world", found.world.as_deref());
        pairs.text_or_null("version", found.version.as_deref());
        pairs.text("status", if found.error.is_some() { "refused" } else { "available" });
        pairs.text_or_null("error", found.error.as_deref());
        let pairs = pairs.count;
        reply.finish(count, pairs);
    }
}

fn reload(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let which = match args.len() {
        2 => Decisions::ALL,
        3 => Decisions::one(decision(args.get(2))?),
        _ => return Err(CommandError::arity("policy|reload")),
    };
    let (now, client) = (context.now, context.connection);
    context.session().parked = Some(Parked::Job);
    context.engine.begin_transition(now, Reason::Reload { client, which }, context.world);
    Ok(())
}

fn decision(word: &[u8]) -> Result<Which, CommandError> {
    let is_it = |which: &Which| which.name().as_bytes().eq_ignore_ascii_case(word);
    Which::ALL.into_iter().find(is_it).ok_or_else(|| {
        let word = String::from_utf8_lossy(&word[..word.len().min(128)]).into_owned();
        CommandError::Text(format!("ERR Unknown decision '{word}'. Decisions: fsync, snapshot").into())
    })
}

/// How a decision is being taken, in one word: for POLICY and INFO.
pub(crate) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Component => "component",
        Status::Native => "native",
        Status::Refused => "refused",
        Status::Quarantined => "quarantined",
    }
}

/// Writes the pairs of a map and counts them.
struct Pairs<'a> {
    reply: Reply<'a>,
    count: usize,
}

impl Pairs<'_> {
    /// What POLICY LIST tells of a decision.
    fn outline<D: Decision>(&mut self, which: Which, configured: &[u8], guard: &Guard<D>) {
        let statistics = guard.statistics();
        self.text("decision", which.name());
        self.name("configured").bulk(configured);
        self.text("running", guard.running());
        self.text("status", status_name(guard.status()));
        let sha256 = guard.description().sha256.map(|sha256| sha256.to_string());
        self.text_or_null("sha256", sha256.as_deref());
        self.number("calls", statistics.calls);
        self.number("fallbacks", statistics.fallbacks);
        self.text_or_null("last-error", statistics.last_error.as_deref());
    }

    /// What POLICY INFO tells.
    fn everything<D: Decision>(&mut self, which: Which, configured: &[u8], guard: &Guard<D>) {
        self.outline(which, configured, guard);
        let (description, statistics) = (guard.description(), guard.statistics());
        self.text("world", description.world);
        self.text("version", description.version);
        self.text("origin", &description.origin);
        let mut reply = self.name("settings");
        reply.map(description.settings.len());
        for setting in &description.settings {
            reply.bulk(setting.key.as_bytes());
            reply.bulk(setting.value.as_bytes());
        }
        self.name("loaded-unix-ms").integer(guard.loaded_unix_ms());
        self.number("call-ns-mean", statistics.call_ns_mean());
        self.number("call-ns-max", statistics.call_ns_max);
        self.number("fuel-max", statistics.fuel_max);
        self.number("memory-bytes", statistics.memory_bytes);
        self.number("traps", statistics.traps);
        self.number("exhausted", statistics.exhausted);
        self.number("overruled", statistics.overruled);
        self.number("rebuilds", statistics.rebuilds);
        match guard.quarantined_until_ms() {
            Some(until_ms) => self.number("quarantined-until-ms", until_ms),
            None => self.name("quarantined-until-ms").null(),
        }
        let verdict = guard.last_verdict().map(|verdict| verdict.to_string());
        self.text_or_null("last-verdict", verdict.as_deref());
    }

    /// The name of a pair; its value is to follow.
    fn name(&mut self, name: &str) -> Reply<'_> {
        self.count += 1;
        self.reply.bulk(name.as_bytes());
        self.reply.reborrow()
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name).bulk(text.as_bytes());
    }

    fn text_or_null(&mut self, name: &str, text: Option<&str>) {
        match text {
            Some(text) => self.text(name, text),
            None => self.name(name).null(),
        }
    }

    fn number(&mut self, name: &str, number: u64) {
        self.name(name).integer(i64::try_from(number).unwrap_or(i64::MAX));
    }
}
