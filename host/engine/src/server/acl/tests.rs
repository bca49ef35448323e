//! Users over whole sessions: logging in, being refused, being told why, and being thrown out.

use std::path::Path;
use std::sync::Arc;

use tenon_aof::memory_disk::MemoryDisk;
use tenon_base::Disk;

use crate::testing::Bench;

fn bench() -> Bench {
    Bench::new(&[])
}

fn field(entry: &str, name: &str) -> String {
    let behind = entry.split_once(&format!("\"{name}\", ")).expect("a field of the entry").1;
    behind.split([',', ']']).next().unwrap_or_default().trim_matches('"').to_owned()
}

#[test]
fn users_log_in_and_may_what_they_are_allowed() {
    let mut bench = bench();
    assert_eq!(bench.run(1, "ACL WHOAMI"), "\"default\"");
    assert_eq!(bench.run(1, "ACL SETUSER ann >secret +get +set +acl|whoami ~a*"), "OK");
    let wrong = "(error) WRONGPASS invalid username-password pair or user is disabled.";
    assert_eq!(bench.run(2, "AUTH ann secret"), wrong);
    assert_eq!(bench.run(1, "ACL SETUSER ann on"), "OK");
    assert_eq!(bench.run(2, "AUTH ann wrong"), wrong);
    assert_eq!(bench.run(2, "AUTH nobody secret"), wrong);
    assert_eq!(bench.run(2, "AUTH ann secret"), "OK");
    assert_eq!(bench.run(2, "ACL WHOAMI"), "\"ann\"");
    assert_eq!(bench.run(2, "SET a1 x"), "OK");
    assert_eq!(bench.run(2, "SET b1 x"), "(error) NOPERM No permissions to access a key");
    assert_eq!(bench.run(2, "DEL a1"), "(error) NOPERM User ann has no permissions to run the 'del' command");
    assert_eq!(
        bench.run(2, "CONFIG GET x"),
        "(error) NOPERM User ann has no permissions to run the 'config|get' command"
    );
    let line = bench.text(1, "CLIENT LIST");
    assert!(line.contains("cmd=config|get user=ann ") && line.contains("user=default "), "{line}");
    assert_eq!(bench.run(2, "RESET"), "RESET");
    assert_eq!(bench.run(2, "ACL WHOAMI"), "\"default\"");
    assert_eq!(bench.run(2, "HELLO 3 AUTH ann secret").matches("\"proto\": 3").count(), 1);
    assert_eq!(bench.run(2, "HELLO 3 AUTH ann secret AUTH default x").matches("\"proto\": 3").count(), 1);
    assert_eq!(bench.run(2, "ACL WHOAMI"), "\"default\"");
}

#[test]
fn the_default_user_may_be_closed() {
    let mut bench = bench();
    bench.connect(3);
    assert_eq!(bench.run(1, "ACL SETUSER default off"), "OK");
    assert_eq!(bench.run(1, "PING"), "PONG");
    assert_eq!(bench.run(2, "PING"), "(error) NOAUTH Authentication required.");
    assert_eq!(bench.run(1, "ACL SETUSER default on >x -ping"), "OK");
    assert_eq!(bench.run(2, "PING"), "(error) NOAUTH Authentication required.");
    assert_eq!(bench.run(2, "AUTH x"), "OK");
    assert_eq!(
        bench.run(2, "PING"),
        "(error) NOPERM User default has no permissions to run the 'ping' command"
    );
    // Whoever came while nobody had to log in stays.
    assert_eq!(bench.run(3, "ECHO x"), "\"x\"");
    assert_eq!(bench.run(1, "ACL SETUSER default nopass"), "OK");
    assert!(bench.run(4, "AUTH x").contains("called without any password configured for the default user"));
    assert_eq!(bench.run(4, "ECHO x"), "\"x\"");
}

