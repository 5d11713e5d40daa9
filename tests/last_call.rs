//! The end of a service: who has come before is let in and answered, and operators are heard to the last.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use crate::common::{
    self, Client, DEADLINE, Dir, Server,
    ops::{Control, Operated},
    restart::Engine,
    wait_for, wait_gone, while_stopped,
};
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};

for_both_engines!(
    a_generation_that_was_made_by_a_restart_lets_them_in_too,
    the_newest_answers_until_the_older_ones_have_left,
);

/// More than a turn accepts.
const QUEUE: usize = 200;

/// Clients whose request is sent and not yet answered.
fn asking(server: &Server, count: usize) -> Vec<Client> {
    let ask = |_| {
        let mut client = server.connect();
        client.send("echo here\n");
        client
    };
    (0..count).map(ask).collect()
}

/// Each is answered, however it then ends.
fn assert_answered(clients: Vec<Client>) {
    let count = clients.len();
    let is_answered = |mut client: Client| client.read_line().is_ok_and(|line| line == b"here\n");
    let answered =
        clients.into_iter().filter_map(|client| is_answered(client).then_some(())).count();
    assert_eq!(answered, count);
}

/// Nobody listens there any more.
fn assert_refuses(server: &Server) {
    let error = TcpStream::connect(&server.address).expect_err("a closed listener");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// Comes again and again until the door is closed, and answers what happened to whoever had got through it.
fn come_until_closed(address: &str) -> std::io::Result<u32> {
    let mut answered = 0;
    while let Ok(mut stream) = TcpStream::connect(address) {
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.write_all(b"echo here\n")?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer)?;
        assert_eq!(&answer, b"here\n");
        answered += 1;
    }
    Ok(answered)
}

/// Whoever has a connection has an answer, also who comes between the last look into the queue and the close.
#[test]
fn nobody_who_has_come_through_the_door_is_reset_as_it_closes() {
    for _ in 0..60 {
        let mut server = Server::of("lab").start();
        let reset = std::thread::scope(|scope| {
            let address = &server.address;
            let clients: Vec<_> =
                (0..8).map(|_| scope.spawn(move || come_until_closed(address))).collect();
            let until = Instant::now() + Duration::from_millis(20);
            while Instant::now() < until {
                server.connect().ask("echo here");
            }
            server.signal(SIGTERM);
            let ended = clients.into_iter().map(|client| client.join().expect("no wrong answer"));
            ended.filter_map(Result::err).map(|e| e.to_string()).collect::<Vec<_>>()
        });
        assert!(reset.is_empty(), "{reset:?}");
        assert!(server.wait_exit().success());
    }
}

#[test]
fn who_waits_in_the_queue_at_a_stop_is_answered() {
    let mut server = Server::of("lab").start();
    let mut waiting = Vec::new();
    while_stopped(server.pid(), || {
        waiting = asking(&server, QUEUE);
        server.signal(SIGTERM);
    });
    assert_answered(waiting);
    assert_refuses(&server);
    assert!(server.wait_exit().success());
}

fn a_generation_that_was_made_by_a_restart_lets_them_in_too(engine: Engine) {
    let lab = Operated::with(50, |setup| setup);
    let new = lab.restart_by(engine);
    let mut control = Control::connect(&lab.control()).expect("it is there");
    let mut waiting = Vec::new();
    while_stopped(new, || {
        waiting = asking(&lab, QUEUE);
        control.send("drain\n"); // as `heirloom drain` says it
    });
    assert_eq!(control.reply(), ["ok: draining"]);
    assert_answered(waiting);
    wait_gone(new);
}

#[test]
fn at_a_stop_in_the_probation_the_new_side_lets_them_in() {
    let lab = Operated::with(60_000, |setup| setup);
    let old = lab.pid();
    lab.signal(Engine::Fork.signal());
    wait_for("the new one to serve", || lab.connect().who().generation == 1);
    let new = lab.connect().who().pid;
    let mut waiting = Vec::new();
    while_stopped(new, || {
        waiting = asking(&lab, QUEUE);
        common::restart::tell(old, SIGTERM); // which dismisses the new one
        lab.wait_line("SIGTERM: heard");
    });
    assert_answered(waiting);
    [old, new].into_iter().for_each(wait_gone);
    assert!(!lab.control().exists(), "the control path is left over");
}

#[test]
fn a_unix_socket_is_emptied_and_its_path_is_gone() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let mut server = Server::of("lab").listen(format!("unix:{}", path.display())).start();
    let mut waiting = Vec::new();
    while_stopped(server.pid(), || {
        waiting.extend((0..QUEUE).map(|_| {
            let mut client = UnixStream::connect(&path).expect("the server accepts");
            client.write_all(b"echo here\n").expect("it takes it");
            client
        }));
        server.signal(SIGTERM);
    });
    for client in waiting {
        client.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let mut line = String::new();
        BufReader::new(client).read_line(&mut line).expect("an answer");
        assert_eq!(line, "here\n");
    }
    assert!(server.wait_exit().success());
    assert!(!path.exists());
}

#[test]
fn the_limit_on_connections_holds() {
    let server = Server::of("lab").env("LAB_CONNECTIONS", 100).start();
    let mut waiting = Vec::new();
    while_stopped(server.pid(), || {
        waiting = asking(&server, QUEUE);
        server.signal(SIGTERM);
    });
    let rest = waiting.split_off(100);
    assert_answered(waiting);
    for mut client in rest {
        assert!(client.read_to_end().is_err(), "one more than may be");
    }
}

