//! What a server is known by outside: its pid file, the paths of its Unix sockets, and sockets that a
//! service manager has opened for it. Each through restarts, roll backs, stops and crashes.

use std::{
    fs,
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt, MetadataExt},
            net::UnixListener,
        },
    },
    path::Path,
    process::{Command, Stdio},
};

use crate::common::{
    Client, Dir, Server, ask_unix, example, in_session, leave_socket, wait_for, wait_gone,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const ENGINES: [Signal; 2] = [Signal::SIGHUP, Signal::SIGUSR2];

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("it is there");
}

fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).expect("a file").ino()
}

// The pid file.

#[test]
fn the_pid_file_names_the_one_that_serves_and_goes_with_the_last() {
    for engine in ENGINES {
        let server = Server::of("lab").env("LAB_PROBATION", 50).start();
        let file = server.dir.path("pid");
        let old = server.pid();
        let client = server.connect();
        let new = server.restart(engine);
        assert_eq!(server.pid(), new);
        drop(client);
        wait_gone_or_reaped(&server, old);
        assert_eq!(server.pid(), new, "the old one has left the new one's file alone");
        send(new, Signal::SIGTERM);
        wait_gone(new);
        assert!(!file.exists());
        let left: Vec<_> = fs::read_dir(file.parent().expect("a directory")).expect("it").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The first process is the test's own child, and stays a zombie.
fn wait_gone_or_reaped(server: &Server, pid: i32) {
    server.wait_line(&format!("[{pid}] INFO: drained"));
    wait_gone(pid);
}

#[test]
fn the_pid_file_is_put_back_by_a_roll_back() {
    for engine in ENGINES {
        let server = Server::of("lab").env("LAB_PROBATION", 60_000).start();
        let old = server.pid();
        server.signal(engine);
        server.wait_line("ready: generation 1");
        let new = server.pid();
        assert_ne!(new, old);
        send(new, Signal::SIGKILL);
        server.wait_lines("ready: generation 0", 2);
        assert_eq!(server.pid(), old);
    }
}

#[test]
fn a_pid_file_that_is_not_ours_is_replaced_at_the_start_and_left_at_the_end() {
    let dir = Dir::new();
    let file = dir.path("pid");
    fs::write(&file, "1\n").expect("what a crash has left");
    let mut command = in_session(example("lab"));
    command.args(["--listen", "127.0.0.1:0", "--pid-file"]).arg(&file);
    let mut server = Server::spawn(command, dir);
    server.wait_line("ready: generation 0");
    assert_eq!(server.pid(), server.child.id() as i32);
    fs::write(&file, "1\n").expect("somebody else's number");
    send(server.child.id() as i32, Signal::SIGTERM);
    assert!(server.wait_exit().success());
    assert_eq!(fs::read_to_string(&file).expect("it is left"), "1\n");
}

// The paths of Unix sockets.

#[test]
fn scenario_16_a_unix_socket_stays_through_restarts_and_roll_backs_and_goes_with_the_last() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let listen = format!("unix:{}", path.display());
    let mut server = Server::of("lab").listen(listen).env("LAB_PROBATION", 50).start();
    let first = inode(&path);
    let mut serving = server.pid();
    for (number, engine) in ENGINES.into_iter().enumerate() {
        server.signal(engine);
        // The path is never missing for a client that connects.
        while server.count_lines("restart: done") <= number {
            assert!(!ask_unix(&path, "who").is_empty());
        }
        let new = server.pid();
        assert_ne!(new, serving);
        serving = new;
        assert_eq!(inode(&path), first);
    }
    assert!(server.wait_exit().success(), "the first has ended, and its socket is somebody else's");
    assert_eq!(inode(&path), first);
    send(serving, Signal::SIGTERM);
    wait_gone(serving);
    assert!(!path.exists());

    // A roll back, and a stop of the one that came back.
    let listen = format!("unix:{}", path.display());
    let mut server = Server::of("lab").listen(listen).env("LAB_PROBATION", 60_000).start();
    let (old, first) = (server.pid(), inode(&path));
    for (number, engine) in ENGINES.into_iter().enumerate() {
        server.signal(engine);
        server.wait_line(&format!("ready: generation {}", number + 1));
        send(server.pid(), Signal::SIGKILL);
        server.wait_lines("ready: generation 0", number + 2);
        assert_eq!(inode(&path), first);
        assert_eq!(ask_unix(&path, "who"), format!("0 {old} none"));
    }
    server.signal(Signal::SIGTERM);
    assert!(server.wait_exit().success());
    assert!(!path.exists());
}

#[test]
fn scenario_16_a_stale_unix_socket_is_replaced_and_a_foreign_one_is_not() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let listen = format!("unix:{}", path.display());
    leave_socket(&path); // as a crash does
    let mut server = Server::of("lab").listen(&listen).start();
    server.wait_line("is a stale socket, replacing it");

    // Somebody has put another one in its place: that is not ours to remove.
    fs::remove_file(&path).expect("it is there");
    let foreign = UnixListener::bind(&path).expect("a socket");
    let number = inode(&path);
    server.signal(Signal::SIGTERM);
    assert!(server.wait_exit().success());
    assert_eq!(inode(&path), number);

    let refused = Command::new(example("lab")).args(["--listen", &listen]).output();
    let refused = refused.expect("it starts");
    assert_eq!(refused.status.code(), Some(2));
    let why = String::from_utf8_lossy(&refused.stderr);
    assert!(why.contains(&format!("listen on {listen}: Address already in use")), "{why}");
    assert_eq!(inode(&path), number);
    drop(foreign);

    // Nor is a file that is no socket.
    fs::remove_file(&path).expect("it is there");
    fs::write(&path, "precious").expect("a file");
    let refused = Command::new(example("lab")).args(["--listen", &listen]).output();
    assert_eq!(refused.expect("it starts").status.code(), Some(2));
    assert!(!fs::symlink_metadata(&path).expect("it is left").file_type().is_socket());
}

