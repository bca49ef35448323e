//! What applications do with redis-rs, over one kind of connection; every step checks what it got.
//! Always: no wait is longer than [`PATIENCE`].

use std::collections::{HashMap, HashSet};
use std::sync::mpsc;
use std::time::Duration;

use redis::streams::{StreamAutoClaimReply, StreamReadOptions, StreamReadReply};
use redis::{Client, Commands, Connection, PushInfo, PushKind, RedisResult, Value};

const PATIENCE: Duration = Duration::from_secs(20);

/// A server, and how it is reached.
pub(crate) struct Application {
    pub(crate) client: Client,
    pub(crate) is_resp3: bool,
}

impl Application {
    /// Does everything; `restart` ends the server and starts it again.
    pub(crate) fn run(&self, restart: impl FnOnce()) {
        let mut connection = self.connect();
        redis::cmd("FLUSHALL").exec(&mut connection).expect("an empty server");
        for step in [values, pipelines, transactions, streams, scripts] {
            step(&mut connection);
        }
        self.messages(&mut connection);
        self.waiting(&mut connection);
        if self.is_resp3 {
            self.caching(&mut connection);
        }
        connection.set::<_, _, ()>("lasting", "yes").expect("kept");
        restart();
        // One that is lost says so, and another one is made.
        let lost: RedisResult<String> = connection.get("lasting");
        let error = lost.expect_err("the server has ended");
        assert!(error.is_connection_dropped() || error.is_io_error(), "{error}");
        assert_eq!(self.connect().get::<_, String>("lasting").as_deref(), Ok("yes"));
    }

    fn connect(&self) -> Connection {
        let connection = self.client.get_connection_with_timeout(PATIENCE).expect("it listens");
        connection.set_read_timeout(Some(PATIENCE)).expect("a socket");
        connection.set_write_timeout(Some(PATIENCE)).expect("a socket");
        connection
    }

    fn messages(&self, connection: &mut Connection) {
        let mut listener = self.connect();
        let mut listener = listener.as_pubsub();
        listener.subscribe("news").expect("subscribed");
        listener.psubscribe("weather.*").expect("subscribed");
        assert_eq!(connection.publish("news", "one"), Ok(1));
        assert_eq!(connection.publish("weather.rain", "two"), Ok(1));
        let first = listener.get_message().expect("a message");
        assert_eq!((first.get_channel_name(), first.get_payload::<String>().as_deref()), ("news", Ok("one")));
        let second = listener.get_message().expect("a message");
        assert_eq!(second.get_pattern::<String>().as_deref(), Ok("weather.*"));
        assert_eq!(second.get_payload::<String>().as_deref(), Ok("two"));
        listener.unsubscribe("news").expect("no longer subscribed");
        assert_eq!(connection.publish("news", "three"), Ok(0));
    }

    fn waiting(&self, connection: &mut Connection) {
        let mut worker = self.connect();
        let waits = std::thread::spawn(move || worker.blpop::<_, (String, String)>("queue", 10.0));
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(connection.rpush("queue", "job"), Ok(1));
        let popped = waits.join().expect("no panic");
        assert_eq!(popped, Ok(("queue".to_owned(), "job".to_owned())));
        assert_eq!(connection.blpop("queue", 0.05), Ok(None::<(String, String)>));
    }

    /// Keys that are remembered on this side are told of when they change.
    fn caching(&self, connection: &mut Connection) {
        let mut caching = self.connect();
        #[expect(clippy::disallowed_methods, reason = "the library takes no other, and few messages come")]
        let (told, pushes) = mpsc::channel::<PushInfo>();
        caching.set_push_sender(told);
        redis::cmd("CLIENT").arg("TRACKING").arg("ON").exec(&mut caching).expect("tracked");
        connection.set::<_, _, ()>("cached", "old").expect("set");
        assert_eq!(caching.get::<_, String>("cached").as_deref(), Ok("old"));
        connection.set::<_, _, ()>("cached", "new").expect("set");
        assert_eq!(redis::cmd("PING").query::<String>(&mut caching).as_deref(), Ok("PONG"));
        let push = pushes.recv_timeout(PATIENCE).expect("it is told");
        assert_eq!(push.kind, PushKind::Invalidate);
        assert_eq!(push.data, [Value::Array(vec![Value::BulkString(b"cached".to_vec())])]);
    }
}