/// What a service says at a drain comes behind what it was asked.
#[test]
fn a_service_that_closes_at_a_drain_has_answered_before() {
    let mut server = Server::of("lab").env("LAB_FAREWELL", 1).start();
    let mut waiting = asking(&server, 1);
    assert_eq!(waiting[0].line(), "here");
    while_stopped(server.pid(), || {
        waiting[0].send("echo here\n");
        waiting.extend(asking(&server, QUEUE));
        server.signal(SIGTERM);
    });
    for client in &mut waiting {
        assert_eq!(client.read_to_end().expect("a FIN"), b"here\nfarewell\n");
    }
    drop(waiting);
    assert!(server.wait_exit().success());
}

#[test]
fn under_a_supervisor_they_are_let_in_and_nobody_waits_for_the_end() {
    let mut server = Server::of("lab").arg("--supervised").env("LAB_PROBATION", 50).start();
    let main = server.connect().who().pid;
    let mut waiting = Vec::new();
    while_stopped(main, || {
        waiting = asking(&server, QUEUE);
        server.signal(SIGTERM); // to the supervisor
    });
    let mut last = waiting.pop().expect("one of them");
    assert_answered(waiting);
    assert_eq!(last.line(), "here");
    // It drains for this one. The supervisor has the listener no more, so others go elsewhere.
    wait_for("the listener to be closed", || TcpStream::connect(&server.address).is_err());
    assert_eq!(last.ask("echo still here"), "still here");
    drop(last);
    assert!(server.wait_exit().success());
}

#[test]
fn operators_are_heard_while_a_service_drains() {
    for supervised in [false, true] {
        let lab = Operated::with(50, |setup| match supervised {
            true => setup.arg("--supervised").env("LAB_STOP", 60_000),
            false => setup.env("LAB_STOP", 60_000),
        });
        let mut held = lab.connect();
        let serving = held.who().pid;
        let mut before = Control::connect(&lab.control()).expect("it is there");
        assert_eq!(before.ask("drain"), ["ok: draining"]);
        wait_for("the drain to begin", || held.ask("events").contains("retire"));
        // On the connection that was there, and on a new one.
        for reply in [before.ask("status"), lab.request("status")] {
            assert!(reply[0].starts_with("ok: 1 generation"), "{reply:?}");
            assert!(reply[1].contains(&format!("pid={serving} ")), "{reply:?}");
            assert!(reply[1].contains(" phase=stopping ") && reply[1].contains(" connections=1 "));
        }
        let refused = lab.heirloom(&["restart", "--fork"]);
        assert_eq!(refused.status, Some(1));
        assert!(refused.err.contains("this process is draining"), "{refused:?}");
        let stopped = lab.heirloom(&["stop"]);
        assert_eq!((stopped.status, &*stopped.out), (Some(0), "stopping\n"), "{stopped:?}");
        wait_gone(serving);
        assert_eq!(held.read_to_end().map(|rest| rest.len()).unwrap_or(0), 0);
        wait_for("everybody to leave", || lab.generations().is_empty());
        assert!(!lab.control().exists(), "the path is left over");
    }
}

fn the_newest_answers_until_the_older_ones_have_left(engine: Engine) {
    let lab = Operated::with(50, |setup| setup.env("LAB_STOP", 60_000));
    let mut held = lab.connect();
    let old = held.who().pid;
    let new = lab.restart_by(engine);
    assert_eq!(lab.request("drain"), ["ok: draining"]);
    wait_for("both to drain", || {
        lab.status().iter().all(|row| row.get("phase") == "stopping") && lab.status().len() == 2
    });
    assert_eq!(held.ask("echo still here"), "still here");
    assert_eq!(lab.status().iter().map(|row| row.pid()).collect::<Vec<_>>(), [new, old]);
    drop(held);
    [old, new].into_iter().for_each(wait_gone);
    assert!(!lab.control().exists());
}

/// Fewer than may be connected at a time.
const OPERATORS: usize = 30;

#[test]
fn who_asks_as_the_service_ends_has_an_answer() {
    let lab = Operated::with(50, |setup| setup);
    let mut asking = Vec::new();
    while_stopped(lab.pid(), || {
        lab.signal(SIGTERM); // and nothing is left
        asking.extend((0..OPERATORS).map(|_| {
            let mut control = Control::connect(&lab.control()).expect("it is there");
            control.send("status\n");
            control
        }));
    });
    for mut control in asking {
        assert!(control.reply()[0].starts_with("ok: 1 generation"));
    }
    wait_for("it to leave", || lab.generations().is_empty());
}

/// Whoever asks again and again keeps no process.
#[test]
fn an_operator_who_asks_for_ever_does_not_keep_a_service_that_ends() {
    let lab = Operated::with(50, |setup| setup);
    let pid = lab.pid();
    let mut stream = UnixStream::connect(lab.control()).expect("it is there");
    stream.set_nonblocking(true).expect("an option");
    let mut ended = false;
    let begun = Instant::now();
    lab.signal(SIGTERM);
    while !ended && begun.elapsed() < DEADLINE {
        let told = stream.write(&b"status\n".repeat(100));
        ended = told.is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock);
        let mut replies = [0; 64 * 1024];
        ended |= matches!(stream.read(&mut replies), Ok(0));
    }
    wait_gone(pid);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

/// An older generation that hangs has the time of a stop, and the newest no longer.
#[test]
fn an_older_generation_that_hangs_does_not_keep_the_newest() {
    let lab = Operated::with(50, |setup| setup.env("LAB_STOP", 500));
    let mut held = lab.connect();
    let old = held.who().pid;
    let new = lab.restart_by(Engine::Fork);
    common::restart::stop(old);
    lab.signal(SIGTERM);
    wait_gone(new);
    common::restart::tell(old, SIGKILL);
    wait_gone(old);
}
