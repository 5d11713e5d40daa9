//! What the kernel is told of sockets: each option is on the listener and on what it accepts, or on what is dialed,
//! and a restart gives it to the one who serves, and back.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use crate::common::{
    Client, DEADLINE, Dir, Server, Setup, example, in_session, ops::Operated, restart::Engine,
};
use libc::{
    IP_TOS, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPV6_TCLASS, IPV6_V6ONLY, SO_KEEPALIVE,
    SO_RCVBUF, SO_REUSEPORT, SO_SNDBUF, SOL_SOCKET, TCP_DEFER_ACCEPT, TCP_FASTOPEN,
    TCP_FASTOPEN_CONNECT, TCP_INFO, TCP_KEEPCNT, TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_NODELAY,
    TCP_USER_TIMEOUT,
};
use nix::sys::socket::Backlog;

/// Whether buffers keep the size that they were given (`socket(7)`).
const SO_BUF_LOCK: i32 = 72;

/// In `struct tcp_info`, of a socket that listens: how long its queue may be.
const LONGEST_QUEUE: usize = 28;

/// Option by option.
type Values = Vec<(i32, i32, i32)>;

/// What `keepalive=61,7,5` comes to.
const KEEP_ALIVE: [(i32, i32, i32); 4] = [
    (SOL_SOCKET, SO_KEEPALIVE, 1),
    (IPPROTO_TCP, TCP_KEEPIDLE, 61),
    (IPPROTO_TCP, TCP_KEEPINTVL, 7),
    (IPPROTO_TCP, TCP_KEEPCNT, 5),
];

/// And what nothing comes to.
const UNSAID: [(i32, i32, i32); 4] = [
    (SOL_SOCKET, SO_KEEPALIVE, 1),
    (IPPROTO_TCP, TCP_KEEPIDLE, 120),
    (IPPROTO_TCP, TCP_KEEPINTVL, 30),
    (IPPROTO_TCP, TCP_KEEPCNT, 6),
];

/// A file that says where a lab listens, and how.
struct Book(Dir);

impl Book {
    fn new(lines: &str) -> Book {
        let book = Book(Dir::new());
        book.write(lines);
        book
    }

    fn path(&self) -> PathBuf {
        self.0.path("listen")
    }

    fn write(&self, lines: &str) {
        fs::write(self.path(), lines).expect("a file");
    }

    fn told(&self, setup: Setup) -> Setup {
        setup.env("LAB_LISTEN_ON", self.path().display())
    }
}

/// Where a lab listens beside its first address.
fn others(server: &Server) -> Vec<String> {
    let ready = server.wait_line("ready: generation 0");
    let all = ready.rsplit("listening on ").next().expect("a list").trim_end();
    all.split(", ").skip(1).map(str::to_owned).collect()
}

/// What a lab has of an option.
fn value(client: &mut Client, which: &str, address: &str, level: i32, option: i32) -> String {
    client.ask(&format!("sockopt {which} {address} {level} {option}"))
}

fn check(client: &mut Client, which: &str, address: &str, expected: &[(i32, i32, i32)]) {
    for &(level, option, expected) in expected {
        let value = value(client, which, address, level, option);
        assert_eq!(value, expected.to_string(), "{which} {address}: {level} {option}");
    }
}

fn queue(client: &mut Client, address: &str) -> String {
    client.ask(&format!("sockopt listening {address} {IPPROTO_TCP} {TCP_INFO} {LONGEST_QUEUE}"))
}

