//! The paths of Unix sockets belong to the file that was made there: what somebody else has put in its place
//! is left alone by all generations, and what somebody has removed is bound anew at the next restart.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::{UnixDatagram, UnixListener, UnixStream},
    path::PathBuf,
};

use crate::common::{
    self, DEADLINE, Dir, Server, Setup, ask_unix,
    ops::Control,
    restart::{Engine, Lab, inode, slay, tell},
    wait_gone,
};
use nix::sys::signal::Signal;

for_both_engines!(
    what_is_another_servers_by_now_is_left_to_it,
    what_was_removed_is_bound_anew,
    a_side_that_takes_over_again_has_the_path_that_was_bound_anew,
);

/// A server that has a Unix listener, a Unix datagram socket and a control socket.
struct Three {
    server: Server,
    files: Dir,
}

impl Three {
    fn start(adjust: impl FnOnce(Setup) -> Setup) -> Three {
        let files = Dir::new();
        let unix = |name| format!("unix:{}", files.path(name).display());
        let setup = adjust(Server::of("flows")).arg("--listen").arg(unix("listener"));
        let setup = setup.arg("--datagrams").arg(unix("datagrams"));
        let server =
            setup.arg("--control").arg(files.path("control").display().to_string()).start();
        Three { server, files }
    }

    fn paths(&self) -> [PathBuf; 3] {
        ["listener", "datagrams", "control"].map(|name| self.files.path(name))
    }

    fn inodes(&self) -> [Option<u64>; 3] {
        self.paths().map(|path| inode(&path))
    }

    /// The process that answers at each of them.
    fn answers(&self) -> [i32; 3] {
        let number = |text: &str| text.parse::<i32>().expect(text);
        let line = ask_unix(&self.files.path("listener"), "status");
        let listener = number(line.split(' ').nth(1).expect(&line));
        let pen = UnixDatagram::bind(self.files.path("pen")).expect("a client");
        pen.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let answer = |datagram: String| {
            pen.send_to(datagram.as_bytes(), self.files.path("datagrams")).expect("it is there");
            let mut buffer = [0; 100];
            let length = pen.recv(&mut buffer).expect("an answer in time");
            String::from_utf8_lossy(&buffer[..length]).into_owned()
        };
        let first = answer("new 1 hello".to_owned());
        let words: Vec<_> = first.split(' ').collect();
        let datagrams = number(words[3]);
        answer(format!("{} 2 bye", words[0])); // so that nobody stays for the flow
        fs::remove_file(self.files.path("pen")).expect("a file of ours");
        let control = Control::connect(&self.files.path("control")).expect("it listens");
        let status = { control }.ask("status");
        let pid = status[1].split(' ').find_map(|word| word.strip_prefix("pid="));
        [listener, datagrams, number(pid.expect("a pid"))]
    }

    /// Ends the service, and waits until it has ended.
    fn stop(mut self) -> Dir {
        let main =
            ask_unix(&self.files.path("listener"), "status").split(' ').nth(1).map(str::to_owned);
        self.server.signal(Signal::SIGTERM);
        assert!(self.server.wait_exit().success());
        if let Some(main) = main.and_then(|main| main.parse().ok()) {
            wait_gone(main);
        }
        self.files
    }
}

/// Another server in the place of each.
fn usurp(paths: &[PathBuf; 3]) -> (Vec<UnixListener>, UnixDatagram) {
    paths.iter().for_each(|path| fs::remove_file(path).expect("a path of the server"));
    let [listener, datagrams, control] = paths;
    let listeners = [listener, control].map(|path| UnixListener::bind(path).expect("a socket"));
    (listeners.into(), UnixDatagram::bind(datagrams).expect("a socket"))
}

