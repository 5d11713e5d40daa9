//! Unix sockets beyond their paths: who may connect, names that are in no file system, and which process a
//! client is told of.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::{MetadataExt, PermissionsExt},
            net::{SocketAddr, UnixDatagram, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
};

use crate::common::{
    Client, DEADLINE, Dir, Server, example,
    ops::{AtEnd, Operated, Ran, heirloom, newcomer},
    restart::{Engine, slay},
    run_to_end, wait_for, wait_gone,
};
use nix::sys::{
    signal::Signal,
    socket::{getsockopt, sockopt::PeerCredentials},
};

for_both_engines!(
    clients_are_told_of_the_process_that_serves,
    a_name_in_no_file_system_is_the_same_in_all_generations,
);

/// A probation in milliseconds; who waits for its end has to be told otherwise.
const LONG: u64 = 60_000;

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// An abstract name that no other test has.
fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("heirloom-test-{}-{number}", std::process::id())
}

/// The answer to `who`, or to nothing.
fn ask(mut stream: UnixStream) -> String {
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream.write_all(b"who\n").expect("it is taken");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("an answer");
    line
}

fn dial(name: &str) -> std::io::Result<UnixStream> {
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).expect("a name"))
}

/// In the answer to `who`.
fn pid_in(answer: &str) -> i32 {
    let pid = answer.split(' ').nth(1).and_then(|pid| pid.parse().ok());
    pid.unwrap_or_else(|| panic!("no pid in {answer:?}"))
}

/// The process that a client of a path is told of.
fn told(path: &Path) -> i32 {
    let stream = UnixStream::connect(path).expect("somebody listens");
    getsockopt(&stream, PeerCredentials).expect("a Unix socket").pid()
}

fn clients_are_told_of_the_process_that_serves(engine: Engine) {
    let dir = Dir::new();
    let path = dir.path("socket");
    let lab = Operated::with(LONG, |setup| setup.arg("--listen").arg(unix(&path)));
    let both = || (told(&path), told(&lab.control()));
    let old = lab.pid();
    assert_eq!(both(), (old, old));
    // In the probation, after a roll back, and after a death.
    let flag = format!("--{}", engine.name());
    let restart = lab.heirloom_later(&["restart", &flag]);
    wait_for("the new one to serve", || newcomer(&lab).pid != old);
    let new = newcomer(&lab).pid;
    assert_eq!(both(), (new, new));
    assert_eq!(lab.heirloom(&["rollback"]).status, Some(0));
    assert_eq!((both(), restart.wait().status), ((old, old), Some(1)));
    let restart = lab.heirloom_later(&["restart", &flag]);
    wait_for("the next one to serve", || newcomer(&lab).pid != old);
    slay(newcomer(&lab).pid);
    assert_eq!((restart.wait().status, both()), (Some(1), (old, old)));
    drop(lab);

    let lab = Operated::with(50, |setup| setup.arg("--listen").arg(unix(&path)));
    for _ in 0..2 {
        let old = lab.pid();
        let new = lab.restart_by(engine);
        wait_gone(old);
        assert_eq!((told(&path), told(&lab.control())), (new, new));
    }
}

/// The supervisor has called `listen(2)` as well, and serves nobody.
#[test]
fn clients_are_told_of_the_generation_and_not_of_the_supervisor() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let lab =
        Operated::with(50, |setup| setup.arg("--supervised").arg("--listen").arg(unix(&path)));
    let first = newcomer(&lab).pid;
    assert_eq!(told(&path), first);
    slay(first);
    wait_for("another one to serve", || lab.count_lines("ready: generation 1 ") > 0);
    assert_eq!(told(&path), newcomer(&lab).pid);
}

/// Whatever the umask would give: there is no moment in which somebody else may connect.
#[test]
fn a_path_has_its_permissions_from_its_first_moment() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let done = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = Vec::new();
            loop {
                let is_last = done.load(Ordering::Relaxed);
                if let Ok(meta) = fs::symlink_metadata(&path) {
                    let state = (meta.permissions().mode() & 0o777, meta.uid(), meta.gid());
                    if seen.last() != Some(&state) {
                        seen.push(state);
                    }
                }
                if is_last {
                    break;
                }
            }
            seen
        });
        let at_end = AtEnd(&done);
        let own = fs::metadata(dir.path("")).expect("ours");
        let permissions = format!(",mode=640,owner={},group={}", own.uid(), own.gid());
        let address = format!("{}{permissions}", unix(&path));
        let server = Server::of("lab").listen(&address).start_as(|command| {
            let mut shell = Command::new("sh");
            shell.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(command.get_program());
            shell.args(command.get_args());
            shell
        });
        assert_eq!((server.address.clone(), mode(&path)), (unix(&path), 0o640));
        drop(at_end);
        (watch.join().expect("no panic"), (own.uid(), own.gid()))
    });
    let (seen, (uid, gid)) = seen;
    assert_eq!(seen.last(), Some(&(0o640, uid, gid)));
    assert!(seen.iter().all(|&(mode, ..)| mode == 0 || mode == 0o640), "{seen:?}");
}

