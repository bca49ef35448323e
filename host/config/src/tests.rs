//! The crate as its users see it: the table, files, command lines, TOML, CONFIG SET and REWRITE, and hostile bytes.

use std::collections::HashSet;

use crate::file::Included;
use crate::*;

const HERE: Situation = Situation { is_loading: false, client_is_local: true };

fn conf(text: &str) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    load_conf(&mut config, "redis.conf", text.as_bytes(), &mut |_| Err("no such file".to_owned()))?;
    Ok(config)
}

fn toml(text: &str) -> Result<Config, ConfigError> {
    let mut config = Config::default();
    load_toml(&mut config, "tenon.toml", text.as_bytes())?;
    Ok(config)
}

fn arguments(arguments: &[&str]) -> Result<(Arguments, Config), ConfigError> {
    let Invocation::Serve(arguments) = Invocation::parse(arguments)? else { panic!("a request to serve") };
    let mut config = Config::default();
    arguments.apply_options(&mut config)?;
    Ok((arguments, config))
}

/// Whether both say the same, wherever it stood.
fn same(one: &Config, other: &Config) -> bool {
    let values = Directive::ALL.into_iter().all(|directive| one.value(directive) == other.value(directive));
    values && one.renames() == other.renames() && one.users().eq(other.users())
}

fn set(config: &mut Config, pairs: &[(&str, &str)]) -> Result<Change, String> {
    let change = config.prepare(pairs, HERE).map_err(|error| error.to_string())?;
    Ok(config.commit(change))
}

#[test]
fn every_name_is_there_once_and_in_lower_case() {
    let mut names = HashSet::new();
    for directive in Directive::ALL {
        for name in directive.names() {
            assert!(names.insert(name), "{name} stands twice");
            assert_eq!(name, name.to_lowercase());
            assert_eq!(Directive::find(name.to_uppercase().as_bytes()), Some(directive));
        }
    }
    // Redis 7.2 has 183 directives in its table and 5 kinds of lines besides; `aof-load-corrupt-tail-max-size` is of Redis 8.4; ours are
    // the other nineteen.
    assert_eq!(Directive::ALL.len(), 183 + 1 + 19);
}

#[test]
fn every_default_survives_being_printed_and_read() {
    let default = Config::default();
    for directive in Directive::ALL {
        let mut config = Config::default();
        let printed = default.printed(directive);
        if !printed.is_empty() || !directive.row().kind.takes_many() {
            let place = Place { source: Source::Arguments, found: String::new() };
            config.apply(directive.name().as_bytes(), &[printed], &place).unwrap();
        }
        assert!(config.value(directive) == default.value(directive), "{}", directive.name());
    }
}

#[test]
fn a_file_sets_what_it_says() {
    let config = conf(
        "# a comment\n\n  port 7000\nPORT 7001\nbind 127.0.0.1 -::1\nsave 900 1 300 10\nsave 60 5\nappendonly YES\n\
         maxmemory 1gb\nmaxmemory-clients 5%\nunixsocketperm 770\nslave-priority 7\nrequirepass \"a b\\xff\"\n\
         client-output-buffer-limit replica 1mb 0 0\nrename-command FLUSHALL \"\"\nuser alice on >secret\n\
         shutdown-on-sigterm nosave now\nreplicaof 10.0.0.1 6379\nlua-replicate-commands yes\nhz 1000\n\
         policy-fsync adaptive.wasm target-ms=20\n",
    )
    .unwrap();
    assert_eq!(config.integer(Directive::Port), 7001);
    assert_eq!(config.words(Directive::Bind), [b"127.0.0.1".to_vec(), b"-::1".to_vec()]);
    let points: Vec<_> = config.save_points().iter().map(|point| (point.seconds, point.changes)).collect();
    assert_eq!(points, [(900, 1), (300, 10), (60, 5)]);
    assert!(config.bool(Directive::AppendOnly));
    assert_eq!(config.memory(Directive::MaxMemory), 1 << 30);
    assert_eq!(config.memory_of(Directive::MaxMemoryClients, 1000), 50);
    assert_eq!(config.integer(Directive::UnixSocketPerm), 0o770);
    assert_eq!(config.integer(Directive::ReplicaPriority), 7);
    assert_eq!(config.text(Directive::RequirePass), b"a b\xff");
    assert_eq!(config.output_limits().replica.hard_bytes, 1 << 20);
    assert_eq!(config.output_limits().pubsub.soft_seconds, 60);
    assert_eq!(config.renames(), [Rename { command: b"FLUSHALL".to_vec(), name: vec![] }]);
    assert_eq!(config.users().len(), 1);
    assert_eq!(
        config.shutdown_mode(Directive::ShutdownOnSigterm),
        ShutdownMode { no_save: true, now: true, ..ShutdownMode::default() }
    );
    assert_eq!(config.primary(), Some(&Address { host: b"10.0.0.1".to_vec(), port: 6379 }));
    assert_eq!(config.integer(Directive::Hz), 500);
    assert_eq!(config.policy(Directive::PolicyFsync).component.as_deref(), Some("adaptive.wasm"));
    assert!(conf("save \"\"").unwrap().save_points().is_empty());
    assert_eq!(conf("bind \"\"").unwrap().words(Directive::Bind).len(), 0);
}

