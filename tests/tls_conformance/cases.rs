//! What an established connection may be sent, and may not: RFC 8446 and RFC 5246, by section.

pub const CASES: &str = r#"
# Key updates, and handshake messages as such.
served(TLS13, "4.6.3", "keys are updated, and ours are not asked for",
       sends(lambda c: c.update() + c.data(HERE)))
served(TLS13, "4.6.3", "keys are updated, and ours are asked for",
       sends(lambda c: c.update(1) + c.data(HERE)))
served(TLS13, "4.6.3", "both are updated a hundred times",
       lambda c: [sends(lambda c: c.update(1) + c.data(HERE))(c) for _ in range(100)])
served(TLS13, "4.6.3", "ours are asked for twice before anything is answered",
       sends(lambda c: c.update(1) + c.update(1) + c.data(HERE)))
def in_pieces(c):
    records = b"".join(c.seal(HANDSHAKE, [byte]) for byte in message(24, b"\1"))
    c.next_key()
    return records + c.data(HERE)
served(TLS13, "5.1", "a message goes over five records", sends(in_pieces))
def byte_by_byte(c):
    for byte in c.update(1) + c.data(HERE):
        c.socket.sendall(bytes([byte]))
    assert c.line() == "here"
served(TLS13, "5.1", "records come byte by byte", byte_by_byte)
for name, body, alert in [
    ("of a kind that there is not", b"\2", Alert.illegal_parameter),
    ("that is empty", b"", Alert.decode_error),
    ("that is too long", b"\0\0", Alert.decode_error),
]:
    refused(TLS13, "4.6.3", f"a key update {name}", alert,
            lambda c, body=body: c.seal(HANDSHAKE, message(24, body)))
refused(TLS13, "5.1", "a message behind a key update in its record", Alert.unexpected_message,
        lambda c: c.seal(HANDSHAKE, 2 * message(24, b"\0")))
refused(TLS13, "5.1", "data in the middle of a message", Alert.unexpected_message,
        lambda c: c.seal(HANDSHAKE, [24, 0]) + c.data(HERE))
refused(TLS13, "5.1", "an alert in the middle of a message", Alert.unexpected_message,
        lambda c: c.seal(HANDSHAKE, [24, 0]) + c.seal(ALERT, [1, 0]))
refused(TLS13, "own limit", "33 key updates and no data", Alert.unexpected_message,
        lambda c: b"".join(c.update() for _ in range(33)))
for kind, name in [(0, "hello_request"), (1, "client_hello"), (2, "server_hello"),
                   (4, "new_session_ticket"), (5, "end_of_early_data"), (8, "encrypted_extensions"),
                   (11, "certificate"), (13, "certificate_request"), (15, "certificate_verify"),
                   (20, "finished"), (99, "none that there is"), (254, "message_hash")]:
    refused(TLS13, "4", f"a handshake message that is {name}", Alert.unexpected_message,
            lambda c, kind=kind: c.seal(HANDSHAKE, message(kind, bytes(32))))
refused(TLS13, "4", "a message that is longer than any", Alert.unexpected_message,
        lambda c: c.seal(HANDSHAKE, b"\1\xff\xff\xff" + bytes(1000)))

# Records: how long they are, and what is in them.
served(TLS13, "5.1", "32 empty records of data in a row",
       sends(lambda c: b"".join(c.data("") for _ in range(32)) + c.data(HERE)))
served(TLS13, "5.4", "an empty record with padding", sends(lambda c: c.data("", 100) + c.data(HERE)))
refused(TLS13, "own limit", "33 empty records of data in a row", Alert.unexpected_message,
        lambda c: b"".join(c.data("") for _ in range(33)))
for padding in [1, 255, 16384 - len(HERE)]:
    served(TLS13, "5.4", f"{padding} bytes of padding",
           sends(lambda c, padding=padding: c.data(HERE, padding)))
LONGEST = "echo " + 16378 * "x" + "\n"
def longest(c):
    c.socket.sendall(c.data(LONGEST))
    assert c.line() == LONGEST[5:-1]
served(TLS13, "5.1", "2^14 bytes of data", longest)
refused(TLS13, "5.1", "2^14 + 1 bytes of data", Alert.record_overflow, lambda c: c.data("x" + LONGEST))
refused(TLS13, "5.2", "2^14 bytes of data and one of padding", Alert.record_overflow,
        lambda c: c.data(LONGEST, 1))
refused(TLS13, "5.2", "a record that says it has 2^14 + 257 bytes", Alert.record_overflow,
        lambda c: header(DATA, (1 << 14) + 257) + bytes(100))
refused(TLS13, "5.4", "an empty record of the handshake", Alert.unexpected_message,
        lambda c: c.seal(HANDSHAKE, b""))
refused(TLS13, "5.4", "an empty record of the handshake, with padding", Alert.unexpected_message,
        lambda c: c.seal(HANDSHAKE, b"", 10))
refused(TLS13, "5.4", "an empty alert", Alert.unexpected_message, lambda c: c.seal(ALERT, b""))
for length in [0, 1, 100, 1 << 14]:
    refused(TLS13, "5.4", f"{length} zeros, and no type", Alert.unexpected_message,
            lambda c, length=length: c.seal_inner(bytes(length)))
for kind in [CCS, 24, 25, 255]:
    refused(TLS13, "5", f"type {kind} in a record", Alert.unexpected_message,
            lambda c, kind=kind: c.seal(kind, b"\1"))
refused(TLS13, "5", "type 24 on a record", Alert.unexpected_message,
        lambda c: header(24, 20) + bytes(20))
