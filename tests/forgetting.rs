//! Who leaves forgets: after a fork two processes have the service, and the one that ends destroys nothing
//! of it. What must be done before the end is told to each.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::{TcpListener, TcpStream},
    os::unix::process::ExitStatusExt,
};

use crate::common::{
    self, DEADLINE, Dir,
    restart::{Engine, Lab, resume, tell},
    wait_gone,
};
use nix::sys::signal::Signal;

/// What a process writes down at its end that has its heap alone.
const ALL: [&str; 4] = ["end", "service", "main", "main's own"];

/// And one whose heap another process has as well.
const WITHOUT_SERVICE: [&str; 3] = ["end", "main", "main's own"];

/// What the service says to the server that it is a client of, whichever process says it.
struct Wire(BufReader<TcpStream>);

impl Wire {
    fn accept(listener: &TcpListener) -> Wire {
        let (stream, _) = listener.accept().expect("each program connects before it serves");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Wire(BufReader::new(stream))
    }

    /// The next word, which is the one that a client has asked for: nobody has said goodbye before.
    fn assert_works(&mut self, lab: &Lab) {
        let word = format!("from {}", lab.pid());
        assert_eq!(lab.connect().ask(&format!("wire {word}")), "ok");
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line in time");
        assert_eq!(line.trim_end(), word);
    }

    /// What is still said, up to the end of all who have it.
    fn rest(mut self) -> String {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).expect("the end in time");
        rest
    }
}

/// A lab with witnesses of what is dropped, and the server that its service is a client of.
struct Watched {
    lab: Lab,
    listener: TcpListener,
    dir: Dir,
}

impl Watched {
    fn start(settings: &[&str]) -> (Watched, Wire) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let dir = Dir::new();
        let lab = Lab::with(|setup| {
            let setup = setup.env("LAB_WITNESS", dir.path("witness").display());
            let setup = setup.env("LAB_WIRE", address);
            settings.iter().fold(setup, |setup, name| setup.env(name, 1))
        });
        let wire = Wire::accept(&listener);
        (Watched { lab, listener, dir }, wire)
    }

    /// What the witnesses of a process have written down.
    fn of(&self, pid: i32) -> Vec<String> {
        let text = fs::read_to_string(self.dir.path("witness")).unwrap_or_default();
        let words = text.lines().filter_map(|line| line.split_once(' '));
        let mine = words.filter(|(by, _)| *by == pid.to_string());
        mine.map(|(_, word)| word.to_owned()).collect()
    }

    /// The same of a process that has ended, but for sessions of clients who came and went.
    fn at_the_end(&self, pid: i32) -> Vec<String> {
        wait_gone(pid);
        self.of(pid).into_iter().filter(|word| word != "session").collect()
    }

    /// Tells the generation that serves to end, and answers which one that was.
    fn stop(&self) -> i32 {
        let pid = self.lab.pid();
        self.lab.signal(Signal::SIGTERM);
        wait_gone(pid);
        pid
    }

    fn sessions(&self, pid: i32) -> usize {
        self.of(pid).iter().filter(|word| *word == "session").count()
    }
}

#[test]
fn who_has_its_heap_alone_drops_all_of_it() {
    let (watched, wire) = Watched::start(&[]);
    let pid = watched.stop();
    assert_eq!(watched.of(pid), ALL);
    assert_eq!(wire.rest(), "goodbye\n");
}

#[test]
fn neither_end_of_a_fork_destroys_what_both_have() {
    let (watched, mut wire) = Watched::start(&["LAB_FORGET"]);
    let mut client = watched.lab.connect();
    let old = client.who().pid;
    let new = watched.lab.restart_by(Engine::Fork);
    assert_eq!(client.who().pid, old);
    wire.assert_works(&watched.lab);
    drop(client);
    assert_eq!(watched.at_the_end(old), WITHOUT_SERVICE);
    // Its own client's session has ended with the connection, there and nowhere else.
    assert_eq!(watched.sessions(old), 1);
    wire.assert_works(&watched.lab);
    let newest = watched.lab.restart_by(Engine::Fork);
    assert_eq!(watched.at_the_end(new), WITHOUT_SERVICE);
    assert_eq!(watched.sessions(new), 2, "of those who have asked it for a word");
    wire.assert_works(&watched.lab);
    assert_eq!(watched.stop(), newest);
    assert_eq!(watched.at_the_end(newest), WITHOUT_SERVICE);
    assert_eq!(wire.rest(), "");
}

#[test]
fn by_fork_exec_each_program_drops_its_own() {
    let (watched, wire) = Watched::start(&[]);
    let old = watched.lab.pid();
    let new = watched.lab.restart_by(Engine::ForkExec);
    let mut next = Wire::accept(&watched.listener);
    assert_eq!(watched.at_the_end(old), ALL);
    assert_eq!(wire.rest(), "goodbye\n");
    next.assert_works(&watched.lab);
    assert_eq!(watched.stop(), new);
    assert_eq!(watched.at_the_end(new), ALL);
    assert_eq!(next.rest(), "goodbye\n");
}