#[test]
fn a_bad_line_is_named_with_place_reason_and_expectation() {
    let error = conf("port 1\nappendonly maybe # no\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "Reading the configuration file redis.conf, at line 2\n>>> 'appendonly maybe # no'\nwrong number of arguments\n\
         appendonly expects yes or no"
    );
    for (line, reason) in [
        ("appendonly maybe", "argument must be 'yes' or 'no'"),
        ("port abc", "argument couldn't be parsed into an integer"),
        ("port 65536", "argument must be between 0 and 65535 inclusive"),
        ("proto-max-bulk-len 1", "argument must be between 1048576 and 9223372036854775807 inclusive"),
        ("maxmemory 1x", "argument must be a memory value"),
        ("maxmemory-clients 101%", "percentage argument must be less or equal to 100"),
        ("unixsocketperm 1000", "argument must be between 0 and 777 inclusive"),
        ("unixsocketperm 8", "argument couldn't be parsed as an octal number"),
        ("appendfsync often", "argument(s) must be one of the following: everysec, always, no"),
        ("shutdown-on-sigint save nosave", "shutdown options SAVE and NOSAVE can't be used simultaneously"),
        ("save 900", "Invalid save parameters"),
        ("appendfilename a/b", "appendfilename can't be a path, just a filename"),
        ("notify-keyspace-events Q", "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."),
        ("port \"6379", "Unbalanced quotes in configuration line"),
        ("port 1 2", "wrong number of arguments"),
        ("rdb-version 12", "argument must be between 9 and 11 inclusive"),
        ("include missing.conf", "no such file"),
        ("loadmodule x.so", "loadmodule is not possible: this server loads no Redis modules"),
        ("sentinel monitor a b 1 1", "sentinel directive while not in sentinel mode"),
        (
            "policy-snapshot nothing",
            "'nothing' is neither builtin nor the name of a .wasm file in the policy directory",
        ),
    ] {
        assert_eq!(conf(line).unwrap_err().reason, reason, "{line}");
    }
    let unknown = conf("appendfsnc always").unwrap_err();
    assert_eq!(unknown.reason, "Bad directive or wrong number of arguments");
    assert_eq!(unknown.expected.as_deref(), Some("Did you mean appendfsync?"));
    assert_eq!(conf("port 1\0").unwrap_err().reason, "The line contains a NUL byte");
}

#[test]
fn a_value_that_proves_impossible_is_named_with_its_place() {
    let config = conf("port 1\npolicy-fsync a.wasm").unwrap();
    let error = config.refuse(Directive::PolicyFsync, "a.wasm is not in the policy directory");
    let text = "Reading the configuration file redis.conf, at line 2\n>>> 'policy-fsync a.wasm'\n\
        a.wasm is not in the policy directory";
    assert_eq!(error.to_string(), text);
    assert_eq!(config.place(Directive::PolicySnapshot), None);
}

