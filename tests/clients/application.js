// What applications do with ioredis, over one kind of connection; every step checks what it got.
//
//     node application.js tcp|tls|unix 2|3 PORT-OR-PATH CERTIFICATES
//
// It ends with `done`, or with a trace. Before that it prints `restart` and waits for a line: by then the server has been
// ended and started again.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const readline = require("node:readline");
const { once } = require("node:events");
const Redis = require("ioredis");

const [kind, version, place, certificates] = process.argv.slice(2);
const opened = [];

function connect() {
  const options = { protocol: Number(version), retryStrategy: () => 50, maxRetriesPerRequest: 400 };
  if (kind === "unix") {
    options.path = place;
  } else {
    Object.assign(options, { host: "127.0.0.1", port: Number(place) });
  }
  if (kind === "tls") {
    const read = (name) => fs.readFileSync(`${certificates}/${name}`);
    options.tls = { ca: read("ca.crt"), cert: read("client.crt"), key: read("client.key"), servername: "localhost" };
  }
  const redis = new Redis(options);
  // A connection that is lost tells so here; it is made again.
  redis.on("error", () => {});
  opened.push(redis);
  return redis;
}

async function values(r) {
  assert.equal(await r.set("k", "v", "EX", 100), "OK");
  assert.equal(await r.get("k"), "v");
  assert.equal(await r.set("k", "w", "NX"), null);
  await r.mset({ a: 1, b: 2 });
  assert.deepEqual(await r.mget("a", "b", "none"), ["1", "2", null]);
  assert.equal(await r.incrby("a", 41), 42);
  await r.hset("h", { x: 1, y: "z" });
  assert.deepEqual({ ...(await r.hgetall("h")) }, { x: "1", y: "z" });
  assert.equal(await r.zadd("z", 1, "one", 0.5, "half"), 2);
  assert.equal(String(await r.zscore("z", "half")), "0.5");
  await r.sadd("s", "a", "b");
  assert.deepEqual((await r.smembers("s")).sort(), ["a", "b"]);
  const everything = Buffer.from(Array.from({ length: 70_000 }, (_, index) => index % 256));
  await r.set("raw", everything);
  assert.ok(everything.equals(await r.getBuffer("raw")));
  await assert.rejects(r.lpush("k", 1), /WRONGTYPE/);
}

async function pipelines(r) {
  const pipeline = r.pipeline();
  for (let number = 0; number < 1000; number += 1) pipeline.set(`p:${number}`, number);
  pipeline.get("p:999").lpush("k", 1);
  const answers = await pipeline.exec();
  assert.equal(answers.length, 1002);
  assert.deepEqual(answers[1000], [null, "999"]);
  assert.match(answers[1001][0].message, /WRONGTYPE/);
  const found = [];
  for await (const keys of r.scanStream({ match: "p:99*", count: 7 })) found.push(...keys);
  assert.equal(new Set(found).size, 11);
  await r.hset("many", Object.fromEntries(Array.from({ length: 1000 }, (_, number) => [`f:${number}`, number])));
  const fields = [];
  for await (const part of r.hscanStream("many")) fields.push(...part);
  assert.equal(fields.length, 2000);
}

async function transactions(r) {
  assert.deepEqual(await r.multi().set("balance", 10).incr("balance").exec(), [
    [null, "OK"],
    [null, 11],
  ]);
  const other = connect();
  await r.watch("balance");
  await other.set("balance", 50);
  assert.equal(await r.multi().set("balance", 0).exec(), null, "somebody else wrote meanwhile");
  assert.equal(await r.get("balance"), "50");
  await assert.rejects(r.multi().set("balance").exec(), /EXECABORT/);
}

async function messages(r) {
  const listener = connect();
  assert.equal(await listener.subscribe("news"), 1);
  assert.equal(await listener.psubscribe("weather.*"), 2);
  const one = once(listener, "message");
  assert.equal(await r.publish("news", "one"), 1);
  assert.deepEqual(await one, ["news", "one"]);
  const two = once(listener, "pmessage");
  assert.equal(await r.publish("weather.rain", "two"), 1);
  assert.deepEqual(await two, ["weather.*", "weather.rain", "two"]);
  return listener;
}

async function waiting(r) {
  const worker = connect();
  const popped = worker.blpop("queue", 10);
  setTimeout(() => r.rpush("queue", "job"), 50);
  assert.deepEqual(await popped, ["queue", "job"]);
  assert.equal(await worker.blpop("queue", 0.05), null);
}

async function streams(r) {
  const ids = [];
  for (let number = 0; number < 4; number += 1) ids.push(await r.xadd("events", "*", "n", number));
  assert.equal(await r.xgroup("CREATE", "events", "workers", "0"), "OK");
  const answer = await r.xreadgroup("GROUP", "workers", "ann", "COUNT", 3, "STREAMS", "events", ">");
  assert.ok(JSON.stringify(answer).includes(ids[2]) && !JSON.stringify(answer).includes(ids[3]));
  assert.equal(await r.xack("events", "workers", ids[0]), 1);
  assert.equal((await r.xpending("events", "workers"))[0], 2);
  const claimed = await r.xautoclaim("events", "workers", "bob", 0, "0");
  assert.deepEqual(claimed[1].map(([id]) => id), ids.slice(1, 3));
}

async function scripts(r) {
  r.defineCommand("add", { numberOfKeys: 1, lua: "return redis.call('INCRBY', KEYS[1], ARGV[1])" });
  assert.equal(await r.add("counter", 5), 5);
  await r.script("FLUSH");
  assert.equal(await r.add("counter", 5), 10, "it is loaded again where it is missing");
}

async function restart(r, listener) {
  await r.set("lasting", "yes");
  const again = Promise.all([r, listener].map((redis) => new Promise((resolve) => redis.once("ready", resolve))));
  console.log("restart");
  await once(readline.createInterface({ input: process.stdin }), "line");
  await again;
  assert.equal(await r.get("lasting"), "yes");
  // Subscriptions are made again, too, shortly after the connection.
  const heard = new Promise((resolve) => listener.once("message", (...words) => resolve(words)));
  while ((await r.publish("news", "hello")) === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(await heard, ["news", "hello"]);
}

async function main() {
  const r = connect();
  assert.equal(await r.ping(), "PONG");
  await r.flushall();
  for (const step of [values, pipelines, transactions, waiting, streams, scripts]) await step(r);
  await restart(r, await messages(r));
  opened.forEach((redis) => redis.disconnect());
  console.log("done");
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
