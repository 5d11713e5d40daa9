//! The control socket and the program that talks to it: what an operator asks is answered, by the
//! generation that can, however it is asked.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::common::{
    self, Dir,
    ops::{AtEnd, Control, Operated, Ran, heirloom, newcomer, restart_to_the_end},
    restart::{Engine, resume, stop},
    wait_for, wait_gone,
};
use nix::sys::signal::Signal;

for_both_engines!(
    a_verdict_tells_who_and_how_long_each_step_took,
    in_probation_each_side_knows_both,
);

fn flag(engine: Engine) -> String {
    format!("--{}", engine.name())
}

#[test]
fn a_status_lists_every_generation() {
    let lab = Operated::with(20, |setup| setup);
    let mut clients = Vec::new();
    for engine in Engine::alternating().take(3) {
        let mut client = lab.connect();
        clients.push((client.who(), client));
        lab.restart_by(engine);
    }
    let mut last = lab.connect();
    clients.push((last.who(), last));
    clients[0].1.ask("hold a job");
    let rows = lab.status();
    assert_eq!(rows.len(), 4);
    for (row, (who, _)) in rows.iter().zip(clients.iter().rev()) {
        assert_eq!(row.get("generation"), who.generation.to_string());
        assert_eq!((row.pid(), row.get("engine")), (who.pid, &*who.engine));
        let phase = if who.generation == 3 { "serving" } else { "draining" };
        assert_eq!((row.get("phase"), row.get("connections")), (phase, "1"));
        let seconds = |name| row.get(name).parse::<f64>().expect("seconds");
        assert!(seconds("age") >= seconds("oldest"), "{row:?}");
        assert_eq!(row.get("holds"), if who.generation == 0 { "1" } else { "0" });
    }

    let ran = lab.heirloom(&["status"]);
    assert_eq!((ran.status, ran.out.lines().count()), (Some(0), 5), "{ran:?}");
    let ran = lab.heirloom(&["status", "--json"]);
    let objects: Vec<_> = ran.out.trim().trim_matches(['[', ']']).split("},{").collect();
    assert_eq!((ran.status, objects.len()), (Some(0), 4), "{ran:?}");
    for (object, (who, _)) in objects.iter().zip(clients.iter().rev()) {
        let has = |field: &str| object.contains(field);
        assert!(has(&format!("\"generation\":{},", who.generation)), "{object}");
        assert!(has(&format!("\"pid\":{},", who.pid)) && has("\"connections\":1,"), "{object}");
        let held = if who.generation == 0 { "\"held\":\"a_job\"" } else { "\"held\":null" };
        assert!(has(held) && object.matches("null").count() == held.matches("null").count());
        let private = object.split("\"private_bytes\":").nth(1).expect(object);
        let private: u64 = private.split(',').next().and_then(|n| n.parse().ok()).expect(object);
        assert!(private > 4096, "{object}");
    }
}

/// One that does not answer costs half a second, and is listed as what it is.
#[test]
fn a_generation_that_says_nothing_is_silent() {
    let lab = Operated::with(20, |setup| setup);
    let old = lab.pid();
    let mut client = lab.connect();
    client.who();
    lab.restart_by(Engine::Fork);
    stop(old);
    let begun = Instant::now();
    let ran = lab.heirloom(&["status", "--json"]);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let silent = format!("\"pid\":{old},\"engine\":\"none\",\"phase\":\"silent\",\"age\":null,");
    assert!(ran.out.contains(&silent), "{ran:?}");
    resume(old);
    wait_for("it to answer again", || lab.status()[1].get("phase") == "draining");
    drop(client);
    wait_gone(old);
    assert_eq!(lab.status().len(), 1);
}

fn in_probation_each_side_knows_both(engine: Engine) {
    let lab = Operated::with(15_000, |setup| setup);
    let mut early = Control::connect(&lab.control()).expect("it is there");
    early.ask("help");
    let restart = lab.heirloom_later(&["restart", &flag(engine)]);
    wait_for("the new one to serve", || newcomer(&lab).generation == 1);
    let of_new: Vec<_> = lab.status().iter().map(|row| row.get("phase").to_owned()).collect();
    assert_eq!(of_new, ["probation", "released"]);
    let of_old = early.ask("status");
    assert!(of_old[1].contains("generation=1") && of_old[1].contains("phase=probation"));
    assert!(of_old[2].contains("generation=0") && of_old[2].contains("phase=released"));
    lab.request("rollback");
    assert_eq!(restart.wait().status, Some(1));
}

