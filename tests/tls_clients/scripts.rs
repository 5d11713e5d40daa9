//! Programs as users of each library write them. They say nothing of restarts; what they did not expect is an exception.

/// http.client: a download to its output, then an upload of its input, on one connection. Arguments: port, authority,
/// version, length of the download.
pub const PYTHON: &str = r#"
import http.client, shutil, ssl, sys

port, authority, version, length = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
connection = http.client.HTTPSConnection("127.0.0.1", int(port), context=context)
connection.auto_open = 0  # a second one would be an error
connection.connect()

connection.request("GET", "/bytes/" + length)
with connection.getresponse() as response:
    assert response.status == 200
    shutil.copyfileobj(response, sys.stdout.buffer)

connection.request("PUT", "/cksum", body=sys.stdin.buffer)
with connection.getresponse() as response:
    sys.stdout.buffer.write(response.read())
"#;

/// https of Node with an agent that keeps its one connection: a download to its output, then its input is echoed there.
/// Arguments: port, authority, version, length of the download.
pub const NODE: &str = r#"
import assert from 'node:assert/strict';
import fs from 'node:fs';
import https from 'node:https';
import { pipeline } from 'node:stream/promises';

const [port, authority, version, length] = process.argv.slice(2);
const agent = new https.Agent({
  keepAlive: true, maxSockets: 1, ca: fs.readFileSync(authority), minVersion: version, maxVersion: version,
});
const begin = (method, path) => https.request({ host: '127.0.0.1', port, agent, method, path });
const reply = request => new Promise((done, fail) => request.on('response', done).on('error', fail));

const download = begin('GET', `/bytes/${length}`);
download.end();
await pipeline(await reply(download), process.stdout, { end: false });
assert.equal(download.reusedSocket, false);

const echo = begin('POST', '/echo');
const sent = pipeline(process.stdin, echo);
await pipeline(await reply(echo), process.stdout, { end: false });
await sent;
assert.equal(echo.reusedSocket, true);
agent.destroy();
"#;

/// In a page: a download of which no more is taken than is `allowed`, each byte compared. Argument: its length.
pub const DOWNLOAD: &str = r#"
window.state = { count: 0, wrong: 0, allowed: 0, error: '', isOver: false };
const line = new TextEncoder().encode('abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ-123456789\n');
(async () => {
  const reader = (await fetch('/bytes/LENGTH')).body.getReader();
  for (;;) {
    while (state.count >= state.allowed) await new Promise(more => { state.more = more; });
    const { value, done } = await reader.read();
    if (done) break;
    for (let at = 0; at < value.length; at += 1) {
      if (value[at] !== line[(state.count + at) % line.length]) state.wrong += 1;
    }
    state.count += value.length;
  }
  state.isOver = true;
})().catch(error => { state.error = String(error); });
return '';
"#;

/// In a page: an upload, whose answer is `said`. Argument: its length.
pub const UPLOAD: &str = r#"
window.state = { said: '', error: '' };
const body = new Uint8Array(LENGTH);
for (let at = 0; at < body.length; at += 1) body[at] = Math.imul(at, 2654435761) >>> 24;
fetch('/cksum', { method: 'PUT', body }).then(reply => reply.text()).then(said => { state.said = said; })
  .catch(error => { state.error = String(error); });
return '';
"#;
