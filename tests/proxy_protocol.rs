//! Clients that come through a proxy which says for whom: the peer is the client, wherever its connection goes, and
//! who does not say it is nobody's business but its own.

use std::{
    fmt::Debug,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::{fd::AsRawFd, unix::net::UnixStream},
    process::{Child, Command, Stdio},
};

use crate::common::{
    Client, DEADLINE, Dir, Server, Setup, ops::Operated, read_line, restart::Engine, stat, wait_for,
};
use nix::sys::socket::{MsgFlags, send};

/// A header of version 2: command, family and protocol, addresses and fields.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    header.extend([0x20 | command, family]);
    header.extend((rest.len() as u16).to_be_bytes());
    header.extend(rest);
    header
}

/// 192.0.2.1:4660 to 198.51.100.2:80.
const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x34, 0, 80];

/// A host name that was asked for, and what the proxy calls the connection.
const FIELDS: &[u8] = b"\x02\0\x03a.b\x05\0\x02u1";

const TEXT: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.2 4660 80\r\n";

/// A lab that listens at one more address, as `words` say.
struct Proxied {
    server: Server,
    address: String,
    _book: Dir,
}

impl Proxied {
    fn start(words: &str, adjust: impl FnOnce(Setup) -> Setup) -> Proxied {
        Proxied::at("127.0.0.1:0", words, adjust)
    }

    fn at(address: &str, words: &str, adjust: impl FnOnce(Setup) -> Setup) -> Proxied {
        let book = Dir::new();
        let path = book.path("listen");
        fs::write(&path, format!("{address} {words}")).expect("a file");
        let setup = Server::of("lab").env("LAB_LISTEN_ON", path.display());
        let server = adjust(setup).start();
        let ready = server.wait_line("ready: generation 0");
        let address = ready.trim_end().rsplit(", ").next().expect("two addresses").to_owned();
        Proxied { server, address, _book: book }
    }

    fn connect(&self) -> Client {
        Client::connect(&self.address)
    }
}

/// A stream as both kinds of sockets are.
trait Stream: Read + Write + Debug {}

impl<S: Read + Write + Debug> Stream for S {}

/// Asks on a stream of either kind.
fn ask(stream: &mut dyn Stream, line: &str) -> String {
    stream.write_all(format!("{line}\n").as_bytes()).expect("it takes a line");
    read_line(stream)
}

#[test]
fn the_peer_is_the_client_wherever_the_header_is_cut() {
    let lab = Proxied::start("proxy", |setup| setup);
    let mut v6 = [0u8; 36];
    (v6[0], v6[15], v6[31], v6[33], v6[35]) = (0xfd, 1, 2, 9, 80);
    let client = ("192.0.2.1:4660", "198.51.100.2:80");
    let with_fields = binary(1, 0x11, &[&V4[..], FIELDS].concat());
    let mut other = lab.server.connect();
    for (header, (peer, local), said) in [
        (TEXT.to_vec(), client, "None None"),
        (b"PROXY TCP6 fd00::1 ::2 9 80\r\n".to_vec(), ("[fd00::1]:9", "[::2]:80"), "None None"),
        (binary(1, 0x11, &V4), client, "None None"),
        (binary(1, 0x21, &v6), ("[fd00::1]:9", "[::2]:80"), "None None"),
        (with_fields, client, "Some(\"a.b\") Some(\"u1\")"),
    ] {
        for cut in 0..=header.len() {
            let mut conn = lab.connect();
            let own = conn.stream.local_addr().expect("an address").to_string();
            conn.send(&header[..cut]);
            other.ask("who"); // by then that was read
            let rest = [&header[cut..], b"peer\nvia\n"].concat();
            conn.send(rest);
            assert_eq!(conn.line(), peer, "{cut} bytes of {header:?}");
            assert_eq!(conn.line(), format!("{own} Some(\"{local}\") {said}"));
            assert_eq!((conn.ask("local"), conn.ask("listener")), (local.into(), "Some(1)".into()));
        }
    }
}

