#!/usr/bin/env bash
# SO_PEERCRED of a client of a Unix listener names the process that called listen(2), alive or dead, and not
# the one that holds the socket or accepts; another listen(2) with the same backlog, by the process that
# serves now, corrects it for clients that connect from then on.
#
# A good guess from memory is that it names who accepts ("the peer"). So after a hot restart that hands a
# Unix listener over, clients that check their server by pid (a D-Bus or container client, a supervisor)
# see a process that is gone, or another one that got its number.
#
# Seen on 2026-11-28 with Linux 6.18, CPython 3.11 (socket, os), x86-64. unix(7) says "set at the time of
# the call to connect(2), listen(2), or socketpair(2)" for the socket at hand, and says nothing of a
# listener that is passed on.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 - <<'PY'
import os, platform, socket, struct, sys

def peer_pid(path):
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[0]

print("kernel", platform.release(), "python", platform.python_version())
listener = socket.socket(socket.AF_UNIX)
listener.bind("server.sock")
told, tell = os.pipe()
go, let_go = os.pipe()
maker = os.fork()
if maker == 0:
    listener.listen(8)          # the old generation listens, and ends
    os._exit(0)
os.waitpid(maker, 0)
before = peer_pid("server.sock")
server = os.fork()
if server == 0:                 # the new generation has the socket and serves
    connection, _ = listener.accept()
    os.write(tell, b"accepted")
    os.read(go, 1)
    listener.listen(8)          # says that it is the one who listens
    os.write(tell, b"listened")
    os.read(go, 1)
    os._exit(0)
assert os.read(told, 8) == b"accepted"
while_served = peer_pid("server.sock")
os.write(let_go, b".")
assert os.read(told, 8) == b"listened"
after = peer_pid("server.sock")
os.write(let_go, b".")
os.waitpid(server, 0)
names = {maker: "the dead process that called listen", server: "the process that serves", os.getpid(): "the parent"}
print("before it serves:    ", names.get(before, before))
print("while it accepts:    ", names.get(while_served, while_served))
print("after it has listened:", names.get(after, after))
ok = (before, while_served, after) == (maker, maker, server)
print("as it was seen" if ok else "CHANGED")
sys.exit(0 if ok else 1)
PY
