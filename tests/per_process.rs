//! What belongs to a process stays its own through a fork: a connection to somebody else, what the kernel queues for
//! it, and its random numbers.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use crate::common::{
    Client, Dir, Setup, open_fds,
    restart::{Engine, Lab, wait_for_events},
    wait_for, wait_gone,
};

/// One connection, as the other end of it sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Heard {
    lines: Vec<String>,
    /// The FIN came.
    has_ended: bool,
}

/// Whom the lab talks with: notes all that it hears, of each connection.
struct Upstream {
    address: String,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Upstream {
    fn start() -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&heard);
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                noted.lock().expect("no panic").push(Heard::default());
                let noted = Arc::clone(&noted);
                thread::spawn(move || hear(stream.expect("a connection"), number, &noted));
            }
        });
        Upstream { address, heard }
    }

    fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("no panic").clone()
    }

    /// Waits until that many connections have said these lines, and compares. A goodbye is a line, too.
    fn wait(&self, expected: &[&[&str]]) {
        let lines = || self.heard().into_iter().map(|one| one.lines).collect::<Vec<_>>();
        let count = |all: &[Vec<String>]| all.iter().map(Vec::len).sum::<usize>();
        let expected: Vec<Vec<_>> =
            expected.iter().map(|one| one.iter().map(|&line| line.to_owned()).collect()).collect();
        wait_for("somebody to have heard it", || {
            lines().len() >= expected.len() && count(&lines()) >= count(&expected)
        });
        assert_eq!(lines(), expected);
    }

    /// Which connections have ended.
    fn ended(&self) -> Vec<bool> {
        self.heard().iter().map(|one| one.has_ended).collect()
    }

    fn wait_ended(&self, number: usize) {
        wait_for("the FIN", || self.heard()[number].has_ended);
    }
}

fn hear(stream: TcpStream, number: usize, noted: &Mutex<Vec<Heard>>) {
    for line in BufReader::new(stream).lines() {
        let line = line.expect("no reset");
        noted.lock().expect("no panic")[number].lines.push(line);
    }
    noted.lock().expect("no panic")[number].has_ended = true;
}

/// A lab that talks with `upstream`.
fn lab(upstream: &Upstream, adjust: impl FnOnce(Setup) -> Setup) -> Lab {
    Lab::with(|setup| adjust(setup.env("LAB_UPSTREAM", &upstream.address)))
}

/// Ends the old process, whose last client this is.
fn leave(client: Client, pid: i32) {
    drop(client);
    wait_gone(pid);
}

#[test]
fn each_process_has_a_connection_of_its_own() {
    let upstream = Upstream::start();
    let lab = lab(&upstream, |setup| setup);
    let (mut of_old, old) = (lab.connect(), lab.pid());
    assert_eq!(of_old.ask("up one"), "ok");
    lab.restart_by(Engine::Fork);
    let mut of_new = lab.connect();
    let is_named = |line: &str| line.contains("does not know") && line.contains(&upstream.address);
    assert!(!lab.log().lines().any(is_named), "it is not shared: {}", lab.log());
    assert_eq!(of_new.ask("up-if-made zero"), "none");
    assert_eq!(of_new.ask("up two"), "ok");
    assert_eq!(of_old.ask("up three"), "ok");
    upstream.wait(&[&["one", "three"], &["two"]]);
    // The new one says goodbye on its own connection. On the other one nobody has said anything.
    assert_eq!(of_new.ask("up-end"), "ok");
    upstream.wait(&[&["one", "three"], &["two", "goodbye"]]);
    upstream.wait_ended(1);
    assert_eq!(of_old.ask("up four"), "ok");
    upstream.wait(&[&["one", "three", "four"], &["two", "goodbye"]]);
    assert_eq!(upstream.ended(), [false, true]);
    assert_eq!(of_old.ask("up-end"), "ok");
    upstream.wait_ended(0);
    leave(of_old, old);
}

/// A new side that does not last has all of the old one's values, and says nothing about any when it ends.
#[test]
fn a_child_that_never_uses_it_ends_without_a_word() {
    let upstream = Upstream::start();
    let lab = lab(&upstream, |setup| setup.env("LAB_PROBATION", 20_000));
    let mut client = lab.connect();
    assert_eq!(client.ask("up one"), "ok");
    lab.break_programs("roll back");
    lab.signal(Engine::Fork.signal());
    let line = lab.wait_line("by fork is pid");
    let new = line.rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a pid");
    wait_gone(new);
    assert_eq!(client.ask("up two"), "ok");
    upstream.wait(&[&["one", "two"]]);
    assert_eq!(upstream.ended(), [false]);
}

