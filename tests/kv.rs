//! kv over real sockets: bytes in, bytes out, and what a restart by fork leaves in place.

use crate::common::{
    Dir, Server,
    ops::Control,
    reply, wait_for,
    wire::{Wire, command, shown},
};
use nix::sys::signal::Signal;

fn start() -> (Server, Wire) {
    let server = Server::of("kv").start();
    let wire = Wire::connect(&server.address);
    (server, wire)
}

/// Clients stay where they are.
fn start_without_moving() -> (Server, Wire) {
    let server = Server::of("kv").arg("--no-move").start();
    let wire = Wire::connect(&server.address);
    (server, wire)
}

/// The value of a line of INFO.
fn info(wire: &mut Wire, name: &str) -> String {
    let text = wire.text("INFO");
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
}

/// Exactly what Redis 7.0 says, so far as no real one is needed to say it.
#[test]
fn errors_are_in_the_words_of_redis() {
    let (_server, mut wire) = start();
    wire.ask("SET text abc");
    for (line, error) in [
        ("GET", "wrong number of arguments for 'get' command"),
        ("MSET a 1 b", "wrong number of arguments for 'mset' command"),
        ("CLIENT SETNAME", "wrong number of arguments for 'client|setname' command"),
        ("NoSuch a 'b c'", "unknown command 'NoSuch', with args beginning with: 'a' 'b c' "),
        ("CLIENT nosuch", "unknown subcommand 'nosuch'. Try CLIENT HELP."),
        ("SET k v NX XX", "syntax error"),
        ("SET k v EX 0", "invalid expire time in 'set' command"),
        ("PEXPIRE text 9223372036854775807", "invalid expire time in 'pexpire' command"),
        ("EXPIRE text 1 SOON", "Unsupported option SOON"),
        ("INCR text", "value is not an integer or out of range"),
        ("DECRBY n -9223372036854775808", "decrement would overflow"),
        ("INCRBY n 1.5", "value is not an integer or out of range"),
        ("RENAME missing x", "no such key"),
        ("SCAN x", "invalid cursor"),
        ("SELECT 1", "DB index is out of range"),
        ("HELLO x", "Protocol version is not an integer or out of range"),
        ("HELLO 2 NOSUCH", "Syntax error in HELLO option 'NOSUCH'"),
        (
            "CLIENT SETNAME 'a b'",
            "Client names cannot contain spaces, newlines or special characters.",
        ),
        (
            "CLIENT SETINFO lib-name 'a b'",
            "lib-name cannot contain spaces, newlines or special characters.",
        ),
        ("CLIENT SETINFO nosuch x", "Unrecognized option 'nosuch'"),
    ] {
        assert_eq!(wire.ask(line), format!("-ERR {error}\r\n"), "{line}");
    }
    assert_eq!(wire.ask("HELLO 4"), "-NOPROTO unsupported protocol version\r\n");
    wire.ask("SET n 9223372036854775807");
    assert_eq!(wire.ask("INCR n"), "-ERR increment or decrement would overflow\r\n");
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let (_server, mut wire) = start();
    let mut input = Vec::new();
    for number in 0..10_000 {
        input.extend(command(&[b"INCR", b"n"]));
        input.extend(format!("ECHO {number}\r\n").into_bytes());
    }
    wire.send(&input);
    for number in 0..10_000 {
        assert_eq!(wire.reply(), format!(":{}\r\n", number + 1).into_bytes());
        let digits = number.to_string();
        assert_eq!(wire.reply(), format!("${}\r\n{digits}\r\n", digits.len()).into_bytes());
    }
}

#[test]
fn a_protocol_error_closes_its_connection_and_no_other() {
    let (server, mut bystander) = start();
    for (input, error) in [
        (&b"*1\r\n:4\r\n"[..], "expected '$', got ':'"),
        (b"*x\r\n", "invalid multibulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$4\r\nPINGxx", "expected CR LF"),
        (b"*3\r\n$1\r\nx\r\n$536870912\r\n", ""), // no error yet
        (b"ECHO \"a\r\n", "unbalanced quotes in request"),
        (&b"x".repeat(65 * 1024), "too big inline request"),
    ] {
        let mut wire = Wire::connect(&server.address);
        wire.send([b"PING\r\n", input].concat());
        if error.is_empty() {
            wire.finish();
            assert_eq!(shown(&wire.read_to_end()), "+PONG\r\n");
        } else {
            let expected = format!("+PONG\r\n-ERR Protocol error: {error}\r\n");
            assert_eq!(shown(&wire.read_to_end()), expected);
        }
        assert_eq!(bystander.ask("PING"), "+PONG\r\n");
    }
    server.wait_line("failed: ERR Protocol error: invalid bulk length");
}

