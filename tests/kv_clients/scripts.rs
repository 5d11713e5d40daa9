//! Programs as users of each client library write them, with nothing set but the port. Each goes on until its stdin
//! ends, says `ready` after its first round and `rounds: N` at the end; what it did not expect is an exception.

/// redis-py; with `hiredis` where that is asked for.
pub const REDIS_PY: &str = r#"
import sys, threading
if sys.argv[2] == "plain":
    sys.modules["hiredis"] = None
import redis

stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
r = redis.Redis(port=int(sys.argv[1]))
name = "redis-py:" + sys.argv[2]
p = r.pubsub(ignore_subscribe_messages=True)
p.subscribe(name)

def heard():
    while True:
        message = p.get_message(timeout=30)
        if message is not None:
            return message["data"]

count = 0
while not stop.is_set():
    count += 1
    value = str(count).encode()
    assert r.set(name, count, ex=1000) is True
    assert r.get(name) == value
    assert r.mget(name, name + ":none") == [value, None]
    assert 0 < r.ttl(name) <= 1000
    with r.pipeline() as pipe:
        assert pipe.incr(name + ":n").get(name).execute() == [count, value]
    def twice(pipe):
        before = int(pipe.get(name))
        pipe.multi()
        pipe.set(name, before * 2)
    assert r.transaction(twice, name) == [True]
    assert r.get(name) == str(2 * count).encode()
    assert name.encode() in list(r.scan_iter(match=name + "*"))
    while r.publish(name, value) == 0:
        pass
    assert heard() == value
    if count == 1:
        print("ready", flush=True)
print("rounds:", count)
"#;

/// coredis.
pub const COREDIS: &str = r#"
import asyncio, sys, threading
import coredis

stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()

async def main():
    count, name = 0, "coredis"
    async with coredis.Redis(port=int(sys.argv[1])) as r:
        while not stop.is_set():
            count += 1
            value = str(count).encode()
            assert await r.set(name, count) is True
            assert await r.get(name) == value
            assert await r.mget([name, name + ":none"]) == (value, None)
            assert await r.incr(name + ":n") == count
            assert await r.expire(name, 1000) is True
            if count == 1:
                print("ready", flush=True)
    print("rounds:", count)

asyncio.run(main())
"#;

/// valkey-glide.
pub const GLIDE: &str = r#"
import asyncio, sys, threading
from glide import Batch, GlideClient, GlideClientConfiguration, NodeAddress

stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()

async def main():
    count, name = 0, "glide"
    where = [NodeAddress("127.0.0.1", int(sys.argv[1]))]
    c = await GlideClient.create(GlideClientConfiguration(where))
    while not stop.is_set():
        count += 1
        value = str(count).encode()
        assert await c.set(name, value.decode()) == "OK"
        assert await c.get(name) == value
        assert await c.mget([name, name + ":none"]) == [value, None]
        batch = Batch(is_atomic=True)
        batch.incr(name + ":n")
        batch.get(name)
        assert await c.exec(batch, raise_on_error=True) == [count, value]
        if count == 1:
            print("ready", flush=True)
    print("rounds:", count)
    await c.close()

asyncio.run(main())
"#;

/// node-redis.
pub const NODE_REDIS: &str = r#"
import assert from 'node:assert/strict';
import { createClient } from 'redis';

let stop = false, heard = [];
process.stdin.resume().on('end', () => { stop = true; });
const fail = error => { console.error(error); process.exit(1); };
const url = `redis://127.0.0.1:${process.argv[2]}`, name = 'node-redis';
const c = createClient({ url }), s = createClient({ url });
for (const client of [c, s]) { client.on('error', fail); await client.connect(); }
await s.subscribe(name, text => heard.push(text));
let count = 0;
while (!stop) {
  count += 1;
  assert.equal(await c.set(name, String(count), { expiration: { type: 'EX', value: 1000 } }), 'OK');
  assert.equal(await c.get(name), String(count));
  assert.deepEqual(await c.mGet([name, name + ':none']), [String(count), null]);
  assert.deepEqual(await c.multi().incr(name + ':n').get(name).exec(), [count, String(count)]);
  assert.equal(await c.publish(name, String(count)), 1);
  while (heard.length === 0) await new Promise(done => setImmediate(done));
  assert.equal(heard.shift(), String(count));
  if (count === 1) console.log('ready');
}
console.log('rounds:', count);
await c.close(); await s.close();
"#;

/// ioredis.
pub const IOREDIS: &str = r#"
import assert from 'node:assert/strict';
import Redis from 'ioredis';

let stop = false, heard = [];
process.stdin.resume().on('end', () => { stop = true; });
const fail = error => { console.error(error); process.exit(1); };
const port = Number(process.argv[2]), name = 'ioredis';
const c = new Redis(port), s = new Redis(port);
for (const client of [c, s]) client.on('error', fail);
await s.subscribe(name);
s.on('message', (_, text) => heard.push(text));
let count = 0;
while (!stop) {
  count += 1;
  assert.equal(await c.set(name, count, 'EX', 1000), 'OK');
  assert.equal(await c.get(name), String(count));
  assert.deepEqual(await c.mget(name, name + ':none'), [String(count), null]);
  assert.deepEqual(await c.multi().incr(name + ':n').get(name).exec(), [[null, count], [null, String(count)]]);
  assert.equal(await c.publish(name, String(count)), 1);
  while (heard.length === 0) await new Promise(done => setImmediate(done));
  assert.equal(heard.shift(), String(count));
  if (count === 1) console.log('ready');
}
console.log('rounds:', count);
c.disconnect(); s.disconnect();
"#;

/// hiredis, in C.
pub const HIREDIS: &str = r#"
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static redisReply *ask(redisContext *c, int type, const char *format, long count) {
    redisReply *reply = redisCommand(c, format, count);
    if (!reply || reply->type != type) {
        fprintf(stderr, "%s: %s\n", format, reply ? reply->str : c->errstr);
        exit(1);
    }
    return reply;
}

int main(int argc, char **argv) {
    redisContext *c = redisConnect("127.0.0.1", argc > 1 ? atoi(argv[1]) : 0);
    struct pollfd input = { .fd = 0, .events = POLLIN };
    long count = 0;
    if (!c || c->err) return 1;
    while (poll(&input, 1, 0) == 0) {
        count += 1;
        freeReplyObject(ask(c, REDIS_REPLY_STATUS, "SET hiredis %ld EX 1000", count));
        redisReply *value = ask(c, REDIS_REPLY_STRING, "GET hiredis", 0);
        if (atol(value->str) != count) return 2;
        freeReplyObject(value);
        freeReplyObject(ask(c, REDIS_REPLY_NIL, "GET hiredis:none", 0));
        freeReplyObject(ask(c, REDIS_REPLY_STATUS, "MULTI", 0));
        freeReplyObject(ask(c, REDIS_REPLY_STATUS, "INCR hiredis:n", 0));
        redisReply *done = ask(c, REDIS_REPLY_ARRAY, "EXEC", 0);
        if (done->elements != 1 || done->element[0]->integer != count) return 3;
        freeReplyObject(done);
        if (count == 1) { puts("ready"); fflush(stdout); }
    }
    printf("rounds: %ld\n", count);
    redisFree(c);
    return 0;
}
"#;
