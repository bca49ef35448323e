//! BACKUP as an operator uses it, on the program itself: while clients write, throttled, given up, killed in the middle;
//! checked by `tenon check backup` and started from.
//! Always: a backup shows one moment, and one that is not finished is not taken for one.

mod support;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use support::client::Client;
use support::reply::Reply;
use support::server::{Directory, Program, Server};
use support::tools::{self, said};

const PATIENCE: Duration = Duration::from_secs(60);
const PLAIN: [&str; 4] = ["--save", "", "--rdbcompression", "no"];

fn check(directory: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenon"));
    tools::run(command.args(["check", "backup"]).arg(directory), b"", PATIENCE)
}

fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn status(client: &mut Client) -> HashMap<String, String> {
    let reply = client.command(&["BACKUP", "STATUS"]);
    reply.elements().chunks(2).map(|pair| (pair[0].text(), pair[1].to_string())).collect()
}

fn wait_for(client: &mut Client, wanted: &str) -> HashMap<String, String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let status = status(client);
        if status["status"].contains(wanted) {
            return status;
        }
        assert!(Instant::now() < until, "never {wanted}: {status:?}");
        sleep(Duration::from_millis(10));
    }
}

/// A server with keys of a kibibyte each.
fn filled(keys: usize, arguments: &[&str]) -> Server {
    let server = Server::tenon(&[&PLAIN, arguments].concat());
    let mut client = server.client();
    let requests: Vec<Vec<Vec<u8>>> = (0..keys)
        .map(|number| vec![b"SET".to_vec(), format!("key:{number}").into_bytes(), vec![b'v'; 1_024]])
        .collect();
    for some in requests.chunks(500) {
        client.pipeline(some);
    }
    server
}

fn backup_of(server: &Server, name: &str) -> PathBuf {
    let reply = server.client().command(&["BACKUP", "START", name]);
    let directory = server.directory().join("backups").join(name);
    assert_eq!(reply.text(), directory.to_str().expect("a path of letters"));
    directory
}

/// Two counters in one transaction are equal at every moment.
#[test]
fn a_backup_under_writes_shows_one_moment_and_starts_a_server() {
    let server = filled(5_000, &["--backup-bytes-per-second", "8mb"]);
    let mut client = server.client();
    client.command(&[
        "FUNCTION",
        "LOAD",
        "#!lua name=lib\nredis.register_function('one', function() return 1 end)",
    ]);
    client.command(&["MSET", "left", "0", "right", "0"]);
    let (is_over, mut directory) = (AtomicBool::new(false), PathBuf::new());
    scope(|threads| {
        let writer = threads.spawn(|| {
            let mut writer = server.client();
            let mut count = 0_usize;
            while !is_over.load(Ordering::Relaxed) {
                let key = format!("key:{}", count % 5_000);
                writer.pipeline(&[
                    vec!["MULTI"],
                    vec!["INCR", "left"],
                    vec!["SET", &key, "changed"],
                    vec!["INCR", "right"],
                    vec!["EXEC"],
                ]);
                count += 1;
            }
            count
        });
        sleep(Duration::from_millis(50));
        directory = backup_of(&server, "nightly");
        assert!(status(&mut client)["status"].contains("running"));
        let refusal = client.command(&["BACKUP", "START", "second"]).to_string();
        assert!(refusal.contains("ERR The backup cannot begin: a backup into"), "{refusal}");
        assert!(client.command(&["INFO", "persistence"]).text().contains("backup_in_progress:1"));
        // A save beside it does not disturb it.
        assert_eq!(client.command(&["BGSAVE"]).text(), "Background saving started");
        let ended = wait_for(&mut client, "ok");
        assert!(ended["percentage"].contains("100.00"), "{ended:?}");
        is_over.store(true, Ordering::Relaxed);
        assert!(writer.join().expect("the writer") > 100, "writes went on");
    });

    let output = check(&directory);
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(said(&output).contains("Backup is sound\n"), "{}", said(&output));
    let manifest = fs::read_to_string(directory.join("backup.txt")).expect("a manifest");
    assert!(manifest.contains("state: complete\n") && manifest.contains("keys: 5002\n"), "{manifest}");
    assert!(manifest.contains("function-libraries: 1\n"), "{manifest}");

    let list = client.command(&["BACKUP", "LIST"]);
    assert!(list.to_string().contains("nightly") && list.elements().len() == 1, "{list}");
    let copy = copied(&directory);
    let restored = Server::start(Program::Tenon, &["--save", ""], copy);
    let mut client = restored.client();
    assert_eq!(client.command(&["DBSIZE"]), Reply::Integer(5_002));
    assert_eq!(client.command(&["FCALL", "one", "0"]), Reply::Integer(1));
    assert_eq!(client.command(&["GET", "left"]), client.command(&["GET", "right"]));
    assert!(restored.log().contains("is a backup of "), "{}", restored.log());
}

