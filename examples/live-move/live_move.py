"""Moves a live data set from one server to another, Redis or Tenon, while clients write; with redis-py alone.

    python3 live_move.py move HOST:PORT HOST:PORT      moves from the first to the second
    python3 live_move.py show HOST:PORT HOST:PORT      moves there and back under writers, and counts what they wrote

The second server becomes a replica of the first, catches up, and takes its place; the first goes on as a replica of the
second, so that moving back is the same call the other way round.
"""

import argparse
import sys
import threading
import time

import redis

# Writers are held this long at most; what they wait is usually a few milliseconds.
PAUSE_MS = 10_000
# Bytes of the stream that may be missing when writers are asked to wait.
NEARLY = 1 << 20


def connect(address):
    """A connection to HOST:PORT."""
    host, port = address.rsplit(":", 1)
    return redis.Redis(host=host, port=int(port), decode_responses=True, socket_timeout=60)


def wait_until(what, is_so, within=600.0):
    """Asks again and again, and gives up with a sentence."""
    until = time.monotonic() + within
    while not is_so():
        if time.monotonic() > until:
            raise TimeoutError(f"it took more than {within:.0f} s until {what}")
        time.sleep(0.01)


def lag(source, target):
    """Bytes of the source's stream that the target has not run, or None while there is no link."""
    theirs = target.info("replication")
    if theirs["role"] != "slave" or theirs["master_link_status"] != "up":
        return None
    return source.info("replication")["master_repl_offset"] - theirs["slave_repl_offset"]


def is_near(source, target, bytes_max):
    """Whether the target has all but so many bytes."""
    missing = lag(source, target)
    return missing is not None and missing <= bytes_max


def move(from_address, to_address):
    """Moves the data, and with it the place to write to. Returns how long writers were held, in milliseconds."""
    source, target = connect(from_address), connect(to_address)
    host, port = from_address.rsplit(":", 1)
    if target.info("replication").get("master_port") != int(port):
        target.execute_command("REPLICAOF", host, port)
    # The long part: a snapshot, and what was written meanwhile. Nobody waits for it.
    wait_until("the target had nearly everything", lambda: is_near(source, target, NEARLY))
    # The short part: no write is taken, and the target runs the last ones.
    began = time.monotonic()
    source.execute_command("CLIENT", "PAUSE", PAUSE_MS, "WRITE")
    try:
        wait_until("the target had the last write", lambda: is_near(source, target, 0), PAUSE_MS / 2_000)
        target.execute_command("REPLICAOF", "NO", "ONE")
        host, port = to_address.rsplit(":", 1)
        # From here on a write to the old place is refused, and its client looks for the new one.
        source.execute_command("REPLICAOF", host, port)
    finally:
        source.execute_command("CLIENT", "UNPAUSE")
    held = (time.monotonic() - began) * 1_000
    wait_until("the old place followed the new one", lambda: lag(target, source) is not None)
    return held


class Place:
    """Where to write. A client that is refused asks again; behind a service name that would be a new connection."""

    def __init__(self, addresses):
        self.addresses = addresses
        self.index = 0

    def elsewhere(self, index):
        """The next address to try for one who was refused at `index`."""
        if self.index == index:
            self.index = (index + 1) % len(self.addresses)
        time.sleep(0.001)


class Writer(threading.Thread):
    """Counts with INCR and numbers a list, and remembers what was acknowledged."""

    def __init__(self, number, place):
        super().__init__(daemon=True)
        self.keys = f"live-move:{number}:counter", f"live-move:{number}:list"
        self.place = place
        self.is_over = threading.Event()
        self.acknowledged = 0
        self.refused = 0
        self.longest = 0.0
        self.failure = None

    def run(self):
        """Writes until it is told to stop."""
        try:
            connections = [connect(address) for address in self.place.addresses]
            while not self.is_over.is_set():
                began = time.monotonic()
                self.write(connections)
                self.longest = max(self.longest, time.monotonic() - began)
        except Exception as error:  # told by whoever started it
            self.failure = error

    def write(self, connections):
        """One transaction, at whichever place takes it."""
        while True:
            index = self.place.index
            try:
                pipeline = connections[index].pipeline(transaction=True)
                pipeline.incr(self.keys[0])
                pipeline.rpush(self.keys[1], self.acknowledged)
                pipeline.execute()
                self.acknowledged += 1
                return
            except redis.exceptions.ReadOnlyError:
                pass
            except redis.exceptions.ExecAbortError:
                # Its commands were refused one by one, for the same reason.
                pass
            self.refused += 1
            self.place.elsewhere(index)


def check(writer, db):
    """What was acknowledged is there, once, and nothing else."""
    counter, numbers = db.get(writer.keys[0]), db.lrange(writer.keys[1], 0, -1)
    if int(counter or 0) != writer.acknowledged:
        raise AssertionError(f"{writer.keys[0]}: found {counter}; expected {writer.acknowledged}")
    if numbers != [str(number) for number in range(writer.acknowledged)]:
        raise AssertionError(f"{writer.keys[1]}: {len(numbers)} numbers, and not all in order")


def show(first, second, writers=8, seconds=2.0):
    """Moves there and back under writers."""
    place = Place([first, second])
    threads = [Writer(number, place) for number in range(writers)]
    for thread in threads:
        connect(first).delete(*thread.keys)
        thread.start()
    for from_address, to_address in [(first, second), (second, first)]:
        time.sleep(seconds)
        held = move(from_address, to_address)
        print(f"moved from {from_address} to {to_address}; writers were held for {held:.0f} ms")
    time.sleep(seconds)
    for thread in threads:
        thread.is_over.set()
        thread.join(60)
        if thread.failure:
            raise thread.failure
    for thread in threads:
        check(thread, connect(first))
    wait_until("both had the same", lambda: is_near(connect(first), connect(second), 0))
    for thread in threads:
        check(thread, connect(second))
    total = sum(thread.acknowledged for thread in threads)
    longest = max(thread.longest for thread in threads) * 1_000
    print(f"{total} transactions acknowledged, all there once on both; the slowest took {longest:.0f} ms")


def main():
    """Reads the words of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["move", "show"])
    parser.add_argument("first", help="HOST:PORT that has the data")
    parser.add_argument("second", help="HOST:PORT that is to have it")
    words = parser.parse_args()
    try:
        if words.what == "move":
            held = move(words.first, words.second)
            print(f"moved; writers were held for {held:.0f} ms")
        else:
            show(words.first, words.second)
    except (AssertionError, TimeoutError, redis.exceptions.RedisError) as error:
        print(f"FAILED: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