fn a_verdict_tells_who_and_how_long_each_step_took(engine: Engine) {
    let lab = Operated::with(200, |setup| setup);
    let ran = lab.heirloom(&["restart", &flag(engine)]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let lines: Vec<_> = ran.out.lines().collect();
    let head = format!("generation 1 is pid {}, by {}, in ", lab.pid(), engine.name());
    assert!(lines[0].starts_with(&head), "{ran:?}");
    let step = |line: &str, name: &str| -> f64 {
        let time = line.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
        time.and_then(|time| time.strip_suffix("ms")).and_then(|ms| ms.parse().ok()).expect(line)
    };
    let steps = [step(lines[1], "made"), step(lines[2], "ready"), step(lines[3], "committed")];
    assert!(steps[0] > 0.0 && steps[0] < steps[1] && steps[1] + 200.0 <= steps[2], "{steps:?}");
    match engine {
        Engine::Fork => {
            assert_eq!(lines.len(), 5, "nothing is written down: {ran:?}");
            assert!(lines[4].starts_with("unprepared=a heap of "), "{ran:?}");
        }
        Engine::ForkExec => assert!(step(lines[4], "saved") < steps[1], "{ran:?}"),
    }
}

#[test]
fn a_failure_tells_why_with_the_last_words_and_the_exit_status_says_so() {
    let lab = Operated::with(20, |setup| setup);
    for (how, status, words) in [
        ("exit", "exit status 3", "lab: the configuration is broken"),
        ("panic", "exit status 101", "lab: as told"),
    ] {
        lab.break_programs(how);
        let ran = lab.heirloom(&["restart", "--fork-exec"]);
        assert_eq!((ran.status, &*ran.out), (Some(1), ""), "{ran:?}");
        assert!(ran.err.contains(status) && ran.err.contains(words), "{ran:?}");
    }
    // Several lines are several lines, and none of them is empty.
    let reply = lab.request("restart fork-exec");
    assert!(reply[0].starts_with("error: restart: the new side ended") && reply.len() > 1);
    lab.mend_programs();
    assert_eq!(restart_to_the_end(&lab, Engine::ForkExec).generation, 1);
}

#[test]
fn what_cannot_be_asked_is_another_exit_status() {
    let dir = Dir::new();
    let run = |args: &[&str]| {
        let output = heirloom(&dir.path("nobody")).args(args).output().expect("it runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let (status, err) = run(&["status"]);
    assert!(status == Some(2) && err.contains("nobody: No such file"), "{status:?} {err}");
    for args in [&["dance"][..], &[], &["status", "--fork"], &["status", "again"], &["--wrong"]] {
        let (status, err) = run(args);
        assert!(status == Some(2) && !err.is_empty(), "{args:?}: {status:?} {err}");
    }
    let bare = Command::new(env!("CARGO_BIN_EXE_heirloom"))
        .arg("status")
        .env_remove("HEIRLOOM_CONTROL")
        .output()
        .expect("it runs");
    assert_eq!(bare.status.code(), Some(2));
}

#[test]
fn lines_of_text_are_all_that_it_takes() {
    let lab = Operated::with(20, |setup| setup);
    let mut raw = Control::connect(&lab.control()).expect("it is there");
    // Two requests in one piece, and one in two.
    raw.send("help\nstatus\nhe");
    assert!(raw.reply()[0].starts_with("ok: status | check | restart"));
    assert_eq!(raw.reply()[0], "ok: 1 generation");
    raw.send("lp\r\n");
    assert!(raw.reply()[0].starts_with("ok: "));
    for garbage in ["", "\u{1b}[A", "STATUS", "restart now", "\0\0\0", "status status"] {
        assert!(raw.ask(garbage)[0].contains("is no request"), "{garbage:?}");
    }
    raw.send(b"\xff\xfe\n");
    assert!(raw.reply()[0].starts_with("error: "));
    // `echo restart | nc -N -U`: the end of the input does not end the wait for the verdict.
    raw.send("restart fork\n");
    raw.stream.shutdown(std::net::Shutdown::Write).expect("connected");
    assert!(raw.reply()[0].starts_with("ok: generation 1 is pid"));
    assert_eq!(raw.read_to_end(), "");
    assert_eq!(newcomer(&lab).generation, 1);
}

#[test]
fn a_request_without_an_end_is_ended() {
    let lab = Operated::with(20, |setup| setup);
    let mut raw = Control::connect(&lab.control()).expect("it is there");
    raw.send(vec![b'x'; 2000]);
    assert_eq!(raw.reply(), ["error: the request is too long"]);
    assert_eq!(raw.read_to_end(), "");
    assert_eq!(lab.request("status").len(), 2);
}

/// Asks on one connection after the other, and answers how often. Nobody is pushed out by that: each is answered before the next
/// comes.
fn ask_until(done: &AtomicBool, path: &Path) -> io::Result<usize> {
    let mut count = 0;
    while !done.load(Ordering::Relaxed) {
        Control::connect(path)?.ask("status");
        count += 1;
    }
    Ok(count)
}

#[test]
fn the_control_socket_never_disappears() {
    let lab = Operated::with(10, |setup| setup);
    let (done, path) = (AtomicBool::new(false), lab.control());
    let before = common::restart::inode(&path);
    let refused = thread::scope(|scope| {
        let client = scope.spawn(|| ask_until(&done, &path));
        let asker = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let ran = lab.heirloom(&["status"]);
                assert_eq!(ran.status, Some(0), "{ran:?}");
            }
        });
        let at_end = AtEnd(&done);
        for engine in Engine::alternating().take(20) {
            let ran = lab.heirloom(&["restart", &flag(engine)]);
            assert_eq!(ran.status, Some(0), "{ran:?}");
        }
        drop(at_end);
        asker.join().expect("each was answered");
        client.join().expect("no panic")
    });
    assert!(refused.is_ok_and(|count| count > 20));
    assert_eq!(common::restart::inode(&path), before, "it is another socket");
    // Only the last one to leave takes it away.
    lab.signal(Signal::SIGTERM);
    wait_for("all to leave", || lab.generations().is_empty());
    assert!(!path.exists());
}

