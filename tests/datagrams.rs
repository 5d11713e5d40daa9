//! Datagrams through restarts: none that is in the buffer is lost, none is handled twice, and a flow
//! stays with the generation that it began with.

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    Client, DEADLINE, Dir, Server,
    flows::{Caller, Echo, Flow},
    ops::Control,
    restart::{Engine, inode, listening, resume, slay, sockets_of, stop, tell, wait_for_events},
    wait_for, wait_gone, while_stopped,
};
use nix::sys::signal::Signal;

for_both_engines!(
    a_thousand_flows_stay_where_they_are_through_restarts_under_load,
    what_comes_while_nobody_reads_is_handled_once,
    what_a_dead_new_side_has_left_the_old_one_reads_without_another_edge,
    a_roll_back_leaves_each_flow_where_it_began,
    a_unix_socket_is_the_same_in_all_generations,
    one_port_serves_tcp_and_udp_and_each_socket_is_bound_once,
);

/// As many datagrams as a small receive buffer holds.
const BURST: usize = 200;

/// What a flood may delay somebody else's answer. Turns are milliseconds; loaded machines are not.
const PROMPT: Duration = Duration::from_secs(2);

/// One number of the status that a client asks for.
fn status(client: &mut Client, name: &str) -> u64 {
    let status = client.ask("status");
    let found = status.split(&format!(" {name}: ")).nth(1).unwrap_or_else(|| panic!("{status}"));
    let digits = found.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
    digits.parse().expect("a number")
}

