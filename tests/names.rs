//! Hosts that are dialed by name: looked up beside the loop's other work, each address tried in its turn, and what is
//! wrong said in full.

use std::{
    fs,
    net::{IpAddr, Ipv6Addr, TcpListener, UdpSocket},
    time::{Duration, Instant},
};

use crate::common::{
    Client, Dir, Server, Setup,
    dns::{Dns, Reply},
    fill_queue, in_session,
    ports::DeadPort,
    stat, wait_for,
};
use heirloom::{Alarm, Backoff, Connection, Net, Origin, Result, Service, Start, testing::Harness};
use hickory_proto::op::ResponseCode;

const HOME: &str = "127.0.0.1";

fn home() -> Vec<IpAddr> {
    vec![HOME.parse().expect("an address")]
}

/// A lab that asks this server, with a `resolv.conf` and no hosts of its own.
fn lab(dns: &Dns, dir: &Dir, conf: &str) -> Setup {
    let (hosts, file) = (dir.path("hosts"), dir.path("resolv.conf"));
    fs::write(&file, conf).expect("a file");
    Server::of("lab")
        .env("LAB_NAME_SERVERS", dns.address)
        .env("LAB_HOSTS_FILE", hosts.display())
        .env("LAB_RESOLV_CONF", file.display())
}

/// No search list, and a patience of one second.
const PLAIN: &str = "search .\noptions timeout:1 attempts:2\n";

/// A name server, a lab that asks it, a client of that, and somebody to be dialed.
struct World {
    dns: Dns,
    dir: Dir,
    server: Server,
    client: Client,
    target: TcpListener,
    port: u16,
}

impl World {
    fn new(conf: &str) -> World {
        World::with(conf, |setup| setup)
    }

    fn with(conf: &str, adjust: impl FnOnce(Setup) -> Setup) -> World {
        let (dns, dir) = (Dns::start(), Dir::new());
        let server = adjust(lab(&dns, &dir, conf)).start();
        let target = TcpListener::bind((HOME, 0)).expect("a port");
        let port = target.local_addr().expect("its number").port();
        World { dns, dir, client: server.connect(), server, target, port }
    }

    fn dial(&mut self, host: &str) -> String {
        self.client.ask(&format!("dial_host {host}:{}", self.port))
    }

    /// It is to come to this address.
    fn reach(&mut self, host: &str, address: &str) {
        let answer = self.dial(host);
        let ip: IpAddr = address.parse().expect("an address");
        let expected = std::net::SocketAddr::new(ip, self.port);
        assert_eq!(answer, format!("dialed {expected}"), "{host}");
    }

