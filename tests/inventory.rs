//! Before a fork a process says what it holds that heirloom does not know, and nothing else: in the log, in the
//! verdict, in the status, and when it is asked.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::net::UnixListener,
    path::Path,
    process::Stdio,
};

use crate::common::{
    self, Client, Dir, Server, example, in_session,
    manager::Manager,
    ops::{Control, Operated, Ran, heirloom, newcomer, wait_settled},
    restart::{Engine, resume, stop},
    wait_for, wait_gone,
};
use nix::sys::signal::Signal;

for_both_engines!(an_unready_new_side_is_nothing_unknown);

/// What a line of the log says of each.
const SHARES: &str = "restart: shares what heirloom does not know: ";

const NOTHING: &str = "unknown    0\n";

/// A lab that takes what it is told to.
struct Holder {
    lab: Operated,
    client: Client,
}

impl Holder {
    fn with(policy: &str) -> Holder {
        let lab = Operated::with(50, |setup| setup.env("LAB_IF_SHARED", policy));
        let client = lab.connect();
        Holder { lab, client }
    }

    /// Opens something; answers where it is, as a line of the log says it.
    fn take(&mut self, what: &str) -> String {
        let number = self.client.ask(&format!("take {what}"));
        assert!(!number.is_empty(), "it cannot be had: {what}");
        format!("descriptor {number}")
    }

    fn check(&self) -> String {
        self.lab.heirloom(&["check"]).out
    }
}

/// All kinds, and what is said of each.
fn take_everything(
    holder: &mut Holder,
    dir: &Dir,
    (server, udp): (&TcpListener, &UdpSocket),
) -> Vec<String> {
    let path = |name: &str| dir.path(name).display().to_string();
    let _unix = UnixListener::bind(dir.path("peer")).expect("a path");
    let (tcp, udp) = (server.local_addr().unwrap(), udp.local_addr().unwrap());
    let wanted = [
        (format!("file {}", path("log")), format!("file {} (read, write, append)", path("log"))),
        (
            format!("flock {}", path("a")),
            format!("file {} (read, write, append; flock write)", path("a")),
        ),
        (
            format!("fcntl {}", path("b")),
            format!("file {} (read, write, append; fcntl write 10-19)", path("b")),
        ),
        (
            format!("ofd {}", path("c")),
            format!("file {} (read, write, append; ofd write 10-19)", path("c")),
        ),
        (
            format!("deleted {}", path("d")),
            format!("file {} (read, write, append, deleted)", path("d")),
        ),
        (
            format!("directory {}", path("")),
            format!("directory {} (read)", path("").trim_end_matches('/')),
        ),
        (format!("tcp {tcp}"), format!("tcp to {tcp} (from 127.0.0.1:")),
        (format!("udp {udp}"), format!("udp to {udp} (from 127.0.0.1:")),
        (format!("unix {}", path("peer")), format!("unix to {}", path("peer"))),
        ("pair".to_owned(), format!("unix to pid {}", holder.lab.pid())),
        ("pipe".to_owned(), "pipe (reading end)".to_owned()),
        ("eventfd".to_owned(), "eventfd".to_owned()),
        ("timerfd".to_owned(), "timerfd (every 3600.000 s)".to_owned()),
        ("signalfd".to_owned(), "signalfd".to_owned()),
        (format!("inotify {}", path("")), "inotify (1 watch)".to_owned()),
        ("epoll".to_owned(), "epoll (0 descriptors)".to_owned()),
        ("pidfd".to_owned(), format!("pidfd (pid {})", holder.lab.pid())),
        ("memfd cache".to_owned(), "memfd /memfd:cache".to_owned()),
    ];
    let mut said: Vec<_> =
        wanted.iter().map(|(take, said)| format!("{}: {said}", holder.take(take))).collect();
    if fs::read_to_string("/proc/sys/kernel/io_uring_disabled").is_ok_and(|it| it.trim() == "0") {
        said.push(format!("{}: io_uring", holder.take("io_uring")));
    }
    assert_eq!(holder.client.ask("take mapping counters"), "ok");
    said.push(": mapping /memfd:counters (deleted)".to_owned());
    assert_eq!(holder.client.ask("take timer"), "ok");
    said.push("timer 0: timer (signal ".to_owned());
    said
}