#[test]
fn included_files_count_at_their_place_and_name_themselves() {
    let mut include = |pattern: &[u8]| match pattern {
        b"b.conf" => Ok(vec![Included { name: "b.conf".to_owned(), text: b"port 2\nhz 20".to_vec() }]),
        b"bad.conf" => Ok(vec![Included { name: "bad.conf".to_owned(), text: b"\nport x".to_vec() }]),
        b"loop.conf" => {
            Ok(vec![Included { name: "loop.conf".to_owned(), text: b"include loop.conf".to_vec() }])
        }
        b"wide.conf" => {
            Ok(vec![Included { name: "wide.conf".to_owned(), text: b"include wide.conf\n".repeat(9) }])
        }
        _ => Ok(vec![]),
    };
    let mut load = |text: &[u8]| {
        let mut config = Config::default();
        load_conf(&mut config, "a.conf", text, &mut include).map(|()| config)
    };
    let config = load(b"hz 1\ninclude b.conf\ninclude conf.d/*\nport 3").unwrap();
    assert_eq!((config.integer(Directive::Port), config.integer(Directive::Hz)), (3, 20));
    let error = load(b"include bad.conf").unwrap_err().to_string();
    assert!(
        error.starts_with("Reading the configuration file bad.conf, at line 2\n>>> 'port x'\n"),
        "{error}"
    );
    assert!(load(b"include loop.conf").unwrap_err().reason.contains("more than 16 deep"));
    assert!(load(b"include wide.conf").unwrap_err().reason.contains("more than"));
}

#[test]
fn the_command_line_is_read_as_redis_reads_it() {
    let (given, config) = arguments(&["my.conf", "--port", "7000", "--save", "900", "1", "-"]).unwrap();
    assert_eq!((given.file.as_deref(), given.reads_stdin), (Some(&b"my.conf"[..]), true));
    assert_eq!((config.integer(Directive::Port), config.save_points().len()), (7000, 1));
    for (line, printed) in [
        (&["--save", "", "--port", "1"][..], ("save", "")),
        (&["--save", "--port", "1"], ("port", "1")),
        (&["--port", "1", "--save"], ("save", "")),
        (&["--port 6380", "--loglevel", "verbose"], ("loglevel", "verbose")),
        (
            &["--proc-title-template", "--my--title--template", "--loglevel", "verbose"],
            ("loglevel", "verbose"),
        ),
        (&["--logfile", "--my--log--file"], ("logfile", "--my--log--file")),
        (&["--sentinel", "--port", "5"], ("port", "5")),
        (&["--shutdown-on-sigint", "now force"], ("shutdown-on-sigint", "now force")),
        (&["--save", "3600 1 60 1000", "--save", "1", "1"], ("save", "3600 1 60 1000 1 1")),
    ] {
        let (_, config) = arguments(line).unwrap();
        assert_eq!(config.get(&[printed.0])[0].1, printed.1.as_bytes(), "{line:?}");
    }
    for (line, found, reason) in [
        (&["--invalid"][..], "invalid", "Bad directive or wrong number of arguments"),
        (&["--port"], "port", "wrong number of arguments"),
        (&["--port", "6379", "6380"], "port \"6379\" \"6380\"", "wrong number of arguments"),
        (
            &["--port", "--loglevel", "verbose"],
            "port \"--loglevel\" \"verbose\"",
            "wrong number of arguments",
        ),
        (&["--port", "--bla", "--hz", "1"], "port \"--bla\"", "argument couldn't be parsed into an integer"),
        (&["--replicaof", "--1.1.1.1", "x"], "replicaof \"--1.1.1.1\" \"x\"", "Invalid master port"),
    ] {
        let error = arguments(line).unwrap_err();
        assert_eq!((error.place.unwrap().found.as_str(), error.reason.as_str()), (found, reason), "{line:?}");
    }
    assert_eq!(Invocation::parse(&["--help"]), Ok(Invocation::Help));
    assert_eq!(Invocation::parse(&["-v"]), Ok(Invocation::Version));
    assert_eq!(Invocation::parse::<&str>(&[]), Ok(Invocation::Serve(Arguments::default())));
}

