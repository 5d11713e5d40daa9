//! What a server has on disk, in a directory where others have something, too: its pid file is nobody else's,
//! it touches nobody else's file, and it waits for nothing that somebody has put there.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::common::{
    Dir, Server, copy, example, in_session,
    ops::names,
    place,
    restart::{Engine, Lab, slay, tell},
    run_to_end, wait_for, wait_gone,
};
use nix::{
    sys::{signal::Signal, stat::Mode},
    unistd::mkfifo,
};

/// A second lab that is to be refused, and what it says.
fn refused(pid_file: &Path) -> String {
    let mut second = Command::new(example("lab"));
    second.args(["--listen", "127.0.0.1:0", "--pid-file"]).arg(pid_file);
    let output = run_to_end(&mut second);
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{why}");
    why
}

/// Lets a new generation serve and die in its probation, so that the old one puts its number back.
fn roll_back(lab: &Lab, engine: Engine) {
    let old = lab.pid();
    let (ready, verdict) =
        (format!("[{old}] INFO: ready: "), "the new side ended in its probation");
    let (readies, verdicts) = (lab.count_lines(&ready), lab.count_lines(verdict));
    lab.signal(engine.signal());
    wait_for("the new side to serve", || lab.pid() != old);
    slay(lab.pid());
    lab.wait_lines(&ready, readies + 1);
    lab.wait_lines(verdict, verdicts + 1);
    assert_eq!(lab.pid(), old);
}

/// The old side's number is known, and so would be a name that is made of it.
#[test]
fn a_link_or_a_fifo_in_the_directory_of_the_pid_file_is_in_nobodys_way() {
    let lab = Lab::with(|setup| setup.env("LAB_PROBATION", 60_000));
    let (old, file) = (lab.pid(), lab.dir.path("pid"));
    let victim = lab.dir.path("victim");
    fs::write(&victim, "precious").expect("a file");
    let trap = lab.dir.path(&format!("pid.{old}"));
    symlink(&victim, &trap).expect("a link");
    roll_back(&lab, Engine::Fork);
    assert_eq!(fs::read_to_string(&victim).expect("a file"), "precious");
    fs::remove_file(&trap).expect("a link of ours");
    mkfifo(&trap, Mode::S_IRWXU).expect("a FIFO");
    roll_back(&lab, Engine::ForkExec);
    assert_eq!(
        names(file.parent().expect("a directory")),
        ["pid", &format!("pid.{old}"), "victim"]
    );
}

#[test]
fn whatever_is_at_the_path_of_the_pid_file_is_replaced_at_the_start_and_nothing_is_opened() {
    for what in ["link", "loop", "fifo"] {
        let dir = Dir::new();
        let (file, victim) = (dir.path("pid"), dir.path("victim"));
        fs::write(&victim, "precious").expect("a file");
        match what {
            "link" => symlink(&victim, &file).expect("a link"),
            "loop" => symlink(&file, &file).expect("a link"),
            _ => mkfifo(&file, Mode::S_IRWXU).expect("a FIFO"),
        }
        let mut command = in_session(example("lab"));
        command.args(["--listen", "127.0.0.1:0", "--pid-file"]).arg(&file);
        let server = Server::spawn(command, dir);
        server.wait_line("ready: generation 0");
        assert_eq!(server.pid(), server.child.id() as i32);
        assert!(fs::symlink_metadata(&file).expect("a file").is_file());
        assert_eq!(fs::read_to_string(&victim).expect("a file"), "precious");
    }
}

/// To read it there, in order to see whose number it holds, would be to wait for a writer.
#[test]
fn a_fifo_in_place_of_the_pid_file_does_not_hold_up_a_stop() {
    let mut server = Server::of("lab").start();
    let file = server.dir.path("pid");
    fs::remove_file(&file).expect("the pid file");
    mkfifo(&file, Mode::S_IRWXU).expect("a FIFO");
    tell(server.child.id() as i32, Signal::SIGTERM);
    assert!(server.wait_exit().success());
    assert!(file.exists(), "it was not ours to remove");
}