#[test]
fn a_proxy_that_connects_for_itself_is_the_peer() {
    let lab = Proxied::start("proxy", |setup| setup);
    for header in [binary(0, 0x11, &V4), binary(0, 0, b""), b"PROXY UNKNOWN\r\n".to_vec()] {
        let mut conn = lab.connect();
        let own = conn.stream.local_addr().expect("an address").to_string();
        conn.send(&header);
        assert_eq!((conn.ask("peer"), conn.ask("local")), (own.clone(), lab.address.clone()));
        assert_eq!(conn.ask("via"), format!("{own} None None None"));
    }
    // By the other listener nobody has come through a proxy.
    let mut plain = lab.server.connect();
    assert_eq!((plain.ask("via"), plain.ask("local")), ("none".into(), lab.server.address.clone()));
}

#[test]
fn who_sends_no_header_is_closed_and_nobody_else_notices() {
    let lab = Proxied::start("proxy", |setup| setup);
    let mut other = lab.connect();
    other.send([TEXT, b"echo here\n"].concat());
    assert_eq!(other.line(), "here");
    let mut too_long = binary(1, 0x11, &V4);
    too_long[14..16].copy_from_slice(&4096u16.to_be_bytes());
    for (input, why) in [
        (b"who\n".to_vec(), "it begins with something else"),
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 4660\r\nwho\n".to_vec(), "its line is malformed"),
        ([b"PROXY ".to_vec(), vec![b'1'; 200]].concat(), "its line does not end"),
        (binary(1, 0x41, &V4), "it is malformed"),
        (too_long, "it is too long"),
    ] {
        let mut conn = lab.connect();
        let own = conn.stream.local_addr().expect("an address");
        conn.send(&input);
        let got = conn.read_to_end().unwrap_or_default(); // or a reset, for what was not read
        assert_eq!(got, b"", "{why}");
        lab.server.wait_line(&format!("peer={own} reason=\"no PROXY header: {why}\""));
    }
    assert_eq!(other.ask("echo still"), "still");
    assert_eq!(other.ask("closes"), "", "the service has heard of none");
}

#[test]
fn a_header_that_does_not_come_in_time_or_ends_before_is_none() {
    let lab = Proxied::start("proxy", |setup| setup.env("LAB_FIRST", 300));
    let mut silent = lab.connect();
    silent.send(&TEXT[..10]);
    assert_eq!(silent.read_to_end().unwrap_or_default(), b"");
    lab.server.wait_line("reason=\"no PROXY header: it has not come in time\"");
    let mut ends = lab.connect();
    ends.send(&TEXT[..10]);
    ends.finish();
    assert_eq!(ends.read_to_end().unwrap_or_default(), b"");
    lab.server.wait_line("reason=\"no PROXY header: it has ended before\"");
    // Who looks whether the port is open is no failure.
    let mut other = lab.server.connect();
    let failed = stat(&mut other, "failed");
    let mut looks = lab.connect();
    looks.finish();
    assert_eq!(looks.read_to_end().expect("an end"), b"");
    assert_eq!(stat(&mut other, "failed"), failed);
    assert_eq!(other.ask("closes"), "");
}

#[test]
fn who_is_not_trusted_is_closed_whatever_it_says() {
    let lab = Proxied::start("proxy=10.0.0.0/8,127.0.0.2,::1", |setup| setup);
    let mut conn = lab.connect();
    let own = conn.stream.local_addr().expect("an address");
    let _ = conn.stream.write_all(TEXT); // it may be closed by now
    assert_eq!(conn.read_to_end().unwrap_or_default(), b"");
    lab.server.wait_line(&format!("peer={own} reason=\"no PROXY header: none is taken from its"));
    let trusted = Proxied::start("proxy=10.0.0.0/8,127.0.0.0/8", |setup| setup);
    let mut conn = trusted.connect();
    conn.send([TEXT, b"peer\n"].concat());
    assert_eq!(conn.line(), "192.0.2.1:4660");
}

/// What a client that came through a proxy is told of itself, by which process.
fn told(conn: &mut dyn Stream) -> (String, String, String, String) {
    let who = ask(conn, "who");
    let pid = who.split(' ').nth(1).expect("a pid").to_owned();
    (ask(conn, "peer"), ask(conn, "via"), ask(conn, "local"), pid)
}