#[test]
fn toml_means_the_same_as_redis_conf() {
    let text = "port = 6_380\nappendonly = true\nsave = [\"900 1\", \"300 10\"]\nmaxmemory = \"1gb\"\n\
        unixsocketperm = 0o770\nbind = [\"127.0.0.1\", \"-::1\"]\nloglevel = \"verbose\"\nreplicaof = \"h 1\"\n\
        latency-tracking-info-percentiles = [50, 99.9]\nrequirepass = \"a b\"\nrename-command = [\"CONFIG ''\"]\n\
        [policies]\ndirectory = \"policies\"\nsnapshot = \"builtin\"\n[policies.fsync]\ncomponent = \"a b.wasm\"\n\
        options = { target-ms = 20, name = \"two words\", fast = true, share = 0.5 }\n";
    let line = "port 6380\nappendonly yes\nsave 900 1 300 10\nmaxmemory 1gb\nunixsocketperm 770\nbind 127.0.0.1 -::1\n\
        loglevel verbose\nreplicaof h 1\nlatency-tracking-info-percentiles 50 99.9\nrequirepass \"a b\"\n\
        rename-command CONFIG ''\npolicy-directory policies\npolicy-snapshot builtin\n\
        policy-fsync \"a b.wasm\" target-ms=20 \"name=two words\" fast=true share=0.5\n";
    assert!(same(&toml(text).unwrap(), &conf(line).unwrap()));
    assert!(toml("save = []").unwrap().save_points().is_empty());
    assert!(toml("save = \"\"").unwrap().save_points().is_empty());
    assert_eq!(toml("save = \"900 1\"").unwrap().save_points().len(), 1);
}

#[test]
fn a_bad_key_is_named_with_line_and_column() {
    let error = toml("port = 1\n  appendonyl = true\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "Reading the configuration file tenon.toml, at line 2, column 3\n>>> 'appendonyl = true'\n\
         unknown key 'appendonyl'\nDid you mean appendonly?"
    );
    for (text, reason) in [
        ("port = [1]", "port cannot be an array"),
        ("port = true", "argument couldn't be parsed into an integer"),
        ("port = 2024-01-01", "port cannot be a date"),
        ("Port = 1", "unknown key 'Port'"),
        ("[port]\na = 1", "port cannot be a table"),
        ("[tenants.a]\nport = 1", "the table tenants is reserved"),
        ("policies = 1", "policies must be a table"),
        ("[policies]\nfsnc = 'x'", "unknown key 'fsnc' in policies"),
        ("[policies.fsync]\nfile = 'x'", "unknown key 'file'"),
        ("[policies.fsync]\ncomponent = 1", "component cannot be a number"),
        ("[policies.fsync]\noptions = { a = [] }", "the option a cannot be an array"),
        (
            "[policies.fsync]\nsha256 = 'ab'",
            "'sha256:ab' is no pin: expected sha256: and 64 hexadecimal digits",
        ),
        ("policy-fsync = 'a.wasm'\n[policies.fsync]\n", "policy-fsync is given twice"),
        ("include = 'x'", "include is only possible in a file of Redis's format"),
        ("loadmodule = 'x'", "loadmodule is not possible: this server loads no Redis modules"),
        ("user = 'x'", "user must be an array of strings"),
    ] {
        assert_eq!(toml(text).unwrap_err().reason, reason, "{text}");
    }
    let error = toml("port = 1\nhz = = 2\n").unwrap_err();
    assert!(matches!(error.place.unwrap().source, Source::File { line: 2, column: Some(6), .. }));
    assert!(load_toml(&mut Config::default(), "t", b"port = 1\n\xff").unwrap_err().reason.contains("UTF-8"));
}