#[test]
fn a_second_server_with_the_same_pid_file_is_refused_while_the_first_one_lives() {
    let lab = Lab::with(|setup| setup.env("LAB_PROBATION", 50));
    let file = lab.dir.path("pid");
    let assert_refused = || {
        let (why, holder) = (refused(&file), lab.pid());
        assert!(why.contains(&format!("held by process {holder}, which lives")), "{why}");
        assert_eq!(lab.pid(), holder);
    };
    assert_refused();
    for engine in [Engine::Fork, Engine::ForkExec, Engine::ForkExec, Engine::Fork] {
        let old = lab.pid();
        lab.restart_by(engine);
        assert_refused();
        wait_gone(old);
        assert_refused();
    }
    // Nobody is asked who would be in the way: the server that is to be replaced is.
    let mut check = Command::new(example("lab"));
    let check = check.args(["--check", "--listen", "127.0.0.1:0", "--pid-file"]).arg(&file);
    assert!(run_to_end(check).status.success());
    // By another name it is the same file.
    refused(&lab.dir.path("../").join(lab.dir.path("").file_name().expect("a name")).join("pid"));

    // What a crash has left is in nobody's way.
    slay(lab.pid());
    let mut command = in_session(example("lab"));
    command.args(["--listen", "127.0.0.1:0", "--pid-file"]).arg(&file);
    let next = Server::spawn(command, Dir::new());
    next.wait_line("ready: generation 0");
    assert_eq!(lab.pid(), next.child.id() as i32);
}

#[test]
fn the_one_that_serves_again_after_a_roll_back_has_its_pid_file() {
    let lab = Lab::with(|setup| setup.env("LAB_PROBATION", 60_000));
    for engine in [Engine::ForkExec, Engine::Fork] {
        roll_back(&lab, engine);
        let why = refused(&lab.dir.path("pid"));
        assert!(why.contains(&format!("held by process {}, which lives", lab.pid())), "{why}");
    }
}

#[test]
fn a_supervisor_has_its_pid_file_whatever_becomes_of_the_generations() {
    let server = Server::of("lab").arg("--supervised").env("LAB_PROBATION", 50).start();
    let (supervisor, file) = (server.pid(), server.dir.path("pid"));
    let main = || server.connect().who();
    for generation in 1..3 {
        refused(&file);
        server.restart(Signal::SIGUSR2);
        let who = main();
        assert_eq!((who.generation, server.pid()), (generation * 2 - 1, supervisor));
        refused(&file);
        slay(who.pid); // and before there is another:
        refused(&file);
        server.wait_line(&format!("ready: generation {}", generation * 2));
    }
    // Somebody has removed it: it is back with the next restart, and held as before.
    fs::remove_file(&file).expect("the pid file");
    tell(supervisor, Signal::SIGHUP);
    wait_for("the supervisor to hold it", || server.count_lines("is main") >= 6);
    let is_back = || fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n'));
    wait_for("the pid file to be back", is_back);
    assert_eq!(server.pid(), supervisor);
    slay(main().pid);
    refused(&file);
}

/// It was removed, and another server has made one there: that one's number stays, and its file.
#[test]
fn a_pid_file_that_is_another_servers_by_now_is_left_alone() {
    let mut lab = Lab::with(|setup| setup.env("LAB_PROBATION", 50));
    let file = lab.dir.path("pid");
    fs::remove_file(&file).expect("the pid file");
    let mut command = in_session(example("lab"));
    command.args(["--listen", "127.0.0.1:0", "--pid-file"]).arg(&file);
    let other = Server::spawn(command, Dir::new());
    other.wait_line("ready: generation 0");
    let pid = other.child.id() as i32;
    assert_eq!(lab.pid(), pid);

    let held = format!("it is held by process {pid}, which lives");
    let refused = lab.connect().ask("restart fork-exec");
    assert!(refused.starts_with("error restart: ") && refused.contains(&held), "{refused}");
    assert!(lab.connect().ask("restart fork").starts_with("ok 1"));
    let line = lab.wait_line("ERROR: write pid file");
    assert!(line.ends_with(&held), "{line}");
    assert_eq!(lab.pid(), pid);
    let main = lab.connect().who().pid;
    tell(main, Signal::SIGTERM);
    wait_gone(main);
    assert!(lab.wait_exit().success());
    assert_eq!(lab.pid(), pid);
}

/// Processes that end with the test, also when it fails.
struct Crowd(Vec<Child>);