#[test]
fn requirepass_is_the_default_users_password() {
    let mut bench = Bench::new(&[("requirepass", "old")]);
    assert_eq!(bench.run(1, "AUTH old"), "OK");
    assert_eq!(bench.run(1, "CONFIG SET requirepass new"), "OK");
    assert_eq!(bench.run(1, "PING"), "PONG");
    assert!(bench.run(2, "AUTH old").contains("WRONGPASS"));
    assert_eq!(bench.run(2, "AUTH new"), "OK");
    assert_eq!(bench.run(1, "CONFIG GET requirepass"), "[\"requirepass\", \"new\"]");
    let shown = bench.run(1, "ACL GETUSER default");
    assert!(shown.contains("11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"), "{shown}");
    assert_eq!(bench.run(1, "CONFIG SET requirepass \"\""), "OK");
    assert_eq!(bench.run(3, "PING"), "PONG");
}

#[test]
fn what_is_denied_is_logged_once_and_counted() {
    let mut bench = bench();
    bench.run(1, "ACL SETUSER ann on nopass +get +multi +exec +incr +publish +select|0 ~a*");
    bench.run(2, "AUTH ann x");
    for _ in 0..3 {
        bench.run(2, "SET a1 x");
    }
    bench.sleep(2_500);
    let log = bench.run(1, "ACL LOG");
    assert_eq!(log.matches("entry-id").count(), 1, "{log}");
    for (name, value) in [
        ("count", "3"),
        ("reason", "command"),
        ("context", "toplevel"),
        ("object", "set"),
        ("username", "ann"),
        ("age-seconds", "2.5"),
        ("entry-id", "0"),
        ("timestamp-created", "1700000000000"),
    ] {
        assert_eq!(field(&log, name), value, "{log}");
    }
    assert!(log.contains("cmd=set user=ann "), "{log}");
    bench.run(2, "GET b1");
    bench.run(2, "PUBLISH news x");
    bench.run(2, "AUTH ann");
    bench.run(2, "auth bob x");
    bench.run(2, "MULTI");
    bench.run(2, "SELECT 1");
    assert!(bench.run(2, "EXEC").contains("EXECABORT"));
    let entries = bench.run(1, "ACL LOG");
    let objects: Vec<String> = entries.split("], [").map(|entry| field(entry, "object")).collect();
    assert_eq!(objects, ["select", "auth", "news", "b1", "set"]);
    let contexts: Vec<String> = entries.split("], [").map(|entry| field(entry, "context")).collect();
    assert_eq!(contexts, ["multi", "toplevel", "toplevel", "toplevel", "toplevel"]);
    let reasons: Vec<String> = entries.split("], [").map(|entry| field(entry, "reason")).collect();
    assert_eq!(reasons, ["command", "auth", "channel", "key", "command"]);
    assert_eq!(bench.run(1, "ACL LOG 2").matches("entry-id").count(), 2);
    assert_eq!(bench.run(1, "ACL LOG -1"), "[]");
    let info = bench.text(1, "INFO stats");
    for (name, count) in [("auth", 1), ("cmd", 4), ("key", 1), ("channel", 1)] {
        assert!(info.contains(&format!("acl_access_denied_{name}:{count}\r\n")), "{name}: {info}");
    }
    assert_eq!(bench.run(1, "CONFIG SET acllog-max-len 3"), "OK");
    assert_eq!(bench.run(1, "ACL LOG 100").matches("entry-id").count(), 3);
    assert_eq!(bench.run(1, "ACL LOG RESET"), "OK");
    assert_eq!(bench.run(1, "ACL LOG"), "[]");
    bench.run(2, &format!("GET {}", "b".repeat(5_000)));
    assert_eq!(field(&bench.run(1, "ACL LOG"), "object").len(), 1024);
}

