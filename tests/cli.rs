//! The tools and a client library that people use with Redis, used with Tenon, unchanged.
//! Always: they talk to a server of the test's own, and each run is bounded.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::server::{Server, oracle};
use support::tools::{self, said};

const PATIENCE: Duration = Duration::from_secs(60);
const QUIET: [&str; 2] = ["--save", ""];

/// What redis-cli prints for lines on its standard input, or with arguments of its own.
fn redis_cli(server: &Server, arguments: &[&str], input: &[u8]) -> String {
    let mut command = Command::new("redis-cli");
    command.args(["-p", &server.port().to_string()]).args(arguments);
    let output = tools::run(&mut command, input, PATIENCE);
    assert!(output.status.success(), "redis-cli {arguments:?}: {}", said(&output));
    said(&output)
}

#[test]
fn redis_cli_speaks_line_by_line() {
    if !oracle() {
        return;
    }
    let server = Server::tenon(&QUIET);
    let lines = b"PING\nSET k \"a b\"\nGET k\nSELECT 3\nDBSIZE\nRPUSH l 1 2 3\nLRANGE l 0 -1\nHELLO 3\nHSET h a 1\nHGETALL h\nNOSUCH\nGET\n";
    let heard = redis_cli(&server, &["--no-raw"], lines);
    for expected in [
        "PONG\nOK\n\"a b\"\nOK\n(integer) 0\n(integer) 3\n1) \"1\"\n2) \"2\"\n3) \"3\"\n",
        "1# \"server\" => \"redis\"\n",
        "1# \"a\" => \"1\"\n",
        "(error) ERR unknown command 'NOSUCH', with args beginning with: ",
        "(error) ERR wrong number of arguments for 'get' command",
    ] {
        assert!(heard.contains(expected), "{expected:?} is not in:\n{heard}");
    }
}

#[test]
fn redis_cli_in_a_terminal_asks_for_the_documentation_and_prompts() {
    if !oracle() || !tools::is_installed("script", "apt-get install bsdutils") {
        return;
    }
    let server = Server::tenon(&QUIET);
    // Without a width redis-cli would ask the terminal for one, and nobody would answer.
    let line = format!("stty cols 100 rows 24; redis-cli -p {}", server.port());
    let mut command = Command::new("script");
    command.args(["-q", "-e", "-c", &line, "/dev/null"]).env("TERM", "xterm");
    let mut terminal = Terminal::start(&mut command);
    terminal.hear(&format!("127.0.0.1:{}> ", server.port()));
    for (line, answer) in [
        ("set k \"a b\"", "OK\r\n"),
        ("get k", "\"a b\"\r\n"),
        ("help get", "group:\u{1b}[0m string"),
        ("select 2", "OK\r\n"),
        ("dbsize", "(integer) 0\r\n"),
        ("hello 3", "\"proto\" => (integer) 3\r\n"),
    ] {
        terminal.say(line);
        terminal.hear(answer);
        terminal.hear("> ");
    }
    terminal.say("quit");
    terminal.end();
}

/// A program in a terminal of its own, driven by what it prints.
struct Terminal {
    child: Child,
    heard: Arc<Mutex<String>>,
    /// Until here it has been waited for.
    read_bytes: usize,
}

impl Terminal {
    fn start(command: &mut Command) -> Terminal {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program was there a moment ago");
        let mut output = child.stdout.take().expect("piped above");
        let heard = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                sink.lock().expect("not poisoned").push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Terminal { child, heard, read_bytes: 0 }
    }

    fn say(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("piped above");
        stdin.write_all(format!("{line}\r").as_bytes()).expect("the program reads");
    }