    fn failure(&mut self, host: &str) -> String {
        let answer = self.dial(host);
        answer.strip_prefix("dial failed: ").unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

#[test]
fn a_name_leads_to_its_address_through_aliases_and_in_any_case() {
    let mut world = World::new(PLAIN);
    world.dns.has("db.example.", &[HOME], 60);
    world.dns.says("www.example.", Reply::Alias("db.example.".to_owned(), home()));
    world.reach("db.example", HOME);
    let (stream, _) = world.target.accept().expect("a connection");
    drop(stream);
    world.reach("DB.Example.", HOME);
    world.reach("www.example", HOME);
    assert_eq!(stat(&mut world.client, "dialed"), 3);
}

#[test]
fn what_is_wrong_with_a_name_is_said_with_the_name_and_the_server() {
    let mut world = World::new(PLAIN);
    let server = world.dns.address;
    world.dns.says("empty.example.", Reply::NoAddress);
    world.dns.says("broken.example.", Reply::Code(ResponseCode::ServFail));
    world.dns.says("silent.example.", Reply::Silence);
    assert_eq!(
        world.failure("nobody.example"),
        format!("entity not found: nobody.example: no such name, says {server}")
    );
    assert_eq!(
        world.failure("empty.example"),
        format!("entity not found: empty.example: it has no address, says {server}")
    );
    assert_eq!(
        world.failure("broken.example"),
        format!("other error: broken.example: {server} has failed: Server Failure")
    );
    let begun = Instant::now();
    assert_eq!(
        world.failure("silent.example"),
        format!("timed out: silent.example: no answer from {server}")
    );
    assert!(begun.elapsed() >= Duration::from_secs(2), "after {:?}", begun.elapsed());
    assert_eq!(world.dns.asked("silent.example."), 2);
    // One that exists, where nobody listens.
    world.dns.has("db.example.", &[HOME], 60);
    let dead = DeadPort::new();
    world.port = dead.address.port();
    let port = world.port;
    let failure = world.failure("db.example");
    let refused =
        format!("connection refused: db.example:{port}: {HOME}:{port}: Connection refused");
    assert!(failure.starts_with(&refused), "{failure}");
}

#[test]
fn what_is_no_name_is_refused_by_name() {
    let world = World::new(PLAIN);
    for wrong in ["db", "db:x", "a..b:80", "127.0.0.1:99999", "a b:80", ":80"] {
        let mut client = world.server.connect();
        client.send(format!("dial_host {wrong}\n"));
        assert_eq!(client.read_to_end().expect("an end"), b"");
        drop(client);
        world.server.wait_line(&format!("failed: dial {wrong}: "));
    }
}

#[test]
fn a_question_that_is_lost_is_asked_again_and_another_server_is_asked_at_once() {
    let mut world = World::new(PLAIN);
    world.dns.says_of("db.example.", false, Reply::NoAddress);
    let has = Reply::Has(home(), 60);
    world.dns.says_of("db.example.", true, Reply::Lost(1, Box::new(has)));
    let begun = Instant::now();
    world.reach("db.example", HOME);
    assert!(begun.elapsed() >= Duration::from_secs(1), "after {:?}", begun.elapsed());
    assert_eq!(world.dns.asked("db.example."), 2);

    // Nobody is at the first address by now, and the second server cannot say.
    let dead = UdpSocket::bind((HOME, 0)).expect("a port").local_addr().expect("its number");
    let broken = Dns::start();
    broken.says("db.example.", Reply::Code(ResponseCode::Refused));
    let servers = format!("{dead},{},{}", broken.address, world.dns.address);
    let conf = "options timeout:30 attempts:1\n";
    let server = lab(&world.dns, &world.dir, conf).env("LAB_NAME_SERVERS", servers).start();
    world.client = server.connect();
    world.reach("db.example", HOME);
    assert_eq!(broken.asked("db.example."), 1);
}

#[test]
fn answers_to_other_questions_and_from_elsewhere_do_no_harm() {
    let mut world = World::new(PLAIN);
    let has = Box::new(Reply::Has(home(), 60));
    let elsewhere = "192.0.2.1".parse().expect("an address");
    world.dns.says_of("db.example.", true, Reply::Spoofed(elsewhere, has));
    world.dns.says_of("db.example.", false, Reply::NoAddress);
    world.reach("db.example", HOME);
    assert_eq!(world.dns.asked("db.example."), 1);
}

#[test]
fn an_answer_that_does_not_fit_is_fetched_by_tcp() {
    let mut world = World::new(PLAIN);
    let mut many: Vec<IpAddr> = (1..=100).map(|last| IpAddr::from([192, 0, 2, last])).collect();
    many.insert(0, home()[0]);
    world.dns.says_of("db.example.", true, Reply::Truncated(Box::new(Reply::Has(many, 60))));
    world.dns.says_of("db.example.", false, Reply::Truncated(Box::new(Reply::NoAddress)));
    world.reach("db.example", HOME);
    assert_eq!(world.dns.asked_by_tcp(), 2);
}

#[test]
fn what_was_learned_holds_for_as_long_as_was_said() {
    let mut world = World::new(PLAIN);
    world.dns.has("db.example.", &[HOME], 600);
    world.dns.says("nobody.example.", Reply::NoSuchName(600));
    for _ in 0..3 {
        world.reach("db.example", HOME);
        assert!(world.failure("nobody.example").contains("no such name"));
    }
    assert_eq!((world.dns.asked("db.example."), world.dns.asked("nobody.example.")), (1, 1));
    world.dns.has("short.example.", &[HOME], 1);
    let begun = Instant::now();
    wait_for("the answer to grow old", || {
        world.reach("short.example", HOME);
        drop(world.target.accept().expect("a connection")); // the queue is short
        world.dns.asked("short.example.") == 2
    });
    assert!(begun.elapsed() >= Duration::from_secs(1), "after {:?}", begun.elapsed());
}

#[test]
fn many_who_dial_a_name_at_once_wait_for_one_answer() {
    let mut world = World::new(PLAIN);
    world.dns.has("db.example.", &[HOME], 60);
    world.dns.hold();
    let mut clients: Vec<_> = (0..20).map(|_| world.server.connect()).collect();
    let line = format!("dial_host db.example:{}\n", world.port);
    clients.iter_mut().for_each(|client| client.send(&line));
    world.dns.wait_asked("db.example.", 1);
    // They have been heard when somebody is answered who came later.
    assert_eq!(world.client.ask("echo all"), "all");
    world.dns.release();
    for client in &mut clients {
        assert_eq!(client.line(), format!("dialed {HOME}:{}", world.port));
    }
    assert_eq!(world.dns.asked("db.example."), 1);
}

#[test]
fn many_names_at_once_are_looked_up_some_after_the_others() {
    let world = World::with(PLAIN, |setup| setup.env("LAB_DIAL", 40_000));
    let mut clients: Vec<_> = (0..100).map(|_| world.server.connect()).collect();
    world.dns.hold();
    for (number, client) in clients.iter_mut().enumerate() {
        world.dns.has(&format!("{number}.example."), &[HOME], 60);
        client.send(format!("dial_host {number}.example:{}\n", world.port));
    }
    world.dns.wait_asked("0.example.", 1);
    world.dns.release();
    for client in &mut clients {
        assert_eq!(client.line(), format!("dialed {HOME}:{}", world.port));
    }
}

#[test]
fn the_files_of_the_machine_are_read_anew_when_they_change() {
    let mut world = World::new("search a.example b.example\noptions ndots:1\n");
    world.dns.has("db.b.example.", &[HOME], 1);
    world.reach("db", HOME);
    assert_eq!((world.dns.asked("db.a.example."), world.dns.asked("db.b.example.")), (1, 1));
    assert_eq!(world.dns.asked("db."), 0);
    // A name with dots is tried as it is, first.
    world.dns.has("db.x.", &[HOME], 60);
    world.reach("db.x", HOME);
    assert_eq!(world.dns.asked("db.x.a.example."), 0);
    // And the full name only so.
    assert!(world.failure("cache.").contains("no such name"));
    assert_eq!(world.dns.asked("cache.a.example."), 0);

    fs::write(world.dir.path("hosts"), format!("{HOME} cache mail # ours\n")).expect("a file");
    world.reach("cache", HOME);
    assert_eq!(world.dns.asked("cache.a.example."), 0);
    fs::write(world.dir.path("resolv.conf"), "search c.example\n").expect("a file");
    world.dns.has("disk.c.example.", &[HOME], 60);
    world.reach("disk", HOME);
    fs::remove_file(world.dir.path("hosts")).expect("a file");
    assert!(world.failure("mail").contains("no such name"));
}

#[test]
fn this_machine_and_addresses_are_asked_of_nobody() {
    let mut world = World::new(PLAIN);
    world.dns.says("localhost.", Reply::Has(vec!["192.0.2.1".parse().unwrap()], 60));
    for host in ["localhost", "LOCALHOST.", "db.localhost", HOME] {
        world.reach(host, HOME); // it is bound to IPv4 alone: ::1 refuses, or is not there
    }
    assert_eq!(world.dns.asked("localhost."), 0);
    let path = world.dir.path("nobody");
    let answer = world.client.ask(&format!("dial_host unix:{}", path.display()));
    assert!(answer.starts_with("dial failed: entity not found: "), "{answer}");
}

/// Whether this machine has `::1`.
fn listen_v6(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv6Addr::LOCALHOST, port)).ok()
}