#[test]
fn a_big_value_arrives_in_pieces_and_comes_back_whole() {
    const SIZE: usize = 64 * 1024 * 1024;
    let (server, mut wire) = start();
    let value: Vec<u8> = (0..SIZE).map(|at| (at / 1024 % 251) as u8).collect();
    let mut others = Wire::connect(&server.address);
    wire.send(format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${SIZE}\r\n"));
    for (number, piece) in value.chunks(1_000_003).enumerate() {
        wire.send(piece);
        if number % 8 == 0 {
            assert_eq!(others.ask("GET big"), "$-1\r\n"); // served meanwhile
        }
    }
    wire.send("\r\nSTRLEN big\r\n");
    assert_eq!(wire.reply(), b"+OK\r\n");
    assert_eq!(wire.reply(), format!(":{SIZE}\r\n").into_bytes());
    let mut reply = format!("${SIZE}\r\n").into_bytes();
    reply.extend(&value);
    reply.extend(b"\r\n");
    assert!(others.call(&[b"GET", b"big"]) == reply);
}

#[test]
fn listeners_hear_what_is_said() {
    let (server, mut speaker) = start();
    let [mut exact, mut broad] = [(); 2].map(|()| Wire::connect(&server.address));
    let confirm = |what: &str, name: &str, count| {
        format!("*3\r\n${}\r\n{what}\r\n${}\r\n{name}\r\n:{count}\r\n", what.len(), name.len())
    };
    assert_eq!(exact.ask("SUBSCRIBE news.art sport"), confirm("subscribe", "news.art", 1));
    assert_eq!(shown(&exact.reply()), confirm("subscribe", "sport", 2));
    assert_eq!(broad.ask("PSUBSCRIBE news.*"), confirm("psubscribe", "news.*", 1));
    assert_eq!(speaker.ask("PUBLISH news.art hello"), ":2\r\n");
    assert_eq!(speaker.ask("PUBLISH news.war no"), ":1\r\n");
    assert_eq!(speaker.ask("PUBLISH other x"), ":0\r\n");
    let message = "*3\r\n$7\r\nmessage\r\n$8\r\nnews.art\r\n$5\r\nhello\r\n";
    assert_eq!(shown(&exact.reply()), message);
    let message = "*4\r\n$8\r\npmessage\r\n$6\r\nnews.*\r\n$8\r\nnews.art\r\n$5\r\nhello\r\n";
    assert_eq!(shown(&broad.reply()), message);
    let message = "*4\r\n$8\r\npmessage\r\n$6\r\nnews.*\r\n$8\r\nnews.war\r\n$2\r\nno\r\n";
    assert_eq!(shown(&broad.reply()), message);

    let refused = "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
        RESET are allowed in this context\r\n";
    assert_eq!(exact.ask("GET k"), refused);
    assert_eq!(exact.ask("PING"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    assert_eq!(exact.ask("UNSUBSCRIBE"), confirm("unsubscribe", "news.art", 1));
    assert_eq!(shown(&exact.reply()), confirm("unsubscribe", "sport", 0));
    assert_eq!(exact.ask("PING"), "+PONG\r\n");
    assert_eq!(speaker.ask("PUBLISH news.art again"), ":1\r\n");

    assert_eq!(
        broad.ask("QUIT"),
        "*4\r\n$8\r\npmessage\r\n$6\r\nnews.*\r\n$8\r\nnews.art\r\n$5\r\nagain\r\n"
    );
    assert_eq!(shown(&broad.read_to_end()), "+OK\r\n");
    assert_eq!(speaker.ask("PUBLISH news.art nobody"), ":0\r\n");
}

#[test]
fn a_listener_that_does_not_read_is_cut_off_and_no_other() {
    let (server, mut speaker) = start();
    let [mut lazy, mut eager] = [(); 2].map(|()| Wire::connect(&server.address));
    lazy.ask("SUBSCRIBE news");
    eager.ask("SUBSCRIBE news");
    let text = vec![b'x'; 4 * 1024 * 1024];
    let mut said = 0;
    while speaker.call(&[b"PUBLISH", b"news", &text]) == b":2\r\n" {
        assert!(eager.reply().len() > text.len());
        said += 1;
        assert!(said < 50, "it may fall behind without end");
    }
    assert!(said >= 8, "32 MB are allowed: {said} messages of 4 MB");
    assert!(eager.reply().len() > text.len());
    assert_eq!(speaker.ask("PUBLISH news short"), ":1\r\n");
    server.wait_line("listens too slowly");
}

#[test]
fn keys_expire_over_the_wire() {
    let (_server, mut wire) = start();
    assert_eq!(wire.ask("SET k v PX 30"), "+OK\r\n");
    assert_eq!(wire.ask("SET later v EX 100"), "+OK\r\n");
    // Nobody asks for the key itself: the alarm takes it away.
    wait_for("the alarm", || wire.ask("DBSIZE") == ":1\r\n");
    assert_eq!(wire.ask("GET k"), "$-1\r\n");
    assert_eq!(wire.ask("TTL later"), ":100\r\n");
}

#[test]
fn a_unix_socket_serves_too() {
    let dir = Dir::new();
    let path = format!("unix:{}", dir.path("kv.sock").display());
    let server = Server::of("kv").listen(&path).start();
    let mut wire = Wire::connect(&path);
    assert_eq!(wire.ask("SET k v"), "+OK\r\n");
    server.restart(Signal::SIGHUP);
    let mut later = Wire::connect(&path);
    assert_eq!(later.ask("GET k"), "$1\r\nv\r\n");
    assert_eq!(info(&mut later, "heirloom_generation"), "1");
}

#[test]
fn keys_are_there_after_a_restart_by_fork() {
    let (server, mut early) = start_without_moving();
    for number in 0..1000 {
        assert_eq!(early.ask(&format!("SET key:{number} {number}")), "+OK\r\n");
    }
    assert_eq!(early.ask("SET soon v PX 300"), "+OK\r\n");
    assert_eq!(info(&mut early, "heirloom_engine"), "none");
    let pid = server.restart(Signal::SIGHUP);

    let mut late = Wire::connect(&server.address);
    for number in 0..1000 {
        assert_eq!(late.text(&format!("GET key:{number}")), number.to_string());
    }
    assert_eq!(info(&mut late, "process_id"), pid.to_string());
    assert_eq!(info(&mut late, "heirloom_generation"), "1");
    assert_eq!(info(&mut late, "heirloom_engine"), "fork");
    assert_eq!(info(&mut late, "connected_clients"), "1");

    // Who came before is served by the old process, and from now on each has keys of its own.
    assert_eq!(info(&mut early, "process_id"), server.child.id().to_string());
    assert_eq!(early.ask("SET key:0 early"), "+OK\r\n");
    assert_eq!(late.text("GET key:0"), "0");
    assert_eq!(late.ask("SET key:1 late"), "+OK\r\n");
    assert_eq!(early.text("GET key:1"), "1");
    // The alarm rings in both.
    for wire in [&mut early, &mut late] {
        wait_for("the alarm", || wire.ask("DBSIZE") == ":1000\r\n");
    }
}

#[test]
fn listeners_of_the_old_process_do_not_count_in_the_new_one() {
    let (server, mut early) = start_without_moving();
    early.ask("SUBSCRIBE news");
    server.restart(Signal::SIGHUP);
    let [mut speaker, mut late] = [(); 2].map(|()| Wire::connect(&server.address));
    assert_eq!(speaker.ask("PUBLISH news x"), ":0\r\n");
    assert_eq!(info(&mut speaker, "pubsub_channels"), "0");
    late.ask("SUBSCRIBE news");
    assert_eq!(speaker.ask("PUBLISH news y"), ":1\r\n");
    assert_eq!(shown(&late.reply()), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\ny\r\n");
    assert_eq!(early.ask("PING"), "*2\r\n$4\r\npong\r\n$0\r\n\r\n"); // it heard nothing in between
}

/// Keys, those who read and write them, those who listen, and a command that is half sent: all of it goes
/// along, by either engine and after the other.
#[test]
fn clients_and_keys_go_to_the_new_process_together() {
    let (server, mut wire) = start();
    let mut listener = Wire::connect(&server.address);
    listener.ask("SUBSCRIBE news");
    wire.ask("CLIENT SETNAME me");
    wire.ask("SET late v PX 100000");
    for number in 0..1000 {
        assert_eq!(wire.ask(&format!("SET key:{number} {number}")), "+OK\r\n");
    }
    for (round, signal) in
        [Signal::SIGUSR2, Signal::SIGHUP, Signal::SIGUSR2].into_iter().enumerate()
    {
        wire.send("*3\r\n$3\r\nSET\r\n$4\r\nha");
        let pid = server.restart(signal);
        wire.send(format!("lf\r\n$1\r\n{round}\r\n"));
        assert_eq!(shown(&wire.reply()), "+OK\r\n");
        assert_eq!(info(&mut wire, "process_id"), pid.to_string());
        assert_eq!(wire.text("CLIENT GETNAME"), "me");
        let mut late = Wire::connect(&server.address);
        assert_eq!(late.text("GET half"), round.to_string());
        assert_eq!(late.ask("DBSIZE"), ":1002\r\n");
        assert_eq!(late.ask("PUBLISH news hi"), ":1\r\n");
        assert_eq!(shown(&listener.reply()), "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n");
        let left = wire.ask("PTTL late");
        let left: i64 = left.trim_start_matches(':').trim_end().parse().expect("a number");
        assert!((50_000..100_000).contains(&left), "{left}");
    }
    wire.ask("PEXPIRE late 1");
    wait_for("the alarm", || wire.ask("DBSIZE") == ":1001\r\n");
}

/// Twenty megabytes are written, sent and read within the time for which clients may wait.
#[test]
fn twenty_megabytes_of_keys_travel() {
    let (server, mut wire) = start();
    let value = vec![b'v'; 1000];
    for part in 0..20 {
        let names: Vec<_> = (0..1000).map(|number| format!("key:{part}:{number}")).collect();
        let mut words: Vec<&[u8]> = vec![b"MSET"];
        words.extend(names.iter().flat_map(|name| [name.as_bytes(), &value]));
        assert_eq!(shown(&wire.call(&words)), "+OK\r\n");
    }
    let pid = server.restart(Signal::SIGUSR2);
    assert_eq!(wire.ask("DBSIZE"), ":20000\r\n");
    assert_eq!(info(&mut wire, "process_id"), pid.to_string());
    assert_eq!(wire.ask("STRLEN key:19:999"), ":1000\r\n");
}

/// All keys that SCAN tells, with whatever is done between two of its answers.
fn scan(wire: &mut Wire, mut between: impl FnMut(&mut Wire, &str)) -> Vec<String> {
    let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
    loop {
        let raw = wire.call(&[b"SCAN", cursor.as_bytes(), b"COUNT", b"7"]);
        let (parsed, _) = reply::reply(&raw).expect("a reply").expect("a whole one");
        let reply::Reply::Array(parts) = parsed else { panic!("{}", shown(&raw)) };
        let [reply::Reply::Bulk(next), reply::Reply::Array(keys)] = parts.as_slice() else {
            panic!("{}", shown(&raw))
        };
        found.extend(keys.iter().map(|key| format!("{key:?}")));
        cursor = shown(next);
        if cursor == "0" {
            return found;
        }
        between(wire, &cursor);
    }
}

#[test]
fn a_scan_over_the_wire_finds_every_key() {
    let (_server, mut wire) = start();
    for number in 0..500 {
        wire.ask(&format!("SET key:{number} x"));
    }
    let mut found = scan(&mut wire, |wire, cursor| {
        wire.ask(&format!("SET added:{cursor} x"));
        wire.ask(&format!("DEL added:{cursor}"));
    });
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 500);
}

/// A cursor of one program means the same in the next one: no key twice, and none forgotten.
#[test]
fn a_scan_goes_on_through_an_upgrade() {
    let (server, mut wire) = start();
    for number in 0..200 {
        wire.ask(&format!("SET key:{number} x"));
    }
    let mut answers = 0;
    let mut found = scan(&mut wire, |_, _| {
        answers += 1;
        if answers == 10 {
            server.restart(Signal::SIGUSR2);
        }
    });
    assert!(answers > 20, "{answers}");
    assert_eq!(found.len(), 200);
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 200);
}

/// What the new side has said that it has done is done, and its clients are the old one's again.
#[test]
fn a_roll_back_keeps_every_key_and_every_client() {
    for signal in [Signal::SIGHUP, Signal::SIGUSR2] {
        let dir = Dir::new();
        let control = dir.path("control");
        let setup = Server::of("kv").arg("--control").arg(control.display().to_string());
        let server = setup.arg("--probation").arg("600").start();
        let old = server.pid();
        let mut early = Wire::connect(&server.address);
        assert_eq!(early.ask("SET before 1"), "+OK\r\n");
        server.signal(signal);
        server.wait_line("ready: generation 1");
        let mut late = Wire::connect(&server.address);
        for (wire, key) in [(&mut early, "early"), (&mut late, "late")] {
            assert_eq!(wire.ask(&format!("SET {key} 2 EX 1000")), "+OK\r\n");
            wire.ask("INCR before");
        }
        let mut operator = Control::connect(&control).expect("it listens");
        assert_eq!(operator.ask("rollback"), ["ok: generation 0 serves again"]);
        for wire in [&mut early, &mut late] {
            assert_eq!(info(wire, "process_id"), old.to_string());
            let got = ["before", "early", "late"].map(|key| wire.text(&format!("GET {key}")));
            assert_eq!(got, ["3", "2", "2"]);
            assert_eq!(wire.ask("PERSIST early"), ":1\r\n", "it expires");
            wire.ask("EXPIRE early 1000");
        }
    }
}
