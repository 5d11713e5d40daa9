//! A client of tlslite-ng that sends what it is told to, and what becomes of it.

pub const CLIENT: &str = r#"
import socket, struct, sys
from tlslite.api import HandshakeSettings, TLSConnection
from tlslite.constants import AlertDescription as Alert
from tlslite.errors import TLSAbruptCloseError, TLSRemoteAlert

host, (port, plain, alone) = "127.0.0.1", map(int, sys.argv[1:])
TLS13, TLS12, VERSIONS = (3, 4), (3, 3), {(3, 4): "TLS 1.3", (3, 3): "TLS 1.2"}
CCS, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
failures = 0


def header(kind, length, version=(3, 3)):
    return bytes([kind, *version]) + length.to_bytes(2, "big")


def message(kind, body=b""):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


class Client:
    """Shakes hands as everybody does, and then sends whatever it is told to."""

    def __init__(self, version, session=None):
        self.socket = socket.create_connection((host, port), timeout=40)
        self.tls = TLSConnection(self.socket)
        self.tls.closeSocket = False  # there is more to be seen
        settings = HandshakeSettings()
        settings.minVersion = settings.maxVersion = version
        self.tls.handshakeClientCert(settings=settings, serverName="localhost", session=session)
        self.layer, self.version, self.input = self.tls._recordLayer, version, b""

    def seal_inner(self, inner, kind=DATA):
        """A record with this TLSInnerPlaintext, or in TLS 1.2 with this text."""
        sealed = self.layer._encryptThenSeal(bytearray(inner), kind)
        return header(kind, len(sealed)) + bytes(sealed)

    def seal(self, kind, body, padding=0):
        if self.version == TLS13:
            return self.seal_inner(bytes(body) + bytes([kind]) + bytes(padding))
        return self.seal_inner(body, kind)

    def data(self, text, padding=0):
        return self.seal(DATA, text.encode(), padding)

    def update(self, asked=0):
        """A key update, RFC 8446, 4.6.3; what is sealed from then on is so by the next key."""
        record = self.seal(HANDSHAKE, message(24, bytes([asked])))
        self.next_key()
        return record

    def next_key(self):
        it = self.tls.session
        it.cl_app_secret, it.sr_app_secret = self.layer.calcTLS1_3KeyUpdate_reciever(
            it.cipherSuite, it.cl_app_secret, it.sr_app_secret)

    def line(self):
        while b"\n" not in self.input:
            piece = self.tls.read(1 << 16)
            assert piece, "an end"
            self.input += piece
        line, self.input = self.input.split(b"\n", 1)
        return line.decode()

    def ask(self, line):
        self.socket.sendall(self.data(line + "\n"))
        return self.line()

    def works(self):
        assert self.ask("echo it works") == "it works"

    def warned(self):
        """The alert that comes next, with its level; of tlslite's own readers each would be the end."""
        for found in self.layer.recvRecord():
            if found not in (0, 1):
                return found[0].type, list(found[1].bytes)

    def end(self):
        """The alert with which it ends, 0 for close_notify, or None; a FIN must follow, and no reset."""
        try:
            while not self.tls.closed:
                self.tls.read(1 << 16)
            alert = Alert.close_notify
        except TLSRemoteAlert as e:
            alert = e.description
        except TLSAbruptCloseError:
            alert = None
        assert self.socket.recv(1) == b"", "more behind the end"
        self.socket.close()
        return alert


class Plain:
    """Of the listener without TLS: sees what became of the others."""

    def __init__(self):
        self.file = socket.create_connection((host, plain), timeout=40).makefile("rw", newline="\n")

    def ask(self, line):
        self.file.write(line + "\n")
        self.file.flush()
        return self.file.readline().rstrip("\n")


def closes():
    """Why connections have ended so far."""
    return [why for why in witness.ask("closes").split(",") if why]


def name_of(alert):
    return "nothing" if alert is None else Alert.toStr(alert)


def check(version, section, name, run):
    """One line for each case. In each, somebody else is served before and after."""
    global failures
    why = ""
    try:
        run()
        others.works()
    except Exception as e:
        failures, why = failures + 1, f": {type(e).__name__}: {e}"
    print(f"{'FAILED' if why else 'ok'} {VERSIONS[version]}, {section}: {name}{why}", flush=True)


def refused(version, section, name, alert, build):
    """What is built is answered by this alert, and told as that."""

    def run():
        before = closes()
        client = Client(version)
        client.works()
        client.socket.sendall(build(client))
        got = client.end()
        assert got == alert, f"{name_of(got)} instead of {name_of(alert)}"
        *earlier, last = closes()
        assert earlier == before and f"({name_of(alert)} was sent)" in last, last

    check(version, section, name, run)


def ended(version, section, name, told, build):
    """What is built ends the connection without an answer."""

    def run():
        before = closes()
        client = Client(version)
        client.works()
        if sent := build(client):
            client.socket.sendall(sent)
        got = client.end()
        assert got is None, f"{name_of(got)} instead of nothing"
        *earlier, last = closes()
        assert earlier == before and told in last, last

    check(version, section, name, run)


def served(version, section, name, run):
    def serve():
        client = Client(version)
        client.works()
        run(client)
        client.works()
        client.socket.sendall(client.seal(ALERT, [1, 0]))
        got = client.end()
        assert got == Alert.close_notify, f"{name_of(got)} instead of close_notify"

    check(version, section, name, serve)


def sends(build, count=1):
    """Answers what has come back to so many lines."""

    def run(client):
        client.socket.sendall(build(client))
        for _ in range(count):
            assert client.line() == "here"

    return run


others, witness = Client(TLS13), Plain()
HERE = "echo here\n"
"#;
