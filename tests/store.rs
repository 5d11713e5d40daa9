//! What a service manager is told to keep, and what comes of that when a program is started with it: the descriptor store of
//! `sd_notify(3)`. The manager is the test's own; `under_systemd` has real ones.

use std::{
    fs,
    net::TcpListener,
    os::fd::{AsRawFd, OwnedFd},
    process::Stdio,
    time::Duration,
};

use crate::common::{
    Client, Dir, Server, Setup, example, in_session,
    manager::{Manager, Word},
    wait_for, wait_gone,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The name of a listener at a port that the system has chosen.
const ANY_PORT: &str = "heirloom.listener.0.-.127.0.0.1%3a0";

/// A server whose manager has a store.
fn managed(dir: &Dir) -> (Manager, Setup) {
    let manager = Manager::new(&dir.path("notify"));
    let setup = Server::of("lab")
        .env("NOTIFY_SOCKET", manager.path.display())
        .env("FDSTORE", 8)
        .env("RUST_LOG", "debug")
        .env("LAB_PROBATION", 50);
    (manager, setup)
}

fn is_stored(word: &Word, name: &str) -> bool {
    word.has("FDSTORE=1") && word.get("FDNAME") == Some(name) && word.pipe.is_some()
}

fn is_removed(word: &Word, name: &str) -> bool {
    word.has("FDSTOREREMOVE=1") && word.get("FDNAME") == Some(name)
}

fn count(words: &[Word], is: impl Fn(&Word) -> bool) -> usize {
    words.iter().filter(|word| is(word)).count()
}

/// The manager has read everything.
fn pass_barrier(manager: &Manager, from: i32) {
    let is = |word: &&Word| word.has("BARRIER=1") && word.pid == from;
    let words = manager.wait("a barrier", |words| words.iter().any(|word| is(&word)));
    words.iter().find(is).expect("it was waited for").close_pipe();
}

#[test]
fn a_socket_is_stored_when_it_is_served_and_removed_at_the_stop() {
    let dir = Dir::new();
    let (mut manager, setup) = managed(&dir);
    let server = setup.start();
    assert!(manager.next().has("READY=1"));
    assert!(is_stored(&manager.next(), ANY_PORT));
    let first = server.pid();
    // A child of a fork knows what is there.
    let new = server.restart(Signal::SIGHUP);
    pass_barrier(&manager, first);
    server.signal(Signal::SIGTERM);
    wait_gone(new);
    let words = manager.words();
    assert_eq!(count(&words, |word| word.has("FDSTORE=1")), 1, "{words:#?}");
    assert_eq!(count(&words, |word| is_removed(word, ANY_PORT)), 1, "{words:#?}");
    let last = words.last().expect("a word");
    assert!(is_removed(last, ANY_PORT), "after STOPPING: {words:#?}");
    assert_eq!(manager.check_senders(first), new);
}

/// A new program is believed when the old one's words must have been read, and says then what it has.
#[test]
fn a_new_program_removes_what_it_does_not_want_and_stores_what_is_new() {
    let dir = Dir::new();
    let (manager, setup) = managed(&dir);
    let (path, list) = (dir.path("socket"), dir.path("list"));
    fs::write(&list, format!("unix:{}", path.display())).expect("a file");
    let server = setup.env("LAB_ALSO", list.display()).start();
    let is_path = |word: &Word| {
        let name = word.get("FDNAME").unwrap_or_default();
        name.starts_with("heirloom.listener.0.") && name.contains("unix%3a/")
    };
    manager.wait("two sockets", |words| count(words, |word| word.has("FDSTORE=1")) == 2);
    assert_eq!(count(&manager.words(), is_path), 1);
    let (old, second) = (server.pid(), TcpListener::bind("127.0.0.1:0").expect("a port"));
    let address = second.local_addr().expect("an address");
    drop(second);
    fs::write(&list, address.to_string()).expect("a file");
    let new = server.restart(Signal::SIGUSR2);
    pass_barrier(&manager, old);
    let name = format!("heirloom.listener.0.-.{}", address.to_string().replace(':', "%3a"));
    let words =
        manager.wait("what is new", |words| count(words, |word| is_stored(word, &name)) > 0);
    let removed = words.iter().position(|word| word.has("FDSTOREREMOVE=1") && is_path(word));
    let main = words.iter().position(|word| word.get("MAINPID") == Some(&new.to_string()));
    assert!(removed.expect("it is removed") < main.expect("it is told"), "{words:#?}");
    assert_eq!(manager.check_senders(old), new);
}

/// A checkpoint is one descriptor at a time, and for a moment two; one that is not believed yet waits.
#[test]
fn a_checkpoint_takes_the_place_of_the_one_before() {
    let dir = Dir::new();
    let (manager, setup) = managed(&dir);
    let server = setup.start();
    let mut client = server.connect();
    assert_eq!(client.ask("put a 1"), "ok");
    for name in ["a", "b", "a"] {
        assert_eq!(client.ask("checkpoint"), "ok");
        let name = format!("heirloom.state.0.{name}");
        manager.wait("a state", |words| {
            let last = words.iter().rposition(|word| word.has("FDSTORE=1"));
            last.is_some_and(|at| {
                is_stored(&words[at], &name)
                    && words[at + 1..].iter().any(|it| it.has("FDSTOREREMOVE=1"))
            })
        });
    }
    server.signal(Signal::SIGTERM);
    manager.wait("that nothing is left of it", |words| {
        let stopping = words.iter().position(|word| word.has("STOPPING=1"));
        stopping
            .is_some_and(|at| count(&words[at..], |it| is_removed(it, "heirloom.state.0.a")) == 1)
    });
}

/// Without a store nothing is sent, and a checkpoint is asked for in vain.
#[test]
fn where_there_is_no_store_nothing_is_stored() {
    let dir = Dir::new();
    let manager = Manager::new(&dir.path("notify"));
    let server = Server::of("lab").env("NOTIFY_SOCKET", manager.path.display()).start();
    assert_eq!(server.connect().ask("checkpoint"), "ok");
    assert_eq!(server.connect().ask("arm 20"), "timer");
    assert_eq!(count(&manager.words(), |word| word.get("FDNAME").is_some()), 0);
}

/// A program as a manager starts it anew: the listener that it has kept, and something else, under these names.
fn start_with(dir: Dir, manager: &Manager, kept: [OwnedFd; 2], names: &str) -> Server {
    let script = "exec 3<&0 4<&1 0</dev/null 1>&2\n\
                  exec env LISTEN_PID=$$ LISTEN_FDS=2 \"$0\" \"$@\"";
    let mut command = in_session("sh");
    command.args(["-c", script]).arg(example("lab")).args(["--listen", "127.0.0.1:0"]);
    command.arg("--pid-file").arg(dir.path("pid"));
    command.env("LISTEN_FDNAMES", names).env("NOTIFY_SOCKET", &manager.path).env("FDSTORE", "8");
    let [first, second] = kept;
    command.stdin(Stdio::from(first)).stdout(Stdio::from(second));
    Server::spawn_with_stdin(command, dir)
}

fn something() -> OwnedFd {
    fs::File::open("/etc/hostname").expect("a file").into()
}

#[test]
fn what_was_kept_is_served_and_what_makes_no_sense_is_one_line_in_the_log() {
    for (name, line) in [
        ("heirloom.state.0.a", "WARN: a checkpoint is dropped"),
        ("heirloom.later", "of a kind that this program does not know"),
        ("heirloom.listener.0.-.127.0.0.1%3a1", "not a socket"),
        ("stored", "what the service manager has passed on as stored is closed"),
    ] {
        let dir = Dir::new();
        let manager = Manager::new(&dir.path("notify"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let mut waiting = Client::connect(&address);
        waiting.send("who\n");
        let names = format!("{ANY_PORT}:{name}");
        let server = start_with(dir, &manager, [listener.into(), something()], &names);
        assert!(waiting.line().starts_with("0 "), "who has waited is served");
        server.wait_line(&format!("listening on {address}"));
        assert_eq!(server.count_lines(line), 1, "{name}: {}", server.log());
        let is_ours = name.starts_with("heirloom.") && !name.contains("state");
        let removed = usize::from(is_ours);
        wait_for("what is of no use to be removed", || {
            count(&manager.words(), |word| is_removed(word, name)) == removed
        });
        assert_eq!(count(&manager.words(), |word| word.has("FDSTORE=1")), 0, "it is there");
    }
}

/// The sockets are the manager's copies; a test has the state that a server has stored.
#[test]
fn a_state_that_was_stored_is_loaded_by_the_next_program() {
    let dir = Dir::new();
    let (manager, setup) = managed(&dir);
    let mut server = setup.start();
    let mut client = server.connect();
    assert_eq!(client.ask("put a 7"), "ok");
    assert_eq!(client.ask("checkpoint"), "ok");
    let is_state = |word: &Word| is_stored(word, "heirloom.state.0.a");
    let words = manager.wait("a state", |words| count(words, is_state) == 1);
    kill(Pid::from_raw(server.pid()), Signal::SIGKILL).expect("it is there");
    server.wait_exit();
    let kept = |is: &dyn Fn(&Word) -> bool| {
        let word = words.iter().find(|word| is(word)).expect("it was stored");
        let path = format!("/proc/self/fd/{}", word.pipe.expect("a descriptor").as_raw_fd());
        (word.pipe.expect("a descriptor"), path)
    };
    let state = fs::File::open(kept(&is_state).1).expect("a memfd opens anew");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let names = format!("{ANY_PORT}:heirloom.state.0.a");
    let next = start_with(Dir::new(), &manager, [listener.into(), state.into()], &names);
    let ready = next.wait_line("ready: generation 0");
    next.wait_line("a checkpoint is loaded: ");
    let address = ready.rsplit("listening on ").next().expect("an address");
    assert_eq!(Client::connect(address).ask("get a"), "7");
}

/// With or without a store: the supervisor has it.
#[test]
fn a_generation_that_crashes_alone_has_its_checkpoint_back() {
    let server = Server::of("lab").arg("--supervised").env("RUST_LOG", "debug").start();
    let mut client = server.connect();
    for (number, engine) in
        [None, Some(Signal::SIGHUP), Some(Signal::SIGUSR2)].into_iter().enumerate()
    {
        if let Some(engine) = engine {
            server.restart(engine);
            client = server.connect();
        }
        assert_eq!(client.ask(&format!("put a {number}")), "ok");
        assert_eq!(client.ask("checkpoint"), "ok");
        let kept = server.wait_lines("a checkpoint is kept", number + 1).pop().expect("a line");
        let pid = client.who().pid;
        assert!(kept.starts_with(&format!("[{pid}]")), "{kept}");
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it is there");
        server.wait_lines("a checkpoint is loaded", number + 1);
        client = server.connect();
        assert_eq!(client.ask("get a"), number.to_string());
    }
}

/// A supervisor sends the pings, kills who hangs, and has the sockets kept.
#[test]
fn a_supervisor_is_the_watchdog_of_its_workers() {
    let dir = Dir::new();
    let manager = Manager::new(&dir.path("notify"));
    let mut command = in_session("sh");
    command
        .args(["-c", "exec env WATCHDOG_PID=$$ \"$0\" \"$@\""])
        .arg(example("lab"))
        .args(["--listen", "127.0.0.1:0", "--workers", "2", "--pid-file"])
        .arg(dir.path("pid"))
        .env("NOTIFY_SOCKET", &manager.path)
        .env("FDSTORE", "8")
        .env("WATCHDOG_USEC", Duration::from_secs(8).as_micros().to_string());
    let server = Server::spawn(command, dir);
    let ready = server.wait_lines("ready: generation 0", 2);
    let supervisor = server.pid();
    let pings = |words: &[Word]| count(words, |word| word.has("WATCHDOG=1"));
    manager.wait("two pings", |words| pings(words) >= 2);
    let pid = |line: &str| -> i32 {
        let pid = line.split("pid ").nth(1).and_then(|rest| rest.split(',').next());
        pid.and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("no pid in {line:?}"))
    };
    let hung = pid(&ready[1]);
    kill(Pid::from_raw(hung), Signal::SIGSTOP).expect("it is there");
    let line = server.wait_line("has not turned for 8s: it is killed");
    assert!(line.contains(&format!("(pid {hung})")), "{line}");
    wait_gone(hung);
    server.wait_line("ready: generation 1");
    let before = pings(&manager.words());
    let words = manager.wait("more pings", |words| pings(words) > before + 1);
    assert!(words.iter().all(|word| !word.has("WATCHDOG=1") || word.pid == supervisor));
    let stored = |name: &str| count(&words, |word| is_stored(word, name));
    assert_eq!(
        (stored(ANY_PORT), stored("heirloom.listener.1.-.127.0.0.1%3a0")),
        (1, 1),
        "{words:#?}"
    );
    assert_eq!(
        pid(&ready[0]),
        pid(&server.wait_line("ready: generation 0")),
        "the other one stays"
    );
}