#[test]
fn a_queued_command_is_checked_again_when_it_runs() {
    let mut bench = bench();
    bench.run(1, "ACL SETUSER ann on nopass +@all ~*");
    bench.run(2, "AUTH ann x");
    bench.run(2, "MULTI");
    bench.run(2, "INCR a");
    bench.run(2, "INCR b");
    bench.run(2, "SET c 1");
    bench.run(1, "ACL SETUSER ann resetkeys ~a ~c -set");
    let replies = bench.run(2, "EXEC");
    let refusal = "(error) NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC \
                   call. This command is no longer allowed for the following reason: no permission";
    assert_eq!(
        replies,
        format!("[1, {refusal} to touch the specified keys, {refusal} to run the command or subcommand]")
    );
    assert_eq!(bench.run(1, "EXISTS a b c"), "1");
    let log = bench.run(1, "ACL LOG 1");
    assert!(log.contains("cmd=exec ") && field(&log, "context") == "multi", "{log}");
}

#[test]
fn a_request_that_waited_is_checked_again() {
    let mut bench = bench();
    bench.run(1, "ACL SETUSER ann on nopass +@all ~*");
    bench.run(2, "AUTH ann x");
    assert_eq!(bench.run(2, "BLPOP l 0"), "");
    bench.run(1, "ACL SETUSER ann resetkeys");
    bench.run(1, "RPUSH l x");
    let replies: Vec<String> = bench.replies(2).iter().map(ToString::to_string).collect();
    assert_eq!(replies, ["(error) NOPERM No permissions to access a key"]);
    assert_eq!(bench.run(1, "LLEN l"), "1");
}

#[test]
fn sort_follows_patterns_only_for_those_who_may_read_all() {
    let mut bench = bench();
    bench.run(1, "RPUSH l 2 1");
    bench.run(1, "ACL SETUSER ann on nopass (+@all ~l) (+@all ~l %W~*)");
    bench.run(2, "AUTH ann x");
    assert_eq!(bench.run(2, "SORT l"), "[\"1\", \"2\"]");
    assert_eq!(bench.run(2, "SORT l BY nosort"), "[\"2\", \"1\"]");
    let denied =
        |option| format!("(error) ERR {option} option of SORT denied due to insufficient ACL permissions.");
    assert_eq!(bench.run(2, "SORT l BY w*"), denied("BY"));
    assert_eq!(bench.run(2, "SORT_RO l GET #"), denied("GET"));
    bench.run(1, "ACL SETUSER ann (+sort ~l %R~*)");
    assert_eq!(bench.run(2, "SORT l BY w* GET #"), "[\"1\", \"2\"]");
    assert_eq!(bench.run(2, "SORT_RO l GET #"), denied("GET"));
    assert_eq!(bench.run(2, "SORT l STORE d"), "2");
    assert_eq!(bench.run(1, "ACL SETUSER ann clearselectors +sort ~l"), "OK");
    assert_eq!(bench.run(2, "SORT l STORE d"), "(error) NOPERM No permissions to access a key");
}

#[test]
fn the_last_of_several_targets_is_checked_too() {
    let mut bench = bench();
    bench.run(1, "GEOADD g 1 1 m");
    bench.run(1, "ACL SETUSER ann on nopass +@all ~g ~d");
    bench.run(2, "AUTH ann x");
    assert_eq!(bench.run(2, "GEORADIUS g 1 1 1 m STORE d"), "1");
    let denied = "(error) NOPERM No permissions to access a key";
    assert_eq!(bench.run(2, "GEORADIUS g 1 1 1 m STORE d STORE e"), denied);
    assert_eq!(bench.run(2, "GEORADIUS g 1 1 1 m STORE d STOREDIST e"), denied);
}