refused(TLS13, "5", "a change_cipher_spec when hands are shaken", Alert.unexpected_message,
        lambda c: header(CCS, 1) + b"\1")
refused(TLS13, "5", "a change_cipher_spec of another kind", Alert.unexpected_message,
        lambda c: header(CCS, 1) + b"\2")
refused(TLS13, "5.2", "a handshake message in plain text", Alert.unexpected_message,
        lambda c: header(HANDSHAKE, 5) + message(24, b"\0"))
refused(TLS13, "5.2", "an alert in plain text", Alert.unexpected_message,
        lambda c: header(ALERT, 2) + b"\2\50")
refused(TLS13, "5.2", "data in plain text", Alert.bad_record_mac,
        lambda c: header(DATA, 30) + HERE.encode() + bytes(20))

# What both versions have.
def forged(c):
    record = bytearray(c.data(HERE))
    record[-1] ^= 1
    return bytes(record)
for version in [TLS13, TLS12]:
    mac = "5.2" if version == TLS13 else "7.2.2"
    refused(version, mac, "a record that is forged", Alert.bad_record_mac, forged)
    refused(version, mac, "a record that comes twice", Alert.bad_record_mac,
            lambda c: 2 * c.data(""))
    refused(version, mac, "records in another order", Alert.bad_record_mac,
            lambda c: b"".join([c.data(HERE), c.data("")][::-1]))
    for length in [0, 1, 7, 15]:
        refused(version, mac, f"a record of {length} bytes", Alert.bad_record_mac,
                lambda c, length=length: header(DATA, length) + bytes(length))
    alerts = "6" if version == TLS13 else "7.2"
    for body, name in [([2], "that is cut"), ([2, 40, 0], "that is too long"),
                       ([1, 90, 1, 90], "behind another in its record")]:
        refused(version, alerts, f"an alert {name}", Alert.decode_error,
                lambda c, body=body: c.seal(ALERT, body))
    ended(version, alerts, "an alert that is fatal", "the peer has sent handshake_failure",
          lambda c: c.seal(ALERT, [2, 40]))
    ended(version, alerts, "a fatal alert behind a key update or data",
          "the peer has sent internal_error",
          lambda c: (c.update() if c.version == TLS13 else c.data("")) + c.seal(ALERT, [2, 80]))
    served(version, alerts, "a user_canceled", sends(lambda c: c.seal(ALERT, [1, 90]) + c.data(HERE)))
    served(version, alerts, "data in front of close_notify", sends(lambda c: c.data(HERE)))
    def truncated(c):
        c.socket.sendall(c.data(HERE)[:-1])
        c.socket.shutdown(socket.SHUT_WR)
        return b""
    ended(version, alerts, "a FIN in the middle of a record", "came before its close_notify", truncated)
    def cut_off(c):
        c.socket.shutdown(socket.SHUT_WR)
        return b""
    ended(version, alerts, "a FIN without close_notify", "came before its close_notify", cut_off)
ended(TLS13, "6", "an alert that nobody knows is an error", "the peer has sent alert 200",
      lambda c: c.seal(ALERT, [1, 200]))
ended(TLS13, "6", "so is one that calls itself a warning", "the peer has sent decode_error",
      lambda c: c.seal(ALERT, [1, 50]))

# What TLS 1.2 has of its own (RFC 5246).
served(TLS12, "6.2.1", "32 empty records of data in a row",
       sends(lambda c: b"".join(c.data("") for _ in range(32)) + c.data(HERE)))
served(TLS12, "6.2.1", "2^14 bytes of data", longest)
refused(TLS12, "6.2.1", "2^14 + 1 bytes of data", Alert.record_overflow, lambda c: c.data("x" + LONGEST))
refused(TLS12, "6.2.3", "a record that says it has 2^14 + 2049 bytes", Alert.record_overflow,
        lambda c: header(DATA, (1 << 14) + 2049) + bytes(100))
refused(TLS12, "6.2.1", "an empty record of the handshake", Alert.unexpected_message,
        lambda c: c.seal(HANDSHAKE, b""))
refused(TLS12, "6.2.1", "an empty alert", Alert.unexpected_message, lambda c: c.seal(ALERT, b""))
for kind in [CCS, 24, 255]:
    refused(TLS12, "6.2.1", f"a record of type {kind}", Alert.unexpected_message,
            lambda c, kind=kind: c.seal(kind, b"\1"))
def renegotiates(c):
    c.socket.sendall(c.seal(HANDSHAKE, message(1, bytes(40))))
    assert c.warned() == (ALERT, [1, Alert.no_renegotiation])
served(TLS12, "7.4.1.2", "a new handshake is refused, and the connection goes on", renegotiates)
for kind, name in [(0, "hello_request"), (11, "certificate"), (20, "finished")]:
    refused(TLS12, "7.4", f"a handshake message that is {name}", Alert.unexpected_message,
            lambda c, kind=kind: c.seal(HANDSHAKE, message(kind, bytes(12))))
refused(TLS12, "7.2", "an alert of another level", Alert.illegal_parameter,
        lambda c: c.seal(ALERT, [3, 40]))
served(TLS12, "7.2", "warnings that nobody knows",
       sends(lambda c: b"".join(c.seal(ALERT, [1, 200]) for _ in range(10)) + c.data(HERE)))
refused(TLS12, "own limit", "33 warnings in a row", Alert.unexpected_message,
        lambda c: b"".join(c.seal(ALERT, [1, 200]) for _ in range(33)))
"#;