#[test]
fn it_is_for_its_own_user_alone() {
    const NOBODY: u32 = 65_534;
    let lab = Operated::with(20, |setup| setup);
    let mode = fs::metadata(lab.control()).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    if !nix::unistd::geteuid().is_root() {
        return println!("the rest is skipped: only root can become somebody else");
    }
    let dir = lab.control().parent().expect("a directory").to_owned();
    let program = dir.join("heirloom");
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_heirloom")).arg(&program).status();
    assert!(copied.expect("cp runs").success());
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("a mode");
    let status = || {
        let mut command = Command::new(&program);
        command.arg("--control").arg(lab.control()).arg("status").uid(NOBODY).gid(NOBODY);
        let output = command.output().expect("it runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let (code, err) = status();
    assert!(code == Some(2) && err.contains("Permission denied"), "{code:?} {err}");
    // Also where somebody has opened the path to all.
    fs::set_permissions(lab.control(), fs::Permissions::from_mode(0o666)).expect("a mode");
    let (code, err) = status();
    assert!(code == Some(1) && err.contains("for the server's own user"), "{code:?} {err}");
    assert_eq!(lab.status().len(), 1);
}

#[test]
fn an_operator_comes_in_when_clients_do_not() {
    let lab = Operated::with(20, |setup| setup.env("LAB_CONNECTIONS", 3));
    let mut clients: Vec<_> = (0..3).map(|_| lab.connect()).collect();
    clients.iter_mut().for_each(|client| drop(client.who()));
    let mut one_more = lab.connect();
    one_more.send("who\n");
    let rows = lab.status();
    assert_eq!(rows[0].get("connections"), "3");
    one_more.stream.set_read_timeout(Some(Duration::from_millis(50))).expect("an option");
    let waits = one_more.read_line().map_err(|e| e.kind());
    assert!(matches!(waits, Err(ErrorKind::WouldBlock)), "{waits:?}");
    assert_eq!(lab.heirloom(&["restart", "--fork"]).status, Some(0));
    one_more.stream.set_read_timeout(Some(common::DEADLINE)).expect("an option");
    assert!(one_more.line().starts_with("1 "), "the new one has room");
}

#[test]
fn top_shows_the_status_as_often_as_it_is_told() {
    let lab = Operated::with(20, |setup| setup);
    let Ran { status, out, .. } = lab.heirloom(&["top", "--count", "3", "--every", "0.05"]);
    assert_eq!(status, Some(0));
    let heads = out.lines().filter(|line| line.trim_start().starts_with("generation"));
    assert_eq!((heads.count(), out.lines().count()), (3, 6), "{out}");
    assert!(!out.contains('\u{1b}'), "control characters for a pipe");
}

#[test]
fn drain_and_stop_end_all_generations() {
    for (command, waits) in [("drain", true), ("stop", false)] {
        let lab = Operated::with(20, |setup| setup);
        let mut early = lab.connect();
        early.who();
        lab.restart_by(Engine::Fork);
        let mut late = lab.connect();
        late.who();
        let ran = lab.heirloom(&[command]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        if waits {
            assert_eq!((early.who().generation, late.who().generation), (0, 1));
            drop((early, late));
            wait_for("all to leave", || lab.generations().is_empty());
        } else {
            wait_for("all to leave", || lab.generations().is_empty());
        }
    }
}

#[test]
fn an_operator_may_have_the_connections_moved() {
    let lab = Operated::with(20, |setup| setup);
    let mut client = lab.connect();
    for (generation, engine) in [(1, "--fork"), (2, "--fork-exec")] {
        let ran = lab.heirloom(&["restart", engine, "--move"]);
        assert_eq!(ran.status, Some(0), "{ran:?}");
        assert_eq!(client.who().generation, generation, "{engine}");
    }
    let ran = lab.heirloom(&["stop", "--move"]);
    assert_eq!(ran.status, Some(2), "{ran:?}");
    assert!(ran.err.contains("'--move': it goes with restart"), "{ran:?}");
}
