//! LATENCY: what took too long, and how the times of commands are spread.

use tenon_commands::{Argument, Categories, CommandError, Flags, Group, Outcome, Row};
use tenon_config::Directive;
use tenon_resp::{Args, Reply};

use super::{ServerContext, ServerHandler};
use crate::histogram::Histogram;
use crate::latency::{Surroundings, graph as draw, report};

const ADMINISTRATION: Flags = Flags::ADMIN.and(Flags::NOSCRIPT).and(Flags::LOADING).and(Flags::STALE);

/// LATENCY and its subcommands.
pub(super) static COMMANDS: &[Row<ServerHandler>] = &[Row {
    name: "latency",
    run: super::container,
    arity: -2,
    flags: Flags::NONE,
    keys: &[],
    categories: Categories::NONE,
    tips: &[],
    group: Group::Server,
    since: "2.8.13",
    complexity: "Depends on subcommand.",
    summary: "Holds the commands about latency.",
    arguments: &[],
    subcommands: &[
        Row {
            name: "doctor",
            run: doctor,
            arity: 2,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
            group: Group::Server,
            since: "2.8.13",
            complexity: "O(1)",
            summary: "Reports in sentences on what took too long.",
            arguments: &[],
            subcommands: &[],
        },
        Row {
            name: "graph",
            run: graph,
            arity: 3,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
            group: Group::Server,
            since: "2.8.13",
            complexity: "O(1)",
            summary: "Draws the times of an event with letters.",
            arguments: &[Argument::string("event")],
            subcommands: &[],
        },
        Row::help(help, Group::Server, "2.8.13"),
        Row {
            name: "histogram",
            run: histogram,
            arity: -2,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
            group: Group::Server,
            since: "7.0.0",
            complexity: "O(N) where N is the number of commands with latency information being retrieved.",
            summary: "Tells how the times of commands are spread.",
            arguments: &[Argument::string("COMMAND").optional().multiple()],
            subcommands: &[],
        },
        Row {
            name: "history",
            run: history,
            arity: 3,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
            group: Group::Server,
            since: "2.8.13",
            complexity: "O(1)",
            summary: "Tells when an event took too long, and how long.",
            arguments: &[Argument::string("event")],
            subcommands: &[],
        },
        Row {
            name: "latest",
            run: latest,
            arity: 2,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"],
            group: Group::Server,
            since: "2.8.13",
            complexity: "O(1)",
            summary: "Tells the newest times of all events.",
            arguments: &[],
            subcommands: &[],
        },
        Row {
            name: "reset",
            run: reset,
            arity: -2,
            flags: ADMINISTRATION,
            keys: &[],
            categories: Categories::NONE,
            tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
            group: Group::Server,
            since: "2.8.13",
            complexity: "O(1)",
            summary: "Forgets one event, several or all.",
            arguments: &[Argument::string("event").optional().multiple()],
            subcommands: &[],
        },
    ],
}];

