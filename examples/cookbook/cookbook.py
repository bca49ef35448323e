"""A tour of the data types as an application uses them, with redis-py and nothing of Tenon's own.

Each chapter is one function: it writes, reads back, checks what it read, and prints one line. The keys that it
uses begin with `cookbook:` and are gone at the end.

    python3 cookbook.py [--host HOST] [--port PORT] [CHAPTER ...]
"""

import argparse
import sys
import threading
import time

import redis

CHAPTERS = []


def chapter(function):
    """Puts a function into the tour, under its name."""
    CHAPTERS.append(function)
    return function


def expect(found, expected):
    """The recipe's own test: says what was found instead."""
    if found != expected:
        raise AssertionError(f"found {found!r}; expected {expected!r}")


@chapter
def queue(db):
    """Work for several workers: RPUSH, BLPOP, and LMOVE so that a crash loses no job."""
    results = []

    def worker(name):
        while True:
            item = db.blpop("cookbook:jobs", timeout=5)
            if item is None or item[1] == "stop":
                return
            results.append((name, item[1]))

    workers = [threading.Thread(target=worker, args=(name,)) for name in ("ann", "bob")]
    for thread in workers:
        thread.start()
    jobs = [f"job {number}" for number in range(20)]
    db.rpush("cookbook:jobs", *jobs)
    db.rpush("cookbook:jobs", "stop", "stop")
    for thread in workers:
        thread.join()
    expect(sorted(job for _, job in results), sorted(jobs))

    # A reliable queue: a job waits in the worker's own list until it is done.
    db.rpush("cookbook:jobs", "important")
    job = db.blmove("cookbook:jobs", "cookbook:jobs:ann", 1, "LEFT", "RIGHT")
    expect(db.lrange("cookbook:jobs:ann", 0, -1), [job])
    db.lrem("cookbook:jobs:ann", 1, job)
    expect(db.exists("cookbook:jobs:ann"), 0)
    return f"{len(results)} jobs done by two workers, each once; one more moved, done and removed"


@chapter
def leaderboard(db):
    """Scores in order: ZADD with GT, ZINCRBY, a player's rank, the top, and the players around one."""
    board = "cookbook:board"
    db.zadd(board, {f"player{number:02}": number * 10 for number in range(50)})
    db.zincrby(board, 1000, "player07")
    db.zadd(board, {"player08": 5}, gt=True)
    expect(db.zscore(board, "player08"), 80.0)
    expect(db.zrange(board, 0, 0, desc=True, withscores=True), [("player07", 1070.0)])
    rank = db.zrevrank(board, "player25")
    around = db.zrange(board, rank - 1, rank + 1, desc=True)
    expect(around, ["player26", "player25", "player24"])
    expect(db.zcount(board, 100, 200), 11)
    return f"50 players; player25 has rank {rank + 1}, between {around[0]} and {around[2]}"


@chapter
def session(db):
    """A session that ends by itself: a hash with an expiry time that each visit renews."""
    key = "cookbook:session:4f2a"
    with db.pipeline(transaction=True) as both:
        both.hset(key, mapping={"user": "ada", "visits": 0})
        both.expire(key, 1)
        both.execute()
    for _ in range(3):
        db.hincrby(key, "visits", 1)
        db.expire(key, 1)
    expect(db.hgetall(key), {"user": "ada", "visits": "3"})
    left_ms = db.pttl(key)
    expect(0 < left_ms <= 1000, True)
    time.sleep(1.2)
    expect(db.exists(key), 0)
    return f"3 visits, {left_ms} ms left after the last, gone when they had passed"


@chapter
def rate_limit(db):
    """At most so many requests: a counter for each window, and a sorted set for a window that slides."""

    def fixed(user, limit, seconds):
        key = f"cookbook:rate:{user}"
        with db.pipeline(transaction=True) as both:
            both.incr(key)
            both.expire(key, seconds, nx=True)
            count, _ = both.execute()
        return count <= limit

    def sliding(user, limit, seconds, now):
        key = f"cookbook:slide:{user}"
        with db.pipeline(transaction=True) as both:
            both.zremrangebyscore(key, "-inf", now - seconds)
            both.zadd(key, {f"{now}": now})
            both.zcard(key)
            both.expire(key, seconds)
            _, _, count, _ = both.execute()
        return count <= limit

    passed = [fixed("ada", 5, 60) for _ in range(8)]
    expect(passed, [True] * 5 + [False] * 3)
    expect(0 < db.ttl("cookbook:rate:ada") <= 60, True)
    moments = [100.0, 101.0, 102.0, 103.0, 111.5]
    slid = [sliding("bob", 3, 10, now) for now in moments]
    expect(slid, [True, True, True, False, True])
    return "5 of 8 requests passed in a fixed window; the sliding one let in again what had become old"


@chapter
def event_stream(db):
    """A log that groups of consumers read: XADD, XREADGROUP, XACK, and XAUTOCLAIM for what a consumer left."""
    stream, group = "cookbook:orders", "billing"
    db.xgroup_create(stream, group, id="0", mkstream=True)
    for number in range(10):
        db.xadd(stream, {"order": number}, maxlen=1000, approximate=True)
    first = db.xreadgroup(group, "ann", {stream: ">"}, count=6)[0][1]
    second = db.xreadgroup(group, "bob", {stream: ">"}, count=6)[0][1]
    expect((len(first), len(second)), (6, 4))
    db.xack(stream, group, *[entry for entry, _ in second])
    # Ann is gone. What she had read and not confirmed goes to Bob.
    pending = db.xpending(stream, group)
    expect(pending["pending"], 6)
    claimed = db.xautoclaim(stream, group, "bob", min_idle_time=0)[1]
    expect([fields["order"] for _, fields in claimed], [str(number) for number in range(6)])
    db.xack(stream, group, *[entry for entry, _ in claimed])
    expect(db.xpending(stream, group)["pending"], 0)
    expect(db.xinfo_groups(stream)[0]["lag"], 0)
    return "10 orders, 4 confirmed by the second consumer, 6 taken over from the first"