#[test]
fn ipv6_is_tried_first_and_ipv4_at_once_where_that_is_refused() {
    let mut world = World::new(PLAIN);
    world.dns.has("db.example.", &[HOME, "::1"], 60);
    world.reach("db.example", HOME);
    let Some(_listener) = listen_v6(world.port) else { return };
    world.reach("db.example", "::1");
}

#[test]
fn an_address_that_does_not_answer_holds_nobody_up_for_long_and_is_dropped_unnoticed() {
    let mut world = World::new(PLAIN);
    // Full, so that whoever connects there hears nothing.
    let full = TcpListener::bind(("127.0.0.2", world.port)).expect("another address");
    let _queued = fill_queue(&full);
    world.dns.has("db.example.", &["127.0.0.2", HOME], 60);
    let begun = Instant::now();
    world.reach("db.example", HOME);
    assert!(begun.elapsed() >= Duration::from_millis(250), "after {:?}", begun.elapsed());
    let (stream, _) = world.target.accept().expect("a connection");
    assert_eq!((stat(&mut world.client, "dialed"), stat(&mut world.client, "closed")), (1, 0));
    assert_eq!(world.client.ask("closes"), "");
    drop(stream);
}

#[test]
fn ipv6_that_is_not_answered_for_delays_ipv4_a_moment_only() {
    let mut world = World::new(PLAIN);
    world.dns.says_of("db.example.", true, Reply::Has(home(), 60));
    world.dns.says_of("db.example.", false, Reply::Silence);
    let begun = Instant::now();
    world.reach("db.example", HOME);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(50) && took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn the_limit_of_a_destination_counts_what_was_dialed() {
    let mut world = World::with(PLAIN, |setup| setup.env("LAB_PER_DESTINATION", 2));
    world.dns.has("db.example.", &[HOME], 60);
    world.dns.has("other.example.", &[HOME], 60);
    world.reach("db.example", HOME);
    world.reach("DB.example", HOME);
    let first = world.target.accept().expect("a connection");
    let _second = world.target.accept().expect("a connection");
    assert!(world.failure("db.example").starts_with("quota exceeded: "));
    world.reach("other.example", HOME);
    world.reach(HOME, HOME);
    // One that has ended makes room, and so does one that has never stood.
    drop(first);
    wait_for("its end", || world.client.ask("closes").contains("peer closed"));
    world.reach("db.example", HOME);
    assert!(world.failure("db.example").starts_with("quota exceeded: "));
    for _ in 0..5 {
        assert!(world.failure("nobody.example").contains("no such name"));
    }
}

#[test]
fn the_time_for_a_dial_is_for_the_name_too() {
    let mut world = World::with(PLAIN, |setup| setup.env("LAB_DIAL", 300));
    let server = world.dns.address;
    world.dns.says("silent.example.", Reply::Silence);
    let late = format!("timed out: silent.example: no answer from {server}");
    for _ in 0..2 {
        let begun = Instant::now();
        assert_eq!(world.failure("silent.example"), late);
        assert!(begun.elapsed() >= Duration::from_millis(300), "after {:?}", begun.elapsed());
    }
    world.dns.has("db.example.", &[HOME], 60);
    let _queued = fill_queue(&world.target);
    let port = world.port;
    let late = format!("timed out: db.example:{port}: no address has connected in time");
    assert_eq!(world.failure("db.example"), late);
}

#[test]
fn no_descriptor_is_left_of_names_whatever_came_of_them() {
    let mut world = World::new("search .\noptions timeout:1 attempts:1\n");
    world.dns.has("db.example.", &["192.0.2.1", HOME], 1);
    world.dns.says("broken.example.", Reply::Code(ResponseCode::ServFail));
    world.dns.says("silent.example.", Reply::Silence);
    world.dns.says("big.example.", Reply::Truncated(Box::new(Reply::NoAddress)));
    assert!(world.failure("nobody.example").contains("no such name")); // which opens the epoll set
    let before = world.client.ask("fds");
    for host in ["broken.example", "big.example", "silent.example", "nobody.example"] {
        world.failure(host);
    }
    world.reach("db.example", HOME);
    let (stream, _) = world.target.accept().expect("a connection");
    drop(stream);
    wait_for("its end", || world.client.ask("closes").contains("peer closed"));
    wait_for("its descriptor to be closed", || world.client.ask("fds") == before);
}

#[test]
fn out_of_descriptors_a_dial_fails_and_harms_nobody() {
    let mut world = World::new(PLAIN);
    world.dns.has("db.example.", &[HOME], 60);
    // Before there is an epoll set for names, and when there is one.
    for _ in 0..2 {
        assert_eq!(world.client.ask("nofile 0"), "ok");
        let failure = world.failure("db.example");
        assert!(failure.contains("Too many open files"), "{failure}");
        assert_eq!(world.client.ask("nofile max"), "ok");
        world.reach("db.example", HOME);
    }
}

/// Keeps one connection to a host.
struct Keeper(Backoff);

impl Service for Keeper {
    type Session = ();

    fn on_start(&mut self, net: &mut Net, _start: Start) {
        net.dial_host("db.example:5432", 1).expect("a name");
    }

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        Ok(input.len())
    }

    fn on_dial_failed(&mut self, net: &mut Net, _tag: u64, _why: std::io::Error) {
        net.set_alarm(Alarm(0), self.0.next_delay());
    }

    fn on_alarm(&mut self, net: &mut Net, _key: Alarm) {
        self.on_start(net, Start::Fresh);
    }
}

