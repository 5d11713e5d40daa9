//! Sessions that are resumed, clients that leave, and what comes before there are keys.

pub const HANDSHAKES: &str = r#"
# Sessions that are resumed (RFC 8446, 4.6.1; RFC 5077), and tickets that are nobody's.
def resumes(version, spoil):
    first = Client(version)
    first.works()  # by then tickets have come
    session = first.tls.session
    tickets = session.tickets if version == TLS13 else session.tls_1_0_tickets
    assert tickets, "there are none"
    for ticket in tickets if spoil else []:
        ticket.ticket = bytearray(byte ^ (at == spoil) for at, byte in enumerate(ticket.ticket))
    second = Client(version, session)
    said = second.ask("tls")
    assert said.endswith(" resumed") == (not spoil), said
    second.works()
for version, section in [(TLS13, "4.6.1"), (TLS12, "RFC 5077, 3")]:
    check(version, section, "a session is resumed", lambda: resumes(version, None))
# (tlslite-ng takes each answer to a ticket of TLS 1.2 for its acceptance.)
for at in [1, 20, 60]:
    check(TLS13, "4.6.1", f"a ticket of which byte {at} is wrong is none", lambda: resumes(TLS13, at))

# Clients that leave in the middle.
def leaves(version, count, reset):
    client = socket.create_connection((host, port), timeout=40)
    client.sendall(hello(version)[:count])
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif count > 1000:
        client.recv(1)  # it has begun to answer
    client.close()
def hello(version=TLS13):
    near, far = socket.socketpair()
    near.setblocking(False)
    settings = HandshakeSettings()
    settings.maxVersion = version
    tls = TLSConnection(near)
    next(tls.handshakeClientCert(settings=settings, serverName="localhost", async_=True))
    return far.recv(1 << 16)
for version in [TLS13, TLS12]:
    for count in [0, 1, 5, 6, 100, 1 << 16]:
        for reset in [False, True]:
            how = "a reset" if reset else "a FIN"
            check(version, "6.1", f"{how} behind {count} bytes of a hello",
                  lambda: leaves(version, count, reset))

# What comes before keys are there is rustls' business: it gets what rustls alone would answer.
def answer(address, sent):
    """The alert that comes first, or what else."""
    with socket.create_connection(address, timeout=40) as it:
        it.sendall(sent)
        it.shutdown(socket.SHUT_WR)
        got = b""
        try:
            while piece := it.recv(1 << 16):
                got += piece
        except ConnectionResetError:
            pass
    while len(got) > 5:
        length = int.from_bytes(got[3:5], "big")
        if got[0] == ALERT:
            return f"alert {list(got[5 : 5 + length])}"
        got = got[5 + length :]
        if got[:1] not in (b"", bytes([ALERT])):
            return "a flight"
    return "nothing"
def same(name, sent):
    def compare():
        ours, theirs = answer((host, port), sent), answer((host, alone), sent)
        # Of a message that is longer than it takes it says nothing; RFC 8446, 6.2 asks for this.
        is_said = (ours, theirs) == (f"alert [2, {Alert.decode_error}]", "nothing")
        assert ours == theirs or is_said, f"{ours}, where rustls answers {theirs}"
    check(TLS13, "as rustls alone", name, compare)
good = hello()
body = good[5:]
def records(length):
    pieces = [body[at : at + length] for at in range(0, len(body), length)]
    return b"".join(header(HANDSHAKE, len(piece), (3, 1)) + piece for piece in pieces)
for name, sent in [
    ("a hello", good), ("a hello of TLS 1.2", hello(TLS12)), ("two of them", 2 * good),
    ("a hello in records of a byte", records(1)), ("of 100 bytes", records(100)),
    ("an empty record in front", header(HANDSHAKE, 0) + good),
    ("data in front", header(DATA, 1) + b"x" + good),
    ("a hello that calls itself TLS 1.0", good[:9] + b"\3\1" + good[11:]),
    ("a change_cipher_spec in front", header(CCS, 1) + b"\1" + good),
    ("one of another kind", header(CCS, 1) + b"\2" + good), ("type 24 in front", header(24, 1) + b"x" + good),
    ("a fatal alert", header(ALERT, 2) + b"\2\50"), ("close_notify", header(ALERT, 2) + b"\1\0"),
    ("an alert that is cut", header(ALERT, 1) + b"\2"), ("an empty alert", header(ALERT, 0)),
    ("a record that is too long", header(HANDSHAKE, (1 << 14) + 2049) + bytes(100)),
    ("a message that is too long", header(HANDSHAKE, 4) + b"\1\xff\xff\xff"),
    ("a hello that is cut", header(HANDSHAKE, 50) + message(1, body[4:50])),
    ("a byte behind it", header(HANDSHAKE, len(body) + 1) + message(1, body[4:] + b"x")),
] + [(f"handshake message {kind}", header(HANDSHAKE, 36) + message(kind, bytes(32)))
     for kind in [0, 2, 4, 8, 11, 15, 16, 20, 24, 99]]:
    same(name, sent)
for at in range(0, len(good), 3):
    same(f"a hello of which byte {at} is another one", good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])

print(f"{failures} failed")
sys.exit(failures > 0)
"#;