#[test]
fn an_option_is_the_listeners_and_each_connection_inherits_it() {
    let book = Book::new(
        "127.0.0.1:0 keepalive=61,7,5 user_timeout=12345 rcvbuf=20000 sndbuf=30000 dscp=46 defer=3000 \
         fastopen=9 reuseport backlog=17",
    );
    let server = book.told(Server::of("lab")).start();
    let address = others(&server).remove(0);
    let mut expected: Values = KEEP_ALIVE.to_vec();
    expected.extend([
        (IPPROTO_TCP, TCP_USER_TIMEOUT, 12345),
        (SOL_SOCKET, SO_RCVBUF, 40_000), // the kernel takes twice as many
        (SOL_SOCKET, SO_SNDBUF, 60_000),
        (IPPROTO_IP, IP_TOS, 46 << 2),
        (SOL_SOCKET, SO_REUSEPORT, 1),
    ]);
    let mut client = server.connect();
    check(&mut client, "listening", &address, &expected);
    check(&mut client, "listening", &address, &[(IPPROTO_TCP, TCP_FASTOPEN, 9)]);
    // In the steps in which the kernel counts it.
    check(&mut client, "listening", &address, &[(IPPROTO_TCP, TCP_DEFER_ACCEPT, 3)]);
    assert_eq!(queue(&mut client, &address), "17");
    let mut theirs = Client::connect(&address);
    check(&mut theirs, "accepted", &address, &expected);
    check(&mut theirs, "accepted", &address, &[(IPPROTO_TCP, TCP_NODELAY, 1)]);
    // And who says nothing has what the system has, but for Nagle's algorithm and peers that are gone.
    let plain = server.address.clone();
    let off = [(IPPROTO_IP, IP_TOS, 0), (SOL_SOCKET, SO_BUF_LOCK, 0)];
    for which in ["listening", "accepted"] {
        check(&mut client, which, &plain, &off);
        check(&mut client, which, &plain, &UNSAID);
    }
    check(&mut client, "accepted", &plain, &[(IPPROTO_TCP, TCP_NODELAY, 1)]);
}

#[test]
fn a_socket_of_ipv6_marks_the_packets_of_both_families() {
    let book = Book::new("[::]:0 v6only=0 dscp=10\n[::1]:0 v6only=1 dscp=10");
    let server = book.told(Server::of("lab")).start();
    let [both, only] = others(&server).try_into().expect("two addresses");
    let port = both.rsplit(':').next().expect("a port");
    let mut v4 = Client::connect(&format!("127.0.0.1:{port}"));
    let marks = [(IPPROTO_IP, IP_TOS, 40)];
    check(&mut v4, "accepted", &format!("[::ffff:127.0.0.1]:{port}"), &marks);
    let mut v6 = Client::connect(&only);
    check(&mut v6, "accepted", &only, &[(IPPROTO_IPV6, IPV6_TCLASS, 40)]);
    check(&mut v6, "listening", &only, &[(IPPROTO_IPV6, IPV6_V6ONLY, 1)]);
    check(&mut v6, "listening", &both, &[(IPPROTO_IPV6, IPV6_V6ONLY, 0)]);
}

/// Which is the only thing that costs a system call for each.
#[test]
fn a_unix_connection_is_given_its_send_buffer() {
    let book = Book::new("");
    let path = book.0.path("socket").display().to_string();
    book.write(&format!("unix:{path} sndbuf=30000"));
    let server = book.told(Server::of("lab")).start();
    let mut stream = UnixStream::connect(&path).expect("the server accepts");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let question = format!("sockopt accepted {path} {SOL_SOCKET} {SO_SNDBUF}\n");
    stream.write_all(question.as_bytes()).expect("the server takes it");
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).expect("in time");
    assert_eq!(answer, "60000\n");
    drop(server);
}