/// Who says another owner alone still wants to be connected to.
#[test]
fn a_mode_that_is_not_said_is_as_the_umask_has_it() {
    let dir = Dir::new();
    let own = fs::metadata(dir.path("")).expect("ours");
    let all = [format!("owner={}", own.uid()), format!("group={}", own.gid())];
    for (number, said) in all.iter().enumerate() {
        let path = dir.path(&format!("socket-{number}"));
        let address = format!("{},{said}", unix(&path));
        let lab = Server::of("lab").listen(&address).start_as(|command| {
            let mut shell = Command::new("sh");
            shell.args(["-c", "umask 027; exec \"$@\"", "sh"]).arg(command.get_program());
            shell.args(command.get_args());
            shell
        });
        assert_eq!((lab.address.clone(), mode(&path)), (unix(&path), 0o750), "{said}");
    }
}

/// Those that a program says are there when it stays, and not before.
#[test]
fn another_program_changes_the_permissions_when_it_stays() {
    let dir = Dir::new();
    let (path, list) = (dir.path("socket"), dir.path("list"));
    let say = |permissions| {
        fs::write(&list, format!("{}{permissions}", unix(&path))).expect("a file of ours");
    };
    say(",mode=660");
    let lab = Operated::with(700, |setup| setup.env("LAB_ALSO", list.display()));
    let inode = fs::metadata(&path).expect("it is there").ino();
    assert_eq!((mode(&path), mode(&lab.control())), (0o660, 0o600));
    say(",mode=600");
    let old = lab.pid();
    let restart = lab.heirloom_later(&["restart", "--fork-exec"]);
    wait_for("the new one to serve", || newcomer(&lab).pid != old);
    let during = mode(&path);
    assert_eq!(lab.heirloom(&["rollback"]).status, Some(0));
    assert_eq!((restart.wait().status, during, mode(&path)), (Some(1), 0o660, 0o660));
    lab.restart_by(Engine::ForkExec);
    assert_eq!((mode(&path), fs::metadata(&path).expect("it is there").ino()), (0o600, inode));
    // And one that says nothing leaves them.
    say("");
    lab.restart_by(Engine::ForkExec);
    assert_eq!((mode(&path), fs::metadata(&path).expect("it is there").ino()), (0o600, inode));
}

#[test]
fn permissions_that_make_no_sense_are_refused_by_name_and_leave_nothing() {
    let dir = Dir::new();
    let path = dir.path("socket");
    for (address, why) in [
        (format!("{},mode=999", unix(&path)), "a mode is up to three digits of 0 to 7"),
        (format!("{},owner=no-such-user", unix(&path)), "no user is called no-such-user"),
        (format!("{},group=no-such-group", unix(&path)), "no group is called no-such-group"),
        ("unix:@name,mode=600".to_owned(), "only the path of a Unix socket has a mode"),
    ] {
        for check in [&["--check"][..], &[]] {
            let mut lab = Command::new(example("lab"));
            let ran = run_to_end(lab.args(["--listen", &address]).args(check));
            let err = String::from_utf8_lossy(&ran.stderr).into_owned();
            assert!(ran.status.code() == Some(2) && err.contains(why), "{address}: {err}");
            assert!(!path.exists(), "{address}");
        }
    }
}

/// Listened on, dialed, in use, and with its operators.
fn a_name_in_no_file_system_is_the_same_in_all_generations(engine: Engine) {
    let (name, control) = (name(), format!("@{}", name()));
    let address = format!("unix:@{name}");
    let mut server = Server::of("lab").listen(&address).arg("--control").arg(&control).start();
    assert_eq!(server.address, address);
    let operator = |command: &str| -> Ran {
        let output = heirloom(&PathBuf::from(&control)).arg(command).output();
        Ran::of(output.expect("the program runs"))
    };
    for _ in 0..2 {
        let new = server.restart(engine.signal());
        assert_eq!(pid_in(&ask(dial(&name).expect("somebody listens"))), new);
        let status = operator("status");
        assert!(status.status == Some(0) && status.out.contains(&new.to_string()), "{status:?}");
    }
    // Not in use by mistake.
    let second = run_to_end(Command::new(example("lab")).args(["--listen", &address]));
    let err = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(second.status.code() == Some(2) && err.contains("in use"), "{err}");
    let caller = Server::of("lab").start();
    assert!(caller.connect().ask(&format!("dial {address}")).starts_with("dialed unix:pid="));
    assert_eq!(operator("stop").status, Some(0));
    server.wait_exit();
    wait_for("the name to be free", || dial(&name).is_err());
    assert!(!Path::new(&control).exists());
}

#[test]
fn datagrams_come_by_a_name_in_no_file_system() {
    let (name, own) = (name(), name());
    let server = Server::of("flows").arg("--datagrams").arg(format!("unix:@{name}")).start();
    server.wait_line(&format!("unixgram:@{name}"));
    let bound = SocketAddr::from_abstract_name(own).expect("a name");
    let pen = UnixDatagram::bind_addr(&bound).expect("a free name");
    pen.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let new = server.restart(Signal::SIGUSR2);
    pen.send_to_addr(b"new 1 hello", &address).expect("somebody reads");
    let mut answer = [0; 100];
    let length = pen.recv(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(answer.contains(&format!(" {new} ")), "{answer}");
    let _ = Client::connect(&server.address);
}