fn values(connection: &mut Connection) {
    connection.set_ex::<_, _, ()>("k", "v", 100).expect("set");
    assert_eq!(connection.get::<_, String>("k").as_deref(), Ok("v"));
    assert_eq!(connection.set_nx("k", "w"), Ok(false));
    connection.mset::<_, _, ()>(&[("a", 1), ("b", 2)]).expect("set");
    assert_eq!(connection.mget(&["a", "b", "none"]), Ok(vec![Some(1), Some(2), None::<i64>]));
    assert_eq!(connection.incr("a", 41), Ok(42));
    connection.hset_multiple::<_, _, _, ()>("h", &[("x", "1"), ("y", "z")]).expect("set");
    let fields: HashMap<String, String> = connection.hgetall("h").expect("a hash");
    assert_eq!(fields.len(), 2);
    assert_eq!(fields["y"], "z");
    assert_eq!(connection.zadd_multiple("z", &[(1.0, "one"), (0.5, "half")]), Ok(2));
    assert_eq!(connection.zscore("z", "half"), Ok(0.5));
    assert_eq!(connection.sadd("s", &["a", "b"]), Ok(2));
    assert_eq!(connection.smembers("s"), Ok(HashSet::from(["a".to_owned(), "b".to_owned()])));
    let everything: Vec<u8> = (0..70_000).map(|number: u32| number as u8).collect();
    connection.set::<_, _, ()>("raw", &everything).expect("set");
    assert_eq!(connection.get("raw"), Ok(everything));
    let refused: RedisResult<i64> = connection.lpush("k", 1);
    assert_eq!(refused.expect_err("a string").code(), Some("WRONGTYPE"));
}

fn pipelines(connection: &mut Connection) {
    let mut pipe = redis::pipe();
    for number in 0..1_000 {
        pipe.set(format!("p:{number}"), number).ignore();
    }
    pipe.get("p:999").incr("p:0", 5);
    assert_eq!(pipe.query(connection), Ok((999, 5)));
    let keys = connection.scan_match::<_, String>("p:99*").expect("a scan");
    let keys: RedisResult<HashSet<String>> = keys.collect();
    assert_eq!(keys.expect("keys").len(), 11);
    let fields: Vec<(String, u32)> = (0..1_000).map(|number| (format!("f:{number}"), number)).collect();
    connection.hset_multiple::<_, _, _, ()>("many", &fields).expect("set");
    let found = connection.hscan::<_, (String, u32)>("many").expect("a scan");
    let found: RedisResult<HashMap<String, u32>> = found.collect();
    assert_eq!(found.expect("fields").len(), 1_000);
}

fn transactions(connection: &mut Connection) {
    let both: (String, i64) = redis::pipe()
        .atomic()
        .set("balance", 10)
        .incr("balance", 1)
        .query(connection)
        .expect("a transaction");
    assert_eq!(both, ("OK".to_owned(), 11));
    let mut attempts = Vec::new();
    let doubled: (i64,) = redis::transaction(connection, &["balance"], |connection, pipe| {
        let before: i64 = connection.get("balance")?;
        attempts.push(before);
        if attempts.len() == 1 {
            // A write to what is watched, though by the same client, is a reason to try again.
            connection.set::<_, _, ()>("balance", 60)?;
        }
        pipe.set("balance", before * 2).ignore().get("balance").query(connection)
    })
    .expect("the second attempt succeeds");
    assert_eq!((attempts, doubled), (vec![11, 60], (120,)));
}

fn streams(connection: &mut Connection) {
    let add = |number: i64| connection.xadd("events", "*", &[("n", number)]).expect("added");
    let ids: Vec<String> = (0..4).map(add).collect();
    connection.xgroup_create::<_, _, _, ()>("events", "workers", "0").expect("a group");
    let options = StreamReadOptions::default().group("workers", "ann").count(3);
    let read: Option<StreamReadReply> =
        connection.xread_options(&["events"], &[">"], &options).expect("entries");
    let read = read.expect("there are entries");
    let found: Vec<&str> = read.keys[0].ids.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(found, ids[..3]);
    assert_eq!(connection.xack("events", "workers", &ids[..1]), Ok(1));
    let claimed: StreamAutoClaimReply = connection
        .xautoclaim_options("events", "workers", "bob", 0, "0", Default::default())
        .expect("claimed");
    let found: Vec<&str> = claimed.claimed.iter().map(|entry| entry.id.as_str()).collect();
    assert_eq!(found, ids[1..3]);
}

fn scripts(connection: &mut Connection) {
    let script = redis::Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    assert_eq!(script.key("counter").arg(5).invoke(connection), Ok(5));
    redis::cmd("SCRIPT").arg("FLUSH").exec(connection).expect("forgotten");
    assert_eq!(
        script.key("counter").arg(5).invoke(connection),
        Ok(10),
        "it is loaded again where it is missing"
    );
}