fn what_is_another_servers_by_now_is_left_to_it(engine: Engine) {
    let Three { mut server, files } = Three::start(|setup| setup);
    let paths = ["listener", "datagrams", "control"].map(|name| files.path(name));
    let others = usurp(&paths);
    let inodes = paths.each_ref().map(|path| inode(path));
    for _ in 0..2 {
        server.restart(engine.signal());
    }
    for path in &paths {
        let warning = format!("{} does not lead here any more: listen on", path.display());
        assert_eq!(server.count_lines(&warning), 2, "{}", server.log());
    }
    assert!(server.wait_exit().success());
    let last = server.pid();
    tell(last, Signal::SIGTERM);
    wait_gone(last);
    assert_eq!(paths.each_ref().map(|path| inode(path)), inodes);
    drop(others);
}

/// The supervisor has the listeners as the generations have them, and removes what they leave.
#[test]
fn a_supervisor_leaves_to_another_server_what_is_its_own() {
    let Three { mut server, files } = Three::start(|setup| setup.arg("--supervised"));
    let paths = ["listener", "datagrams", "control"].map(|name| files.path(name));
    server.wait_line("committed: generation 0"); // it looks after its paths then, and others would only be half there
    let others = usurp(&paths);
    let inodes = paths.each_ref().map(|path| inode(path));
    server.restart(Signal::SIGUSR2);
    server.wait_line("generation 1 is main");
    let line = server.wait_line("INFO: ready: generation 1");
    let main = line.trim_start_matches('[').split(']').next().and_then(|pid| pid.parse().ok());
    slay(main.expect("a pid"));
    server.wait_line("ready: generation 2");
    server.wait_line("committed: generation 2");
    tell(server.child.id() as i32, Signal::SIGTERM);
    assert!(server.wait_exit().success());
    assert_eq!(paths.each_ref().map(|path| inode(path)), inodes);
    drop(others);
}

/// A listener that the next program does not want: its path goes with it, but not another's.
#[test]
fn what_replaced_the_path_of_a_listener_that_is_not_wanted_stays() {
    let lab = Lab::start();
    let path = lab.scratch("socket");
    lab.listen_also(&format!("unix:{}", path.display()));
    lab.restart_by(Engine::ForkExec);
    fs::remove_file(&path).expect("a path of the server");
    let other = UnixListener::bind(&path).expect("a socket");
    let number = inode(&path);
    lab.listen_also("");
    let old = lab.pid();
    lab.restart_by(Engine::ForkExec);
    lab.wait_line("was passed on and is not wanted");
    lab.wait_line("committed: generation 2");
    wait_gone(old); // which has had it to the end
    assert_eq!(inode(&path), number);
    drop(other);
}

fn what_was_removed_is_bound_anew(engine: Engine) {
    let three = Three::start(|setup| setup);
    let before = three.inodes();
    let mut early = UnixStream::connect(three.files.path("listener")).expect("it listens");
    let connected = UnixDatagram::unbound().expect("a socket");
    connected.connect(three.files.path("datagrams")).expect("it is there");
    three.paths().iter().for_each(|path| fs::remove_file(path).expect("a path of the server"));
    let new = three.server.restart(engine.signal());
    for path in three.paths() {
        let warning = format!("{} was removed by somebody: bound anew", path.display());
        assert_eq!(three.server.count_lines(&warning), 1, "{}", three.server.log());
    }
    assert_eq!(three.answers(), [new; 3]);
    let mode = fs::metadata(three.files.path("control")).expect("a path").permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600);
    let after = three.inodes();
    assert!(before.iter().zip(&after).all(|(before, after)| after.is_some() && before != after));
    // Who came by the old ones is served, or learns that there is a new one.
    early.write_all(b"status\n").expect("the server lives");
    early.read_exact(&mut [0]).expect("an answer");
    connected.send(b"x").expect_err("it would be read by nobody");
    drop(early);

    // From then on all is as before.
    let last = three.server.restart(engine.signal());
    assert_eq!(three.inodes(), after);
    assert_eq!(three.answers(), [last; 3]);
    let files = three.stop();
    for name in ["listener", "datagrams", "control"] {
        assert!(!files.path(name).exists(), "{name} is left behind");
    }
}