@chapter
def geo_search(db):
    """What is near: GEOADD, GEODIST, GEOSEARCH in a circle and in a box."""
    places = "cookbook:stations"
    db.geoadd(places, [13.3694, 52.5251, "berlin", 9.9936, 53.5526, "hamburg", 11.5581, 48.1402, "munich"])
    db.geoadd(places, [13.0667, 52.3916, "potsdam"])
    near = db.geosearch(places, longitude=13.4, latitude=52.5, radius=50, unit="km", sort="ASC")
    expect(near, ["berlin", "potsdam"])
    distance = db.geodist(places, "berlin", "munich", unit="km")
    expect(500 < distance < 510, True)
    db.geosearchstore("cookbook:north", places, member="hamburg", width=600, height=400, unit="km")
    expect(sorted(db.zrange("cookbook:north", 0, -1)), ["berlin", "hamburg", "potsdam"])
    return f"{len(near)} stations within 50 km, Berlin to Munich {distance:.0f} km"


@chapter
def visitors(db):
    """How many were there, in 12 KiB however many: PFADD, PFCOUNT, PFMERGE."""
    for day, numbers in (("mon", range(0, 20000)), ("tue", range(10000, 30000))):
        batch = [f"visitor {number}" for number in numbers]
        for start in range(0, len(batch), 1000):
            db.pfadd(f"cookbook:seen:{day}", *batch[start : start + 1000])
    db.pfmerge("cookbook:seen:week", "cookbook:seen:mon", "cookbook:seen:tue")
    week = db.pfcount("cookbook:seen:week")
    expect(abs(week - 30000) < 900, True)
    expect(db.strlen("cookbook:seen:week") <= 12304, True)
    return f"about {week} visitors of 30000 counted in {db.strlen('cookbook:seen:week')} bytes"


@chapter
def attendance(db):
    """A bit for each day and person: SETBIT, BITCOUNT, BITOP, and small counters by BITFIELD."""
    for person in range(1000):
        db.setbit("cookbook:day:1", person, 1)
        if person % 3 == 0:
            db.setbit("cookbook:day:2", person, 1)
    db.bitop("AND", "cookbook:both", "cookbook:day:1", "cookbook:day:2")
    both = db.bitcount("cookbook:both")
    expect(both, 334)
    expect(db.bitpos("cookbook:day:1", 0), 1000)
    counters = db.bitfield("cookbook:counters").incrby("u4", "#0", 9)
    expect(counters.overflow("SAT").incrby("u4", "#0", 9).execute(), [9, 15])
    return f"{both} people came on both days; a counter of four bits stopped at 15"


@chapter
def likes(db):
    """Who likes what: SADD, what two have in common, and how many without listing them."""
    db.sadd("cookbook:likes:ada", "tea", "chess", "music", "rain")
    db.sadd("cookbook:likes:bob", "tea", "music", "snow")
    common = db.sinter("cookbook:likes:ada", "cookbook:likes:bob")
    expect(common, {"tea", "music"})
    expect(db.sintercard(2, ["cookbook:likes:ada", "cookbook:likes:bob"], limit=1), 1)
    db.sunionstore("cookbook:likes:all", "cookbook:likes:ada", "cookbook:likes:bob")
    expect(db.scard("cookbook:likes:all"), 5)
    return f"{len(common)} things in common, 5 in all"


@chapter
def stock(db):
    """Sell no more than there is: WATCH, MULTI and EXEC, tried again when another client was faster."""
    db.set("cookbook:stock", 30)
    sold = []

    def seller():
        for _ in range(20):
            with db.pipeline() as unit:
                while True:
                    try:
                        unit.watch("cookbook:stock")
                        left = int(unit.get("cookbook:stock"))
                        if left == 0:
                            break
                        unit.multi()
                        unit.decr("cookbook:stock")
                        unit.execute()
                        sold.append(left)
                        break
                    except redis.WatchError:
                        continue

    sellers = [threading.Thread(target=seller) for _ in range(3)]
    for thread in sellers:
        thread.start()
    for thread in sellers:
        thread.join()
    expect((len(sold), db.get("cookbook:stock")), (30, "0"))
    expect(sorted(sold), list(range(1, 31)))
    return "three clients sold 30 of 30, none twice"


def clean(db):
    """Removes what the chapters made."""
    for key in db.scan_iter(match="cookbook:*", count=1000):
        db.unlink(key)


def main():
    """Runs the chapters that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=6379)
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER")
    options = parser.parse_args()
    known = [function.__name__ for function in CHAPTERS]
    unknown = [name for name in options.chapters if name not in known]
    if unknown:
        parser.error(f"found {', '.join(unknown)}; expected some of {', '.join(known)}")
    db = redis.Redis(
        host=options.host,
        port=options.port,
        protocol=2,
        decode_responses=True,
        socket_timeout=20,
    )
    clean(db)
    failed = 0
    for function in CHAPTERS:
        if options.chapters and function.__name__ not in options.chapters:
            continue
        try:
            print(f"{function.__name__:<13} ok      {function(db)}")
        except (AssertionError, redis.RedisError) as error:
            failed += 1
            print(f"{function.__name__:<13} FAILED  {type(error).__name__}: {error}")
    clean(db)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