#[test]
fn secrets_stay_in() {
    let mut texts = vec![
        format!("{:?}", conf("requirepass hunter2\nmasterauth hunter2\ntls-key-file-pass hunter2").unwrap()),
        format!("{:?}", Config::default().prepare(&[("requirepass", "hunter2")], HERE)),
    ];
    for line in [
        "requirepass hunter2 more",
        "RequirePass 'hunter2",
        "  \"masterauth\" \"hunter2",
        "user bob >hunter2 \"",
        "tls-client-key-file-pass hunter2 2",
    ] {
        texts.push(format!("{0} {0:?}", conf(line).unwrap_err()));
    }
    for text in [
        "requirepass = \"hunter2",
        "requirepass = [\"hunter2\", 5",
        "masterauth = \"\"\"\nhunter2\\q\n\"\"\"",
        "requirepass=\"hunter2\" x",
        "user = ['bob \"hunter2']",
    ] {
        texts.push(format!("{0} {0:?}", toml(text).unwrap_err()));
    }
    texts.push(arguments(&["--requirepass", "hunter2", "x"]).unwrap_err().to_string());
    for text in texts {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn config_set_is_all_or_nothing_in_redis_words() {
    let mut config = conf("enable-protected-configs local").unwrap();
    for (pairs, error) in [
        (&[("nope", "1")][..], "Unknown option or number of arguments for CONFIG SET - 'nope'"),
        (
            &[("Databases", "1")],
            "CONFIG SET failed (possibly related to argument 'Databases') - can't set immutable config",
        ),
        (
            &[("hz", "1"), ("HZ", "2")],
            "CONFIG SET failed (possibly related to argument 'HZ') - duplicate parameter",
        ),
        (
            &[("timeout", "5"), ("Hz", "x")],
            "CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer",
        ),
        (
            &[("policy-fsync", "x")],
            "CONFIG SET failed (possibly related to argument 'policy-fsync') - 'x' is neither builtin nor the name of a \
             .wasm file in the policy directory",
        ),
    ] {
        assert_eq!(set(&mut config, pairs).unwrap_err(), error);
        assert_eq!(config.integer(Directive::Timeout), 0);
    }
    let far = Situation { client_is_local: false, ..HERE };
    let error = config.prepare(&[("dbfilename", "x")], far).unwrap_err().to_string();
    assert!(error.ends_with("'dbfilename') - can't set protected config"), "{error}");
    let loading = Situation { is_loading: true, ..HERE };
    let error = config.prepare(&[("appendonly", "yes")], loading).unwrap_err();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("LOADING", "Redis is loading the dataset in memory")
    );

    let before = config.clone();
    let change = config.prepare(&[("save", "1 2 3 4"), ("hz", "10"), ("maxmemory", "1k")], HERE).unwrap();
    assert!(same(&config, &before) && config.preview(&change).memory(Directive::MaxMemory) == 1000);
    assert_eq!(change.changed(&config).collect::<Vec<_>>(), [Directive::Save, Directive::MaxMemory]);
    let undo = config.commit(change);
    assert_eq!(config.save_points().len(), 2);
    config.commit(undo);
    assert!(same(&config, &before));
}

#[test]
fn a_rewritten_file_keeps_its_shape() {
    let old = "# My server\nport 7000\n\n\n# persistence\nsave 900 1\nsave 300 10\nappendonly no\nunixsocket a.sock\n\
        slave-priority 5\nbogus line\ninclude x\n";
    let mut config =
        conf("port 7000\nsave 900 1\nsave 300 10\nunixsocket a.sock\nslave-priority 5\ndir /data").unwrap();
    set(
        &mut config,
        &[("save", "60 5"), ("appendonly", "yes"), ("maxmemory", "2mb"), ("requirepass", "a\"b")],
    )
    .unwrap();
    config.replace(Directive::UnixSocket, &[""]).unwrap();
    let new = String::from_utf8(rewrite_conf(old.as_bytes(), &config, Rewritten::Changed)).unwrap();
    assert_eq!(
        new,
        "# My server\nport 7000\n\n# persistence\nsave 60 5\n\nappendonly yes\n\nreplica-priority 5\n# ??? bogus line\n\
         include x\n\n# Generated by CONFIG REWRITE\nrequirepass \"a\\\"b\"\ndir \"/data\"\nmaxmemory 2mb\n\
         latency-tracking-info-percentiles 50 99 99.9\n"
    );
    assert_eq!(String::from_utf8(rewrite_conf(new.as_bytes(), &config, Rewritten::Changed)).unwrap(), new);
}

#[test]
fn users_are_named_once_and_rewritten_in_their_places() {
    let error = conf("user ann on\nport 1\nuser ann off >hunter2").unwrap_err();
    assert_eq!(error.reason, "Duplicate user found. A user can only be defined once in config files");
    assert!(matches!(error.place.unwrap().source, Source::File { line: 3, .. }));
    let old = "user ann on\nport 1\nuser bob on\n";
    let mut config = conf(old).unwrap();
    assert_eq!(config.refuse_user(1, "no").place, conf("\n\nuser bob").unwrap().refuse_user(0, "").place);
    assert_eq!(
        rewrite_conf(old.as_bytes(), &config, Rewritten::Changed),
        rewrite_conf(b"user x\nport 1\nuser y", &config, Rewritten::Changed)
    );
    let word = |text: &str| text.as_bytes().to_vec();
    config.replace_users(vec![vec![word("ann"), word("~a\"b"), word("(+get ~b)")]]);
    let new = String::from_utf8(rewrite_conf(old.as_bytes(), &config, Rewritten::Changed)).unwrap();
    assert!(new.starts_with("user ann \"~a\\\"b\" \"(+get ~b)\"\nport 1\n\n# Generated"), "{new}");
    assert!(conf(&new).unwrap().users().eq(config.users()));
    config.replace_users(Vec::new());
    assert!(
        !String::from_utf8(rewrite_conf(new.as_bytes(), &config, Rewritten::Changed))
            .unwrap()
            .contains("user")
    );
    let mut config = toml("user = ['ann on'] # us\n").unwrap();
    config.replace_users(vec![vec![word("ann"), word("(+get ~b)")], vec![word("bob")]]);
    let new = rewrite_toml("t", "user = ['ann on'] # us\n", &config).unwrap();
    assert_eq!(new, "user = ['ann \"(+get ~b)\"', \"bob\"] # us\n");
    assert!(toml(&new).unwrap().users().eq(config.users()));
    let new = rewrite_toml("t", "port = 6379\n", &config).unwrap();
    assert!(new.starts_with("port = 6379\n\n# Generated by CONFIG REWRITE\nuser = ["), "{new}");
    assert!(toml(&new).unwrap().users().eq(config.users()));
    assert_eq!(rewrite_toml("t", &new, &Config::default()).unwrap().matches("user").count(), 0);
}

#[test]
fn a_rewritten_toml_file_changes_only_what_changed() {
    let old = "# My server\nport = 7000 # the port\nmaxmemory = \"1024mb\"\n\n[policies.fsync]\n\
        component = \"a.wasm\" # mine\noptions = { x = 1 } # one\n";
    let mut config = toml(old).unwrap();
    assert_eq!(rewrite_toml("t", old, &config).unwrap(), old);
    let policy = "b.wasm x=1";
    set(&mut config, &[("port", "7001"), ("save", "60 5"), ("hz", "20"), ("policy-fsync", policy)]).unwrap();
    let new = rewrite_toml("t", old, &config).unwrap();
    assert_eq!(
        new,
        "# My server\nport = 7001 # the port\nmaxmemory = \"1024mb\"\n\n# Generated by CONFIG REWRITE\nhz = 20\n\
         save = [\"60 5\"]\n\n[policies.fsync]\ncomponent = \"b.wasm\" # mine\noptions = { x = 1 } # one\n"
    );
    assert_eq!(rewrite_toml("t", &new, &config).unwrap(), new);
    set(&mut config, &[("policy-fsync", "builtin y=2"), ("policy-snapshot", "s.wasm")]).unwrap();
    let newer = rewrite_toml("t", &new, &config).unwrap();
    assert!(
        newer.ends_with("\npolicy-snapshot = \"s.wasm\"\n\n[policies.fsync]\noptions = { y = 2 } # one\n"),
        "{newer}"
    );
    assert!(rewrite_toml("t", "nonsense", &config).is_err());
    for odd in ["port = 1", "\u{feff}port = 1\n", "port = 1\r\n", ""] {
        assert_eq!(rewrite_toml("t", odd, &toml(odd).unwrap()).unwrap(), odd);
    }

    let old = "[policies.fsync.options]\nx = 1\n[policies.snapshot]\n";
    let mut config = toml(old).unwrap();
    set(&mut config, &[("policy-fsync", "f.wasm y=2"), ("policy-snapshot", "s.wasm"), ("bind", "\" ")])
        .unwrap();
    let new = rewrite_toml("t", old, &config).unwrap();
    assert!(same(&toml(&new).unwrap(), &config), "{new}");
}

#[test]
fn what_does_nothing_is_said() {
    let notices = conf("io-threads 4\nwatchdog-period 0\nport 1").unwrap().notices();
    let texts: Vec<_> = notices.iter().map(|notice| (notice.text.as_str(), notice.is_default)).collect();
    let threads = "Directive io-threads has no effect: an engine runs on one worker thread, which reads and parses for itself";
    let watchdog = "Directive watchdog-period has no effect: a broken invariant ends the process with a report, without a signal handler";
    assert_eq!(texts, [(watchdog, true), (threads, false)]);
}

#[test]
fn cluster_mode_has_one_database_and_no_replicaof() {
    let mut config = conf("cluster-enabled yes").unwrap();
    config.finish().unwrap();
    assert_eq!(config.integer(Directive::Databases), 1);
    assert!(conf("cluster-enabled yes\nreplicaof a 1").unwrap().finish().is_err());
}

/// Pieces of configurations and raw bytes, in an order that the seed decides.
struct Noise(u64);

impl Noise {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }

    fn text(&mut self, pieces: &[&str]) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..self.next(40) {
            match self.next(4) {
                0 => text.push(self.next(256) as u8),
                1 => {
                    text.extend_from_slice(Directive::ALL[self.next(Directive::ALL.len())].name().as_bytes())
                }
                _ => text.extend_from_slice(pieces[self.next(pieces.len())].as_bytes()),
            }
        }
        text
    }
}

