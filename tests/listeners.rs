//! Listeners are sockets and not spellings: a new program has the one that was passed on, however it writes
//! its address, and nobody is refused when it wants more, or less, or something else.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    ops::Deref,
    os::unix::{fs::symlink, net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
};

use crate::common::{
    Client, DEADLINE, Dir, Server,
    churn::{Churn, LAB},
    example, in_session,
    ops::{Operated, newcomer, wait_settled},
    restart::{Engine, listening, resume, slay, sockets_of, stop, wait_stopped},
    run_to_end, wait_for, wait_gone,
};

/// A probation in milliseconds; who waits for its end has to be told otherwise.
const LONG: u64 = 60_000;

/// A lab that listens where a list says, beside its command line.
struct Listed {
    lab: Operated,
    dir: Dir,
}

impl Deref for Listed {
    type Target = Operated;

    fn deref(&self) -> &Operated {
        &self.lab
    }
}

impl Listed {
    fn start(probation: u64, addresses: &[String]) -> Listed {
        let dir = Dir::new();
        let list = dir.path("list");
        fs::write(&list, addresses.join("\n")).expect("a file of ours");
        let lab = Operated::with(probation, |setup| {
            let fault = dir.path("fault").display().to_string();
            setup.env("LAB_ALSO", list.display()).env("HEIRLOOM_FAULT", fault)
        });
        Listed { lab, dir }
    }

    /// Where the next program listens.
    fn list(&self, addresses: &[String]) {
        fs::write(self.dir.path("list"), addresses.join("\n")).expect("a file of ours");
    }

    /// Where a generation listens by the list.
    fn addresses(&self, generation: u64) -> Vec<String> {
        let ready = self.wait_line(&format!("ready: generation {generation} "));
        let list = ready.rsplit("listening on ").next().unwrap_or_default();
        list.split(", ").skip(1).map(str::to_owned).collect()
    }

    /// Begins a restart, if `begin` does, and stops a side of it at `step`. Answers its pid.
    fn hold_at(&self, step: &str, begin: impl FnOnce()) -> i32 {
        fs::write(self.dir.path("fault"), format!("{step} hang")).expect("a file");
        begin();
        let line = self.wait_line(&format!("fault on request after {step}"));
        let pid = line.split(['[', ']']).nth(1).and_then(|pid| pid.parse().ok()).expect("a pid");
        wait_stopped(pid);
        pid
    }

    /// Begins an upgrade, waits until the new generation serves, and answers its pid.
    fn begin_upgrade(&self) -> i32 {
        let old = self.pid();
        self.signal(Engine::ForkExec.signal());
        wait_for("the new generation to serve", || newcomer(self).pid != old);
        newcomer(self).pid
    }
}

fn owned<const N: usize>(addresses: [&str; N]) -> Vec<String> {
    addresses.map(str::to_owned).to_vec()
}

/// The port that the system has chosen.
fn port(address: &str) -> u16 {
    address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
}

/// The one socket that listens at an address, by inode.
fn socket_at(address: &str) -> u64 {
    let found = match address.starts_with('[') {
        true => inodes_v6(port(address)),
        false => listening(address),
    };
    assert_eq!(found.len(), 1, "{address}");
    found[0]
}

fn inodes_v6(port: u16) -> Vec<u64> {
    let table = fs::read_to_string("/proc/net/tcp6").expect("proc");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    // 0A: the state LISTEN.
    let meant = rows.filter(|row| row[1].ends_with(&format!(":{port:04X}")) && row[3] == "0A");
    meant.map(|row| row[9].parse().expect("an inode")).collect()
}

/// Who answers at an address of either kind.
fn pid_at(address: &str) -> i32 {
    pid_in(&match address.strip_prefix("unix:") {
        Some(path) => ask(path.as_ref(), "who"),
        None => Client::connect(address).ask("who"),
    })
}

/// In the answer to `who`.
fn pid_in(answer: &str) -> i32 {
    let pid = answer.split(' ').nth(1).and_then(|pid| pid.parse().ok());
    pid.unwrap_or_else(|| panic!("no pid in {answer:?}"))
}