#[test]
fn a_client_is_the_same_after_it_has_moved_and_so_is_one_that_has_not_said_who_it_is() {
    let lab = Proxied::start("proxy", |setup| setup.arg("--move").env("LAB_PROBATION", 0));
    let header = binary(1, 0x11, &[&V4[..], FIELDS].concat());
    let mut conn = lab.connect();
    conn.send(&header);
    let before = told(&mut conn.stream);
    let mut halves: Vec<Client> = (0..header.len()).map(|_| lab.connect()).collect();
    for (cut, half) in halves.iter_mut().enumerate() {
        half.send(&header[..cut]);
    }
    for engine in Engine::alternating().take(4) {
        conn.send("echo barrier\n");
        assert_eq!(conn.line(), "barrier");
        let new = lab.server.restart(engine.signal()).to_string();
        let now = told(&mut conn.stream);
        assert_eq!(now, (before.0.clone(), before.1.clone(), before.2.clone(), new));
    }
    let new = told(&mut conn.stream).3;
    for (cut, mut half) in halves.into_iter().enumerate() {
        half.send([&header[cut..], b"peer\nlistener\n"].concat());
        assert_eq!((half.line(), half.line()), ("192.0.2.1:4660".into(), "Some(1)".into()));
        assert_eq!(told(&mut half.stream).3, new, "{cut}");
    }
}

#[test]
fn a_client_that_has_not_said_who_it_is_goes_back_in_a_roll_back() {
    for engine in [Engine::Fork, Engine::ForkExec] {
        let book = Dir::new();
        let path = book.path("listen");
        fs::write(&path, "127.0.0.1:0 proxy").expect("a file");
        let lab = Operated::with(600_000, |setup| {
            setup.arg("--move").env("LAB_LISTEN_ON", path.display())
        });
        let ready = lab.wait_line("ready: generation 0");
        let address = ready.trim_end().rsplit(", ").next().expect("two addresses");
        let (mut half, mut whole) = (Client::connect(address), Client::connect(address));
        half.send(&TEXT[..20]);
        whole.send(TEXT);
        let before = told(&mut whole.stream);
        lab.signal(engine.signal());
        lab.wait_line("ready: generation 1");
        let there = told(&mut whole.stream);
        assert_ne!(there.3, before.3, "it has moved");
        assert_eq!((&there.0, &there.1, &there.2), (&before.0, &before.1, &before.2));
        assert_eq!(lab.heirloom(&["rollback"]).status, Some(0));
        assert_eq!(told(&mut whole.stream), before);
        half.send([&TEXT[20..], b"peer\n"].concat());
        assert_eq!(half.line(), "192.0.2.1:4660");
        assert_eq!(told(&mut half.stream).3, before.3);
    }
}

/// Where connections stay, it is the old process's, which drains: it is told so like all others.
#[test]
fn a_client_that_has_not_said_who_it_is_stays_where_clients_stay() {
    for engine in [Engine::Fork, Engine::ForkExec] {
        let lab = Proxied::start("proxy", |setup| setup.env("LAB_FAREWELL", 1));
        let mut half = lab.connect();
        half.send(&TEXT[..20]);
        lab.server.connect().ask("who");
        lab.server.restart(engine.signal());
        half.send([&TEXT[20..], b"peer\n"].concat());
        assert_eq!(half.line(), "farewell");
        assert_eq!(half.read_to_end().expect("an end"), b"");
    }
}