/// The peer sees the FIN when the parent ends, while the child lives.
#[test]
fn the_end_of_the_parent_is_seen_by_its_peer() {
    for named in [false, true] {
        let upstream = Upstream::start();
        let named = |setup: Setup| if named { setup.env("LAB_NAMED", 1) } else { setup };
        let lab = lab(&upstream, named);
        let (mut of_old, old) = (lab.connect(), lab.pid());
        assert_eq!(of_old.ask("up one"), "ok");
        assert_eq!(of_old.ask("up-more"), "ok"); // what is opened later counts, too
        assert_eq!(of_old.ask("up two"), "ok");
        upstream.wait(&[&["one", "two"], &["two"]]);
        lab.restart_by(Engine::Fork);
        let mut of_new = lab.connect();
        of_new.who();
        assert_eq!(upstream.ended(), [false, false]);
        leave(of_old, old);
        upstream.wait_ended(0);
        upstream.wait_ended(1);
        assert_eq!(of_new.who().generation, 1);
    }
}

#[test]
fn a_number_that_is_somebody_elses_by_then_stays_open() {
    for named in [false, true] {
        let upstream = Upstream::start();
        let named = |setup: Setup| if named { setup.env("LAB_NAMED", 1) } else { setup };
        let lab = lab(&upstream, named);
        let mut of_old = lab.connect();
        assert_eq!(of_old.ask("up one"), "ok");
        assert_eq!(of_old.ask("up-lose"), "ok");
        let address = of_old.ask("intruder");
        lab.restart_by(Engine::Fork);
        assert_eq!(lab.connect().ask("intruder"), address);
        assert_eq!(of_old.ask("intruder"), address);
    }
}

#[test]
fn a_chain_of_restarts_leaves_no_descriptor_behind() {
    let upstream = Upstream::start();
    let lab = lab(&upstream, |setup| setup);
    let mut counts = Vec::new();
    for _ in 0..6 {
        let (mut client, old) = (lab.connect(), lab.pid());
        for request in ["up one", "up-more", "tick 1", "watch /tmp"] {
            assert_eq!(client.ask(request), "ok");
        }
        let new = lab.restart_by(Engine::Fork);
        leave(client, old);
        wait_for_events(new);
        counts.push(open_fds(new));
    }
    assert!(counts.iter().all(|count| *count == counts[0]), "{counts:?}");
}

/// It is made along with the value, and used in both processes.
#[test]
fn what_is_the_programs_stays_open() {
    let upstream = Upstream::start();
    let lab = lab(&upstream, |setup| setup);
    let mut of_old = lab.connect();
    assert_eq!(of_old.ask("up one"), "ok");
    for _ in 0..2 {
        lab.restart_by(Engine::Fork);
        let mut of_new = lab.connect();
        assert_eq!(of_new.ask("wake"), "ok");
        assert_eq!(of_new.ask("up two"), "ok");
        assert_eq!(of_old.ask("wake"), "ok");
    }
}

/// One queue in the kernel, and two readers, would lose half of it.
#[test]
fn what_the_kernel_queues_for_the_parent_only_the_parent_hears() {
    let dir = Dir::new();
    fs::create_dir(dir.path("watched")).expect("a directory");
    let lab = Lab::start();
    let mut of_old = lab.connect();
    assert_eq!(of_old.ask("tick 1"), "ok"); // goes off before the restart is over
    assert_eq!(of_old.ask(&format!("watch {}", dir.path("watched").display())), "ok");
    lab.restart_by(Engine::Fork);
    fs::write(dir.path("watched/file"), "").expect("a file");
    let mut of_new = lab.connect();
    assert_eq!((of_new.ask("ticks").as_str(), of_new.ask("seen").as_str()), ("none", "none"));
    assert_eq!((of_old.ask("ticks").as_str(), of_old.ask("seen").as_str()), ("tick", "file"));
}

/// What `verb` answers, eight times.
fn draw(client: &mut Client, verb: &str) -> BTreeSet<String> {
    (0..8).map(|_| client.ask(verb)).collect()
}

/// Two clients, of a process and of its fork, in which random numbers have been drawn before.
fn parent_and_child(reseed: bool) -> (Lab, Client, Client) {
    let lab = Lab::with(|setup| if reseed { setup.env("LAB_RESEED", 1) } else { setup });
    let mut of_old = lab.connect();
    for verb in ["delay", "new-delay", "seed", "rand", "fastrand"] {
        of_old.ask(verb);
    }
    lab.restart_by(Engine::Fork);
    let of_new = lab.connect();
    (lab, of_old, of_new)
}

/// Those of this library by themselves, those of others when they are seeded anew.
#[test]
fn parent_and_child_draw_different_numbers() {
    let (_lab, mut of_old, mut of_new) = parent_and_child(true);
    for verb in ["delay", "new-delay", "seed", "rand", "fastrand"] {
        let (ours, theirs) = (draw(&mut of_old, verb), draw(&mut of_new, verb));
        assert_eq!((ours.len(), theirs.len()), (8, 8), "{verb}");
        assert!(ours.is_disjoint(&theirs), "{verb}: {ours:?} {theirs:?}");
    }
}

#[test]
fn without_that_they_draw_the_same() {
    let (_lab, mut of_old, mut of_new) = parent_and_child(false);
    for verb in ["rand", "fastrand"] {
        assert_eq!(draw(&mut of_old, verb), draw(&mut of_new, verb), "{verb}");
    }
}