/// A client of a Unix socket that has asked and has no answer yet.
fn asker(path: &Path, question: &str) -> UnixStream {
    let mut stream = UnixStream::connect(path).expect("somebody listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    writeln!(stream, "{question}").expect("it is taken");
    stream
}

fn ask(path: &Path, question: &str) -> String {
    first_line(asker(path, question))
}

fn first_line(stream: impl Read) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("an answer");
    line
}

fn assert_nobody_failed(traffic: Churn) {
    traffic.wait_for_more();
    let failed = traffic.stop();
    assert_eq!(failed.total(), 0, "{failed:?}");
}

#[test]
fn a_socket_is_found_however_it_is_spelled() {
    let dir = Dir::new();
    let at = |name: &str| format!("unix:{}", dir.path(name).display());
    fs::create_dir(dir.path("sub")).expect("a directory");
    symlink(dir.path("sub"), dir.path("link")).expect("a link");
    symlink(dir.path("sub/d"), dir.path("direct")).expect("a link");
    let tcp = ["127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0", "[::1]:0", "127.0.0.1:0"];
    let unix = ["a", "b", "sub/c", "sub/d", "e", "f,mode=660"].map(at);
    let all: Vec<_> = tcp.map(str::to_owned).into_iter().chain(unix).collect();
    let lab = Listed::start(50, &all);
    let first = lab.addresses(0);
    let sockets: Vec<_> = first.iter().map(|address| socket_at(address)).collect();
    let port = |index: usize| port(&first[index]);
    // What has only its name, a port 0, comes last: any of those that were called so could be meant.
    let spelled = [
        format!("localhost:{}", port(0)),
        format!("[::ffff:127.0.0.1]:{}", port(1)),
        format!("127.0.0.1:{}", port(2)),
        format!("[0:0:0:0:0:0:0:1]:{}", port(3)),
        at("./a"),
        at("sub/../b"),
        at("link/c"),
        at("direct"),
        at("e,mode=600"),
        at("f"),
        "127.0.0.1:0".to_owned(),
    ];
    let plain: Vec<_> = first.iter().take(4).chain(&first[5..]).chain([&spelled[10]]).collect();
    let plain: Vec<_> = plain.into_iter().cloned().collect();
    for (generation, list) in [(1, spelled.to_vec()), (2, plain), (3, spelled.to_vec())] {
        lab.list(&list);
        let new = lab.restart_by(Engine::ForkExec);
        let now = lab.addresses(generation);
        for (address, socket) in first.iter().zip(&sockets) {
            assert!(now.contains(address), "generation {generation} has lost {address}: {now:?}");
            assert_eq!((socket_at(address), pid_at(address)), (*socket, new), "{address}");
        }
        // Where `localhost` has another address, that one is bound as well.
        let resolved = ("localhost", 80).to_socket_addrs().expect("it is always there").count();
        assert!(now.len() < first.len() + resolved, "{now:?}");
    }
}

