//! The table, the parsers and CONFIG SET, GET and REWRITE against a real redis-server, if one is on the PATH.
//! Redis 7.0 is enough: what 7.2 added is not compared.
//! Always: each server listens on a socket in a directory of its own and ends with its test.
#![allow(clippy::print_stderr, reason = "a test that cannot run says so")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use tenon_config::{Config, Directive, Invocation, Rewritten, Situation, load_conf, rewrite_conf};

const PATIENCE: Duration = Duration::from_secs(20);
const HERE: Situation = Situation { is_loading: false, client_is_local: true };

/// What a test of ours starts a server with, or what a system decides.
const NOT_DEFAULT: [(&str, &str); 3] = [
    ("port", "the test listens on a Unix socket only"),
    ("unixsocket", "in the test's own directory"),
    ("dir", "an absolute path once the server runs"),
];

struct Redis {
    process: Child,
    stream: BufReader<UnixStream>,
    directory: PathBuf,
}

#[derive(Debug, PartialEq)]
enum Reply {
    Line(String),
    Error(String),
    Text(Vec<u8>),
    List(Vec<Reply>),
}

impl Redis {
    /// A server with this configuration file; `None`, and a line that says so, without redis-server.
    fn start(test: &str, conf: &str) -> Option<Redis> {
        let directory = env::temp_dir().join(format!("tenon-config-{test}-{}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        let (file, socket) = (directory.join("redis.conf"), directory.join("socket"));
        let own = format!("port 0\nunixsocket {}\ndir {}\n", socket.display(), directory.display());
        fs::write(&file, own + conf).unwrap();
        let spawned =
            Command::new("redis-server").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = match spawned {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                eprintln!("SKIPPED {test}: no redis-server on the PATH to compare with");
                return None;
            }
            Err(error) => panic!("redis-server does not start: {error}"),
        };
        let started = Instant::now();
        let stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) => assert!(started.elapsed() < PATIENCE, "redis-server does not listen: {error}"),
            }
            thread::sleep(Duration::from_millis(10));
        };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(Redis { process, stream: BufReader::new(stream), directory })
    }

    fn call(&mut self, words: &[&[u8]]) -> Reply {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n", word.len()).into_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&request).unwrap();
        self.reply()
    }

    fn reply(&mut self) -> Reply {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "+" => Reply::Line(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            "$" => {
                let mut text = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut text).unwrap();
                text.truncate(text.len() - 2);
                Reply::Text(text)
            }
            "*" => Reply::List((0..rest.parse::<usize>().unwrap()).map(|_| self.reply()).collect()),
            _ => panic!("an unexpected reply: {line:?}"),
        }
    }

    fn get(&mut self, pattern: &str) -> HashMap<String, String> {
        let Reply::List(items) = self.call(&[b"CONFIG", b"GET", pattern.as_bytes()]) else {
            panic!("no list")
        };
        let text = |reply: &Reply| match reply {
            Reply::Text(text) => String::from_utf8_lossy(text).into_owned(),
            other => panic!("no text: {other:?}"),
        };
        items.chunks(2).map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Both fail only if the process or the directory is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

#[test]
fn every_directive_of_redis_is_there_with_its_default() {
    let Some(mut redis) = Redis::start("defaults", "") else { return };
    let theirs = redis.get("*");
    assert!(theirs.len() > 150, "redis-server told only {} directives", theirs.len());
    let ours = Config::default();
    for (name, value) in theirs {
        let directive = Directive::find(name.as_bytes()).unwrap_or_else(|| panic!("no directive {name}"));
        if !NOT_DEFAULT.iter().any(|(own, _)| *own == name) {
            assert_eq!(String::from_utf8_lossy(&ours.printed(directive)), value, "{name}");
        }
    }
}

#[test]
fn config_set_and_get_answer_as_redis_does() {
    let Some(mut redis) = Redis::start("set", "") else { return };
    let mut config = Config::default();
    for pairs in SETS {
        let mut request: Vec<&[u8]> = vec![b"CONFIG", b"SET"];
        request.extend(pairs.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]));
        let theirs = redis.call(&request);
        let ours = match config.prepare(pairs, HERE) {
            Ok(change) => {
                config.commit(change);
                Reply::Line("OK".to_owned())
            }
            Err(error) => Reply::Error(format!("{} {error}", error.code())),
        };
        assert_eq!(ours, theirs, "CONFIG SET {pairs:?}");
        for (name, _) in *pairs {
            let ours = config.get(&[name]);
            let ours: HashMap<String, String> = ours
                .into_iter()
                .map(|(name, value)| {
                    (String::from_utf8(name).unwrap(), String::from_utf8_lossy(&value).into_owned())
                })
                .collect();
            assert_eq!(ours, redis.get(name), "CONFIG GET {name} after CONFIG SET {pairs:?}");
        }
    }
}