fn a_side_that_takes_over_again_has_the_path_that_was_bound_anew(engine: Engine) {
    let files = Dir::new();
    let path = files.path("socket");
    let lab = Lab::with(|setup| {
        let unix = format!("unix:{}", path.display());
        setup.arg("--listen").arg(unix).env("LAB_PROBATION", 60_000)
    });
    fs::remove_file(&path).expect("a path of the server");
    lab.signal(engine.signal());
    lab.wait_line("ready: generation 1");
    let bound = inode(&path);
    assert!(ask_unix(&path, "who").starts_with("1 "));
    slay(lab.pid());
    lab.wait_lines("ready: generation 0", 2);
    assert!(ask_unix(&path, "who").starts_with("0 "));
    assert_eq!(inode(&path), bound);
}

/// The old side has never had them, and so would not remove them.
#[test]
fn what_only_a_new_side_has_bound_goes_when_it_is_rolled_back() {
    let lab = Lab::with(|setup| setup.env("LAB_PROBATION", 60_000));
    let path = lab.scratch("socket");
    lab.listen_also(&format!("unix:{}", path.display()));
    lab.break_programs("roll back");
    lab.signal(Signal::SIGUSR2);
    lab.wait_line("restart: rolled back: lab: as told");
    common::wait_for("its path to go", || !path.exists());
    lab.wait_line("INFO: ready: generation 1");
}

/// Nobody has seen the restart that would have mended it: the next generation does.
#[test]
fn after_a_crash_the_next_generation_binds_anew_what_was_removed() {
    let three = Three::start(|setup| setup.arg("--supervised"));
    let [main, ..] = three.answers();
    three.paths().iter().for_each(|path| fs::remove_file(path).expect("a path of the server"));
    slay(main);
    three.server.wait_line("committed: generation 1");
    common::wait_for("the paths to be there", || three.inodes().iter().all(Option::is_some));
    let [next, ..] = three.answers();
    assert_eq!(three.answers(), [next; 3]);
    // And the supervisor has the same: it makes another one.
    let bound = three.inodes();
    slay(next);
    three.server.wait_line("committed: generation 2");
    assert_eq!(three.inodes(), bound);
    let files = three.stop();
    assert_eq!(
        ["listener", "datagrams", "control"].map(|name| inode(&files.path(name))),
        [None; 3]
    );
}

/// Whoever waits in the old one would be lost with it.
#[test]
fn a_listener_in_which_somebody_waits_is_bound_anew_later() {
    let files = Dir::new();
    let path = files.path("socket");
    let unix = format!("unix:{}", path.display());
    let server = Server::of("lab").listen(unix).env("LAB_CONNECTIONS", 1).start();
    let mut first = UnixStream::connect(&path).expect("it listens");
    first.write_all(b"echo here\n").expect("the server lives");
    first.read_exact(&mut [0; 5]).expect("an answer");
    let mut waiting = UnixStream::connect(&path).expect("it listens");
    waiting.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    waiting.write_all(b"echo here\n").expect("the socket takes it");
    fs::remove_file(&path).expect("a path of the server");
    server.restart(Signal::SIGUSR2);
    server
        .wait_line("does not lead here any more; it is not bound anew while somebody waits in it");
    waiting.read_exact(&mut [0; 5]).expect("an answer of the new one");
    assert!(!path.exists());
    drop(waiting);
    server.restart(Signal::SIGHUP);
    assert_eq!(ask_unix(&path, "echo again"), "again");
}

#[test]
fn where_the_directory_is_gone_the_restart_goes_on() {
    let files = Dir::new();
    let (directory, path) = (files.path("run"), files.path("run/socket"));
    fs::create_dir(&directory).expect("a directory");
    let unix = format!("unix:{}", path.display());
    let server = Server::of("lab").arg("--listen").arg(unix).start();
    fs::remove_dir_all(&directory).expect("a directory of ours");
    let new = server.restart(Signal::SIGHUP);
    server.wait_line("No such file or directory");
    assert_eq!(server.connect().who().pid, new);
    fs::create_dir(&directory).expect("a directory");
    let new = server.restart(Signal::SIGUSR2);
    assert!(ask_unix(&path, "who").contains(&new.to_string()));
}