#[test]
fn whoever_is_removed_is_thrown_out() {
    let mut bench = bench();
    bench.run(1, "ACL SETUSER ann on nopass +@all ~* &*");
    bench.run(1, "ACL SETUSER bob on nopass +@all ~* &*");
    bench.run(2, "AUTH ann x");
    bench.run(3, "AUTH ann x");
    bench.run(4, "AUTH bob x");
    assert_eq!(bench.run(1, "ACL DELUSER bob default"), "(error) ERR The 'default' user cannot be removed");
    assert_eq!(bench.run(2, "ACL DELUSER ann nobody ann"), "1");
    bench.closed.sort_unstable();
    assert_eq!(bench.closed, [2, 3]);
    assert_eq!(bench.run(1, "ACL USERS"), "[\"bob\", \"default\"]");
    assert_eq!(bench.run(1, "CLIENT KILL USER ann"), "(error) ERR No such user 'ann'");
    assert_eq!(bench.run(1, "CLIENT KILL USER bob"), "1");
    assert_eq!(bench.closed, [2, 3, 4]);
}

#[test]
fn subscribers_who_lose_a_channel_are_thrown_out() {
    let mut bench = bench();
    bench.run(1, "ACL SETUSER ann on nopass +@all &a &p* &s");
    for (client, request) in
        [(2, "SUBSCRIBE a"), (3, "PSUBSCRIBE p*"), (4, "SSUBSCRIBE s"), (5, "SUBSCRIBE p1")]
    {
        bench.run(client, "AUTH ann x");
        assert!(bench.run(client, request).contains("subscribe"));
    }
    bench.run(6, "AUTH ann x");
    assert_eq!(bench.run(6, "SUBSCRIBE a b"), "(error) NOPERM No permissions to access a channel");
    assert_eq!(bench.run(6, "PSUBSCRIBE p1"), "(error) NOPERM No permissions to access a channel");
    bench.run(1, "ACL SETUSER ann &b");
    bench.run(1, "ACL SETUSER ann allchannels");
    assert_eq!(bench.closed, []);
    bench.run(1, "ACL SETUSER ann resetchannels &p*");
    bench.closed.sort_unstable();
    assert_eq!(bench.closed, [2, 4]);
    bench.run(1, "ACL SETUSER ann resetchannels &p?");
    bench.closed.sort_unstable();
    assert_eq!(bench.closed, [2, 3, 4]);
}

#[test]
fn a_dry_run_says_what_would_be_denied() {
    let mut bench = bench();
    bench.run(1, "ACL SETUSER ann +@all -config|set %R~r* %W~w* &c");
    for (request, expected) in [
        ("GET r", "OK"),
        ("SET w 1", "OK"),
        ("SET w 1 GET", "\"User ann has no permissions to access the 'w' key\""),
        ("CONFIG SET a b", "\"User ann has no permissions to run the 'config|set' command\""),
        ("CONFIG GET a", "OK"),
        ("PUBLISH d x", "\"User ann has no permissions to access the 'd' channel\""),
        ("UNSUBSCRIBE d", "OK"),
        ("NOPE a", "(error) ERR Command 'NOPE' not found"),
        ("CONFIG NOPE", "(error) ERR Command 'CONFIG' not found"),
        ("CONFIG", "(error) ERR wrong number of arguments for 'config' command"),
        ("GET", "(error) ERR wrong number of arguments for 'get' command"),
        ("SINTERCARD 9 x", "OK"),
    ] {
        let reply = bench.run(1, &format!("ACL DRYRUN ann {request}"));
        assert_eq!(reply.replace('\\', ""), expected, "{request}");
    }
    assert_eq!(bench.run(1, "ACL DRYRUN bob GET r"), "(error) ERR User 'bob' not found");
}

#[test]
fn a_user_is_shown_in_both_protocols() {
    let mut bench = bench();
    bench.run(1, "ACL SETUSER ann on nopass +get ~a &c (+@all %R~b)");
    assert_eq!(
        bench.run(1, "ACL GETUSER ann"),
        "[\"flags\", [\"on\", \"nopass\", \"sanitize-payload\"], \"passwords\", [], \"commands\", \"-@all +get\", \
         \"keys\", \"~a\", \"channels\", \"&c\", \"selectors\", [[\"commands\", \"+@all\", \"keys\", \"%R~b\", \
         \"channels\", \"\"]]]"
    );
    bench.run(1, "HELLO 3");
    let shown = bench.run(1, "ACL GETUSER ann");
    assert!(shown.starts_with("{\"flags\": ~[\"on\", "), "{shown}");
    assert_eq!(bench.run(1, "ACL GETUSER bob"), "(nil)");
    assert_eq!(
        bench.run(1, "ACL LIST"),
        "[\"user ann on nopass sanitize-payload ~a resetchannels &c -@all +get (%R~b resetchannels +@all)\", \"user \
         default on nopass sanitize-payload ~* &* +@all\"]"
    );
}