fn doctor(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let slow_log_us = u64::try_from(context.engine.config.integer(Directive::SlowlogLogSlowerThan)).ok();
    let surroundings = Surroundings { slow_log_us, now_seconds: context.now.unix().seconds() };
    let text = report(&context.engine.latency, &surroundings);
    context.reply().verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn graph(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let now_seconds = context.now.unix().seconds();
    let text = match context.engine.latency.series(args.get(2)) {
        Some((event, series)) => draw(event, series, now_seconds),
        None => {
            let event = String::from_utf8_lossy(args.get(2)).replace(['\r', '\n'], " ");
            return Err(CommandError::Text(format!("ERR No samples available for event '{event}'").into()));
        }
    };
    context.reply().verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn help(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    context.help(
        "LATENCY",
        &[
            "DOCTOR",
            "    Report in sentences on what took longer than latency-monitor-threshold.",
            "GRAPH <event>",
            "    Draw the times of <event> with letters.",
            "HISTORY <event>",
            "    Tell when <event> took too long, and how many milliseconds.",
            "LATEST",
            "    Tell the newest time and the longest of each event.",
            "RESET [<event> ...]",
            "    Forget these events (default: all).",
            "HISTOGRAM [COMMAND ...]",
            "    Tell how many calls of commands (default: all) took at most so many microseconds.",
        ],
    )
}

fn histogram(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let engine = &*context.engine;
    let mut chosen = Vec::new();
    if args.len() == 2 {
        chosen.extend(engine.commands.ids());
    }
    for name in args.rest(2).iter() {
        let Some(id) = engine.commands.find_full_name(name) else { continue };
        chosen.push(id);
        chosen.extend_from_slice(&engine.commands[id].subcommands);
    }
    let proto = engine.sessions.get(context.connection).map(|session| session.proto).unwrap_or_default();
    let mut reply = Reply::new(context.world.outputs.writer(context.connection), proto);
    let deferred = reply.defer_map();
    let mut count = 0;
    for id in chosen {
        if let Some(histogram) = engine.stats.histogram(id) {
            reply.bulk(engine.commands[id].full_name.as_bytes());
            write_histogram(&mut reply, histogram);
            count += 1;
        }
    }
    reply.finish(deferred, count);
    Ok(())
}

fn history(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let engine = &*context.engine;
    let proto = engine.sessions.get(context.connection).map(|session| session.proto).unwrap_or_default();
    let mut reply = Reply::new(context.world.outputs.writer(context.connection), proto);
    let Some((_, series)) = engine.latency.series(args.get(2)) else {
        reply.array(0);
        return Ok(());
    };
    let samples = series.samples();
    reply.array(samples.len());
    for sample in samples {
        reply.array(2);
        reply.integer(sample.second);
        reply.integer(sample.spent_ms as i64);
    }
    Ok(())
}

fn latest(context: &mut ServerContext<'_, '_>, _: Args<'_>) -> Outcome {
    let engine = &*context.engine;
    let proto = engine.sessions.get(context.connection).map(|session| session.proto).unwrap_or_default();
    let mut reply = Reply::new(context.world.outputs.writer(context.connection), proto);
    let events = engine.latency.events();
    reply.array(events.len());
    for (event, series) in events {
        let last = series.last();
        reply.array(4);
        reply.bulk(event.as_bytes());
        reply.integer(last.second);
        reply.integer(last.spent_ms as i64);
        reply.integer(series.longest_ms as i64);
    }
    Ok(())
}

fn reset(context: &mut ServerContext<'_, '_>, args: Args<'_>) -> Outcome {
    let latency = &mut context.engine.latency;
    let forgotten = if args.len() == 2 {
        latency.forget(None)
    } else {
        args.rest(2).iter().map(|event| latency.forget(Some(event))).sum()
    };
    context.reply().integer(forgotten as i64);
    Ok(())
}

fn write_histogram(reply: &mut Reply<'_>, histogram: &Histogram) {
    reply.map(2);
    reply.bulk(b"calls");
    reply.integer(histogram.total() as i64);
    reply.bulk(b"histogram_usec");
    let deferred = reply.defer_map();
    let mut count = 0;
    for (us, calls) in histogram.doublings() {
        reply.integer(us as i64);
        reply.integer(calls as i64);
        count += 1;
    }
    reply.finish(deferred, count);
}

#[cfg(test)]
mod tests {
    use crate::testing::{Bench, START_UNIX_US};

    #[test]
    fn slow_events_are_kept_and_shown() {
        // Every command takes the bench 7 microseconds; what takes longer must be waited for.
        let mut bench = Bench::new(&[("latency-monitor-threshold", "100"), ("enable-debug-command", "yes")]);
        assert_eq!(bench.run(1, "LATENCY LATEST"), "[]");
        let now = tenon_base::Now { unix_us: START_UNIX_US, ..Default::default() };
        for spent_ms in [50, 120, 110] {
            bench.engine.latency.note("command", tenon_base::Micros::from_millis(spent_ms), now);
        }
        let second = START_UNIX_US / 1_000_000;
        assert_eq!(bench.run(1, "LATENCY LATEST"), format!("[[\"command\", {second}, 120, 120]]"));
        assert_eq!(bench.run(1, "LATENCY HISTORY command"), format!("[[{second}, 120]]"));
        assert_eq!(bench.run(1, "LATENCY HISTORY nothing"), "[]");
        assert!(bench.text(1, "LATENCY GRAPH command").starts_with("command - high 120 ms, low 120 ms"));
        assert_eq!(
            bench.run(1, "LATENCY GRAPH nothing"),
            "(error) ERR No samples available for event 'nothing'"
        );
        assert!(bench.text(1, "LATENCY DOCTOR").contains("1. command: 1 latency spikes"));
        assert_eq!(bench.run(1, "LATENCY RESET nothing"), "0");
        assert_eq!(bench.run(1, "LATENCY RESET"), "1");
        assert_eq!(bench.run(1, "LATENCY LATEST"), "[]");
    }

    #[test]
    fn calls_are_spread_over_times() {
        let mut bench = Bench::new(&[]);
        bench.run(1, "SET a 1");
        bench.run(1, "SET a 2");
        bench.run(1, "CLIENT ID");
        let set = r#"["set", ["calls", 2, "histogram_usec", [8, 2]]]"#;
        assert_eq!(bench.run(1, "LATENCY HISTOGRAM set nonsense"), set);
        assert!(bench.run(1, "LATENCY HISTOGRAM client").contains("client|id"));
        assert!(bench.run(1, "LATENCY HISTOGRAM client|id").contains("client|id"));
        assert!(bench.run(1, "LATENCY HISTOGRAM").contains("latency|histogram"));
        assert!(
            bench
                .text(1, "INFO latencystats")
                .contains("latency_percentiles_usec_set:p50=7.007,p99=7.007,p99.9=7.007\r\n")
        );
        bench.run(1, "CONFIG RESETSTAT");
        bench.run(1, "CONFIG SET latency-tracking no");
        bench.run(1, "SET a 3");
        assert_eq!(bench.run(1, "LATENCY HISTOGRAM set"), "[]");
    }
}