#[test]
fn scenario_16_a_unix_socket_that_a_new_program_does_not_want_goes_when_it_commits() {
    let dir = Dir::new();
    let (path, wanted, less) = (dir.path("socket"), dir.path("wanted"), dir.path("less"));
    let program = dir.path("program");
    // A program whose next version listens at one place less.
    let script = format!(
        "#!/bin/bash\n\
         if [ -e {less} ]; then set -- --listen unix:{wanted} --pid-file {pid}; fi\n\
         exec -a \"$0\" {lab} \"$@\"\n",
        less = less.display(),
        wanted = wanted.display(),
        pid = dir.path("pid").display(),
        lab = example("lab").display(),
    );
    // Written by another process: a file that this one, or a child of it on its way to `exec`, has open
    // for writing cannot be run.
    let write = "printf %s \"$1\" >\"$2\" && chmod +x \"$2\"";
    let written = Command::new("sh").args(["-c", write, "sh", &script]).arg(&program).status();
    assert!(written.expect("a shell").success());
    let mut command = in_session(&program);
    command
        .arg("--listen")
        .arg(format!("unix:{}", wanted.display()))
        .arg("--listen")
        .arg(format!("unix:{}", path.display()))
        .arg("--pid-file")
        .arg(dir.path("pid"))
        .env("LAB_PROBATION", "300");
    let mut server = Server::spawn(command, dir);
    server.wait_line("ready: generation 0");
    let first = inode(&wanted);
    fs::write(&less, "").expect("a file");

    // One that is killed in its probation has taken nothing away.
    server.signal(Signal::SIGUSR2);
    server.wait_line("ready: generation 1");
    assert!(path.exists());
    send(server.pid(), Signal::SIGKILL);
    server.wait_lines("ready: generation 0", 2);
    assert!(ask_unix(&path, "who").starts_with("0 "));

    server.signal(Signal::SIGUSR2);
    server.wait_line("committed: generation 2");
    assert!(server.wait_exit().success()); // the old side has had it to the end, and removes it
    assert!(!path.exists());
    assert_eq!(inode(&wanted), first);
    assert!(ask_unix(&wanted, "who").starts_with("2 "));
}

// Sockets that a service manager has opened.

