#!/usr/bin/env bash
# A client of tlslite-ng 0.8.2 that offers a ticket of TLS 1.2 to a server which declines it, and shakes hands in full instead (RFC
# 5077, 3.1 and 3.4), ends the handshake with unexpected_message: it takes every ServerHello behind an offered ticket for
# its acceptance, and expects a NewSessionTicket where the certificate comes. A server declines whenever its ticket keys
# have changed: by rotation, or by a restart that has lost them. openssl's own client goes on with a full handshake there.
#
# A good guess from memory is "a ticket that nobody can open costs a full handshake and no error".
#
# Seen on 2026-11-29 with tlslite-ng 0.8.2 of PyPI, openssl 3.0.19 of Debian 12 as the server, x86-64.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv python
python/bin/python3 -m pip install --quiet 'tlslite-ng==0.8.2'
openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost 2> /dev/null
cat > ask.py <<'PYTHON'
import socket, subprocess, time
from tlslite.api import HandshakeSettings, TLSConnection
from tlslite.errors import TLSLocalAlert

with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
settings = HandshakeSettings()
settings.minVersion = settings.maxVersion = (3, 3)
server = None

def serve():
    """Each start has ticket keys of its own."""
    global server
    end()
    files = ["-cert", "cert.pem", "-key", "key.pem"]
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", *files, "-tls1_2", "-quiet", "-www"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port), 10).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise SystemExit("openssl does not listen")

def end():
    if server:
        server.kill()
        server.wait()

def ask(session=None):
    conn = TLSConnection(socket.create_connection(("127.0.0.1", port), 10))
    try:
        conn.handshakeClientCert(session=session, settings=settings)
    except TLSLocalAlert as alert:
        return f"error: {alert}", session
    conn.send(b"GET / HTTP/1.0\r\n\r\n")
    conn.recv(1)
    return "resumed" if conn.resumed else "full", conn.session

def openssl(*ticket):
    client = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-tls1_2", *ticket]
    said = subprocess.run(client, input=b"", capture_output=True, timeout=30).stdout.decode()
    return next(line.split(",")[0] for line in said.splitlines() if line.startswith(("New,", "Reused,")))

try:
    serve()
    first, session = ask()
    print("first:", first)
    again, session = ask(session)
    print("same keys:", again)
    openssl("-sess_out", "ticket")
    print("openssl, same keys:", openssl("-sess_in", "ticket"))
    serve()
    print("other keys:", ask(session)[0])
    print("openssl, other keys:", openssl("-sess_in", "ticket"))
finally:
    end()
PYTHON
timeout 100 python/bin/python3 ask.py > said
cat said
grep -qx 'first: full' said
grep -qx 'same keys: resumed' said
grep -qx 'openssl, same keys: Reused' said
grep -q '^other keys: error: .*unexpected_message' said
grep -qx 'openssl, other keys: New' said