    /// Waits until the program prints `text`, after all that was waited for before.
    fn hear(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            let heard = self.heard.lock().expect("not poisoned").clone();
            if let Some(at) = heard[self.read_bytes..].find(text) {
                self.read_bytes += at + text.len();
                return;
            }
            assert!(Instant::now() < until, "{text:?} is not in:\n{}", &heard[self.read_bytes..]);
            sleep(Duration::from_millis(10));
        }
    }

    fn end(mut self) {
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("our own child can be awaited").is_none() {
            assert!(Instant::now() < until, "the program does not end");
            sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn redis_cli_pipes_many_requests() {
    if !oracle() {
        return;
    }
    let server = Server::tenon(&QUIET);
    let request = |number: usize| {
        let key = format!("key:{number}");
        support::client::encoded(&["SET", &key, &number.to_string()])
    };
    let input: Vec<u8> = (0..20_000).flat_map(request).collect();
    let heard = redis_cli(&server, &["--pipe"], &input);
    assert!(heard.contains("errors: 0, replies: 20000"), "{heard}");
    assert_eq!(server.client().command(&["DBSIZE"]).integer(), 20_000);
}

#[test]
fn redis_cli_scans_and_finds_big_keys() {
    if !oracle() {
        return;
    }
    let server = Server::tenon(&QUIET);
    let mut client = server.client();
    let set = |number: usize| vec!["SET".to_owned(), format!("key:{number}"), "v".repeat(number % 50)];
    client.pipeline(&(0..1000).map(set).collect::<Vec<_>>());
    client.command(&["RPUSH", "a-list", "1", "2", "3"]);
    client.command(&["HSET", "a-hash", "a", "1"]);
    client.command(&["SADD", "a-set", "a", "b"]);
    client.command(&["ZADD", "a-zset", "1", "a"]);

    let heard = redis_cli(&server, &["--scan"], b"");
    assert_eq!(heard.lines().count(), 1004);
    let heard = redis_cli(&server, &["--scan", "--pattern", "key:99*"], b"");
    assert_eq!(heard.lines().count(), 11);
    let heard = redis_cli(&server, &["--bigkeys"], b"");
    for expected in [
        "Sampled 1004 keys in the keyspace!",
        "Biggest   list found '\"a-list\"' has 3 items",
        "Biggest    set found '\"a-set\"' has 2 members",
        "1000 strings with 24500 bytes",
    ] {
        assert!(heard.contains(expected), "{expected:?} is not in:\n{heard}");
    }
}

#[test]
fn redis_benchmark_runs_its_default_tests() {
    benchmark(&["-n", "2000"]);
}

#[test]
fn redis_benchmark_runs_its_default_tests_with_pipelines_of_many_clients() {
    benchmark(&["-n", "10000", "-P", "16", "-c", "200"]);
}

/// Everything that a plain redis-benchmark measures.
const BENCHMARKS: [&str; 20] = [
    "PING_INLINE",
    "PING_MBULK",
    "SET",
    "GET",
    "INCR",
    "LPUSH",
    "RPUSH",
    "LPOP",
    "RPOP",
    "SADD",
    "HSET",
    "SPOP",
    "ZADD",
    "ZPOPMIN",
    "LPUSH (needed to benchmark LRANGE)",
    "LRANGE_100",
    "LRANGE_300",
    "LRANGE_500",
    "LRANGE_600",
    "MSET (10 keys)",
];

fn benchmark(arguments: &[&str]) {
    if !oracle() {
        return;
    }
    let server = Server::tenon(&QUIET);
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", &server.port().to_string(), "--csv"]).args(arguments);
    let output = tools::run(&mut command, b"", 2 * PATIENCE);
    let heard = said(&output);
    assert!(output.status.success(), "{heard}");
    assert!(!heard.contains("rror") && !heard.contains("WARNING"), "{heard}");
    for name in BENCHMARKS {
        assert!(heard.contains(&format!("\"{name}")), "no {name} in:\n{heard}");
    }
    server.client().command(&["PING"]);
}

/// What a program of redis-py's users does; it ends with `done` or with a traceback.
const PYTHON: &str = r#"
import sys, redis
port, protocol = int(sys.argv[1]), int(sys.argv[2])
r = redis.Redis(port=port, protocol=protocol, decode_responses=True, client_name="tester")
assert r.ping() is True
assert r.set("k", "v", ex=100) is True and r.get("k") == "v" and 0 < r.ttl("k") <= 100
assert r.set("k", "w", nx=True) is None and r.set("k", "w", get=True) == "v"
assert r.mset({"a": 1, "b": 2}) is True and r.mget("a", "b", "none") == ["1", "2", None]
assert r.incrbyfloat("f", 1.5) == 1.5
assert r.rpush("l", 1, 2, 3) == 3 and r.lrange("l", 0, -1) == ["1", "2", "3"] and r.lpop("l", 2) == ["1", "2"]
assert r.hset("h", mapping={"x": 1, "y": "z"}) == 2 and r.hgetall("h") == {"x": "1", "y": "z"}
assert r.sadd("s", "a", "b") == 2 and r.smembers("s") == {"a", "b"} and r.sismember("s", "a") == 1
assert r.zadd("z", {"one": 1, "half": 0.5}) == 2
scored = [tuple(pair) for pair in r.zrange("z", 0, -1, withscores=True)]
assert scored == [("half", 0.5), ("one", 1.0)] and r.zscore("z", "half") == 0.5
assert sorted(r.scan_iter("?")) == ["a", "b", "f", "h", "k", "l", "s", "z"]
assert r.info("server")["redis_version"].startswith("7.2") and r.info()["db0"]["keys"] == 8
assert "maxclients" in r.config_get("max*") and r.config_set("timeout", 0) is True
assert r.client_getname() == "tester" and any(c["name"] == "tester" for c in r.client_list())
assert r.client_id() > 0 and r.command_count() > 100 and r.command_getkeys("SET", "k", "v") == ["k"]
assert r.object("encoding", "l") in ("listpack", "quicklist")
pipe = r.pipeline(transaction=False)
for i in range(1000):
    pipe.set("p%d" % i, i)
assert all(pipe.execute()) and r.get("p999") == "999"
try:
    r.lpush("k", 1)
    assert False
except redis.ResponseError as error:
    assert "WRONGTYPE" in str(error)
b = redis.Redis(port=port, protocol=protocol, db=5)
raw = bytes(range(256)) * 300
assert b.set(raw, raw) and b.get(raw) == raw and b.dbsize() == 1 and b.flushdb() is True
r.flushall()
print("done")
"#;

#[test]
fn redis_py_works_with_resp2() {
    python("2");
}

#[test]
fn redis_py_works_with_resp3() {
    python("3");
}

fn python(protocol: &str) {
    let Some(python) = tools::python_with_redis() else { return };
    let server = Server::tenon(&QUIET);
    let file = server.directory().join("client.py");
    fs::write(&file, PYTHON).expect("our own directory");
    let mut command = Command::new(python);
    command.arg(&file).args([&server.port().to_string(), protocol]);
    let output = tools::run(&mut command, b"", PATIENCE);
    assert!(output.status.success() && said(&output).contains("done"), "{}", said(&output));
}