/// A program as a service manager starts it: `sockets` are its descriptors from 3 on, at most two, which
/// come by way of its standard input and output.
fn activated(dir: Dir, sockets: Vec<OwnedFd>, variables: &str, listen: &[&str]) -> Server {
    let script = format!(
        "exec 3<&0 {second} 0</dev/null 1>&2\nexec env LISTEN_FDS={count} {variables} \"$0\" \"$@\"",
        second = if sockets.len() > 1 { "4<&1" } else { "" },
        count = sockets.len(),
    );
    let mut command = in_session("sh");
    command.args(["-c", &script]).arg(example("lab"));
    command.args(listen.iter().flat_map(|address| ["--listen", *address]));
    command.arg("--pid-file").arg(dir.path("pid")).env("LAB_PROBATION", "50");
    let mut sockets = sockets.into_iter();
    command.stdin(Stdio::from(sockets.next().expect("a socket")));
    if let Some(second) = sockets.next() {
        command.stdout(Stdio::from(second));
    }
    Server::spawn_with_stdin(command, dir)
}

/// A listening socket, the manager's own copy of it, and its address.
fn tcp() -> (OwnedFd, TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    (listener.try_clone().expect("a copy").into(), listener, address)
}

/// Waits until a program has ended that could not start, and answers what it said.
fn refusal(mut server: Server) -> String {
    assert_eq!(server.wait_exit().code(), Some(2), "{}", server.log());
    server.wait_line("lab: ")
}

#[test]
fn scenario_24_activated_sockets_are_found_by_name_in_all_generations() {
    let (web, _kept, web_address) = tcp();
    let (admin, _kept, admin_address) = tcp();
    let variables = "LISTEN_PID=$$ LISTEN_FDNAMES=web:admin";
    let listen = ["systemd:admin", "systemd:web"];
    let server = activated(Dir::new(), vec![web, admin], variables, &listen);
    let ready = server.wait_line("ready: generation 0");
    assert!(ready.ends_with(&format!("listening on {admin_address}, {web_address}")), "{ready}");
    for (number, engine) in ENGINES.into_iter().enumerate() {
        let new = server.restart(engine);
        let ready = server.wait_line(&format!("ready: generation {}", number + 1));
        assert!(ready.ends_with(&format!("{admin_address}, {web_address}")), "{ready}");
        for address in [&web_address, &admin_address] {
            let who = Client::connect(address).ask("who");
            assert!(who.starts_with(&format!("{} {new} ", number + 1)), "{who}");
        }
        // What is about the manager's sockets is for the first process alone.
        let environment = fs::read(format!("/proc/{new}/environ")).expect("its environment");
        let environment = String::from_utf8_lossy(&environment);
        if engine == Signal::SIGUSR2 {
            assert!(environment.contains("LAB_PROBATION"), "{environment}");
            assert!(!environment.contains("LISTEN_"), "{environment}");
        }
    }
    // The upgrade is to the same version here, and that is all there is to warn of.
    server.wait_line("WARN: restart: ");
    server.wait_line("is the very file that already runs");
    assert_eq!(server.count_lines("WARN"), 1, "{}", server.log());
}

#[test]
fn scenario_24_all_sockets_of_one_name_are_served() {
    let (one, _kept, first) = tcp();
    let (two, _kept, second) = tcp();
    let variables = "LISTEN_PID=$$ LISTEN_FDNAMES=web:web";
    let server = activated(Dir::new(), vec![one, two], variables, &["systemd:web"]);
    server.wait_line("ready: generation 0");
    let new = server.restart(Signal::SIGUSR2);
    for address in [first, second] {
        assert_eq!(Client::connect(&address).ask("who"), format!("1 {new} fork-exec"));
    }
}

#[test]
fn scenario_24_an_activated_socket_is_found_by_its_address_with_or_without_a_name() {
    for names in ["", "LISTEN_FDNAMES=x"] {
        let (socket, kept, address) = tcp();
        let variables = format!("LISTEN_PID=$$ {names}");
        let mut server = activated(Dir::new(), vec![socket], &variables, &[&address]);
        server.wait_line("ready: generation 0");
        let new = server.restart(Signal::SIGUSR2);
        assert_eq!(Client::connect(&address).ask("who"), format!("1 {new} fork-exec"));
        assert!(server.wait_exit().success());

        // A crash: the manager has the socket, so that nobody is refused until it is started again.
        send(new, Signal::SIGKILL);
        wait_gone(new);
        let mut client = Client::connect(&address);
        let variables = format!("LISTEN_PID=$$ {names}");
        let again = activated(Dir::new(), vec![kept.into()], &variables, &[&address]);
        assert_eq!(client.ask("echo at last"), "at last");
        drop(again);
    }
}