const SETS: &[&[(&str, &str)]] = &[
    &[("maxmemory", "1gb")],
    &[("maxmemory", "10Kb"), ("maxmemory-samples", "3")],
    &[("maxmemory", "1x")],
    &[("maxmemory", "-1")],
    &[("maxmemory", "18446744073709551615")],
    &[("maxmemory", "0")],
    &[("maxmemory-clients", "5%")],
    &[("maxmemory-clients", "0%")],
    &[("maxmemory-clients", "200%")],
    &[("maxmemory-clients", "5x")],
    &[("maxmemory-clients", "9223372036854775808")],
    &[("maxmemory-clients", "1mb")],
    &[("proto-max-bulk-len", "1")],
    &[("proto-max-bulk-len", "9223372036854775808")],
    &[("proto-max-bulk-len", "2000000")],
    &[("hash-max-ziplist-entries", "-1")],
    &[("hash-max-ziplist-entries", "64"), ("zset-max-listpack-value", "1kb")],
    &[("list-max-listpack-size", "-5")],
    &[("list-max-listpack-size", "99999999999")],
    &[("timeout", "010")],
    &[("timeout", "")],
    &[("timeout", "+1")],
    &[("hz", "0")],
    &[("hz", "100000")],
    &[("hz", "-1")],
    &[("active-expire-effort", "11")],
    &[("appendfsync", "ALWAYS")],
    &[("appendfsync", "sometimes")],
    &[("loglevel", "Warning")],
    &[("maxmemory-policy", "x")],
    &[("syslog-facility", "x")],
    &[("oom-score-adj-values", "1 2")],
    &[("oom-score-adj-values", "1 2 3000")],
    &[("oom-score-adj-values", "0 100 700")],
    &[("save", "")],
    &[("save", "900 1 300 10")],
    &[("save", "900  1")],
    &[("save", "900")],
    &[("save", "0 1")],
    &[("save", "x 1")],
    &[("save", "60 0")],
    &[("client-output-buffer-limit", "replica 1mb 2kb 3")],
    &[("client-output-buffer-limit", "normal 1 2 3 pubsub 4 5 6")],
    &[("client-output-buffer-limit", "normal 1 2")],
    &[("client-output-buffer-limit", "primary 1 2 3")],
    &[("client-output-buffer-limit", "normal 1 2 -3")],
    &[("client-output-buffer-limit", "")],
    &[("notify-keyspace-events", "KEA")],
    &[("notify-keyspace-events", "g$xmKn")],
    &[("notify-keyspace-events", "Q")],
    &[("notify-keyspace-events", "")],
    &[("latency-tracking-info-percentiles", "50 99.5 100")],
    &[("latency-tracking-info-percentiles", "101")],
    &[("latency-tracking-info-percentiles", "0.123456789")],
    &[("shutdown-on-sigterm", "nosave now")],
    &[("shutdown-on-sigterm", "force save")],
    &[("shutdown-on-sigterm", "save nosave")],
    &[("shutdown-on-sigterm", "default")],
    &[("shutdown-on-sigterm", "")],
    &[("repl-diskless-load", "swapdb")],
    &[("sanitize-dump-payload", "CLIENTS")],
    &[("slave-priority", "3")],
    &[("replica-priority", "4")],
    &[("lua-time-limit", "1")],
    &[("cluster-announce-hostname", "a_b")],
    &[("cluster-announce-hostname", "a-b.c")],
    &[("proc-title-template", "{nope}")],
    &[("proc-title-template", "{title")],
    &[("proc-title-template", "{title} {port} {{x")],
    &[("dbfilename", "a.rdb")],
    &[("databases", "3")],
    &[("Port-x", "3")],
    &[("HZ", "11")],
    &[("hz", "12"), ("Hz", "13")],
    &[("hz", "20"), ("timeout", "x")],
    &[("hz", "20"), ("nope", "x"), ("daemonize", "yes")],
    &[("rdb-key-save-delay", "-7")],
    &[("requirepass", "")],
    &[("masterauth", "x y")],
    &[("unixsocketperm", "777")],
    &[("appendonly", "perhaps")],
    &[("protected-mode", "NO")],
];

#[test]
fn a_bad_command_line_is_refused_in_the_same_words() {
    for line in BAD_LINES {
        let spawned =
            Command::new("redis-server").args(*line).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let process = match spawned {
            Ok(process) => process,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                eprintln!("SKIPPED: no redis-server on the PATH to compare with");
                return;
            }
            Err(error) => panic!("redis-server does not start: {error}"),
        };
        let theirs = complaint(process, line);
        let ours = Invocation::parse(line).and_then(|invocation| match invocation {
            Invocation::Serve(arguments) => arguments.apply_options(&mut Config::default()),
            other => panic!("{line:?} is {other:?}"),
        });
        let error = ours.expect_err("redis-server refuses it");
        let found = error.place.map(|place| place.found).unwrap();
        assert_eq!((format!(">>> '{found}'"), error.reason), theirs, "{line:?}");
    }
}

