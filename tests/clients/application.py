"""What applications do with redis-py, over one kind of connection; every step checks what it got.

    application.py tcp|tls|unix 2|3 PORT-OR-PATH CERTIFICATES

It ends with `done`, or with a traceback. Before that it prints `restart` and waits for a line: by then the server has
been ended and started again.
"""

import sys
import threading
import time

import redis

KIND, PROTOCOL, PLACE, CERTIFICATES = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]


def connect(**more):
    options = {"protocol": PROTOCOL, "decode_responses": True, "socket_timeout": 20, **more}
    if KIND == "unix":
        return redis.Redis(unix_socket_path=PLACE, **options)
    if KIND == "tls":
        options.update(
            ssl=True,
            ssl_ca_certs=f"{CERTIFICATES}/ca.crt",
            ssl_certfile=f"{CERTIFICATES}/client.crt",
            ssl_keyfile=f"{CERTIFICATES}/client.key",
        )
    return redis.Redis(host="localhost" if KIND == "tls" else "127.0.0.1", port=int(PLACE), **options)


def values(r):
    assert r.set("k", "v", ex=100) is True and r.get("k") == "v" and 0 < r.ttl("k") <= 100
    assert r.set("k", "w", nx=True) is None and r.set("k", "w", get=True) == "v"
    assert r.mset({"a": 1, "b": 2}) is True and r.mget("a", "b", "none") == ["1", "2", None]
    assert r.incrby("a", 41) == 42 and r.incrbyfloat("f", 1.5) == 1.5 and r.append("k", "!") == 2
    assert r.hset("h", mapping={"x": 1, "y": "z"}) == 2 and r.hgetall("h") == {"x": "1", "y": "z"}
    assert r.hmget("h", "x", "none") == ["1", None] and r.hincrby("h", "x", 2) == 3 and r.hdel("h", "y") == 1
    assert r.zadd("z", {"one": 1, "half": 0.5}) == 2 and r.zscore("z", "half") == 0.5
    assert r.sadd("s", "a", "b") == 2 and r.smembers("s") == {"a", "b"}
    assert r.geoadd("g", (13.361389, 38.115556, "Palermo")) == 1 and len(r.geopos("g", "Palermo")) == 1
    raw = connect(decode_responses=False)
    everything = bytes(range(256)) * 300
    assert raw.set(everything, everything) and raw.get(everything) == everything and raw.delete(everything) == 1
    try:
        r.lpush("k", 1)
        raise AssertionError("a list in a string")
    except redis.ResponseError as error:
        assert "WRONGTYPE" in str(error)


def pipelines(r):
    pipe = r.pipeline(transaction=False)
    for number in range(1000):
        pipe.set(f"p:{number}", number)
    pipe.get("p:999").lpush("k", 1)
    answers = pipe.execute(raise_on_error=False)
    assert answers[:1000] == [True] * 1000 and answers[1000] == "999"
    assert isinstance(answers[1001], redis.ResponseError)
    assert sorted(r.scan_iter("p:99*", count=7)) == sorted(f"p:{number}" for number in [99, *range(990, 1000)])
    r.hset("many", mapping={f"field:{number}": number for number in range(1000)})
    assert len(dict(r.hscan_iter("many", match="field:*"))) == 1000
    r.zadd("scores", {f"member:{number}": number for number in range(1000)})
    assert sum(score for _, score in r.zscan_iter("scores")) == 499500.0


def transactions(r):
    with r.pipeline() as pipe:
        pipe.watch("balance")
        pipe.multi()
        pipe.set("balance", 10).incr("balance")
        assert pipe.execute() == [True, 11]
        pipe.watch("balance")
        r.set("balance", 50)
        pipe.multi()
        pipe.set("balance", 0)
        try:
            pipe.execute()
            raise AssertionError("somebody else wrote meanwhile")
        except redis.WatchError:
            pass
    attempts = []

    def double(pipe):
        before = int(pipe.get("balance"))
        if not attempts:
            r.set("balance", 60)
        attempts.append(before)
        pipe.multi()
        pipe.set("balance", before * 2)

    assert r.transaction(double, "balance") == [True]
    assert attempts == [50, 60] and r.get("balance") == "120"