#[test]
fn scenario_24_sockets_without_a_name_are_called_unknown() {
    let (socket, _kept, address) = tcp();
    let server = activated(Dir::new(), vec![socket], "LISTEN_PID=$$", &["systemd:unknown"]);
    server.wait_line("ready: generation 0");
    assert_eq!(Client::connect(&address).ask("echo here"), "here");
}

#[test]
fn scenario_24_sockets_for_another_process_are_ignored() {
    let (socket, kept, _) = tcp();
    drop(kept);
    let variables = "LISTEN_PID=1 LISTEN_FDNAMES=web";
    let server = activated(Dir::new(), vec![socket], variables, &["127.0.0.1:0"]);
    server.wait_line("WARN: the sockets for process 1 are not for this one");
    server.wait_line("ready: generation 0");

    let (socket, _kept, _) = tcp();
    let variables = "LISTEN_PID=1 LISTEN_FDNAMES=web";
    let server = activated(Dir::new(), vec![socket], variables, &["systemd:web"]);
    let why = refusal(server);
    assert!(why.contains("listen on systemd:web: no socket of that name was passed on"), "{why}");
}

#[test]
fn scenario_24_an_activated_socket_that_nobody_wants_is_closed_with_a_warning() {
    let (web, _kept, address) = tcp();
    let (spare, kept, spare_address) = tcp();
    let variables = "LISTEN_PID=$$ LISTEN_FDNAMES=web:spare";
    let server = activated(Dir::new(), vec![web, spare], variables, &["systemd:web"]);
    server.wait_line("ready: generation 0");
    let warnings = server.wait_lines("WARN: activated spare was passed on and is not wanted", 1);
    assert_eq!(server.count_lines("WARN"), warnings.len(), "{}", server.log());
    assert_eq!(Client::connect(&address).ask("echo here"), "here");
    drop(kept);
    wait_for("nobody to have it any more", || TcpStream::connect(&spare_address).is_err());
}

#[test]
fn scenario_24_a_socket_that_cannot_be_served_is_refused_with_the_reason() {
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let server = activated(Dir::new(), vec![udp.into()], "LISTEN_PID=$$", &["127.0.0.1:0"]);
    let why = refusal(server);
    assert!(why.contains("take over activated unknown: a datagram socket; only streams"), "{why}");

    let (_listener, _kept, address) = tcp();
    let single = TcpStream::connect(address).expect("it listens");
    let server = activated(Dir::new(), vec![single.into()], "LISTEN_PID=$$", &["127.0.0.1:0"]);
    let why = refusal(server);
    assert!(why.contains("it does not listen"), "{why}");

    let (socket, _kept, _) = tcp();
    let variables = "LISTEN_PID=$$ LISTEN_FDNAMES=a:b:c";
    let why = refusal(activated(Dir::new(), vec![socket], variables, &["systemd:a"]));
    assert!(why.contains("take over activated sockets: invalid LISTEN_FDNAMES"), "{why}");
}

#[test]
fn scenario_24_the_path_of_an_activated_unix_socket_is_the_managers() {
    let dir = Dir::new();
    let path = dir.path("socket");
    let kept = UnixListener::bind(&path).expect("a socket");
    let first = inode(&path);
    let address = format!("unix:{}", path.display());
    let socket = kept.try_clone().expect("a copy").into();
    let mut server = activated(Dir::new(), vec![socket], "LISTEN_PID=$$", &[&address]);
    server.wait_line("ready: generation 0");
    let mut last = 0;
    for engine in ENGINES {
        last = server.restart(engine);
        assert!(ask_unix(&path, "who").contains(&last.to_string()));
    }
    assert!(server.wait_exit().success());
    send(last, Signal::SIGTERM);
    wait_gone(last);
    assert_eq!(inode(&path), first);
}