#[test]
fn passwords_are_made_as_long_as_asked_for() {
    let mut bench = bench();
    assert_eq!(bench.run(1, "ACL GENPASS").len(), 64 + 2);
    assert_eq!(bench.run(1, "ACL GENPASS 5").len(), 2 + 2);
    assert_eq!(bench.run(1, "ACL GENPASS 4096").len(), 1024 + 2);
    assert_ne!(bench.run(1, "ACL GENPASS"), bench.run(1, "ACL GENPASS"));
    for bits in ["0", "-1", "4097"] {
        assert!(bench.run(1, &format!("ACL GENPASS {bits}")).contains("ACL GENPASS argument must be"));
    }
}

#[test]
fn files_hold_users_and_bad_ones_change_nothing() {
    let disk = Arc::new(MemoryDisk::default());
    let write = |text: &str| {
        let file = disk.create(Path::new("/data/users.acl")).expect("the disk takes it");
        file.append(text.as_bytes()).expect("the disk takes it");
    };
    disk.make_directory(Path::new("/data")).expect("the disk takes it");
    write("user ann on nopass ~* +@all\n");
    let directives = [("dir", "/data"), ("aclfile", "users.acl")];
    let mut bench = Bench::on_disk(&directives, disk.clone());
    bench.run(2, "AUTH ann x");
    bench.run(1, "ACL SETUSER bob on >b ~* (+get ~x)");
    assert_eq!(bench.run(1, "ACL SAVE"), "OK");
    bench.run(1, "ACL SETUSER eve on");
    assert_eq!(bench.run(1, "ACL LOAD"), "OK");
    assert_eq!(bench.closed, [2]);
    assert_eq!(bench.run(1, "ACL USERS"), "[\"ann\", \"bob\", \"default\"]");
    assert!(bench.run(1, "ACL LIST").contains("(~x resetchannels -@all +get)"));
    write("user ann on\nuser ann off\nnonsense\n");
    assert_eq!(
        bench.run(1, "ACL LOAD"),
        "(error) ERR WARNING: Duplicate user 'ann' found on line 2. users.acl:3 should start with user keyword followed \
         by the username. WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
    );
    assert_eq!(bench.run(1, "ACL USERS"), "[\"ann\", \"bob\", \"default\"]");
    disk.remove(Path::new("/data/users.acl")).expect("it is there");
    assert!(bench.run(1, "ACL LOAD").contains("opening file 'users.acl': "));
    assert!(bench.run(3, "CONFIG SET aclfile x").contains("immutable"));
    let mut bench = Bench::new(&[]);
    for request in ["ACL LOAD", "ACL SAVE"] {
        assert!(bench.run(1, request).contains("is not configured to use an ACL file"));
    }
}

#[test]
fn users_may_be_part_of_the_configuration() {
    let mut bench = Bench::new(&[("user", "ann on nopass +@all (+get ~a )"), ("requirepass", "x")]);
    assert_eq!(bench.run(1, "AUTH ann x"), "OK");
    assert!(bench.run(1, "ACL LIST").contains("user ann on nopass "));
    let mut bench = Bench::new(&[("user", "default on nopass ~* +@all -flushdb"), ("requirepass", "x")]);
    assert_eq!(
        bench.run(1, "FLUSHDB"),
        "(error) NOPERM User default has no permissions to run the 'flushdb' command"
    );
}