#[test]
fn each_thing_is_named_with_its_kind_and_where_it_leads() {
    let dir = Dir::new();
    let mut holder = Holder::with("warn");
    assert!(holder.check().ends_with(NOTHING));
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let said = take_everything(&mut holder, &dir, (&server, &udp));
    let (check, status) = (holder.check(), holder.lab.heirloom(&["status", "--json"]).out);
    let restart = holder.lab.heirloom(&["restart", "--fork"]);
    assert_eq!(restart.status, Some(0), "{restart:?}");
    let log = holder.lab.log();
    for (index, thing) in said.iter().enumerate() {
        let verdict = restart.out.lines().filter(|line| line.starts_with("unknown="));
        assert_eq!(verdict.filter(|line| line.contains(thing)).count(), 1, "{thing}: {restart:?}");
        // The same in words of its own.
        let (place, what) = thing.split_once(": ").expect(thing);
        let place = place.replace("descriptor ", "fd:").replace("timer ", "timer:");
        let is_it = |line: &&str| line.trim().starts_with(&place) && line.contains(what);
        assert_eq!(check.lines().filter(is_it).count(), 1, "{thing}: {check}");
        let kind = what.split(' ').next().expect("a kind");
        let json = format!("\"kind\":\"{kind}\"");
        assert!(status.contains(&json) && status.contains(&place), "{thing}: {status}");
        if index < heirloom::limits::INVENTORY_LINES {
            assert_eq!(log.matches(&format!("{SHARES}{thing}")).count(), 1, "{thing}");
        }
    }
    let rest = said.len() - heirloom::limits::INVENTORY_LINES;
    assert!(log.contains(&format!("{SHARES}{rest} more")));
    assert!(status.contains(&format!("\"unknown\":{},", said.len())), "{status}");
    let json = holder.lab.heirloom(&["check", "--json"]).out;
    assert!(json.contains("\"lock\":\"flock write\"") && json.contains("\"peer\":\"127.0.0.1:"));
}

