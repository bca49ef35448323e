//! Files of ours in the hands of Redis, and back: where `redis-server` and `redis-check-aof` are installed.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tenon_base::{Disk, DiskFile, Micros, Now, Step};
use tenon_journal::{Journal, LogPosition, ReplicationId, ReplicationOffset, Targets};
use tenon_resp::{Args, OwnedArgs, write_request};

use crate::memory_disk::{MemoryDisk, Operation};
use crate::*;

mod appended;

const ID: ReplicationId = ReplicationId([b'c'; 40]);
const NAME: &str = "appendonly.aof";
const PATIENCE: Duration = Duration::from_secs(60);
/// What a server that has just been started may take for a word; whoever else has its port may never answer.
const GREETING: Duration = Duration::from_secs(2);

fn settings(timestamps: bool) -> Settings {
    Settings {
        checksum: true,
        timestamps,
        base_is_rdb: false,
        pending_bytes_max: 1 << 30,
        keep: Keep::UntilSynced,
        writes_aside: false,
        remove_history: true,
    }
}

/// A log of ours with a rewrite, a failed disk and a torn end behind it.
fn write_log(disk: &MemoryDisk, directory: &Directory) {
    let settings = settings(true);
    let now = Now { steady: Micros(0), unix_us: 1_700_000_000_000_000 };
    let start = Start { position: LogPosition(0), offset: ReplicationOffset(1), replication_id: ID };
    let mut log = Log::open(disk, directory.clone(), settings, start, Manifest::default(), false, b"")
        .expect("a fresh log");
    let mut journal = Journal::new(start.position, start.offset);
    journal.set_readers(true, true);
    let mut unit = |log: &mut Log, operations: &[(u32, &str)]| {
        journal.begin_unit();
        for (db, words) in operations {
            let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
            journal.operation(*db, OwnedArgs::from(words.as_slice()).as_args(), Targets::ALL);
        }
        journal.seal();
        let batch = journal.take_batch().expect("a batch");
        log.append(now, &batch);
        journal.recycle(batch);
        (journal.position(), journal.offset())
    };
    unit(&mut log, &[(0, "SET before 1"), (0, "SADD set a b c")]);
    log.begin_rewrite().expect("a healthy log");
    run_jobs(&mut log, disk, now);
    let (position, offset) = unit(&mut log, &[(3, "SET three 3")]);
    log.switch_increment(now, position, offset);
    let mut base = CommandBase::new(Origin { replication_id: ID, offset, db: 3 }, true, false);
    let mut content = Vec::new();
    for (db, words) in [(0, "SET before 1"), (0, "SADD set a b c"), (3, "SET three 3")] {
        base.add(now.unix(), db, &request(words), &mut content);
    }
    base.end(now.unix(), &mut content);
    disk.put(&log.rewrite_path().expect("a rewrite"), &content);
    log.finish_rewrite(content.len() as u64);
    run_jobs(&mut log, disk, now);
    unit(&mut log, &[(3, "INCR three")]);
    disk.fail(Operation::Append, 0, 1, std::io::ErrorKind::StorageFull);
    unit(&mut log, &[(3, "INCR three"), (0, "SET after 1")]);
    run_jobs(&mut log, disk, now);
    unit(&mut log, &[(0, "DEL set")]);
    disk.fail(Operation::Append, 0, 1, std::io::ErrorKind::StorageFull);
    unit(&mut log, &[(0, "SET torn 1")]);
}

fn run_jobs(log: &mut Log, disk: &MemoryDisk, now: Now) {
    while let Some(mut job) = log.take_job(now) {
        loop {
            if let Step::Done(result) = job.job.step(disk) {
                log.job_ended(now, job.id, result);
                break;
            }
        }
    }
}

fn request(words: &str) -> Vec<u8> {
    let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    let mut out = Vec::new();
    write_request(&mut out, OwnedArgs::from(words.as_slice()).as_args());
    out
}

#[derive(Default)]
struct Transcript(Vec<String>);

impl LoadSink for Transcript {
    fn rdb(&mut self, _file: &Arc<dyn DiskFile>) -> Result<BaseLoaded, String> {
        Err("no RDB file is expected".to_owned())
    }

    fn command(&mut self, args: Args<'_>) -> Result<(), String> {
        let words: Vec<_> = args.iter().map(String::from_utf8_lossy).collect();
        self.0.push(words.join(" "));
        Ok(())
    }

    fn progress(&mut self, loaded_bytes: u64, total_bytes: u64) {
        assert!(loaded_bytes <= total_bytes);
    }