/// By the engines in turns: what was obtained under a wildcard stays.
#[test]
fn a_wildcard_takes_the_narrow_socket_along_and_nobody_is_refused() {
    for (wide, elsewhere) in [("0.0.0.0", "127.0.0.2"), ("[::]", "[::1]")] {
        let (dir, last) = (Dir::new(), |dir: &Dir| format!("unix:{}", dir.path("s").display()));
        let lab = Listed::start(50, &["127.0.0.1:0".to_owned(), last(&dir)]);
        let at = lab.addresses(0).remove(0);
        let (port, socket, traffic) = (port(&at), socket_at(&at), Churn::start(&at, LAB));
        let (wide, beyond) = (format!("{wide}:{port}"), format!("{elsewhere}:{port}"));
        assert!(TcpStream::connect(&beyond).is_err());
        lab.list(&[wide.clone(), last(&dir)]);
        let mut more: Option<Churn> = None;
        for (generation, engine) in
            [(1, Engine::ForkExec), (2, Engine::Fork), (3, Engine::ForkExec)]
        {
            let new = lab.restart_by(engine);
            assert_eq!(lab.addresses(generation), [wide.clone(), at.clone(), last(&dir)]);
            // It is the third that was asked for, whatever the second has led to.
            assert_eq!(ask(&dir.path("s"), "listener"), "Some(2)\n");
            assert!(sockets_of(new).contains(&socket));
            assert_eq!((pid_at(&at), pid_at(&beyond)), (new, new));
            more.get_or_insert_with(|| Churn::start(&beyond, LAB));
        }
        more.into_iter().for_each(assert_nobody_failed);
        // A second server that is started by mistake is refused as ever.
        let mut second = Command::new(example("lab"));
        let second = run_to_end(second.args(["--listen", &wide]));
        assert_eq!(second.status.code(), Some(2));
        // And back.
        lab.list(&[at.clone(), last(&dir)]);
        let new = lab.restart_by(Engine::ForkExec);
        assert_eq!((lab.addresses(4).remove(0), pid_at(&at)), (at.clone(), new));
        wait_for("the wide one to be closed", || TcpStream::connect(&beyond).is_err());
        assert_nobody_failed(traffic);
        assert!(sockets_of(new).contains(&socket));
    }
}

/// The new socket does not listen before its program serves: until then its clients are the old one's.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "faults are in debug builds only")]
fn a_narrow_socket_beside_a_wide_one_takes_no_client_before_its_program_serves() {
    let lab = Listed::start(LONG, &owned(["0.0.0.0:0"]));
    let port = port(&lab.addresses(0)[0]);
    let (narrow, beyond) = (format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}"));
    let (old, traffic) = (lab.pid(), Churn::start(&narrow, LAB));
    lab.list(std::slice::from_ref(&narrow));
    let held = lab.hold_at("NewClaimed", || lab.signal(Engine::ForkExec.signal()));
    (0..20).for_each(|_| assert_eq!(pid_at(&narrow), old));
    slay(held);
    lab.wait_line("restart: the new side ended");
    (0..20).for_each(|_| assert_eq!(pid_at(&narrow), old));
    // Now it is served, and who comes elsewhere is the old one's to serve.
    let new = lab.begin_upgrade();
    (0..20).for_each(|_| assert_eq!((pid_at(&narrow), pid_at(&beyond)), (new, old)));
    // Before the narrow socket goes: a client that comes between its last accept and its close is reset.
    assert_nobody_failed(traffic);
    assert_eq!(lab.heirloom(&["rollback"]).status, Some(0));
    (0..20).for_each(|_| assert_eq!((pid_at(&narrow), pid_at(&beyond)), (old, old)));
}

/// Its clients do not hang through the probation, and whoever is in the queue when it ends is served.
#[test]
fn what_a_new_program_does_not_want_the_old_one_serves_until_the_commit() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let lab = Listed::start(3000, &[format!("unix:{}", path.display()), "127.0.0.1:0".to_owned()]);
    let first = lab.addresses(0);
    lab.list(&[]);
    let (old, new) = (lab.pid(), lab.begin_upgrade());
    for _ in 0..20 {
        assert_eq!((pid_at(&first[0]), pid_at(&first[1]), newcomer(&lab).pid), (old, old, new));
    }
    stop(old);
    let mut waiting: Vec<_> = (0..50).map(|_| lab_client(&first[1])).collect();
    let waiting_too: Vec<_> = (0..50).map(|_| asker(&path, "who")).collect();
    lab.wait_line("committed: generation 1 stays");
    resume(old);
    assert!(waiting.iter_mut().all(|client| pid_in(&client.line()) == old));
    assert!(waiting_too.iter().all(|stream| pid_in(&first_line(stream)) == old));
    wait_for("it to be closed", || TcpStream::connect(&first[1]).is_err());
    assert!(!path.exists(), "the path of a socket that nobody has");
    drop((waiting, waiting_too));
    wait_gone(old);
}

/// A client that has asked.
fn lab_client(address: &str) -> Client {
    let mut client = Client::connect(address);
    client.send("who\n");
    client
}