/// What noise is made of.
const PIECES: [&str; 38] = [
    " ",
    "\n",
    "\"",
    "'",
    "\\x4",
    "\\",
    "yes",
    "no",
    "1",
    "-1",
    "99999999999999999999",
    "5%",
    "1gb",
    "=",
    " = ",
    "[",
    "]",
    "policies",
    "policies.fsync",
    "[policies.fsync]\n",
    "component",
    "options = {",
    "}",
    ".wasm",
    "{title}",
    "\n#",
    "\0",
    "900 1",
    "replica 1 1 1",
    "0o7",
    "é",
    "include a",
    "--",
    "save",
    "save 900 1\n",
    "port 1\n",
    "port = 1\n",
    "a b\n",
];

#[test]
fn no_bytes_panic_and_what_is_read_survives_a_rewrite() {
    for seed in 1..1500_u64 {
        let mut noise = Noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let text = noise.text(&PIECES);
        let mut config = Config::default();
        if load_conf(&mut config, "f", &text, &mut |_| Ok(vec![])).is_ok() {
            check_rewrite(&text, &config, seed);
        }
        let mut config = Config::default();
        if load_toml(&mut config, "f", &text).is_ok() {
            let text = std::str::from_utf8(&text).unwrap();
            assert_eq!(rewrite_toml("f", text, &config).unwrap(), text, "seed {seed}");
        }
        let words: Vec<Vec<u8>> = (0..noise.next(6)).map(|_| noise.text(&PIECES)).collect();
        let _ = Invocation::parse(&words);
        Config::default().get(&words);
        for _ in 0..8 {
            let directive = Directive::ALL[noise.next(Directive::ALL.len())];
            let value = noise.text(&PIECES);
            if let Ok(change) = Config::default().prepare(&[(directive.name().as_bytes(), &value[..])], HERE)
            {
                let mut config = Config::default();
                config.commit(change);
                check_rewrite(b"", &config, seed);
                if let Ok(new) = rewrite_toml("f", "", &config) {
                    assert!(same(&toml(&new).unwrap(), &config), "seed {seed}: {new}");
                }
            }
        }
    }
}

/// Rewriting gives a file that reads as the same values, and is the same when rewritten again.
fn check_rewrite(text: &[u8], config: &Config, seed: u64) {
    let new = rewrite_conf(text, config, Rewritten::Changed);
    let mut again = Config::default();
    load_conf(&mut again, "f", &new, &mut |_| Ok(vec![]))
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    for directive in Directive::ALL {
        assert!(again.value(directive) == config.value(directive), "seed {seed}: {}", directive.name());
    }
}

#[test]
fn what_redis_does_not_know_can_be_set_to_what_it_is() {
    let mut config = Config::default();
    set(&mut config, &[("aof-checksum", "yes"), ("policy-directory", ""), ("log-format", "text")]).unwrap();
    let refused = set(&mut config, &[("aof-checksum", "no")]).unwrap_err();
    assert!(format!("{refused:?}").contains("immutable"), "{refused:?}");
    // Redis refuses this, though nothing would change.
    assert!(set(&mut config, &[("databases", "16")]).is_err());
}