    fn notice(&mut self, line: LoadNotice) {
        assert!(!line.text.is_empty());
    }
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("tenon-aof-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("appendonlydir")).expect("a directory");
        Scratch(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("appendonlydir")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A Redis that ends with the test.
struct Redis(Child, u16);

impl Redis {
    /// Starts on `directory`, or not at all where there is no Redis.
    fn start(directory: &Path) -> Option<Redis> {
        let deadline = Instant::now() + PATIENCE;
        let mut redis = Redis::spawn(directory)?;
        while !redis.says_within(GREETING, "PING").is_some_and(|reply| reply.starts_with("+PONG")) {
            assert!(Instant::now() < deadline, "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(20));
            // A port that was free a moment ago may be somebody else's by now.
            if redis.0.try_wait().is_ok_and(|status| status.is_some()) {
                redis = Redis::spawn(directory)?;
            }
        }
        Some(redis)
    }

    fn spawn(directory: &Path) -> Option<Redis> {
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let port_text = port.to_string();
        let arguments = ["--port", &port_text, "--appendonly", "yes", "--save", "", "--dir"];
        let mut command = Command::new("redis-server");
        command.args(arguments).arg(directory).stdout(Stdio::null());
        Some(Redis(command.spawn().ok()?, port))
    }

    /// Sends requests on one connection and returns the replies, as they come, up to that of a last PING.
    fn says(&self, requests: &str) -> Option<String> {
        self.says_within(PATIENCE, requests)
    }

    fn says_within(&self, patience: Duration, requests: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.1)).ok()?;
        stream.set_read_timeout(Some(patience)).ok()?;
        stream.write_all(format!("{requests}\r\nPING end\r\n").as_bytes()).ok()?;
        let mut replies = String::new();
        let mut buffer = [0; 4096];
        while !replies.ends_with("$3\r\nend\r\n") {
            let read = stream.read(&mut buffer).ok().filter(|&read| read > 0)?;
            replies.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        Some(replies)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

#[test]
fn redis_loads_our_files_and_we_load_what_it_made_of_them() {
    if !installed("redis-server") {
        return;
    }
    let (disk, directory) = (MemoryDisk::new(), Directory::new("/log", NAME));
    write_log(&disk, &directory);
    let scratch = Scratch::new("both-ways");
    for path in disk.paths() {
        let name = path.file_name().expect("a name");
        fs::write(scratch.log().join(name), disk.content(&path).expect("its content")).expect("a file");
    }
    check_with_redis(&scratch);
    let redis = Redis::start(&scratch.0).expect("redis-server is installed");
    let replies =
        redis.says("GET before\r\nGET after\r\nEXISTS set torn\r\nSELECT 3\r\nGET three\r\nSET redis 1");
    assert_eq!(
        replies.as_deref(),
        Some("$1\r\n1\r\n$1\r\n1\r\n:0\r\n+OK\r\n$1\r\n5\r\n+OK\r\n$3\r\nend\r\n")
    );
    drop(redis);

    let back = MemoryDisk::new();
    for entry in fs::read_dir(scratch.log()).expect("the directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        back.put(&Path::new("/log").join(name), &fs::read(&path).expect("a file"));
    }
    let mut transcript = Transcript::default();
    let options = LoadOptions { cut_torn_end: true, damaged_tail_bytes_max: 0, checksum: true };
    let loaded =
        load(&back, &directory, None, options, &mut transcript).unwrap_or_else(|error| panic!("{error}"));
    assert!(loaded.needs_new_increment && loaded.plain_end);
    let expected = [
        // the base
        "SELECT 0",
        "SET before 1",
        "SADD set a b c",
        "SELECT 3",
        "SET three 3",
        // the increment that goes on from one of which nothing was safe: its file, its tail
        "SELECT 0",
        "SELECT 3",
        "SELECT 3",
        "INCR three",
        "INCR three",
        "SELECT 0",
        "SET after 1",
        "DEL set",
        // Redis
        "SELECT 3",
        "SET redis 1",
    ];
    assert_eq!(transcript.0, expected);
    assert!(back.list(Path::new("/log")).is_ok_and(|names| names.len() >= 4));
}

/// Redis's own checker finds the files good, but for the torn end that it cuts.
fn check_with_redis(scratch: &Scratch) {
    if !installed("redis-check-aof") {
        return;
    }
    let manifest = scratch.log().join(format!("{NAME}.manifest"));
    let mut check = Command::new("redis-check-aof");
    let mut child = check
        .arg("--fix")
        .arg(&manifest)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-check-aof is installed");
    child.stdin.take().expect("its input").write_all(b"y\n").expect("an answer");
    let output = child.wait_with_output().expect("its verdict");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("Successfully truncated AOF") && output.status.success(), "{text}");
}