/// The new process has them, and the old one none of them: not to serve, and not to end.
#[test]
fn a_session_that_has_moved_by_fork_ends_once() {
    let (watched, wire) = Watched::start(&["LAB_FORGET", "LAB_MOVE"]);
    let mut clients: Vec<_> = (0..5).map(|_| watched.lab.connect()).collect();
    let old = watched.lab.pid();
    assert!(clients.iter_mut().all(|client| client.who().pid == old));
    let new = watched.lab.restart_by(Engine::Fork);
    assert!(clients.iter_mut().all(|client| client.who().pid == new));
    assert_eq!(watched.at_the_end(old), WITHOUT_SERVICE);
    assert_eq!((watched.sessions(old), watched.sessions(new)), (0, 0));
    drop(clients);
    watched.stop();
    assert_eq!((watched.sessions(old), watched.sessions(new)), (0, 5));
    assert_eq!(wire.rest(), "");
}

/// By fork-exec each side has made its own.
#[test]
fn a_session_that_was_written_down_ends_on_either_side() {
    let (watched, _wire) = Watched::start(&["LAB_FORGET", "LAB_MOVE"]);
    let mut client = watched.lab.connect();
    let old = client.who().pid;
    let new = watched.lab.restart_by(Engine::ForkExec);
    assert_eq!(client.who().pid, new);
    assert_eq!(watched.at_the_end(old), ALL);
    drop(client);
    watched.stop();
    assert_eq!((watched.sessions(old), watched.sessions(new)), (1, 1));
}

/// What the service says of sessions that own nothing but memory.
#[test]
fn a_service_may_drop_what_a_fork_has_left_of_others() {
    let (watched, mut wire) = Watched::start(&[]);
    let mut clients: Vec<_> = (0..600).map(|_| watched.lab.connect()).collect();
    let old = watched.lab.pid();
    assert!(clients.iter_mut().all(|client| client.who().pid == old));
    let new = watched.lab.restart_by(Engine::Fork);
    common::wait_for("its copies to be given back", || watched.sessions(new) == 600);
    assert_eq!(watched.sessions(old), 0);
    assert!(clients.iter_mut().all(|client| client.who().pid == old));
    wire.assert_works(&watched.lab);
}

#[test]
fn a_child_that_never_served_ends_without_a_word() {
    let (watched, mut wire) = Watched::start(&[]);
    let old = watched.lab.pid();
    let new = watched.lab.hold(Engine::Fork);
    tell(new, Signal::SIGTERM);
    resume(new);
    watched.lab.wait_line("exit status 70");
    assert_eq!(watched.of(new), [""; 0]);
    wire.assert_works(&watched.lab);
    // Nobody has this heap any more but this process.
    assert_eq!(watched.stop(), old);
    assert_eq!(watched.at_the_end(old), ALL);
    assert_eq!(wire.rest(), "goodbye\n");
}

#[test]
fn after_a_roll_back_the_service_is_the_old_process_s_to_drop() {
    let (watched, mut wire) = Watched::start(&[]);
    let old = watched.lab.pid();
    watched.lab.break_programs("roll back");
    watched.lab.signal(Engine::Fork.signal());
    let line = watched.lab.wait_line("by fork is pid");
    let new = line.rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("its pid");
    watched.lab.wait_line("rolled back: lab: as told");
    assert_eq!(watched.at_the_end(new), WITHOUT_SERVICE);
    watched.lab.mend_programs();
    wire.assert_works(&watched.lab);
    common::wait_for("it to be reaped", || common::restart::zombies_of(old).is_empty());
    assert_eq!(watched.stop(), old);
    assert_eq!(watched.at_the_end(old), ALL);
    assert_eq!(wire.rest(), "goodbye\n");
}

/// Unwinding destroys nothing either, and what no callback has survived is not called again.
#[test]
fn a_panic_that_ends_a_fork_leaves_what_both_have() {
    let (mut watched, mut wire) = Watched::start(&["LAB_PANICS", "LAB_FORGET"]);
    let mut client = watched.lab.connect();
    let old = client.who().pid;
    let new = watched.lab.restart_by(Engine::Fork);
    let mut other = watched.lab.connect();
    assert_eq!(other.who().pid, new);
    other.send("panic as told\n");
    wait_gone(new);
    assert_eq!(watched.at_the_end(new), ["main's own"]);
    assert_eq!(watched.sessions(new), 0, "nor the one that was lent to the callback");
    assert_eq!(client.ask("wire still here"), "ok");
    let mut line = String::new();
    wire.0.read_line(&mut line).expect("a line in time");
    assert_eq!(line, "still here\n");
    drop(client);
    assert_eq!(watched.lab.wait_exit().signal(), None);
    assert_eq!(watched.of(old), [&["session"][..], &WITHOUT_SERVICE].concat());
    assert_eq!(wire.rest(), "");
}

/// A callback like any other.
#[test]
fn a_panic_in_the_last_callback_is_told_and_ends_nothing_else() {
    let (watched, _wire) = Watched::start(&[]);
    watched.lab.break_programs("panic in on_end");
    let pid = watched.stop();
    watched.lab.wait_line("panicked: on_end: lab: as told");
    assert_eq!(watched.of(pid), ALL[1..]);
}
