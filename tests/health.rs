//! Balancers and other monitors are told how the service is, on listeners of the library's own: what is true, through
//! restarts, and without being clients.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    process::Command,
    sync::atomic::AtomicBool,
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    Client, Dir, example,
    monitors::{Monitored, connect, exchange, get},
    ops::AtEnd,
    restart::Engine,
    wait_for, wait_gone,
};
use heirloom::limits::{MONITOR_CONNECTIONS, MONITOR_HEAD, MONITOR_PATIENCE};

for_both_engines!(
    the_answers_are_the_same_through_restarts_and_roll_backs,
    who_has_connected_before_a_restart_is_answered_after_it,
    what_the_service_says_of_itself_goes_with_a_fork_and_not_with_a_program,
);

fn lab() -> Monitored {
    Monitored::with(50, |setup| setup)
}

#[test]
fn who_asks_is_told_that_it_turns_and_that_it_is_ready() {
    let lab = lab();
    assert_eq!(lab.told(), (200, 200, "ready up 100%".to_owned()));
    let head =
        exchange(&lab.health(), "HEAD /readyz HTTP/1.1\r\nHost: a\r\n\r\n").expect("a reply");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head:?}");
    assert!(head.contains("\r\nContent-Length: 3\r\n"), "{head:?}");
    assert_eq!(get(&lab.health(), "/readyz").expect("a reply"), (200, "ok".to_owned()));
}

/// As `curl`, HAProxy and nobody would send it; each connection ends behind its answer.
#[test]
fn what_is_not_asked_in_order_is_refused_with_its_status() {
    let lab = lab();
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        ("GET /readyz/ HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        ("POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 405),
        ("OPTIONS / HTTP/1.0\r\n\r\n", 405),
        ("GET /livez HTTP/1.1\r\n\r\n", 400),
        ("status\n\n", 400),
        ("GET /livez HTTP/3.0\r\n\r\n", 505),
        ("GET /livez?x=y HTTP/1.0\r\n\r\n", 200),
        ("GET http://a/livez HTTP/1.1\r\nHost: a\r\n\r\nGET /readyz", 200),
    ] {
        let answer = exchange(&lab.health(), request).expect("an answer and a FIN");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer:?}");
        let ends = answer.matches("HTTP/1.1 ").count();
        assert!(ends == 1 && answer.contains("\r\nConnection: close\r\n"), "{answer:?}");
    }
    let long = format!("GET /livez HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(2 * MONITOR_HEAD));
    let answer = exchange(&lab.health(), &long).expect("an answer and a FIN");
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer:?}");
}

#[test]
fn a_service_that_cannot_work_says_so_and_is_still_alive() {
    let lab = lab();
    let mut client = lab.connect();
    assert_eq!(client.ask("ready 0"), "ok");
    assert_eq!(lab.told(), (200, 503, "ready down#not ready".to_owned()));
    assert_eq!(get(&lab.health(), "/readyz").expect("a reply"), (503, "not ready".to_owned()));
    assert_eq!(client.ask("ready 1"), "ok");
    assert_eq!(client.ask("weight 75"), "ok");
    assert_eq!(lab.told(), (200, 200, "ready up 75%".to_owned()));
}

fn what_the_service_says_of_itself_goes_with_a_fork_and_not_with_a_program(engine: Engine) {
    let lab = lab();
    let mut client = lab.connect();
    assert_eq!(client.ask("weight 40"), "ok");
    assert_eq!(client.ask("ready 0"), "ok");
    lab.restart_by(engine);
    let told = match engine {
        Engine::Fork => (200, 503, "ready down#not ready".to_owned()),
        Engine::ForkExec => (200, 200, "ready up 100%".to_owned()),
    };
    assert_eq!(lab.told(), told);
}

/// Nobody says anything but what holds for the service, which goes on; and nobody is refused.
fn the_answers_are_the_same_through_restarts_and_roll_backs(engine: Engine) {
    for moves in [false, true] {
        let lab = Monitored::with(300, |setup| if moves { setup.arg("--move") } else { setup });
        let mut held: Vec<Client> = (0..20).map(|_| lab.connect()).collect();
        held.iter_mut().for_each(|client| drop(client.who()));
        let done = AtomicBool::new(false);
        let answers = thread::scope(|scope| {
            let at_end = AtEnd(&done);
            let watching = lab.watch(scope, &done);
            for _ in 0..3 {
                lab.restart_by(engine);
                let old = lab.pid();
                lab.signal(engine.signal());
                wait_for("the new process to serve", || lab.pid() != old);
                let ran = lab.heirloom(&["rollback"]);
                assert_eq!(ran.status, Some(0), "{ran:?}");
                assert_eq!(lab.pid(), old);
            }
            drop(at_end);
            watching.map(|thread| thread.join().expect("it counts"))
        });
        for (answers, only) in answers.iter().zip(["200 ok", "200 ok", "ready up 100%"]) {
            let all: Vec<_> = answers.keys().collect();
            assert_eq!(all, [only], "{answers:?}");
            assert!(answers[only] > 20, "hardly anybody has asked: {answers:?}");
        }
    }
}