impl Crowd {
    fn running(&mut self) -> Vec<u32> {
        let running = |child: &mut Child| child.try_wait().expect("our child").is_none();
        self.0.iter_mut().filter_map(|child| running(child).then(|| child.id())).collect()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// So many labs at the same moment.
fn crowd(count: usize, args: &[&OsStr]) -> Crowd {
    let start = |_| {
        let mut command = Command::new(example("lab"));
        command.args(args).stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
    };
    Crowd((0..count).map(start).collect())
}

/// Several times: one has it, and the others are refused.
#[test]
fn of_servers_that_start_at_the_same_moment_one_has_the_pid_file() {
    let dir = Dir::new();
    let file = dir.path("pid");
    for round in 0..10 {
        if round % 2 == 1 {
            fs::write(&file, "1\n").expect("what a crash has left");
        }
        let listen = ["--listen", "127.0.0.1:0", "--pid-file"].map(OsStr::new);
        let mut all = crowd(8, &[&listen[..], &[file.as_os_str()]].concat());
        wait_for("all but one to be refused", || all.running().len() <= 1);
        let winner = all.running();
        assert_eq!(winner.len(), 1, "nobody has it");
        wait_for("the pid file", || {
            fs::read_to_string(&file).is_ok_and(|text| text == format!("{}\n", winner[0]))
        });
        drop(all);
        assert_eq!(names(&dir.path("")), ["pid"]);
        fs::remove_file(&file).expect("what it has left");
    }
}

/// A limit on the size of files is a full disk that nobody needs root for. Not for a new program, whose
/// disposition for SIGXFSZ is the default.
#[test]
fn on_a_full_disk_the_old_pid_file_stays_and_nothing_else() {
    let lab = Lab::started(|setup| {
        setup.start_as(|command| {
            let mut shell = in_session("sh");
            shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).args(command.get_args());
            shell.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
            shell
        })
    });
    let limit = |pid: i32, bytes: &str| {
        let pid = format!("--pid={pid}");
        let set = Command::new("prlimit").args([&pid, &format!("--fsize={bytes}:")]).status();
        assert!(set.expect("prlimit(1) runs").success());
    };
    let (old, directory) = (lab.pid(), lab.dir.path(""));
    // So that a part of the number fits, as it might on a disk.
    limit(old, "1");
    let new = lab.restart_by(Engine::Fork);
    let line = lab.wait_line("ERROR: write pid file");
    assert!(line.starts_with(&format!("[{new}]")) && line.contains("File too large"), "{line}");
    assert_eq!(lab.pid(), old, "the old file is not there any more");
    assert_eq!(names(&directory), ["pid"]);
    wait_gone(old);
    refused(&lab.dir.path("pid")); // it is held, whatever number is in it
    limit(new, "unlimited");
    assert!(lab.connect().ask("restart fork").starts_with("ok 2"));
    let newer = lab.connect().who().pid;
    assert_eq!(lab.pid(), newer);
    assert_eq!(names(&directory), ["pid"]);
    // Who ends with a number in it that is nobody's any more leaves it to nobody.
    wait_gone(new);
    limit(newer, "1");
    let last = lab.restart_by(Engine::Fork);
    wait_gone(newer);
    assert_eq!(lab.pid(), newer);
    tell(last, Signal::SIGTERM);
    wait_gone(last);
    assert_eq!(names(&directory), [""; 0]);
}

/// As programs that are killed while they write the pid file would leave it.
#[test]
fn what_a_new_side_has_left_that_was_killed_goes_with_it() {
    for supervised in [false, true] {
        let programs = Dir::new();
        let program = programs.path("server");
        copy(&example("lab"), &program);
        let mut server = Server::of("lab").program(&program).env("LAB_READY", 500);
        if supervised {
            server = server.arg("--supervised");
        }
        let mut server = server.start();
        let (pid_file, main) = (server.dir.path("pid"), server.connect().ask("who"));
        let main = main.split(' ').nth(1).and_then(|pid| pid.parse().ok()).expect("a pid");
        let script = format!("#!/bin/sh\n: >{}.$$-0\nexec sleep 600\n", pid_file.display());
        place(script, 0o755, &program);
        let directory = server.dir.path("");
        let wait_left = || wait_for("something to be left", || names(&directory).len() == 2);
        if supervised {
            // It makes a generation itself, which has no time to serve.
            slay(main);
        } else {
            server.signal(Signal::SIGUSR2);
        }
        wait_left();
        tell(server.child.id() as i32, Signal::SIGTERM);
        server.wait_exit();
        assert_eq!(names(&directory), [""; 0], "supervised: {supervised}");
    }
}