/// The files of a backup in a directory of a test's own.
fn copied(directory: &Path) -> Directory {
    let copy = Directory::new();
    for file in fs::read_dir(directory).expect("a directory") {
        let file = file.expect("a file");
        fs::copy(file.path(), copy.path().join(file.file_name())).expect("it can be copied");
    }
    copy
}

#[test]
fn a_backup_that_is_given_up_is_gone() {
    let server = filled(2_000, &["--backup-bytes-per-second", "100kb"]);
    let mut client = server.client();
    let directory = backup_of(&server, "slow");
    let running = wait_for(&mut client, "running");
    assert!(running["keys-total"].contains("2000"), "{running:?}");
    let until = Instant::now() + PATIENCE;
    while status(&mut client)["bytes"].ends_with(" 0") {
        assert!(Instant::now() < until, "nothing is written");
        sleep(Duration::from_millis(5));
    }
    assert!(directory.join("backup.txt").exists());
    assert_eq!(client.command(&["BACKUP", "ABORT"]).text(), "OK");
    // Nobody needs to be called for what was asked for.
    let ended = wait_for(&mut client, "aborted");
    assert_eq!(ended["error"], "\"\"", "{ended:?}");
    assert!(client.command(&["INFO", "persistence"]).text().contains("backup_last_status:ok"));
    server.wait_for_log("/backups/slow was aborted, and removed");
    assert!(!server.log().contains("snapshot-memory-max"), "it was not for want of memory");
    assert!(!directory.exists());
    assert_eq!(client.command(&["BACKUP", "LIST"]).elements().len(), 0);
    // Without a limit the next one is quick.
    client.command(&["CONFIG", "SET", "backup-bytes-per-second", "0"]);
    backup_of(&server, "slow");
    wait_for(&mut client, "ok");
}

#[test]
fn a_backup_keeps_what_is_flushed_swapped_renamed_and_expired_while_it_is_written() {
    let server = filled(3_000, &["--backup-bytes-per-second", "500kb"]);
    let mut client = server.client();
    client.command(&["SELECT", "4"]);
    for word in ["one", "two"] {
        client.command(&["SADD", "set", word]);
    }
    client.command(&["SET", "short", "1", "PX", "600"]);
    let directory = backup_of(&server, "kept");
    client.command(&["RENAME", "set", "other"]);
    client.command(&["SWAPDB", "0", "4"]);
    assert_eq!(client.command(&["DBSIZE"]), Reply::Integer(3_000));
    client.command(&["FLUSHALL"]);
    client.command(&["SET", "new", "1"]);
    sleep(Duration::from_millis(700));
    assert!(status(&mut client)["status"].contains("running"));
    client.command(&["CONFIG", "SET", "backup-bytes-per-second", "0"]);
    wait_for(&mut client, "ok");
    let output = check(&directory);
    assert!(output.status.success(), "{}", complaint(&output));
    let report = said(&output);
    assert!(report.contains("database 0: 3000 string\ndatabase 4: 1 set, 1 string\n"), "{report}");
}

#[test]
fn a_kill_in_the_middle_leaves_what_is_recognised_as_unfinished() {
    let mut server = filled(2_000, &["--backup-bytes-per-second", "100kb"]);
    let mut client = server.client();
    assert_eq!(client.command(&["SAVE"]).text(), "OK");
    let directory = backup_of(&server, "torn");
    let until = Instant::now() + PATIENCE;
    while !directory.join("dump.rdb.part").exists() {
        assert!(Instant::now() < until, "nothing is written");
        sleep(Duration::from_millis(5));
    }
    server.kill9();
    let output = check(&directory);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("never finished"), "{}", complaint(&output));
    server.restart();
    assert!(server.log().contains("backups/torn is no usable backup and can be removed"), "{}", server.log());
    assert_eq!(server.client().command(&["BACKUP", "LIST"]).elements().len(), 0);
    let refusal = server.client().command(&["BACKUP", "START", "torn"]).to_string();
    assert!(refusal.contains("is there already: give another name"), "{refusal}");

    let mut command = Command::new(env!("CARGO_BIN_EXE_tenon"));
    let started = tools::run(command.args(["--port", "0", "--dir"]).arg(&directory), b"", PATIENCE);
    assert_eq!(started.status.code(), Some(1));
    let told = said(&started);
    assert!(told.contains("was never finished: its server ended while it was written"), "{told}");
}