#[test]
fn what_makes_no_sense_is_one_clear_error_before_anything_is_bound() {
    let of_unix = |what| format!("{what} has no meaning for a Unix socket");
    for (line, why) in [
        ("127.0.0.1:0 dscp=64", "a DSCP is 0 to 63, not 64".to_owned()),
        (
            "127.0.0.1:0 keepalive=0,1,1",
            "the idle time of keep-alive is 1 s to 32767 s, not 0ns".into(),
        ),
        ("127.0.0.1:0 keepalive=1,1,128", "keep-alive asks 1 to 127 times, not 128".into()),
        ("127.0.0.1:0 v6only=1", "IPV6_V6ONLY has no meaning for IPv4".into()),
        ("127.0.0.1:0 fastopen", "fast open of a dial: a listener has a queue for it".into()),
        (
            "127.0.0.1:0 proxy=10.0.0.0/33",
            "\"10.0.0.0/33\" is no network: those are like 10.0.0.0/8 or ::1".into(),
        ),
        ("unix:/tmp/no-such-socket keepalive=1,1,1", of_unix("keep-alive")),
        ("unix:/tmp/no-such-socket user_timeout=1", of_unix("a user timeout")),
        ("unix:/tmp/no-such-socket rcvbuf=1", of_unix("a receive buffer")),
        ("unix:/tmp/no-such-socket dscp=1", of_unix("a DSCP")),
        ("unix:/tmp/no-such-socket reuseport", of_unix("SO_REUSEPORT")),
        ("unix:/tmp/no-such-socket v6only=1", of_unix("IPV6_V6ONLY")),
        ("unix:/tmp/no-such-socket defer=1000", of_unix("a deferred accept")),
        ("unix:/tmp/no-such-socket fastopen=1", of_unix("fast open")),
        ("unix:/tmp/no-such-socket proxy=::1", of_unix("a network")),
    ] {
        let book = Book::new(line);
        let address = line.split(' ').next().expect("an address");
        for check in [false, true] {
            let mut command = Command::new(example("lab"));
            command.args(["--listen", "127.0.0.1:0"]).env("LAB_LISTEN_ON", book.path());
            let output = command.args(check.then_some("--check")).output().expect("it ends");
            let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
            assert_eq!(said, format!("lab: listen on {address}: {why}"), "{line}");
            assert_eq!(output.status.code(), Some(2), "{line}");
        }
    }
}

#[test]
fn two_servers_share_a_port_only_where_both_ask_for_it() {
    let first = Book::new("127.0.0.1:0 reuseport");
    let server = first.told(Server::of("lab")).start();
    let address = others(&server).remove(0);
    let second = Book::new(&format!("{address} reuseport"));
    let other = second.told(Server::of("lab")).start();
    assert_eq!(others(&other)[0], address);
    let third = Book::new(&address);
    let mut command = Command::new(example("lab"));
    command.args(["--listen", "127.0.0.1:0"]).env("LAB_LISTEN_ON", third.path());
    let output = command.output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.starts_with(&format!("lab: listen on {address}: Address already in use")),
        "{said}"
    );
}

/// A peer that the lab dials: what it has answered to each line.
fn peer(listener: TcpListener) -> thread::JoinHandle<TcpStream> {
    thread::spawn(move || listener.accept().expect("somebody dials").0)
}

fn ask(stream: &mut TcpStream, line: &str) -> String {
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream.write_all(format!("{line}\n").as_bytes()).expect("it takes a line");
    read_line(stream)
}

/// Byte by byte: nothing behind the line is taken.
fn read_line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("a line in time");
        line.push(byte[0]);
    }
    String::from_utf8_lossy(&line).trim_end().to_owned()
}

#[test]
fn what_is_dialed_has_its_options_wherever_it_moves() {
    let server = Server::of("lab").arg("--move").env("LAB_PROBATION", 0).start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let there = listener.local_addr().expect("an address").to_string();
    let dialed = peer(listener);
    let words = "keepalive=61,7,5 user_timeout=5000 rcvbuf=20000 sndbuf=30000 dscp=8";
    let answer = server.connect().ask(&format!("dial {there} {words}"));
    assert_eq!(answer, format!("dialed {there}"));
    let mut dialed = dialed.join().expect("a connection");
    let mut expected: Values = KEEP_ALIVE.to_vec();
    expected.extend([
        (IPPROTO_TCP, TCP_USER_TIMEOUT, 5000),
        (SOL_SOCKET, SO_RCVBUF, 40_000),
        (SOL_SOCKET, SO_SNDBUF, 60_000),
        (IPPROTO_IP, IP_TOS, 8 << 2),
        (IPPROTO_TCP, TCP_NODELAY, 1),
    ]);
    check(&mut server.connect(), "dialed", &there, &expected);
    for engine in Engine::alternating().take(2) {
        let new = server.restart(engine.signal());
        assert!(ask(&mut dialed, "who").contains(&new.to_string()), "it has moved");
        check(&mut server.connect(), "dialed", &there, &expected);
    }
}

