//! Stepping through a script, spoken to Tenon and to redis-server: both must tell the same.
//! Always: each wait is bounded; ports are chosen by the system.

mod support;

use support::client::Client;
use support::server::Server;

const SCRIPT: &str = "local t = {1, 'two', {x = true}}\nlocal n = redis.call('INCR', KEYS[1])\nif n > 1 then n = 0 end\n\
                      redis.call('RPUSH', KEYS[2], 'a', 'b')\nlocal all = redis.call('LRANGE', KEYS[2], 0, -1)\n\
                      redis.breakpoint()\nlocal none = redis.call('GET', 'none')\nredis.debug(n, t, none)\nreturn all";

/// What is said at a stop that stays there. Addresses and sentences of Tenon's own are left out.
const SAID: [&str; 22] = [
    "print",
    "print t",
    "print n",
    "print none",
    "p KEYS",
    "p ARGV",
    "list",
    "l 2",
    "l 8 1",
    "whole",
    "b 5 99 x",
    "b",
    "b -5",
    "b -5",
    "e #KEYS + 1",
    "e {1, {2.5}}",
    "e x =",
    "m 61",
    "r ECHO 0123456789012345678901234567890123456789012345678901234567890123456789",
    "m 0",
    "r",
    "nonsense",
];

fn say(client: &mut Client, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    client.command(&words).to_string()
}

/// The whole conversation, and what the script came to.
fn conversation(server: &Server) -> Vec<String> {
    let mut client = server.client();
    assert_eq!(say(&mut client, "SCRIPT DEBUG SYNC"), "OK");
    let mut told = vec![client.command(&["EVAL", SCRIPT, "2", "counter", "list", "argument"]).to_string()];
    for line in SAID {
        told.push(format!("{line}: {}", say(&mut client, line)));
    }
    told.extend(
        ["s", "step", "n", "s", "c", "p all", "t", "s", "c"]
            .map(|line| format!("{line}: {}", say(&mut client, line))),
    );
    told.push(client.receive().expect("what it came to").to_string());
    assert!(client.is_closed(), "the session's end is the connection's");
    let counter = server.client().command(&["GET", "counter"]).to_string();
    told.push(counter);
    told
}

#[test]
fn both_servers_tell_the_same() {
    let tenon = Server::tenon(&[]);
    let told = conversation(&tenon);
    assert!(told.last().is_some_and(|counter| counter == "\"1\""), "{told:#?}");
    let Some(redis) = Server::redis(&[]) else { return };
    assert_eq!(told, conversation(&redis));
}

#[test]
fn others_wait_then_are_told_why_and_may_end_it() {
    let server = Server::tenon(&["--busy-reply-threshold", "100"]);
    let (mut client, mut other) = (server.client(), server.client());
    say(&mut client, "SCRIPT DEBUG SYNC");
    assert!(client.command(&["EVAL", "return 1", "0"]).to_string().contains("Stopped at 1"));
    assert!(say(&mut other, "PING").contains("BUSY"));
    assert!(server.client().command(&["GET", "k"]).to_string().contains("BUSY"));
    assert_eq!(say(&mut other, "SCRIPT KILL"), "OK");
    assert!(client.receive().expect("the end").to_string().contains("<endsession>"));
    assert!(client.receive().expect("what it came to").to_string().contains("Script killed by user"));
    assert_eq!(say(&mut other, "PING"), "PONG");
}

#[test]
fn a_client_that_hangs_up_leaves_the_script_to_itself() {
    let server = Server::tenon(&[]);
    let mut client = server.client();
    say(&mut client, "SCRIPT DEBUG SYNC");
    client.command(&["EVAL", "local a = 1\nreturn redis.call('SET', 'k', a)", "0"]);
    drop(client);
    let mut other = server.client();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while say(&mut other, "GET k") != "\"1\"" {
        assert!(std::time::Instant::now() < until, "{}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
