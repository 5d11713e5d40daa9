//! Restart by fork keeps its promises: those of every restart, and those that a shared epoll set,
//! shared sockets and a shared heap put in danger.

use std::{
    fs::File,
    io::Read,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    Client, Dir, Server, load, open_fds, promises,
    restart::{Engine, Lab, is_stopped, resume, stop, wait_for_events},
    wait_for, wait_gone,
};
use nix::sys::signal::Signal;

promises!(Engine::Fork);

#[test]
fn no_request_fails_when_the_engines_alternate() {
    promises::restarts_under_load(Engine::alternating());
}

/// A close alone sends no FIN while the child has the socket too. Here the child is held before it
/// can close its copies.
#[test]
fn fin_reaches_the_client_although_the_child_has_its_socket() {
    let lab = Lab::start();
    let mut clients: Vec<_> = (0..30).map(|_| lab.connect()).collect();
    clients.iter_mut().for_each(|client| drop(client.who()));
    let child = lab.hold(Engine::Fork);
    let mut times: Vec<_> = (0..)
        .zip(&mut clients)
        .map(|(number, client)| {
            let begun = Instant::now();
            match number % 3 {
                0 => client.send("abort\n"),
                1 => client.send("close\n"),
                _ => client.finish(),
            }
            assert_eq!(client.read_to_end().expect("a FIN"), b"");
            begun.elapsed()
        })
        .collect();
    assert!(is_stopped(child), "the child was not held: this tests nothing");
    times.sort();
    assert!(times[15] < Duration::from_millis(50), "half of them waited longer: {times:?}");
    resume(child);
    lab.wait_line("restart: done");
    assert_eq!(lab.connect().who().pid, child);
}

/// The epoll set is the parent's as well: what the child closes must not be taken out of it.
#[test]
fn closing_what_it_inherited_the_child_does_not_disturb_the_parent() {
    load::raise_file_limit().expect("room for the clients");
    let lab = Lab::start();
    let mut clients: Vec<_> = (0..1000).map(|_| lab.connect()).collect();
    clients.iter_mut().for_each(|client| drop(client.who()));
    let old = lab.pid();
    let new = lab.restart_by(Engine::Fork);
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.ask(&format!("echo {number}")), number.to_string());
    }
    // Its own, ten of them in reserve, and none of the thousand.
    assert!(open_fds(new) < 40, "the child keeps {} descriptors", open_fds(new));
    // The child hears nothing that is the parent's.
    let mut late = lab.connect();
    assert_eq!(late.stat("ghosts"), 0);
    assert!(late.stat("turns") < 100, "{} turns", late.stat("turns"));
    let mut last = clients.swap_remove(0);
    drop(clients);
    wait_for("the parent to close them", || last.stat("connections") == 1);
    assert_eq!(last.stat("ghosts"), 0);
    assert_eq!(last.who().pid, old);
    assert_rests(&mut last);
}

/// A socket that is closed but still in the epoll set would wake the parent for ever.
#[test]
fn no_event_comes_for_what_was_closed_while_the_child_has_it() {
    let lab = Lab::start();
    let mut clients: Vec<_> = (0..100).map(|_| lab.connect()).collect();
    clients.iter_mut().for_each(|client| drop(client.who()));
    let mut last = lab.connect();
    last.who();
    let child = lab.hold(Engine::Fork);
    drop(clients);
    wait_for("the parent to close them", || last.stat("connections") == 1);
    assert_rests(&mut last);
    assert_eq!(last.stat("ghosts"), 0);
    assert!(is_stopped(child));
}

/// A process that nobody asks for anything does not turn.
fn assert_rests(client: &mut Client) {
    let before = client.stat("turns");
    thread::sleep(Duration::from_millis(200)); // that nothing happens has no event
    let turns = client.stat("turns") - before;
    assert!(turns < 20, "{turns} turns in 200 ms of silence");
}

/// Whatever memory it still has to give back, it waits for its release asleep.
#[test]
fn a_child_that_waits_for_its_release_sleeps() {
    let lab = Lab::start();
    let mut client = lab.connect();
    client.who();
    let old = lab.pid();
    let child = lab.hold(Engine::Fork);
    stop(old);
    resume(child);
    wait_for_events(child);
    let used = processor_time(child);
    thread::sleep(Duration::from_millis(200));
    let used = processor_time(child) - used;
    assert!(used < 5, "{used} ticks in 200 ms");
    resume(old);
    lab.wait_line("restart: done");
}

/// In ticks of 10 ms, most often.
fn processor_time(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, rest) = stat.rsplit_once(") ").expect("a stat line");
    rest.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

/// It ends where it is: nothing of `main` that follows may run in it, nor a guard of its frames.
#[test]
fn a_child_that_cannot_become_an_heir_says_why_and_ends() {
    let lab = Lab::start();
    let old = lab.pid();
    let child = lab.hold(Engine::Fork);
    let mut limit = Command::new("prlimit");
    limit.args(["--nofile=0:", "--pid", &child.to_string()]);
    assert!(limit.status().expect("prlimit of util-linux").success());
    resume(child);
    lab.wait_line("the new side failed: make an epoll set: Too many open files");
    wait_gone(child);
    assert_eq!(lab.count_lines(&format!("[{child}]")), 0, "it went on");
    assert_eq!(lab.connect().who().pid, old);
    lab.restart_by(Engine::Fork);
}

#[test]
fn the_child_has_the_warm_heap() {
    let lab = Lab::start();
    let mut early = lab.connect();
    early.ask("keep what was learned");
    lab.restart_by(Engine::Fork);
    let mut late = lab.connect();
    assert_eq!(late.ask("kept"), "what was learned");
    // From here on, each has its own.
    late.ask("keep something else");
    assert_eq!(early.ask("kept"), "what was learned");
}

#[test]
fn alarms_go_on_in_the_child_and_stop_in_the_old_process() {
    let lab = Lab::start();
    let (mut asker, mut early) = (lab.connect(), lab.connect());
    early.who();
    asker.send("alarm 500\n");
    wait_for("the alarm to be set", || early.stat("messages") >= 2);
    lab.restart_by(Engine::Fork);
    let mut late = lab.connect();
    assert_eq!(late.ask("events"), "Forked", "the alarm came before the restart: too slow a test");
    wait_for("the alarm", || late.ask("events") == "Forked,alarm");
    let brief = Some(Duration::from_millis(200)); // that nothing happens has no event
    asker.stream.set_read_timeout(brief).expect("a timeout");
    assert!(asker.stream.read(&mut [0; 9]).is_err(), "the old process has the alarm as well");
    assert_eq!(early.ask("events"), "Fresh,retire,ok,drain,drain");
}

#[test]
fn buffered_output_is_not_written_twice() {
    let dir = Dir::new();
    let path = dir.path("stdout");
    let file = File::create(&path).expect("a file");
    let mut server = Server::of("lab").start_as(|mut command| {
        command.stdout(file);
        command
    });
    let mut client = server.connect();
    client.ask("print one "); // no newline: it stays in the buffer
    server.restart(Signal::SIGHUP);
    let mut late = server.connect();
    late.ask("print two ");
    let new = server.restart(Signal::SIGHUP);
    drop((client, late));
    server.wait_exit();
    server.signal(Signal::SIGTERM);
    wait_gone(new);
    assert_eq!(std::fs::read_to_string(&path).expect("the output"), "one two ");
}