#[test]
fn what_makes_no_sense_of_a_dial_is_said_at_once() {
    let server = Server::of("lab").start();
    for (words, why) in [
        ("127.0.0.1:1 dscp=64", "dial 127.0.0.1:1: a DSCP is 0 to 63, not 64"),
        ("unix:/x keepalive=1,1,1", "dial unix:/x: keep-alive has no meaning for a Unix socket"),
    ] {
        let mut client = server.connect();
        client.send(format!("dial {words}\n"));
        assert_eq!(client.read_to_end().expect("an end"), b"");
        drop(client); // the line is there when both sides have closed
        server.wait_line(&format!("reason=\"failed: {why}\""));
    }
}

/// With a cookie the first line goes with the SYN, without one after the handshake: the words are the same. (Where
/// `net.ipv4.tcp_fastopen` is 3, the second and the third dial have one.)
#[test]
fn a_dial_with_fast_open_stands_and_carries_bytes_both_ways() {
    let server = Server::of("lab").start();
    for _ in 0..3 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (queue, length) = (5i32, size_of::<i32>() as libc::socklen_t);
        let (fd, place) = (listener.as_raw_fd(), (&raw const queue).cast());
        // SAFETY: the kernel reads `length` bytes of `queue`, which lives through the call.
        let set = unsafe { libc::setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, place, length) };
        assert_eq!(set, 0, "a queue for those that come with the SYN");
        let there = listener.local_addr().expect("an address").to_string();
        let dialed = peer(listener);
        let mut client = server.connect();
        assert_eq!(client.ask(&format!("dial {there} fastopen")), format!("dialed {there}"));
        assert_eq!(client.ask("greet hello"), "ok"); // the side that dials speaks first
        let mut dialed = dialed.join().expect("a connection");
        assert_eq!(ask(&mut dialed, "peer"), "hello");
        assert_eq!(read_line(&mut dialed), there);
        check(&mut client, "dialed", &there, &[(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)]);
    }
}

/// Both, in a port of the first: a lab whose probation ends when the test says so.
fn upgraded(engine: Engine, before: &str, after: &str) -> (Book, Operated, String) {
    let book = Book::new(&format!("127.0.0.1:0 {before}"));
    let lab = Operated::with(600_000, |setup| book.told(setup));
    let address = others(&lab).remove(0);
    book.write(&format!("127.0.0.1:0 {after}"));
    lab.signal(engine.signal());
    lab.wait_line("ready: generation 1");
    (book, lab, address)
}

/// What the socket has of options that no program has asked for stays as it is, and so does what was set by an older one.
#[test]
fn a_new_program_sets_what_it_asks_for_and_a_roll_back_undoes_it() {
    let before = "keepalive=61,7,5 backlog=17";
    let after = "keepalive=99,8,4 backlog=33 dscp=8 rcvbuf=20000 user_timeout=777 reuseport";
    let (_book, lab, address) = upgraded(Engine::ForkExec, before, after);
    let mut client = lab.connect();
    let set = [
        (IPPROTO_TCP, TCP_KEEPIDLE, 99),
        (IPPROTO_TCP, TCP_KEEPCNT, 4),
        (IPPROTO_IP, IP_TOS, 32),
        (SOL_SOCKET, SO_RCVBUF, 40_000),
        (IPPROTO_TCP, TCP_USER_TIMEOUT, 777),
    ];
    check(&mut client, "listening", &address, &set);
    check(&mut Client::connect(&address), "accepted", &address, &set);
    assert_eq!(queue(&mut client, &address), "33");
    lab.wait_line("SO_REUSEPORT stays as it is, since the socket is bound");
    assert_eq!(lab.heirloom(&["rollback"]).status, Some(0));
    let mut old = Client::connect(&address);
    assert!(old.ask("who").starts_with("0 "), "the old one serves");
    let undone =
        [(IPPROTO_IP, IP_TOS, 0), (SOL_SOCKET, SO_BUF_LOCK, 0), (IPPROTO_TCP, TCP_USER_TIMEOUT, 0)];
    for which in ["listening", "accepted"] {
        check(&mut old, which, &address, &KEEP_ALIVE);
        check(&mut old, which, &address, &undone);
    }
    assert_eq!(queue(&mut old, &address), "17");
}