#[test]
fn a_proxy_may_come_by_a_unix_socket() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let setup = |setup: Setup| setup.arg("--move").env("LAB_PROBATION", 0);
    let lab = Proxied::at(&format!("unix:{}", path.display()), "proxy", setup);
    let mut conn = UnixStream::connect(&path).expect("the server accepts");
    conn.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let mut half = conn.try_clone().expect("a descriptor");
    half.write_all(&TEXT[..TEXT.len() - 1]).expect("it takes it");
    for engine in Engine::alternating().take(2) {
        lab.server.restart(engine.signal());
    }
    conn.write_all(&TEXT[TEXT.len() - 1..]).expect("it takes it");
    let before = told(&mut conn);
    let pid = std::process::id();
    assert!(before.1.starts_with(&format!("unix:pid={pid},uid=")), "{before:?}");
    assert_eq!((&*before.0, &*before.2), ("192.0.2.1:4660", "198.51.100.2:80"));
    for engine in Engine::alternating().take(2) {
        let new = lab.server.restart(engine.signal()).to_string();
        let now = told(&mut conn);
        assert_eq!(now, (before.0.clone(), before.1.clone(), before.2.clone(), new));
    }
}

/// A proxy in front, ended with the test.
struct HaProxy(Child);

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports that are free, a moment later as well.
fn free_ports<const N: usize>() -> [String; N] {
    let sockets = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    sockets.map(|socket| socket.local_addr().expect("an address").to_string())
}

fn haproxy(dir: &Dir, lab: &str, [v1, v2]: &[String; 2]) -> HaProxy {
    let config = dir.path("haproxy.cfg");
    let of = |name: &str, bind: &str, how: &str| {
        format!(
            "frontend {name}\n bind {bind}\n unique-id-format id-%fp\n default_backend to_{name}\n\
             backend to_{name}\n server lab {lab} {how} check check-send-proxy inter 50ms\n"
        )
    };
    let text = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n{}{}",
        of("v1", v1, "send-proxy"),
        of("v2", v2, "send-proxy-v2 proxy-v2-options unique-id,crc32c"),
    );
    fs::write(&config, text).expect("a file");
    let mut command = Command::new("haproxy");
    command.args(["-db", "-f"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
    HaProxy(command.spawn().expect("haproxy starts"))
}

#[test]
#[ignore = "needs haproxy"]
fn haproxy_says_who_its_clients_are_by_both_versions() {
    let lab = Proxied::start("proxy", |setup| setup.arg("--move").env("LAB_PROBATION", 0));
    let dir = Dir::new();
    let fronts = free_ports::<2>();
    let _haproxy = haproxy(&dir, &lab.address, &fronts);
    let mut other = lab.server.connect();
    wait_for("checks of both versions", || stat(&mut other, "accepted") > 20);
    for (front, id) in fronts.iter().zip(["None", "Some(\"id-"]) {
        wait_for("haproxy to listen", || TcpStream::connect(front).is_ok());
        let mut client = Client::connect(front);
        let own = client.stream.local_addr().expect("an address").to_string();
        assert_eq!((client.ask("peer"), client.ask("local")), (own.clone(), front.clone()));
        let via = client.ask("via");
        assert!(via.contains(&format!(" Some(\"{front}\") None {id}")), "{via}");
        for engine in Engine::alternating().take(2) {
            let new = lab.server.restart(engine.signal()).to_string();
            assert_eq!((client.ask("peer"), client.ask("via")), (own.clone(), via.clone()));
            assert!(client.ask("who").contains(&new));
        }
    }
    assert_eq!(lab.server.count_lines("no PROXY header"), 0, "{}", lab.server.log());
}

/// One byte of urgent data, and silence: a read stops short before it, so each looked like the first of more.
#[test]
fn urgent_data_before_a_header_or_a_message_keeps_nobody_busy() {
    let lab = Proxied::start("proxy", |setup| setup.env("LAB_FIRST", 1000));
    let mut asking = lab.server.connect();
    let before = stat(&mut asking, "turns");
    let mut conns = [lab.connect(), lab.server.connect()];
    for conn in &mut conns {
        conn.send("P"); // of `PROXY`, or of a line
        send(conn.stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB).expect("urgent data");
    }
    for conn in &mut conns {
        assert_eq!(conn.read_to_end().unwrap_or_default(), b"");
    }
    lab.server.wait_line("reason=\"no PROXY header: it has not come in time\"");
    drop(conns); // the server waits for it before it tells
    lab.server.wait_line("reason=\"no first message in time\"");
    let turns = stat(&mut asking, "turns") - before;
    assert!(turns < 50, "{turns} turns");
}