/// Half a request is with the old process, which has nothing else to stay for.
fn who_has_connected_before_a_restart_is_answered_after_it(engine: Engine) {
    let lab = lab();
    let mut early = connect(&lab.health()).expect("it accepts");
    early.write_all(b"GET /readyz HTTP/1.1\r\n").expect("it takes a line");
    let old = lab.pid();
    // Behind it in the same turn, or in a later one.
    assert_eq!(lab.get("/livez"), 200);
    lab.restart_by(engine);
    early.write_all(b"Host: a\r\n\r\n").expect("it takes the rest");
    let mut answer = String::new();
    early.read_to_string(&mut answer).expect("an answer and a FIN");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    wait_gone(old);
}

/// And it does not stay for who says nothing.
#[test]
fn a_monitor_that_asks_nothing_keeps_an_old_process_for_no_longer_than_its_time() {
    let lab = lab();
    let _silent = connect(&lab.health()).expect("it accepts");
    assert_eq!(lab.get("/livez"), 200); // so that one has been accepted, too
    let (old, begun) = (lab.pid(), Instant::now());
    lab.restart_by(Engine::Fork);
    wait_gone(old);
    let took = begun.elapsed();
    assert!(took < MONITOR_PATIENCE + Duration::from_secs(10), "{took:?}");
}

#[test]
fn who_asks_nothing_is_closed_in_time_and_takes_nobodys_place() {
    let lab = lab();
    let silent: Vec<UnixStream> = (0..2 * MONITOR_CONNECTIONS)
        .map(|_| connect(&lab.health()).expect("a place in the queue"))
        .collect();
    let begun = Instant::now();
    assert_eq!(lab.told(), (200, 200, "ready up 100%".to_owned()));
    let status = lab.status();
    assert_eq!(status[0].get("connections"), "0", "they are no clients");
    for mut stream in silent {
        let mut rest = Vec::new();
        // By a FIN when its time is over; by a reset where another one has taken its place.
        let _ = stream.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{rest:?}");
    }
    assert!(begun.elapsed() < MONITOR_PATIENCE + Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn monitors_are_not_counted() {
    let lab = lab();
    let mut client = lab.connect();
    let heard = client.ask("events");
    let before = ["accepted", "closed", "failed", "messages"].map(|name| client.stat(name));
    for _ in 0..10 {
        assert_eq!(lab.told(), (200, 200, "ready up 100%".to_owned()));
    }
    let mut gone = connect(&lab.health()).expect("it accepts");
    gone.write_all(b"GET").expect("it takes some");
    gone.shutdown(Shutdown::Write).expect("connected");
    assert_eq!(gone.read(&mut [0]).expect("a FIN"), 0);
    let after = ["accepted", "closed", "failed", "messages"].map(|name| client.stat(name));
    assert_eq!(after[..3], before[..3]);
    assert_eq!(after[3], before[3] + 4, "the second look itself");
    assert_eq!(client.ask("events"), heard, "the service has heard nothing");
}

/// Clients have all that there is; a liveness probe that fails would have the server killed.
#[test]
fn out_of_descriptors_monitors_are_answered() {
    let limited = |command: Command| {
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]);
        shell.arg(command.get_program()).args(command.get_args());
        shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell
    };
    let lab = Monitored::started(50, |setup| setup.start_as(limited));
    let mut clients = Vec::new();
    wait_for("descriptors to run out", || {
        clients.push(lab.connect());
        lab.count_lines("new clients wait until a connection ends") > 0
    });
    for _ in 0..10 {
        assert_eq!(lab.told(), (200, 200, "ready up 100%".to_owned()));
    }
}

/// A balancer's configuration: an address as any other, in use or not.
#[test]
fn an_address_in_use_is_one_clear_error() {
    let dir = Dir::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("its address").to_string();
    for flag in ["--health", "--agent-check"] {
        let ran = Command::new(example("lab"))
            .args(["--listen", "127.0.0.1:0", flag, &address])
            .arg("--pid-file")
            .arg(dir.path("pid"))
            .output()
            .expect("it ends");
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(said.contains(&address) && said.contains("in use"), "{said}");
        assert_eq!(ran.status.code(), Some(2), "{said}");
    }
}