/// Sockets of the new side alone are as those that it does not want, the other way round.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "faults are in debug builds only")]
fn what_a_side_that_goes_back_has_bound_is_served_to_the_last_client() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let lab = Listed::start(LONG, &[]);
    lab.list(&[format!("unix:{}", path.display()), "127.0.0.1:0".to_owned()]);
    let (old, new) = (lab.pid(), lab.begin_upgrade());
    let address = lab.addresses(1).remove(1);
    let mut back = None;
    let held = lab.hold_at("NewReturned", || {
        back = Some(lab.heirloom_later(&["rollback"]));
    });
    assert_eq!(held, new);
    wait_for("the old one to serve", || lab.pid() == old);
    let mut waiting: Vec<_> = (0..50).map(|_| lab_client(&address)).collect();
    let waiting_too: Vec<_> = (0..50).map(|_| asker(&path, "who")).collect();
    resume(new);
    assert!(waiting.iter_mut().all(|client| pid_in(&client.line()) == new));
    assert!(waiting_too.iter().all(|stream| pid_in(&first_line(stream)) == new));
    assert_eq!(back.map(|back| back.wait().status), Some(Some(0)));
    assert!(!path.exists(), "the path of a socket that nobody has");
    drop((waiting, waiting_too));
    wait_gone(new);
    assert_eq!(wait_settled(&lab).pid, old);
}

/// A path is one file: it cannot be both.
#[test]
fn an_address_of_another_kind_is_refused_and_said_to_be() {
    let dir = Dir::new();
    let (unix, list) = (format!("unix:{}", dir.path("socket").display()), dir.path("list"));
    let say = |kind: &str| fs::write(&list, format!("{kind}{unix}")).expect("a file of ours");
    say("");
    let lab = Operated::with(50, |setup| setup.env("LAB_ALSO", list.display()));
    say("datagrams ");
    let ran = lab.heirloom(&["restart", "--fork-exec"]);
    let why = format!(
        "listen on datagrams {unix}: {unix:?} was passed on, which is a socket of another kind"
    );
    assert!(ran.status == Some(1) && ran.err.contains(&why), "{ran:?}");
    assert_eq!(pid_at(&unix), lab.pid());
    // Two upgrades do it: away with the one, and then the other.
    fs::write(&list, "").expect("a file of ours");
    lab.restart_by(Engine::ForkExec);
    say("datagrams ");
    lab.restart_by(Engine::ForkExec);
    lab.wait_line(&format!("unixgram:{}", dir.path("socket").display()));
    say("");
    let ran = lab.heirloom(&["restart", "--fork-exec"]);
    let name = format!("datagrams {unix}");
    let why =
        format!("listen on {unix}: {name:?} was passed on, which is a socket of another kind");
    assert!(ran.status == Some(1) && ran.err.contains(&why), "{ran:?}");
}

/// Clients would be answered as operators are.
#[test]
fn the_socket_of_operators_is_not_taken_over_for_clients() {
    let dir = Dir::new();
    let list = dir.path("list");
    let lab = Operated::with(50, |setup| setup.env("LAB_ALSO", list.display()));
    let control = format!("unix:{}", lab.control().display());
    fs::write(&list, &control).expect("a file of ours");
    let ran = lab.heirloom(&["restart", "--fork-exec"]);
    let name = format!("control {control}");
    let why =
        format!("listen on {control}: {name:?} was passed on, which is a socket of another kind");
    // Whichever the program asks for first is the one that it has.
    let or = format!("listen on {control}: this program has {control} already, as {name:?}");
    assert!(ran.status == Some(1) && (ran.err.contains(&why) || ran.err.contains(&or)), "{ran:?}");
    assert_eq!(lab.heirloom(&["status"]).status, Some(0));
}