const BAD_LINES: &[&[&str]] = &[
    &["--invalid"],
    &["--port"],
    &["--port", "6380", "--loglevel"],
    &["--port", "6379", "6380"],
    &["--port", "--loglevel", "verbose"],
    &["--port", "--bla", "--loglevel", "verbose"],
    &["--port", "70000"],
    &["--logfile", "--my--log--file", "--appendfsync", "--bla"],
    &["--shutdown-on-sigint"],
    &["--shutdown-on-sigint", "now force", "--shutdown-on-sigterm"],
    &["--replicaof", "127.0.0.1", "abc"],
    &["--replicaof", "--127.0.0.1", "abc"],
    &["--replicaof", "one"],
    &["--save", "900"],
    &["--save", "900 1 60"],
    &["--unixsocketperm", "9"],
    &["--unixsocketperm", "1000"],
    &["--appendfilename", "a/b"],
    &["--appenddirname", ""],
    &["--dbfilename", "a\\b"],
    &["--maxmemory", "5 mb"],
    &["--bind", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"],
    &["--client-output-buffer-limit", "a b c"],
    &["--notify-keyspace-events", "K", "E"],
    &["--rename-command", "GET"],
    &["--port 6380 1"],
    &["-x"],
];

/// The line shown and the reason, from what redis-server writes before it gives up.
fn complaint(mut process: Child, line: &[&str]) -> (String, String) {
    let started = Instant::now();
    while process.try_wait().unwrap().is_none() {
        if started.elapsed() > PATIENCE {
            process.kill().unwrap();
            panic!("redis-server accepts {line:?}");
        }
        thread::sleep(Duration::from_millis(2));
    }
    let mut text = String::new();
    process.stderr.take().unwrap().read_to_string(&mut text).unwrap();
    let mut lines = text.lines().skip_while(|line| !line.starts_with(">>>")).map(str::to_owned);
    (lines.next().unwrap_or_default(), lines.next().unwrap_or_default())
}

#[test]
fn a_rewritten_file_is_the_one_redis_writes() {
    let conf = "# My server\n\n\nsave 900 1\nsave 300 10\nsave 60 5\nappendonly no\nslave-priority 5\n\nmaxmemory 1gb\n\
        # limits\nclient-output-buffer-limit pubsub 1mb 1mb 1\nlogfile \"\"\ntimeout 3\ntimeout 4\nmasterauth x\n";
    let Some(mut redis) = Redis::start("rewrite", conf) else { return };
    let changes = [
        ("save", "1000 7"),
        ("maxmemory", "3145728"),
        ("masterauth", ""),
        ("notify-keyspace-events", "KEx"),
        ("maxmemory-clients", "7%"),
        ("hz", "10"),
        ("loglevel", "verbose"),
        ("shutdown-on-sigterm", "nosave now"),
        ("latency-tracking-info-percentiles", ""),
        ("cluster-announce-ip", "a\"b\t"),
    ];
    let mut request: Vec<&[u8]> = vec![b"CONFIG", b"SET"];
    request.extend(changes.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]));
    assert_eq!(redis.call(&request), Reply::Line("OK".to_owned()));
    let file = redis.directory.join("redis.conf");
    let old = fs::read(&file).unwrap();
    assert_eq!(redis.call(&[b"CONFIG", b"REWRITE"]), Reply::Line("OK".to_owned()));
    let theirs = fs::read_to_string(&file).unwrap();

    let mut config = Config::default();
    load_conf(&mut config, "redis.conf", &old, &mut |_| Ok(vec![])).unwrap();
    config.commit(config.prepare(&changes, HERE).unwrap());
    let ours = String::from_utf8(rewrite_conf(&old, &config, Rewritten::Changed)).unwrap();
    assert_eq!(parts(&ours), parts(&theirs));
}

/// The lines that were there before, in order, and those appended, sorted: Redis appends in the order of a hash table.
/// Redis also writes its users, which are no directive.
fn parts(text: &str) -> (Vec<&str>, Vec<&str>) {
    let (before, after) = text.split_once("# Generated by CONFIG REWRITE\n").expect("a signature");
    let mut appended: Vec<&str> =
        after.lines().filter(|line| !line.is_empty() && !line.starts_with("user ")).collect();
    appended.sort_unstable();
    (before.lines().collect(), appended)
}