#[test]
fn what_was_changed_in_a_backup_is_found() {
    let server = filled(100, &[]);
    let directory = backup_of(&server, "good");
    wait_for(&mut server.client(), "ok");
    let dump = directory.join("dump.rdb");
    let bytes = fs::read(&dump).expect("the dump");
    for (change, complaint_part) in [
        (&(|bytes: &mut Vec<u8>| bytes[500] ^= 1) as &dyn Fn(&mut Vec<u8>), "has the checksum"),
        (&|bytes| bytes.truncate(5_000), "has 5000 bytes, and it had"),
    ] {
        let mut changed = bytes.clone();
        change(&mut changed);
        fs::write(&dump, changed).expect("it can be written");
        let output = check(&directory);
        assert_eq!(output.status.code(), Some(1));
        assert!(complaint(&output).contains(complaint_part), "{}", complaint(&output));
    }
    fs::write(&dump, bytes).expect("it can be written");
    assert!(check(&directory).status.success());
    let manifest = directory.join("backup.txt");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    fs::write(&manifest, text.replace("keys: 100", "keys: 101")).expect("it can be written");
    assert!(complaint(&check(&directory)).contains("its checksum is"), "{}", complaint(&check(&directory)));
    fs::remove_file(&manifest).expect("it is there");
    assert!(complaint(&check(&directory)).contains("holds no backup.txt"));
}

/// Two snapshots at once, one of them slow, while everything changes: what memory has no room for goes into a file, and
/// both show their moments.
#[test]
fn a_slow_backup_beside_a_save_puts_changed_data_aside() {
    let keys = 40_000;
    let server = filled(keys, &["--backup-bytes-per-second", "1mb", "--snapshot-memory-max", "1mb"]);
    let mut client = server.client();
    let directory = backup_of(&server, "slow");
    assert_eq!(client.command(&["BGSAVE"]).text(), "Background saving started");
    let mut peak = 0;
    let requests: Vec<Vec<String>> = (0..keys)
        .map(|number| vec!["SET".to_owned(), format!("key:{number}"), "changed".to_owned()])
        .collect();
    for some in requests.chunks(200) {
        client.pipeline(some);
        let told = client.command(&["INFO", "persistence"]).text();
        let bytes = told.lines().find_map(|line| line.strip_prefix("current_cow_size:")).expect("a field");
        peak = peak.max(bytes.trim().parse::<u64>().expect("a number"));
        // A machine with other work must have the time to put aside what fills the bound in a quarter of a second.
        sleep(Duration::from_millis(5));
    }
    assert!(peak < 80 << 20, "{peak} bytes were held");
    let running = status(&mut client);
    assert!(
        running["status"].contains("running") && !running["spilled-bytes"].ends_with(" 0"),
        "{running:?}"
    );
    assert_eq!(client.command(&["CONFIG", "SET", "backup-bytes-per-second", "0"]).text(), "OK");
    wait_for(&mut client, "ok");
    let output = check(&directory);
    assert!(output.status.success(), "{}", complaint(&output));
    let restored = Server::start(Program::Tenon, &["--save", ""], copied(&directory));
    let mut client = restored.client();
    assert_eq!(client.command(&["DBSIZE"]), Reply::Integer(keys as i64));
    for number in (0..keys).step_by(977) {
        assert_eq!(
            client.command(&["STRLEN", &format!("key:{number}")]),
            Reply::Integer(1_024),
            "key:{number}"
        );
    }
    let left: Vec<_> = fs::read_dir(server.directory())
        .expect("the directory")
        .filter_map(|file| Some(file.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.starts_with("temp-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

fn restore(backup: &Path, into: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenon"));
    command.args(["restore", "--from"]).arg(backup).arg("--into").arg(into);
    tools::run(&mut command, b"", PATIENCE)
}

/// The bad day: one command checks the backup and lays out a data directory; what it says starts the server.
#[test]
fn one_command_makes_a_data_directory_of_a_backup() {
    let users = Directory::new();
    let acl = users.path().join("people.acl");
    fs::write(&acl, "user default on nopass ~* &* +@all\nuser ann on >secret ~* +@all\n").expect("room");
    fs::set_permissions(&acl, fs::Permissions::from_mode(0o640)).expect("our own file");
    let server = filled(200, &["--aclfile", acl.to_str().expect("a path of letters")]);
    let mut client = server.client();
    let library = "#!lua name=lib\nredis.register_function('one', function() return 1 end)";
    client.command(&["FUNCTION", "LOAD", library]);
    client.command(&["SELECT", "5"]);
    client.command(&["RPUSH", "list", "a", "b"]);
    let backup = backup_of(&server, "nightly");
    wait_for(&mut client, "ok");
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&backup.join("users.acl")), 0o640);
    let manifest = fs::read_to_string(backup.join("backup.txt")).expect("a manifest");
    assert!(manifest.contains("\nfile: users.acl 64 bytes"), "{manifest}");

    let place = Directory::new();
    let into = place.path().join("data");
    let output = restore(&backup, &into);
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(said(&output).contains("Backup is sound\n"), "{}", said(&output));
    let advice = format!("start with: tenon --dir {} --aclfile users.acl\n", into.display());
    assert!(said(&output).ends_with(&advice), "{}", said(&output));
    assert_eq!(mode(&into.join("users.acl")), 0o640);
    assert!(!into.join("backup.txt").exists(), "it is a data directory now, and changes");

    let into = into.to_str().expect("a path of letters");
    for log in ["no", "yes"] {
        let arguments = ["--dir", into, "--aclfile", "users.acl", "--save", "", "--appendonly", log];
        let restored = Server::tenon(&arguments);
        let mut client = restored.client();
        assert_eq!(client.command(&["DBSIZE"]), Reply::Integer(200));
        assert_eq!(client.command(&["FCALL", "one", "0"]), Reply::Integer(1));
        assert_eq!(client.command(&["AUTH", "ann", "secret"]).text(), "OK");
        client.command(&["SELECT", "5"]);
        assert_eq!(client.command(&["LLEN", "list"]), Reply::Integer(2));
    }

    // It never writes over what is there.
    let output = restore(&backup, Path::new(into));
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("is not empty: --into wants a new or an empty directory"));
    let output = restore(&backup, &backup.join("inside"));
    assert!(complaint(&output).contains("lies within"), "{}", complaint(&output));
    // Nor is anything made of a backup that is not sound.
    let dump = backup.join("dump.rdb");
    let mut bytes = fs::read(&dump).expect("the dump");
    bytes[100] ^= 1;
    fs::write(&dump, bytes).expect("it can be written");
    let other = place.path().join("other");
    let output = restore(&backup, &other);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("dump.rdb has the checksum"), "{}", complaint(&output));
    assert!(!other.exists());
}