/// The old side serves again although nobody has handed anything back.
#[test]
fn the_death_of_a_new_program_undoes_it_too() {
    let (_book, lab, address) = upgraded(Engine::ForkExec, "dscp=46", "dscp=8 keepalive=61,7,5");
    let mut client = lab.connect();
    check(&mut client, "listening", &address, &KEEP_ALIVE);
    drop(client);
    let pid = lab.pid();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .expect("it is there");
    lab.wait_lines("ready: generation 0", 2);
    let mut old = lab.connect();
    check(&mut old, "listening", &address, &[(IPPROTO_IP, IP_TOS, 46 << 2)]);
    check(&mut old, "listening", &address, &UNSAID);
}

#[test]
fn what_a_new_program_does_not_say_stays_as_it_was() {
    for engine in [Engine::Fork, Engine::ForkExec] {
        let (_book, lab, address) = upgraded(engine, "keepalive=61,7,5 dscp=46", "");
        let mut client = lab.connect();
        assert!(client.ask("who").starts_with("1 "));
        let mut expected: Values = KEEP_ALIVE.to_vec();
        expected.push((IPPROTO_IP, IP_TOS, 46 << 2));
        check(&mut client, "listening", &address, &expected);
        check(&mut Client::connect(&address), "accepted", &address, &expected);
    }
}

/// What the new program asks for is looked at before the old one has to stop for it.
#[test]
fn a_new_program_that_asks_for_nonsense_does_not_serve() {
    let book = Book::new("127.0.0.1:0 dscp=46");
    let server = book.told(Server::of("lab")).start();
    let address = others(&server).remove(0);
    book.write("127.0.0.1:0 dscp=64");
    server.signal(Engine::ForkExec.signal());
    server.wait_line("listen on 127.0.0.1:0: a DSCP is 0 to 63, not 64");
    let mut client = Client::connect(&address);
    assert!(client.ask("who").starts_with("0 "));
    check(&mut client, "listening", &address, &[(IPPROTO_IP, IP_TOS, 46 << 2)]);
}

/// A service manager has opened it, with a queue of its own choice.
fn activated(words: &str) -> (Book, Server, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    nix::sys::socket::listen(&listener, Backlog::new(7).expect("a length")).expect("it listens");
    let address = listener.local_addr().expect("an address").to_string();
    let book = Book::new(&format!("systemd:web {words}"));
    let script = "exec 3<&0 0</dev/null\n\
                  exec env LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=web \"$0\" \"$@\"";
    let mut command = in_session("sh");
    command.args(["-c", script]).arg(example("lab")).args(["--listen", "127.0.0.1:0"]);
    command.env("LAB_LISTEN_ON", book.path()).stdin(Stdio::from(OwnedFd::from(listener)));
    let server = Server::spawn_with_stdin(command, Dir::new());
    server.wait_line("ready: generation 0");
    (book, server, address)
}

#[test]
fn what_a_manager_has_opened_has_the_options_and_its_own_queue() {
    for (words, expected) in [("keepalive=61,7,5", "7"), ("keepalive=61,7,5 backlog=9", "9")] {
        let (_book, _server, address) = activated(words);
        let mut client = Client::connect(&address);
        check(&mut client, "listening", &address, &KEEP_ALIVE);
        check(&mut client, "accepted", &address, &KEEP_ALIVE);
        assert_eq!(queue(&mut client, &address), expected);
    }
}