fn a_thousand_flows_stay_where_they_are_through_restarts_under_load(engine: Engine) {
    let echo = Echo::start();
    let callers: Vec<_> = (0..20).map(|_| echo.caller()).collect();
    let mut flows: Vec<_> = callers.iter().map(|caller| caller.begin(50)).collect();
    let mut pids = vec![echo.pid()];
    assert!(flows.iter().flatten().all(|flow| flow.pid == pids[0]));
    let until = Instant::now() + 3 * DEADLINE; // also where a panic leaves nobody to stop it
    let (done, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let load = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && Instant::now() < until {
                for (caller, flows) in callers.iter().zip(&mut flows) {
                    caller.ask_each(flows); // which checks each answer
                }
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        let caller = echo.caller();
        for _ in 0..4 {
            let new = echo.restart_by(engine);
            let mut young = caller.begin(20);
            assert!(young.iter().all(|flow| flow.pid == new), "a new flow with an old generation");
            pids.push(new);
            let before = rounds.load(Ordering::Relaxed);
            wait_for("a whole round", || {
                rounds.load(Ordering::Relaxed) > before + 1 || load.is_finished()
            });
            caller.ask_each(&mut young);
            caller.end(young);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(echo.lost(), 0, "the kernel's buffer ran over: this tests nothing");
    let mut client = echo.connect();
    assert_eq!(status(&mut client, "datagrams_dropped"), 0);
    assert!(status(&mut client, "datagrams_forwarded") >= 1000);
    // Those between had flows of their own for a while. The first still has its thousand.
    pids[1..4].iter().for_each(|&pid| wait_gone(pid));
    callers.iter().zip(flows).for_each(|(caller, flows)| caller.end(flows));
    wait_gone(pids[0]);
}

/// A restart that hangs where nobody reads, and who has come before.
struct Unread {
    old: i32,
    new: i32,
    early: Vec<Flow>,
}

/// Half a burst for flows that exist and half for such as are to begin, all of it in the kernel's buffer.
fn leave_unread(echo: &Echo, caller: &Caller, engine: Engine) -> Unread {
    let (old, mut early) = (echo.pid(), caller.begin(BURST / 2));
    let new = echo.hold_new(engine, "NewReleased");
    caller.send_each(&mut early);
    (0..BURST / 2).for_each(|_| caller.send("new 1 hello"));
    assert!(caller.is_silent(), "somebody reads");
    Unread { old, new, early }
}

/// All of it is answered: for the early flows by `old`, for the late ones, which it returns, by `reader`.
fn read_at_last(caller: &Caller, early: &mut [Flow], old: i32, reader: i32) -> Vec<Flow> {
    let late = caller.receive(early, BURST);
    assert!(early.iter().all(|flow| flow.pid == old && flow.answered == flow.asked));
    assert!(late.len() == BURST / 2 && late.iter().all(|flow| flow.pid == reader));
    late
}

fn what_comes_while_nobody_reads_is_handled_once(engine: Engine) {
    let echo = Echo::start();
    let caller = echo.caller();
    let Unread { old, new, mut early } = leave_unread(&echo, &caller, engine);
    resume(new);
    let mut late = read_at_last(&caller, &mut early, old, new);
    caller.ask_each(&mut early);
    caller.ask_each(&mut late);
    assert!(caller.is_silent(), "an answer came twice");
    assert_eq!(echo.lost(), 0);
}

fn what_a_dead_new_side_has_left_the_old_one_reads_without_another_edge(engine: Engine) {
    let echo = Echo::start();
    let caller = echo.caller();
    let Unread { old, new, mut early } = leave_unread(&echo, &caller, engine);
    slay(new);
    let mut late = read_at_last(&caller, &mut early, old, old);
    caller.ask_each(&mut late);
    assert!(caller.is_silent(), "an answer came twice");
    // And the next restart works.
    let new = echo.restart_by(engine);
    assert_eq!(caller.begin(1)[0].pid, new);
    caller.ask_each(&mut early);
}

fn a_roll_back_leaves_each_flow_where_it_began(engine: Engine) {
    let files = Dir::new();
    let control = files.path("control");
    let echo = Echo::with(|setup| {
        setup.arg("--probation").arg("60").arg("--control").arg(control.display().to_string())
    });
    let caller = echo.caller();
    let (old, mut early) = (echo.pid(), caller.begin(20));
    echo.signal(engine.signal());
    echo.wait_line("ready: generation 1");
    let mut late = caller.begin(20);
    let new = late[0].pid;
    assert!(new != old && late.iter().all(|flow| flow.pid == new));
    caller.ask_each(&mut early);
    let said = Control::connect(&control).expect("the control socket is there").ask("rollback");
    assert!(said[0].starts_with("ok"), "{said:?}");
    caller.ask_each(&mut early);
    caller.ask_each(&mut late);
    assert_eq!(caller.begin(1)[0].pid, old);
    caller.end(late);
    wait_gone(new);
    caller.ask_each(&mut early);
}

/// A client of a Unix datagram socket.
struct Pen(UnixDatagram);

impl Pen {
    fn bound(address: &SocketAddr) -> Pen {
        let socket = UnixDatagram::bind_addr(address).expect("a free address");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Pen(socket)
    }

    fn ask(&self, server: &Path, text: &str) -> String {
        self.0.send_to(text.as_bytes(), server).expect("the server's socket is there");
        let mut buffer = [0; 1000];
        let length = self.0.recv(&mut buffer).expect("an answer");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}

fn a_unix_socket_is_the_same_in_all_generations(engine: Engine) {
    let dir = Dir::new();
    let path = dir.path("server");
    drop(UnixDatagram::bind(&path).expect("a socket file that stays behind"));
    let address = format!("unix:{}", path.display());
    let mut server = Server::of("flows").arg("--datagrams").arg(&address).start();
    server.wait_line(&format!("unixgram:{}", path.display()));
    let bound = inode(&path);
    let name = format!("heirloom-{}-{}", std::process::id(), engine.name());
    let pens = [
        Pen::bound(&SocketAddr::from_pathname(dir.path("client")).expect("a path")),
        Pen::bound(&SocketAddr::from_abstract_name(name.as_bytes()).expect("a name")),
    ];
    let first: Vec<_> = pens.iter().map(|pen| pen.ask(&path, "new 1 hello")).collect();
    let new = server.restart(engine.signal());
    assert_eq!(inode(&path), bound);
    for (pen, first) in pens.iter().zip(&first) {
        let (id, _) = first.split_once(' ').expect("an id");
        // By the same process.
        let second = pen.ask(&path, &format!("{id} 2 hello"));
        assert_eq!(second, first.replacen(" 1 1 ", " 2 2 ", 1));
        pen.ask(&path, &format!("{id} 3 bye"));
    }
    let third = pens[1].ask(&path, "new 1 hello");
    assert!(third.contains(&format!(" {new} ")), "{third}");
    let (id, _) = third.split_once(' ').expect("an id");
    pens[1].ask(&path, &format!("{id} 2 bye"));
    server.wait_exit();
    server.signal(Signal::SIGTERM);
    wait_gone(new);
    assert_eq!(inode(&path), None, "the last one removes it");
}

#[test]
fn datagrams_that_cannot_be_read_or_answered_end_nothing() {
    let dir = Dir::new();
    let path = dir.path("server");
    let address = format!("unix:{}", path.display());
    let echo = Echo::with(|setup| setup.arg("--datagrams").arg(address));
    let mut client = echo.connect();
    let mut awaits = |name: &str, count: u64| {
        wait_for(name, || status(&mut client, name) == count);
    };
    // Too long, for a service that takes 64 KiB.
    let unnamed = UnixDatagram::unbound().expect("a socket");
    unnamed.send_to(&vec![b'x'; 100_000], &path).expect("Unix sockets take it");
    awaits("datagrams_truncated", 1);
    // From nobody: there is no way back.
    unnamed.send_to(b"new 1 hello", &path).expect("it is there");
    awaits("datagrams_dropped", 1);
    // From somebody who is gone when the answer comes.
    let gone = UnixDatagram::bind(dir.path("gone")).expect("a client");
    while_stopped(echo.pid(), || {
        gone.send_to(b"new 1 hello", &path).expect("it is there");
        fs::remove_file(dir.path("gone")).expect("ours");
        drop(gone);
    });
    awaits("datagrams_dropped", 2);
    // From somebody who reads nothing; his neighbour has his answers.
    let deaf = UnixDatagram::bind(dir.path("deaf")).expect("a client");
    for _ in 0..2000 {
        deaf.send_to(b"9.9 1 hello", &path).expect("it is there");
    }
    let caller = echo.caller();
    let mut flows = caller.begin(10);
    // A port that nobody has open answers by an error, to which socket ever.
    let closed = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    closed.send_to(b"new 1 hello", &echo.udp).expect("loopback takes it");
    drop(closed);
    caller.send(""); // empty, and nothing that flows understands
    caller.ask_each(&mut flows);
    assert!(status(&mut client, "datagrams_dropped") > 2);
    assert_eq!(echo.count_lines("generation 0 ends"), 0);
}

#[test]
fn a_flood_of_datagrams_does_not_keep_connections_waiting() {
    let echo = Echo::start();
    let caller = echo.caller();
    let flows = caller.begin(1);
    let mut early = echo.connect();
    let pid = status_pid(&mut early);
    echo.restart_by(Engine::ForkExec);
    let mut late = echo.connect();
    let stop = AtomicBool::new(false);
    let mut slowest = Duration::ZERO;
    let flood = format!("{} 1 {}", flows[0].id, "x".repeat(300));
    let until = Instant::now() + DEADLINE; // also where a panic leaves nobody to stop it
    thread::scope(|scope| {
        for _ in 0..2 {
            let (flood, stop, caller) = (&flood, &stop, echo.caller());
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) && Instant::now() < until {
                    caller.send(flood);
                }
            });
        }
        while status(&mut late, "datagrams_in") < 20_000 && Instant::now() < until {
            for client in [&mut early, &mut late] {
                let begun = Instant::now();
                client.ask("status");
                slowest = slowest.max(begun.elapsed());
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(slowest < PROMPT, "{slowest:?}");
    assert!(status(&mut late, "datagrams_in") >= 20_000, "there was no flood");
    assert!(status(&mut early, "datagrams_out") > 1000, "the old generation had none of it");
    assert_eq!(status_pid(&mut early), pid);
}

fn status_pid(client: &mut Client) -> i32 {
    client.ask("status").split(' ').nth(1).and_then(|pid| pid.parse().ok()).expect("a pid")
}

fn one_port_serves_tcp_and_udp_and_each_socket_is_bound_once(engine: Engine) {
    let port = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = port.local_addr().expect("an address").to_string();
    drop(port);
    let echo = Echo::with(|setup| setup.listen(&address).arg("--datagrams").arg(&address));
    let (sockets, listeners) = (sockets_of(echo.pid()), listening(&address));
    let udp = Echo::inodes_at(&address);
    assert_eq!((listeners.len(), udp.len()), (1, 1));
    for _ in 0..2 {
        let new = echo.restart_by(engine);
        wait_for_events(new);
        assert_eq!(listening(&address), listeners);
        assert_eq!(Echo::inodes_at(&address), udp);
        assert_eq!(Echo::inodes_at(&echo.udp).len(), 1, "port 0 is another one now");
        assert!(sockets_of(new).is_superset(&udp.iter().copied().collect()));
    }
    assert!(sockets.is_superset(&udp.into_iter().collect()));
    assert_eq!(echo.caller().begin(1)[0].pid, echo.pid());
}

/// The supervisor holds the socket: what comes meanwhile waits in it.
#[test]
fn a_crash_under_a_supervisor_loses_no_datagram_that_nobody_has_read() {
    let echo = Echo::with(|setup| setup.arg("--supervised"));
    let caller = echo.caller();
    let pid = caller.begin(1)[0].pid;
    stop(pid);
    (0..BURST).for_each(|_| caller.send("new 1 hello"));
    slay(pid);
    let flows = caller.receive(&mut [], BURST);
    assert!(flows.iter().all(|flow| flow.pid != pid && flow.pid == flows[0].pid));
}

/// It was stopped, and has as many datagrams of its flows to read as its link takes. What is said behind them must not
/// wait for room until nobody is left to say it.
#[test]
fn a_generation_that_has_much_to_read_hears_of_a_stop_all_the_same() {
    let echo = Echo::start();
    let caller = echo.caller();
    let (old, id) = caller.begin(1).pop().map(|flow| (flow.pid, flow.id)).expect("a flow");
    let new = echo.restart_by(Engine::Fork);
    let mut client = echo.connect();
    stop(old);
    let text = "x".repeat(8000);
    while status(&mut client, "datagrams_dropped") == 0 {
        (0..20).for_each(|_| caller.send(&format!("{id} 2 {text}")));
    }
    assert!(status(&mut client, "datagrams_forwarded") > 0);
    tell(new, Signal::SIGTERM);
    echo.wait_line(&format!("[{new}] INFO: draining: "));
    tell(new, Signal::SIGTERM); // now, not when it has time
    wait_gone(new);
    resume(old);
    echo.wait_line(&format!("[{old}] INFO: dismissed by another generation"));
    wait_gone(old);
}

/// There is nobody else, so flows that are under way are served to their ends, and none begins.
#[test]
fn a_server_that_was_told_to_stop_reads_on_for_its_flows() {
    let mut echo = Echo::start();
    let caller = echo.caller();
    let mut flows = caller.begin(10);
    echo.signal(Signal::SIGTERM);
    echo.wait_line("draining: 0 connections are left");
    caller.send("new 1 hello");
    caller.ask_each(&mut flows);
    assert!(caller.is_silent());
    caller.end(flows);
    assert!(echo.wait_exit().success());
}

#[test]
fn datagrams_in_the_buffer_at_a_stop_are_answered() {
    let mut echo = Echo::start();
    let callers: Vec<_> = (0..3).map(|_| echo.caller()).collect();
    while_stopped(echo.pid(), || {
        // A flow that nobody knows keeps no process; it is answered, though.
        callers.iter().for_each(|caller| (0..100).for_each(|_| caller.send("0.999 1 hello")));
        echo.signal(Signal::SIGTERM);
    });
    assert!(echo.wait_exit().success());
    for caller in &callers {
        assert_eq!(caller.count_answers("0.999 gone"), 100);
    }
}
