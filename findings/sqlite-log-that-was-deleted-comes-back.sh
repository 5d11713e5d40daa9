#!/usr/bin/env bash
# A process that has inherited an SQLite database in WAL mode goes on with a `-wal` file that its parent's close
# has deleted. Its commits answer Ok and nobody sees them. If it is killed, they are gone; if it closes the
# database in peace, they are written back over what a third process has committed since, and it is the third's rows
# that are gone. In neither case is there an error, and integrity_check says ok.
#
# A good guess from memory is "a locking error, or a corrupt database": SQLite's page on how to corrupt a
# database warns against a connection that is carried across fork(2) in general words. What happens instead is
# that committed rows of a program that has done nothing wrong vanish, and every check passes.
#
# Why: the last connection that is closed deletes the log. That it is the last it learns from fcntl(2) locks,
# and a forked child does not inherit those. The log is deleted by name; the child's descriptor still leads to
# it, and a close copies the pages of that log into the database.
#
# Seen on 2026-11-28 with Linux 6.18, CPython 3.11.7 (sqlite3, os), SQLite 3.40.1, x86-64.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 - <<'PY'
import os, platform, sqlite3, sys

def connect():
    return sqlite3.connect("shop.db", isolation_level=None)

def run(ends_in_peace):
    for name in os.listdir("."):
        os.remove(name)
    database = connect()
    database.execute("PRAGMA journal_mode=wal")
    database.execute("CREATE TABLE orders (who TEXT)")
    go, tell = os.pipe()
    done, say = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(go, 1)                      # the parent has closed its connection
        for _ in range(10):
            database.execute("INSERT INTO orders VALUES ('child')")
        os.write(say, b".")
        os.read(go, 1)                      # a third process has committed
        if ends_in_peace:
            database.close()
        os._exit(0)
    database.close()
    left = sorted(os.listdir("."))
    os.write(tell, b".")
    os.read(done, 1)
    seen = "SELECT count(*) FROM orders WHERE who = ?"
    third = os.fork()
    if third == 0:
        own = connect()
        meanwhile = own.execute(seen, ("child",)).fetchone()[0]
        for _ in range(10):
            own.execute("INSERT INTO orders VALUES ('third')")
        own.close()
        os._exit(meanwhile)
    meanwhile = os.waitstatus_to_exitcode(os.waitpid(third, 0)[1])
    os.write(tell, b".")
    assert os.waitpid(child, 0)[1] == 0
    after = connect()
    count = lambda who: after.execute(seen, (who,)).fetchone()[0]
    result = (left, meanwhile, count("child"), count("third"), after.execute("PRAGMA integrity_check").fetchone()[0])
    after.close()
    return result

print("kernel", platform.release(), "python", platform.python_version(), "sqlite", sqlite3.sqlite_version)
killed, closed = run(False), run(True)
for name, it in (("child killed:", killed), ("child closes:", closed)):
    print(name, "files", it[0], "| child's rows that others see meanwhile", it[1], "| in the end: child's", it[2], "third's", it[3], "| integrity", it[4])
ok = killed == (["shop.db"], 0, 0, 10, "ok") and closed == (["shop.db"], 0, 10, 0, "ok")
print("as it was seen" if ok else "CHANGED")
sys.exit(0 if ok else 1)
PY
