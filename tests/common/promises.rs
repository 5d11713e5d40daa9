//! What a restart promises whichever engine makes it. Each function is one promise; `restart_fork`
//! and `restart_exec` run all of them.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::{
    Client, Dir, Server,
    churn::{Churn, ECHO},
    connect_until,
    restart::{Engine, Lab, inode, listening, resume, sockets_of},
    wait_for, wait_gone,
};

/// The list of promises, as tests with one engine.
macro_rules! promises {
    ($engine:expr) => {
        promises!($engine;
            no_request_fails_through_twenty_restarts,
            who_was_here_is_served_by_the_old_process_and_who_comes_by_the_new_one,
            clients_queued_before_the_new_side_registers_are_all_served,
            generations_form_a_chain_while_older_ones_drain,
            listeners_stay_the_same_sockets,
            a_unix_path_is_never_missing,
            callbacks_come_once_each_in_order,
        );
    };
    ($engine:expr; $($promise:ident),* $(,)?) => { $(
        #[test]
        fn $promise() {
            $crate::common::promises::$promise($engine);
        }
    )* };
}

const RESTARTS: usize = 20;
const HELD: usize = 200;

pub fn no_request_fails_through_twenty_restarts(engine: Engine) {
    restarts_under_load(std::iter::repeat(engine));
}

/// Clients come and go all the time, and two hundred stay: not one may notice.
pub fn restarts_under_load(engines: impl Iterator<Item = Engine>) {
    let server = Server::of("echo").start();
    let mut held: Vec<_> = (0..HELD).map(|_| server.connect()).collect();
    // Who says nothing has only so long, and a busy machine may need longer.
    held.iter_mut().for_each(|client| assert_eq!(client.ask("hello"), "hello"));
    let traffic = Churn::start(&server.address, ECHO);
    for (restart, engine) in engines.take(RESTARTS).enumerate() {
        server.restart(engine.signal());
        traffic.wait_for_more();
        let client = &mut held[restart * HELD / RESTARTS];
        assert_eq!(client.ask("still here"), "still here");
    }
    for (number, client) in held.iter_mut().enumerate() {
        assert_eq!(client.ask(&format!("client {number}")), format!("client {number}"));
    }
    let failed = traffic.stop();
    assert_eq!(failed.total(), 0, "{failed:?}");
}

pub fn who_was_here_is_served_by_the_old_process_and_who_comes_by_the_new_one(engine: Engine) {
    let lab = Lab::start();
    let old = lab.pid();
    let mut early = lab.connect();
    assert_eq!(early.who().pid, old);
    let new = lab.restart_by(engine);
    let mut late = lab.connect();
    let who = late.who();
    assert_eq!((who.generation, who.pid, &*who.engine), (1, new, engine.name()));
    assert_eq!(early.who().pid, old);
    drop(early);
    wait_gone(old);
    assert_eq!(late.who(), who);
}

/// An edge-triggered registration must find those who came before it: no later event will.
pub fn clients_queued_before_the_new_side_registers_are_all_served(engine: Engine) {
    let lab = Lab::start();
    let old = lab.pid();
    lab.hold_old(engine);
    let mut clients: Vec<_> = (0..100).map(|_| lab.connect()).collect();
    clients.iter_mut().for_each(|client| client.send("who\n"));
    resume(old);
    for client in &mut clients {
        let answer = client.line();
        assert!(answer.starts_with("1 "), "not the new generation: {answer}");
    }
}

pub fn generations_form_a_chain_while_older_ones_drain(engine: Engine) {
    let lab = Lab::start();
    let mut clients = Vec::new();
    for generation in 0..4 {
        let mut client = lab.connect();
        let who = client.who();
        assert_eq!((who.generation, who.pid), (generation, lab.pid()));
        clients.push((client, who));
        lab.restart_by(engine);
    }
    for (client, who) in &mut clients {
        assert_eq!(client.who(), *who, "each generation serves its own clients");
    }
    assert_eq!(lab.generations().len(), 5);
    // In another order than they came.
    clients.swap(0, 2);
    for (client, who) in clients {
        drop(client);
        wait_gone(who.pid);
    }
    assert_eq!(lab.connect().who().generation, 4);
    assert_eq!(lab.generations(), [lab.pid()]);
}

/// Never a second bind: port 0 stays the port it became, and two of that name stay two.
pub fn listeners_stay_the_same_sockets(engine: Engine) {
    let dir = Dir::new();
    let unix = format!("unix:{}", dir.path("lab.sock").display());
    let more = ["--listen", &unix, "--listen", "127.0.0.1:0"];
    let lab = Lab::with(|setup| more.iter().fold(setup, |setup, &arg| setup.arg(arg)));
    let ready = lab.wait_line("ready: generation 0");
    let addresses: Vec<_> =
        ready.rsplit("listening on ").next().unwrap_or_default().split(", ").collect();
    assert_eq!(addresses.len(), 3, "{ready}");
    let sockets: Vec<_> = addresses.iter().map(|address| listening(address)).collect();
    for _ in 0..3 {
        let new = lab.restart_by(engine);
        let now: Vec<_> = addresses.iter().map(|address| listening(address)).collect();
        assert_eq!(now, sockets, "bound anew, or more than once");
        assert!(sockets.iter().flatten().all(|socket| sockets_of(new).contains(socket)));
    }
    for address in [addresses[0], addresses[2]] {
        assert_eq!(Client::connect(address).who().generation, 3);
    }
}

pub fn a_unix_path_is_never_missing(engine: Engine) {
    let dir = Dir::new();
    let path = dir.path("lab.sock");
    let lab = Lab::with(|setup| setup.listen(format!("unix:{}", path.display())));
    let before = inode(&path).expect("a socket file");
    let done = AtomicBool::new(false);
    let connected = thread::scope(|scope| {
        let client = scope.spawn(|| connect_until(&done, &path));
        for _ in 0..5 {
            lab.restart_by(engine);
        }
        done.store(true, Ordering::Relaxed);
        client.join().expect("no panic")
    });
    assert!(connected.as_ref().is_ok_and(|&count| count > 0), "{connected:?}");
    assert_eq!(inode(&path), Some(before), "the path leads to another socket");
    // Only the last one to leave takes it away.
    let last = lab.pid(); // before its file goes with it
    lab.signal(nix::sys::signal::Signal::SIGTERM);
    wait_gone(last);
    assert_eq!(inode(&path), None);
}

pub fn callbacks_come_once_each_in_order(engine: Engine) {
    let lab = Lab::start();
    let (mut one, mut two) = (lab.connect(), lab.connect());
    assert_eq!(one.ask("events"), "Fresh");
    assert_eq!(two.ask("events"), "Fresh");
    lab.restart_by(engine);
    assert_eq!(one.ask("events"), "Fresh,retire,ok,drain,drain");
    let mut late = lab.connect();
    assert_eq!(late.ask("events"), engine.start());
    assert_eq!(late.ask("closes"), "");
    drop(one);
    // Once per session, in the process that had it.
    wait_for("the session to be closed", || two.ask("closes") == "peer closed");
    assert_eq!(late.ask("closes"), "");
    lab.restart_by(engine);
    assert_eq!(late.ask("events"), format!("{},retire,ok,drain", engine.start()));
    assert_eq!(two.ask("events"), "Fresh,retire,ok,drain,drain");
    assert_eq!(lab.connect().ask("events"), engine.start());
}