#[test]
fn a_program_that_asks_twice_for_one_address_is_told_so() {
    let dir = Dir::new();
    let unix = format!("unix:{}", dir.path("socket").display());
    let again = format!("unix:{}", dir.path("./socket").display());
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let tcp = format!("127.0.0.1:{port}");
    for (first, second) in [
        (&unix, again),
        (&tcp, format!("localhost:{port}")),
        (&tcp, format!("0.0.0.0:{port}")),
        (&tcp, format!("[::]:{port}")),
    ] {
        let mut lab = Command::new(example("lab"));
        let ran = run_to_end(lab.args(["--listen", first, "--listen", &second]));
        let err = String::from_utf8_lossy(&ran.stderr).into_owned();
        let why =
            format!("lab: listen on {second}: this program has {first} already, as {first:?}");
        assert!(ran.status.code() == Some(2) && err.contains(&why), "{err}");
        assert!(!dir.path("socket").exists(), "it was left behind");
    }
}

/// How a command gets a table of hosts of its own, if that is allowed here.
fn with_hosts(hosts: &Path) -> Option<Vec<String>> {
    let script = format!("mount --bind {} /etc/hosts && exec \"$@\"", hosts.display());
    [&["--mount"][..], &["--user", "--map-root-user", "--mount"]].into_iter().find_map(|way| {
        let all = way.iter().copied().chain(["sh", "-c", &script, "sh"]).map(str::to_owned);
        let all: Vec<_> = all.collect();
        let output = Command::new("unshare").args(&all).arg("true").output();
        output.is_ok_and(|output| output.status.success()).then_some(all)
    })
}

/// And one of them that is no address of this machine is left out.
#[test]
fn a_name_is_listened_on_at_all_of_its_addresses_with_one_port() {
    let dir = Dir::new();
    let hosts: PathBuf = dir.path("hosts");
    fs::write(&hosts, "127.0.0.1 many\n::1 many\n127.0.0.3 many\n192.0.2.1 many\n")
        .expect("a file");
    let Some(way) = with_hosts(&hosts) else {
        eprintln!("skipped: no namespace with another table of hosts can be made here");
        return;
    };
    let mut command = in_session("unshare");
    command.args(way).arg(example("lab")).args(["--listen", "many:0", "--listen", "127.0.0.1:0"]);
    command.env("RES_OPTIONS", "timeout:1 attempts:1"); // for a name that is nowhere
    command.env("LAB_PROBATION", "50").arg("--pid-file").arg(dir.path("pid"));
    command.arg("--datagrams").arg("many:0");
    let mut server = Server::spawn(command, dir);
    let listed = |server: &Server, generation| {
        let ready = server.wait_line(&format!("ready: generation {generation} "));
        let list = ready.rsplit("listening on ").next().unwrap_or_default();
        list.split(", ").map(str::to_owned).collect::<Vec<_>>()
    };
    let first = listed(&server, 0);
    let port = port(&first[0]);
    let mut many = first[..3].to_vec();
    many.sort();
    let all = ["127.0.0.1", "127.0.0.3", "[::1]"].map(|host| format!("{host}:{port}"));
    assert_eq!(many, all);
    assert!(first[3].starts_with("127.0.0.1:") && first[4].starts_with("udp:"), "{first:?}");
    server.wait_line("many:0: 192.0.2.1:");
    let said = server.wait_line("datagrams many:0 has 4 addresses");
    assert!(said.contains(first[4].trim_start_matches("udp:")), "{said}");
    server.address.clone_from(&first[0]);
    for generation in 1..3 {
        server.restart(Engine::ForkExec.signal());
        assert_eq!(listed(&server, generation), first);
        let pid = server.pid();
        first[..4].iter().for_each(|address| assert_eq!(pid_at(address), pid, "{address}"));
    }
    // Nobody can be asked for the name any more: what is open stays open.
    fs::write(&hosts, "127.0.0.1 localhost\n").expect("a file of ours");
    server.restart(Engine::ForkExec.signal());
    assert_eq!(listed(&server, 3), first);
    // And it means somebody else.
    fs::write(&hosts, "192.0.2.1 many\n").expect("a file of ours");
    server.restart(Engine::ForkExec.signal());
    assert_eq!(listed(&server, 4), first);
}