def messages(r):
    heard = []
    with r.pubsub() as pubsub:
        pubsub.subscribe("news", named=lambda message: heard.append(message["data"]))
        pubsub.psubscribe("weather.*")
        kinds = [pubsub.get_message(timeout=10)["type"] for _ in range(3)]
        assert sorted(kinds) == ["psubscribe", "subscribe", "subscribe"], kinds
        assert r.publish("news", "one") == 1 and r.publish("weather.rain", "two") == 1
        first, second = pubsub.get_message(timeout=10), pubsub.get_message(timeout=10)
        assert (first["channel"], first["data"]) == ("news", "one"), first
        assert (second["pattern"], second["channel"], second["data"]) == ("weather.*", "weather.rain", "two")
        assert r.publish("named", "three") == 1
        assert pubsub.get_message(timeout=10) is None and heard == ["three"]
        assert r.pubsub_numsub("news") == [("news", 1)] and r.pubsub_numpat() == 1


def waiting(r):
    def push():
        time.sleep(0.1)
        r.rpush("queue", "job")

    pusher = threading.Thread(target=push)
    pusher.start()
    assert tuple(r.blpop("queue", timeout=10)) == ("queue", "job")
    pusher.join()
    r.zadd("ranked", {"first": 1})
    name, member, score = r.bzpopmin("ranked", timeout=10)
    assert (name, member, float(score)) == ("ranked", "first", 1.0)
    assert r.blpop("queue", timeout=0.05) is None


def streams(r):
    ids = [r.xadd("events", {"n": number}) for number in range(4)]
    assert r.xlen("events") == 4 and [entry for entry, _ in r.xrange("events")] == ids
    assert r.xgroup_create("events", "workers", id="0") is True

    def read(position):
        answer = r.xreadgroup("workers", "ann", {"events": position}, count=2, block=10)
        pairs = answer.items() if isinstance(answer, dict) else answer
        entries = [entries for _, entries in pairs]
        # With RESP3 redis-py gives the entries of a stream in a list of their own.
        found = entries[0][0] if entries and entries[0] and isinstance(entries[0][0], list) else sum(entries, [])
        return [entry[0] for entry in found]

    assert read(">") == ids[:2] and read(">") == ids[2:]
    assert r.xack("events", "workers", *ids[:3]) == 3
    assert r.xpending("events", "workers")["pending"] == 1
    claimed = r.xautoclaim("events", "workers", "bob", min_idle_time=0)
    assert [entry for entry, _ in claimed[1]] == ids[3:], claimed
    assert r.xinfo_groups("events")[0]["name"] == "workers"


def scripts(r):
    add = r.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    assert add(keys=["counter"], args=[5]) == 5
    r.script_flush()
    assert add(keys=["counter"], args=[5]) == 10, "it is loaded again where it is missing"
    assert r.eval("return {1, 'two', {3}}", 0) == [1, "two", [3]]
    r.function_load("#!lua name=lib\nredis.register_function('twice', function(k, a) return a[1] * 2 end)")
    assert r.fcall("twice", 0, 21) == 42 and r.function_delete("lib")


def restart(r):
    r.set("lasting", "yes")
    pubsub = r.pubsub()
    pubsub.subscribe("after")
    assert pubsub.get_message(timeout=10)["type"] == "subscribe"
    print("restart", flush=True)
    sys.stdin.readline()
    assert r.get("lasting") == "yes", "a lost connection is made again"
    # So is a subscription, as soon as its loss is noticed.
    assert pubsub.get_message(timeout=10)["type"] == "subscribe"
    assert r.publish("after", "hello") == 1 and pubsub.get_message(timeout=10)["data"] == "hello"


def main():
    r = connect(client_name="application")
    assert r.ping() is True and r.flushall() is True
    assert any(client["name"] == "application" for client in r.client_list())
    for step in [values, pipelines, transactions, messages, waiting, streams, scripts, restart]:
        step(r)
    print("done")


main()