/// A start refuses what a restore that was killed, or failed, has left.
#[test]
fn half_of_a_restored_directory_starts_no_server() {
    let server = filled(3_000, &[]);
    let backup = backup_of(&server, "good");
    wait_for(&mut server.client(), "ok");
    let place = Directory::new();
    let into = place.path().join("data");
    // The copy fails in its midst, as on a full disk.
    let binary = env!("CARGO_BIN_EXE_tenon");
    let limited = format!(
        "ulimit -f 1024; trap '' XFSZ; exec {binary} restore --from {} --into {}",
        backup.display(),
        into.display()
    );
    let output = tools::run(Command::new("bash").args(["-c", &limited]), b"", PATIENCE);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(complaint(&output).contains("what was made so far starts no server"), "{}", complaint(&output));
    let mut command = Command::new(binary);
    let started = tools::run(command.args(["--port", "0", "--dir"]).arg(&into), b"", PATIENCE);
    assert_eq!(started.status.code(), Some(1));
    assert!(said(&started).contains("was never finished"), "{}", said(&started));
}

/// What was put aside for a snapshot belongs to nobody once its server was killed.
#[test]
fn what_a_killed_server_had_put_aside_is_removed_at_the_next_start() {
    let keys = 40_000;
    let mut server = filled(keys, &["--backup-bytes-per-second", "100kb", "--snapshot-memory-max", "1mb"]);
    let put_aside = |server: &Server| -> Vec<PathBuf> {
        let files = fs::read_dir(server.directory()).expect("the directory");
        let paths = files.filter_map(|file| Some(file.ok()?.path()));
        let is_ours = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("temp-changed-"))
        };
        paths.filter(is_ours).collect()
    };
    backup_of(&server, "slow");
    let mut client = server.client();
    let requests: Vec<Vec<String>> = (0..keys)
        .map(|number| vec!["SET".to_owned(), format!("key:{number}"), "changed".to_owned()])
        .collect();
    for some in requests.chunks(500) {
        client.pipeline(some);
    }
    let until = Instant::now() + PATIENCE;
    while put_aside(&server).is_empty() {
        assert!(Instant::now() < until, "nothing was put aside");
        sleep(Duration::from_millis(10));
    }
    // Another server that starts in the same directory does not take it away.
    let directory = server.directory().to_str().expect("a path of letters").to_owned();
    drop(Server::tenon(&["--dir", &directory, "--dbfilename", "other.rdb", "--save", ""]));
    assert!(!put_aside(&server).is_empty());
    server.kill9();
    let left = put_aside(&server);
    assert!(!left.is_empty());
    server.restart();
    assert!(put_aside(&server).is_empty());
    let told = server.log();
    let name = left[0].file_name().expect("a name").to_string_lossy().into_owned();
    assert!(told.contains(&name) && told.contains("was left by a server that ended: removed"), "{told}");
}