#[test]
fn in_a_harness_a_name_is_dialed_as_it_is_written_and_again_with_patience() {
    let backoff = Backoff::seeded(Duration::from_secs(1), Duration::from_secs(8), 7);
    let mut harness = Harness::new(Keeper(backoff));
    for _ in 0..3 {
        assert_eq!(harness.dialed(), [("db.example:5432".to_owned(), 1)]);
        assert_eq!(harness.dialed(), []);
        harness.refuse(1, std::io::ErrorKind::NotFound);
        harness.advance(Duration::from_secs(8));
    }
}

#[test]
#[ignore = "needs dnsmasq"]
fn a_real_name_server_is_understood() {
    let (dir, mut world) = (Dir::new(), World::new(PLAIN));
    let port = world.dns.address.port();
    drop(std::mem::replace(&mut world.dns, Dns::start())); // it leaves its port
    let many: String = (1..=60).map(|last| format!("127.0.1.{last} many.example\n")).collect();
    fs::write(dir.path("hosts"), format!("{HOME} db.example\n::1 db.example\n{many}")).unwrap();
    let mut command = in_session("dnsmasq");
    command.args(["--no-daemon", "--no-hosts", "--bind-interfaces", "--pid-file="]);
    command.args(["--conf-file=/dev/null", "--log-facility=-", "--cache-size=0", "--user="]);
    command.args(["--listen-address=127.0.0.1", "--cname=www.example,db.example"]);
    command.arg(format!("--port={port}"));
    command.arg(format!("--addn-hosts={}", dir.path("hosts").display()));
    // It knows all of `example`, and cannot reach who knows the rest.
    command.args(["--local=/example/", "--no-resolv", "--log-queries"]);
    let named = Server::spawn(command, Dir::new());
    named.wait_line("read ");
    world.reach("db.example", HOME);
    world.reach("www.example", HOME);
    if let Some(_listener) = listen_v6(world.port) {
        world.reach("db.example", "::1");
    }
    assert!(world.failure("nobody.example").contains("nobody.example: no such name"));
    assert!(world.failure("elsewhere.test").contains("has failed: Query Refused"));
    // More than fits into a datagram. At none of them anybody listens.
    drop(std::mem::replace(&mut world.target, TcpListener::bind((HOME, 0)).expect("a port")));
    let failure = world.failure("many.example");
    assert!(failure.starts_with("connection refused: many.example:"), "{failure}");
    assert_eq!(named.count_lines("query[A] many.example"), 2); // and by TCP
}
