//! Files, payloads and digests against a real redis-server, if one is on the PATH, in both directions.
//! Scores are ones whose text is the same in all versions; Redis 7.0 writes others with 17 digits, and larger ones in full.
//! Always: each server listens on a socket in a directory of its own and ends with its test.
#![allow(clippy::print_stderr, reason = "a test that cannot run says so")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use tenon_base::{Dice, UnixMillis};
use tenon_keyspace::{CutBounds, CutProgress, Keyspace};
use tenon_rdb::{
    Aux, DatabaseSize, Encoder, EncoderOptions, Limits, LoadOptions, RdbVersion, dataset_digest, dump,
    full_digest, load, restore, value_digest,
};

const PATIENCE: Duration = Duration::from_secs(20);

struct Redis {
    process: Child,
    stream: BufReader<UnixStream>,
    directory: PathBuf,
}

#[derive(Debug, PartialEq)]
enum Reply {
    Line(String),
    Text(Vec<u8>),
    Null,
    List(Vec<Reply>),
}

impl Redis {
    /// A server that starts with this file, if any; `None`, and a line that says so, without redis-server.
    fn start(test: &str, file: Option<&[u8]>, arguments: &[&str]) -> Option<Redis> {
        let directory = env::temp_dir().join(format!("tenon-rdb-{test}-{}", process::id()));
        fs::create_dir_all(&directory).unwrap();
        if let Some(file) = file {
            fs::write(directory.join("dump.rdb"), file).unwrap();
        }
        let socket = directory.join("socket");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--enable-debug-command", "yes", "--unixsocket"]);
        command.arg(&socket).arg("--dir").arg(&directory).args(arguments);
        let process = match command.stdout(Stdio::null()).stderr(Stdio::null()).spawn() {
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
        let mut redis = Redis { process, stream: BufReader::new(stream), directory };
        while redis.text("PING").starts_with("LOADING") {
            assert!(started.elapsed() < PATIENCE, "redis-server does not finish loading");
            thread::sleep(Duration::from_millis(10));
        }
        Some(redis)
    }

    /// The reply to a command without blanks in its words.
    fn call(&mut self, command: &str) -> Reply {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        self.call_words(&words)
    }

    fn call_words(&mut self, words: &[&[u8]]) -> Reply {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n", word.len()).into_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&request).unwrap();
        self.reply()
    }

    fn text(&mut self, command: &str) -> String {
        match self.call(command) {
            Reply::Line(line) => line,
            Reply::Text(text) => String::from_utf8_lossy(&text).into_owned(),
            other => panic!("{command}: {other:?}"),
        }
    }

    fn reply(&mut self) -> Reply {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match (kind, rest) {
            ("$" | "*", "-1") => Reply::Null,
            ("$", length) => {
                let mut text = vec![0; length.parse::<usize>().unwrap() + 2];
                self.stream.read_exact(&mut text).unwrap();
                text.truncate(text.len() - 2);
                Reply::Text(text)
            }
            ("*", count) => Reply::List((0..count.parse().unwrap()).map(|_| self.reply()).collect()),
            _ => Reply::Line(rest.to_owned()),
        }
    }

    /// Values of every kind in every encoding, large ones too.
    fn fill(&mut self) {
        let numbered = |word: &str, count: usize| {
            (0..count).map(|number| format!("{word}{number}")).collect::<Vec<_>>().join(" ")
        };
        let paired = |one: &str, other: &str, count: usize| {
            (0..count).map(|number| format!("{one}{number} {other}{number}")).collect::<Vec<_>>().join(" ")
        };
        let integers = ["0", "-1", "127", "-129", "32768", "2147483648", "-9223372036854775808"];
        for (number, integer) in integers.iter().enumerate() {
            self.call(&format!("SET integer:{number} {integer}"));
        }
        self.call(&format!("SET 123456 {}", "compressible".repeat(100)));
        self.call(&format!("SET long {}", "x0123456789y".repeat(100_000)));
        let noise = noise(300_000);
        self.call_words(&[b"SET", b"noise \0\xff", &noise]);
        self.call("RPUSH list:small a -5 70000 4095 4096 12345678901 last");
        self.call(&format!("RPUSH list:large {}", numbered("element:", 5_000)));
        self.call_words(&[b"RPUSH", b"list:large", &noise, b"tail"]);
        self.call("SADD set:16 1 2 -3");
        self.call("SADD set:32 1 2 -70000");
        self.call("SADD set:64 1 2 -3000000000");
        self.call("SADD set:short one 2 three");
        self.call(&format!("SADD set:integers {}", numbered("", 2_000)));
        self.call(&format!("SADD set:large {}", numbered("member:", 5_000)));
        self.call("HSET hash:small field value 1 2 other -70000");
        self.call(&format!("HSET hash:long field {}", "v".repeat(100)));
        self.call(&format!("HSET hash:large {}", paired("field:", "", 5_000)));
        self.call("ZADD zset:small -1.5 a 0.25 b 3 c inf d -inf e 123456789 f");
        self.call(&format!("ZADD zset:large {}", paired("", "member:", 5_000)));
        self.call("ZADD zset:large -0.5 low 1e7 high");
        self.call("PEXPIREAT integer:1 4000000000123");
        self.call("PEXPIREAT hash:small 4000000000456");
        self.call("SELECT 3");
        self.call("SET elsewhere 1");
        self.call("SELECT 0");
    }

    fn digest(&mut self) -> String {
        self.text("DEBUG DIGEST")
    }

    fn save(&mut self) -> Vec<u8> {
        assert_eq!(self.text("SAVE"), "OK");
        fs::read(self.directory.join("dump.rdb")).unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // A server that is gone already is as good as one that ends now.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn noise(bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    Dice::seeded(8).fill(&mut noise);
    noise
}

fn hex(digest: [u8; 20]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn loaded(file: &[u8]) -> (Keyspace, Aux) {
    let mut keyspace = Keyspace::new(16, &mut Dice::seeded(1));
    let options = LoadOptions {
        limits: Limits::standard(5),
        databases: 16,
        checksum: true,
        passes_over_expired_before: Some(UnixMillis(1_700_000_000_000)),
    };
    let report = load(
        &mut { file },
        &options,
        &mut |key| keyspace.db_mut(key.database).insert(key.key, key.value, key.expires_at).is_none(),
        &mut |_| ControlFlow::Continue(()),
    )
    .unwrap();
    assert_eq!(report.bytes, file.len() as u64);
    (keyspace, report.aux)
}

fn saved(keyspace: &mut Keyspace, options: EncoderOptions) -> Vec<u8> {
    let mut file = Vec::new();
    let mut sink = |block: &[u8]| {
        file.extend_from_slice(block);
        Ok(())
    };
    let id = keyspace.begin_cut(CutBounds { waiting_bytes_max: usize::MAX, preimage_bytes_max: usize::MAX });
    let feed = keyspace.cut_feed(id).unwrap();
    let mut encoder = Encoder::new(options);
    let aux = Aux { redis_version: Some("7.2.4".into()), created_seconds: Some(1), ..Aux::default() };
    let sizes: Vec<_> = (0..keyspace.databases())
        .map(|database| (database, keyspace.db(database)))
        .map(|(database, db)| DatabaseSize { database, keys: db.len(), volatile: db.volatile_len() })
        .collect();
    encoder.begin(&aux, &sizes, &mut sink).unwrap();
    while keyspace.advance_cut(id, 1_000) != CutProgress::Done {}
    while let Some(batch) = feed.pop() {
        encoder.batch(&batch, &mut sink).unwrap();
    }
    keyspace.end_cut(id);
    encoder.finish(&mut sink).unwrap();
    file
}

#[test]
fn a_file_of_redis_loads_with_its_digest() {
    let small =
        ["--hash-max-listpack-entries", "2", "--list-max-listpack-size", "3", "--rdbcompression", "no"];
    for arguments in [&[][..], &small] {
        let Some(mut redis) = Redis::start("read", None, arguments) else { return };
        redis.fill();
        let (keyspace, aux) = loaded(&redis.save());
        assert_eq!(hex(dataset_digest(&keyspace)), redis.digest());
        assert_eq!((aux.redis_bits, aux.is_aof_base), (Some(64), Some(false)));
        assert!(aux.created_seconds.is_some_and(|seconds| seconds > 1_600_000_000));
        for entry in keyspace.db(0).entries() {
            let words: [&[u8]; 3] = [b"DEBUG", b"DIGEST-VALUE", entry.key()];
            let own = hex(value_digest(entry.value(), entry.expires_at()));
            assert_eq!(redis.call_words(&words), Reply::List(vec![Reply::Line(own)]), "{:?}", entry.key());
        }
        let expires = keyspace.db(0).find(b"hash:small").unwrap().expires_at();
        assert_eq!(expires, Some(UnixMillis(4_000_000_000_456)));
    }
}

#[test]
fn redis_loads_our_files_with_our_digest_and_writes_the_same_back() {
    let Some(mut redis) = Redis::start("source", None, &[]) else { return };
    redis.fill();
    let (mut keyspace, _) = loaded(&redis.save());
    let digest = hex(dataset_digest(&keyspace));
    for (name, version) in [("write9", RdbVersion::V9), ("write10", RdbVersion::V10)] {
        for (compression, checksum) in [(true, true), (false, false)] {
            let options = EncoderOptions { version, compression, checksum, ..EncoderOptions::default() };
            let file = saved(&mut keyspace, options);
            let Some(mut reader) = Redis::start(name, Some(&file), &["--sanitize-dump-payload", "yes"])
            else {
                return;
            };
            assert_eq!(reader.digest(), digest, "{options:?}");
            assert_eq!(reader.text("OBJECT ENCODING zset:small"), "listpack");
            let path = reader.directory.join("dump.rdb");
            match Command::new("redis-check-rdb").arg(path).output() {
                Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
                Err(error) => eprintln!("SKIPPED redis-check-rdb: {error}"),
            }
            let (back, _) = loaded(&reader.save());
            assert_eq!(full_digest(&back), full_digest(&keyspace));
        }
    }
    let newest = EncoderOptions { version: RdbVersion::V11, ..EncoderOptions::default() };
    assert_eq!(full_digest(&loaded(&saved(&mut keyspace, newest)).0), full_digest(&keyspace));
}

#[test]
fn payloads_go_both_ways() {
    let Some(mut redis) = Redis::start("payloads", None, &["--sanitize-dump-payload", "yes"]) else { return };
    redis.fill();
    let (keyspace, _) = loaded(&redis.save());
    for entry in keyspace.db(0).entries() {
        let own = value_digest(entry.value(), None);
        let Reply::Text(payload) = redis.call_words(&[b"DUMP", entry.key()]) else { panic!("no payload") };
        let restored = restore(&payload, &Limits::standard(5)).unwrap();
        assert_eq!(value_digest(restored.as_ref(), None), own);
        for version in [RdbVersion::V9, RdbVersion::V10] {
            let payload = dump(entry.value(), &EncoderOptions { version, ..EncoderOptions::default() });
            let restored = redis.call_words(&[b"RESTORE", b"copy", b"0", &payload, b"REPLACE"]);
            assert_eq!(restored, Reply::Line("OK".into()), "{:?}", entry.key());
            let digest = redis.call("DEBUG DIGEST-VALUE copy");
            assert_eq!(digest, Reply::List(vec![Reply::Line(hex(own))]), "{:?}", entry.key());
        }
    }
}