#[test]
fn told_to_refuse_it_refuses_and_serves_on() {
    let mut holder = Holder::with("refuse");
    let before = newcomer(&holder.lab);
    let place = holder.take("timerfd");
    let ran = holder.lab.heirloom(&["restart", "--fork"]);
    let why = format!(
        "fork refused: it would share 1 thing that heirloom does not know: {place}: timerfd ("
    );
    assert_eq!(ran.status, Some(1));
    assert!(ran.err.contains(&why) && ran.err.lines().count() == 1, "{ran:?}");
    let check = holder.lab.heirloom(&["check"]);
    assert_eq!(check.status, Some(1));
    assert!(
        check.out.starts_with("restart    refused\nfork       refused: fork refused: "),
        "{check:?}"
    );
    assert!(check.out.contains("\nfork-exec  possible\n"), "{check:?}");
    assert_eq!(newcomer(&holder.lab), before);
    assert_eq!(holder.lab.generations(), [before.pid]);
    assert_eq!(holder.lab.count_lines("ERROR: fork refused: it would share"), 1);
    assert_eq!(holder.client.ask("drop-taken"), "ok");
    let ran = holder.lab.heirloom(&["restart", "--fork"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
}

#[test]
fn told_to_it_starts_the_program_instead_and_says_why() {
    let refuse_or =
        |setup: common::Setup| setup.env("LAB_IF_SHARED", "refuse").env("LAB_OR_FORK_EXEC", 1);
    let exec = |setup: common::Setup| setup.env("LAB_IF_SHARED", "fork-exec");
    let adjusts: [fn(common::Setup) -> common::Setup; 2] = [refuse_or, exec];
    for adjust in adjusts {
        let lab = Operated::with(50, adjust);
        let number = lab.connect().ask("take eventfd");
        let check = lab.heirloom(&["check"]);
        assert_eq!(check.status, Some(0));
        assert!(
            check.out.starts_with("restart    fork-exec\nfork       fork-exec instead: "),
            "{check:?}"
        );
        let ran = lab.heirloom(&["restart", "--fork"]);
        assert!(ran.out.contains(", by fork-exec, in "), "{ran:?}");
        assert!(ran.out.contains("\nnote=fork-exec instead of fork, "), "{ran:?}");
        assert!(ran.out.contains(&format!("\nunknown=descriptor {number}: eventfd\n")), "{ran:?}");
        lab.wait_line(&format!(
            "fork-exec instead of fork, which would share: descriptor {number}: eventfd"
        ));
        assert_eq!(wait_settled(&lab).engine, "fork-exec");
        let check = lab.heirloom(&["check"]).out;
        assert!(check.starts_with("restart    fork\n") && check.ends_with(NOTHING), "{check}");
    }
}

#[test]
fn what_is_meant_to_be_shared_is_not_named() {
    let dir = Dir::new();
    let mut holder = Holder::with("refuse");
    let (log, udp) =
        (dir.path("logs").display().to_string(), UdpSocket::bind("127.0.0.1:0").unwrap());
    fs::create_dir(&log).expect("a directory");
    let udp = udp.local_addr().unwrap();
    for name in [log.as_str(), &udp.to_string(), "/memfd:counters"] {
        assert_eq!(holder.client.ask(&format!("shares {name}")), "ok");
    }
    holder.take("timerfd");
    holder.take("eventfd");
    assert_eq!(holder.client.ask("shares-taken"), "ok");
    holder.take(&format!("file {log}/today"));
    holder.take(&format!("udp {udp}"));
    assert_eq!(holder.client.ask("take mapping counters"), "ok");
    assert!(holder.check().ends_with(NOTHING), "{}", holder.check());
    for _ in 0..2 {
        let ran = holder.lab.heirloom(&["restart", "--fork"]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert!(!ran.out.contains("unknown"), "{ran:?}");
        assert!(holder.check().ends_with(NOTHING), "a child means the same: {}", holder.check());
    }
    // The number does not stand for what has it next.
    let mut client = holder.lab.connect();
    assert_eq!(client.ask("drop-taken"), "ok");
    let numbers: Vec<_> = (0..4).map(|_| client.ask("take pipe")).collect();
    let check = holder.check();
    for number in numbers {
        assert!(check.contains(&format!("  fd:{number} ")), "{check}");
    }
    // Nor a name for its neighbours.
    client.ask(&format!("take file {log}-of-others"));
    assert!(holder.check().contains("logs-of-others"));
}

#[test]
fn threads_and_mailboxes_are_told_and_the_waker_is_no_stranger() {
    let lab = Operated::with(50, |setup| setup.env("LAB_MAILBOX", 1));
    let mut client = lab.connect();
    assert_eq!(client.ask("threads 2"), "ok");
    let check = lab.heirloom(&["check"]);
    assert!(
        check.out.contains("fork       refused: fork refused: mailboxes exist (1)"),
        "{check:?}"
    );
    assert!(check.out.contains("threads    3 (lab, lab, lab)\nmailboxes  1\n"), "{check:?}");
    assert!(check.out.ends_with(NOTHING), "{check:?}");
    assert_eq!(
        (client.ask("no-mailbox"), client.ask("threads 0")),
        ("ok".to_owned(), "ok".to_owned())
    );
    let ran = lab.heirloom(&["restart", "--fork"]);
    assert!(ran.status == Some(0) && !ran.out.contains("unknown"), "{ran:?}");
    assert!(lab.heirloom(&["check"]).out.ends_with(NOTHING));
}

#[test]
fn a_program_that_is_no_program_is_told_before_it_is_wanted() {
    let program = Dir::new();
    let path = program.path("lab");
    common::copy(&example("lab"), &path);
    let lab = Operated::with(50, |setup| setup.program(&path));
    fs::remove_file(&path).expect("ours");
    let check = lab.heirloom(&["check"]).out;
    assert!(
        check.contains("\nfork       possible\nfork-exec  refused: restart: cannot start "),
        "{check}"
    );
    common::place("#!/no/such/shell\n", 0o755, &path);
    let check = lab.heirloom(&["check"]).out;
    assert!(check.contains("its interpreter \"/no/such/shell\""), "{check}");
}

/// However many there are.
#[test]
fn of_thousands_some_are_named_and_the_others_counted() {
    const MANY: usize = 3000;
    let mut holder = Holder::with("warn");
    assert_eq!(holder.client.ask(&format!("take many {MANY}")), "ok");
    let check = holder.check();
    assert!(check.contains(&format!("\nunknown    {MANY}\n")), "{check}");
    let named =
        check.lines().filter(|line| line.contains(": pipe") || line.contains(" pipe (")).count();
    assert_eq!(named, heirloom::limits::INVENTORY_FINDINGS);
    assert!(
        holder.lab.heirloom(&["status", "--json"]).out.contains(&format!("\"unknown\":{MANY},"))
    );
    let ran = holder.lab.heirloom(&["restart", "--fork"]);
    let more = MANY - heirloom::limits::INVENTORY_FINDINGS;
    assert!(ran.out.ends_with(&format!("\nunknown_more={more}\n")), "{ran:?}");
    let rest = MANY - heirloom::limits::INVENTORY_LINES;
    assert_eq!(holder.lab.count_lines(&format!("{SHARES}{rest} more")), 1);
}

// No false alarms.

/// Nobody of this server has found anything, and nobody has said so.
fn assert_nothing(control: &Path, server: &Server, when: &str) {
    let ran = |args: &[&str]| Ran::of(heirloom(control).args(args).output().expect("it runs"));
    let (check, status) = (ran(&["check"]), ran(&["status", "--json"]));
    assert!(check.out.ends_with(NOTHING), "{when}: {check:?}");
    let generations = status.out.matches("\"pid\":").count();
    let clear = status.out.matches("\"unknown\":0,\"findings\":[]").count();
    let silent = status.out.matches("\"phase\":\"silent\"").count()
        + status.out.matches("\"phase\":\"probation\",\"age\":null").count()
        + status.out.matches("\"phase\":\"starting\"").count();
    assert_eq!(clear + silent, generations, "{when}: {}", status.out);
    assert!(!server.log().contains("heirloom does not know"), "{when}");
}

/// Restarts by both engines in turns, with connections and operators open, and looks after each.
fn assert_never(server: &Server, control: &Path, name: &str) {
    let mut clients = Vec::new();
    let mut operators = Vec::new();
    assert_nothing(control, server, name);
    for engine in [Engine::Fork, Engine::Fork, Engine::ForkExec, Engine::Fork, Engine::ForkExec] {
        clients.extend((0..3).map(|_| Client::connect(&server.address)));
        operators.push(Control::connect(control).expect("the socket is there"));
        wait_for("the operator to be in", || {
            let last = operators.last_mut().expect("one");
            last.ask("help").len() == 1
        });
        server.restart(engine.signal());
        assert_nothing(control, server, &format!("{name} after {engine:?}"));
    }
}

#[test]
fn no_example_holds_anything_unknown() {
    for name in ["echo", "chat", "kv", "http", "flows", "jobs"] {
        let dir = Dir::new();
        let control = dir.path("control");
        let setup = Server::of(name).env("JOBS_REDIS", "127.0.0.1:1"); // where nobody is
        let server = setup.arg("--control").arg(control.display().to_string()).start();
        assert_never(&server, &control, name);
    }
}

/// It has a control socket of its own, and processes and pipes that belong to it.
#[test]
fn nor_does_the_dashboard() {
    let temp = Dir::new();
    let server = Server::of("dashboard").env("TMPDIR", temp.path("").display()).start();
    let _clients: Vec<_> = (0..3).map(|_| Client::connect(&server.address)).collect();
    for engine in [Engine::Fork, Engine::ForkExec, Engine::Fork, Engine::Fork] {
        server.restart(engine.signal());
    }
    assert!(!server.log().contains("heirloom does not know"));
}

/// TCP, Unix with a path and without, datagrams, a manager, a supervisor, connections that move or stay.
#[test]
fn nor_does_a_lab_whatever_it_listens_on() {
    let flags = [vec![], vec!["--move"], vec!["--supervised"], vec!["--supervised", "--move"]];
    for (number, extra) in flags.into_iter().enumerate() {
        let dir = Dir::new();
        let path = |name: &str| dir.path(name).display().to_string();
        let manager = Manager::new(&dir.path("notify"));
        let control = dir.path("control");
        let mut setup = Server::of("lab").arg("--control").arg(path("control"));
        let hidden = format!("unix:@heirloom-inventory-{}-{}", std::process::id(), number);
        let sockets = [
            ("--listen", format!("unix:{}", path("stream"))),
            ("--listen", hidden),
            ("--datagrams", "127.0.0.1:0".to_owned()),
            ("--datagrams", format!("unix:{}", path("datagrams"))),
        ];
        for (flag, address) in sockets {
            setup = setup.arg(flag).arg(address);
        }
        for flag in &extra {
            setup = setup.arg(*flag);
        }
        if !extra.contains(&"--supervised") {
            setup = setup.env("NOTIFY_SOCKET", manager.path.display());
        }
        let server = setup.env("LAB_PROBATION", 50).start();
        let upstream = TcpListener::bind("127.0.0.1:0").expect("a port");
        let dial = format!("dial {}", upstream.local_addr().expect("its address"));
        assert!(server.connect().ask(&dial).starts_with("dialed "));
        assert_never(&server, &control, &format!("lab {extra:?}"));
    }
}

/// What was passed to the program is shared by all generations anyway, and the manager's sockets are ours.
#[test]
fn nor_what_the_program_was_started_with() {
    let dir = Dir::new();
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("its address").to_string();
    let script = format!(
        "exec 3<&0 7>{} 0</dev/null\nexec env LISTEN_FDS=1 LISTEN_PID=$$ \"$0\" \"$@\"",
        dir.path("lock").display()
    );
    let mut command = in_session("sh");
    command.args(["-c", &script]).arg(example("lab")).args(["--listen", &address]);
    command.arg("--pid-file").arg(dir.path("pid")).env("LAB_PROBATION", "50");
    command
        .arg("--control")
        .arg(dir.path("control"))
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(socket)));
    let control = dir.path("control");
    let mut server = Server::spawn_with_stdin(command, dir);
    server.wait_line("ready: generation 0");
    server.address = address;
    assert_never(&server, &control, "activated");
}

/// The new program keeps them until it stays, and the old one serves there.
#[test]
fn nor_are_sockets_that_a_new_program_does_not_want() {
    let dir = Dir::new();
    let also = dir.path("also");
    fs::write(&also, "127.0.0.1:0\ndatagrams 127.0.0.1:0\n").expect("a file");
    let lab = Operated::with(60_000, |setup| setup.env("LAB_ALSO", also.display()));
    fs::write(&also, "").expect("a file");
    assert_nothing(&lab.control(), &lab, "before");
    lab.signal(Engine::ForkExec.signal());
    wait_for("the new side to serve", || newcomer(&lab).generation == 1);
    assert_nothing(&lab.control(), &lab, "in the probation");
    assert_eq!(lab.request("rollback")[0], "ok: generation 0 serves again");
    assert_nothing(&lab.control(), &lab, "after the roll back");
}

/// Somebody still has the new program's first stderr, which goes through the old process.
#[test]
fn nor_is_the_stderr_of_a_new_program() {
    let dir = Dir::new();
    let program = dir.path("program");
    common::copy(&example("lab"), &program);
    let lab = Operated::with(50, |setup| setup.program(&program));
    let exec = format!("exec {} \"$@\"\n", example("lab").display());
    let script = format!("#!/bin/sh\nsleep 60 </dev/null >/dev/null &\n{exec}");
    common::place(script, 0o755, &program);
    let stays = lab.connect();
    lab.restart_by(Engine::ForkExec);
    assert_eq!(lab.status().len(), 2, "the old one has a client");
    assert_nothing(&lab.control(), &lab, "with an old side that passes on");
    drop(stays);
}

/// Stderr again, and what nobody can share.
#[test]
fn nor_is_it_anything_to_hold_a_second_stderr_or_the_null_device() {
    let mut holder = Holder::with("refuse");
    holder.take("stderr");
    holder.take("device /dev/null");
    holder.take("device /dev/urandom");
    assert!(holder.check().ends_with(NOTHING), "{}", holder.check());
    holder.lab.restart_by(Engine::Fork);
    assert!(holder.check().ends_with(NOTHING), "{}", holder.check());
}

/// In the middle of a restart, in a probation, after a roll back, and with an old side that is still there.
fn an_unready_new_side_is_nothing_unknown(engine: Engine) {
    let lab = Operated::with(60_000, |setup| setup);
    let old = lab.pid();
    let client = lab.connect();
    let new = lab.hold(engine);
    assert_nothing(&lab.control(), &lab, "while the new side is not ready");
    let check = lab.heirloom(&["check"]);
    let why = "refused: restart refused: another one is in progress";
    assert!(check.out.contains(&format!("\nfork       {why}\nfork-exec  {why}\n")), "{check:?}");
    resume(new);
    wait_for("the new side to serve", || newcomer(&lab).pid == new);
    assert_nothing(&lab.control(), &lab, "in the probation");
    let guest = lab.connect();
    wait_for("the guest to be in", || lab.request("status")[1].contains(" connections=1 "));
    assert_eq!(lab.request("rollback")[0], "ok: generation 0 serves again");
    assert_nothing(&lab.control(), &lab, "while the new side drains");
    drop(guest);
    wait_gone(new);
    assert_nothing(&lab.control(), &lab, "after the roll back");
    assert_eq!(newcomer(&lab).pid, old);
    drop(client);
    stop(old); // and one that says nothing
    resume(old);
    assert_nothing(&lab.control(), &lab, "after a pause");
    lab.signal(Signal::SIGTERM);
    wait_gone(old);
    assert!(!lab.log().contains("heirloom does not know"));
}
