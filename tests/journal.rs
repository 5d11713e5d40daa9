//! The journal of a service: every restart is in it, with who has asked, what came of it and which program, through all
//! generations, and `heirloom log` tells it.

use std::process;

use crate::common::{
    self, Setup,
    ops::{Control, Operated},
    restart::Engine,
    wait_for, wait_gone,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, getuid},
};

for_both_engines!(a_restart_is_told_with_who_has_asked_and_what_came_of_it, a_roll_back_is_told);

/// The entries, as the control socket has them.
fn log(lab: &Operated) -> Vec<String> {
    lab.request("log")[1..].to_vec()
}

/// The value of a key in a line of `key=value`.
fn get<'a>(line: &'a str, key: &str) -> &'a str {
    let found = line.split(' ').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
    found.unwrap_or_else(|| panic!("no {key} in {line}"))
}

fn is_seconds(line: &str, key: &str) {
    let seconds: f64 = get(line, key).parse().expect(line);
    assert!((0.0..60.0).contains(&seconds), "{key} in {line}");
}

fn a_restart_is_told_with_who_has_asked_and_what_came_of_it(engine: Engine) {
    let lab = Operated::with(50, |setup| setup);
    let uid = getuid().to_string();
    let start = log(&lab).pop().expect("the start");
    assert_eq!((get(&start, "event"), get(&start, "trigger")), ("start", "start"));
    let first = lab.pid();

    // By a signal.
    let second = lab.restart_by(engine);
    let entries = log(&lab);
    let signal = &entries[1];
    assert_eq!((entries.len(), get(signal, "event")), (2, "restart"));
    assert_eq!((get(signal, "outcome"), get(signal, "engine")), ("committed", engine.name()));
    assert_eq!(
        (get(signal, "trigger"), get(signal, "signal")),
        ("signal", engine.signal().as_str())
    );
    assert_eq!(get(signal, "by_pid"), process::id().to_string());
    assert_eq!((get(signal, "by_uid"), get(signal, "pid")), (&*uid, &*second.to_string()));
    assert_eq!((get(signal, "told_by"), get(signal, "old_generation")), (&*first.to_string(), "0"));
    ["took", "made", "ready", "committed"].iter().for_each(|key| is_seconds(signal, key));
    assert!(get(signal, "program").ends_with("/lab"), "{signal}");
    assert_eq!(get(signal, "inode"), get(&start, "inode"));
    assert_eq!(get(signal, "build_id"), get(&start, "build_id"));
    assert!(get(signal, "modified").parse::<f64>().is_ok_and(|at| at > 1e9));

    // By a command.
    let ran = lab.heirloom(&["restart", &format!("--{}", engine.name())]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let command = log(&lab).pop().expect("a restart");
    assert_eq!((get(&command, "trigger"), get(&command, "by_uid")), ("command", &*uid));
    assert_ne!(
        get(&command, "by_pid"),
        process::id().to_string(),
        "the program was another process"
    );
    assert_eq!(get(&command, "number"), "2");

    // By the service itself.
    assert!(lab.connect().ask(&format!("restart {}", engine.name())).starts_with("ok 3"));
    wait_for("it to be told", || log(&lab).len() == 4);
    assert_eq!(get(&log(&lab)[3], "trigger"), "callback");
}

fn a_roll_back_is_told(engine: Engine) {
    let lab = Operated::with(20_000, |setup| setup);
    let restart = lab.heirloom_later(&["restart", &format!("--{}", engine.name())]);
    wait_for("the new one to serve", || lab.status()[0].get("phase") == "probation");
    assert_eq!(lab.request("rollback"), ["ok: generation 0 serves again"]);
    assert_eq!(restart.wait().status, Some(1));
    let entries = log(&lab);
    let [_, asked, told] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!(
        (get(asked, "event"), get(asked, "by_pid")),
        ("rollback", &*process::id().to_string())
    );
    assert_eq!((get(told, "event"), get(told, "outcome")), ("restart", "rolled_back"));
    assert!(get(told, "reason").ends_with("on%20request"), "{told}");
    let ran = lab.heirloom(&["log"]);
    let last = ran.out.lines().last().expect("a line");
    assert!(
        last.contains("generation 1 by ") && last.contains(", rolled_back, by a command"),
        "{ran:?}"
    );
    assert!(last.ends_with("; restart: rolled back: on request"), "{ran:?}");
}

/// A new version that fails is told with what it said.
#[test]
fn a_program_that_fails_is_told_with_its_words() {
    let lab = Operated::with(50, |setup| setup);
    lab.break_programs("exit");
    lab.signal(Signal::SIGUSR2);
    wait_for("it to fail", || log(&lab).len() == 2);
    let failed = log(&lab).pop().expect("an entry");
    assert_eq!((get(&failed, "outcome"), get(&failed, "generation")), ("died", "1"));
    assert!(get(&failed, "reason").contains("before%20it%20was%20ready"), "{failed}");
    lab.mend_programs();
    lab.restart_by(Engine::ForkExec);
    assert_eq!(get(&log(&lab)[2], "outcome"), "committed");
}

#[test]
fn a_crash_is_told_by_the_supervisor() {
    let lab = Operated::with(50, |setup: Setup| setup.arg("--supervised"));
    lab.restart_by(Engine::Fork);
    let pid = lab.status()[0].pid();
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("the process is there");
    wait_gone(pid);
    let mut entries = Vec::new();
    wait_for("another one", || {
        let reply = Control::connect(&lab.control()).map(|mut control| control.ask("log"));
        entries = reply.map(|lines| lines[1..].to_vec()).unwrap_or_default();
        entries.len() == 3
    });
    let supervisor = lab.child.id().to_string();
    let [start, by_fork, crash] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((get(start, "event"), get(by_fork, "outcome")), ("start", "committed"));
    assert_eq!(get(by_fork, "by_pid"), supervisor, "it has passed the signal on");
    assert_eq!((get(crash, "trigger"), get(crash, "crashed")), ("crash", "1"));
    assert_eq!((get(crash, "outcome"), get(crash, "generation")), ("committed", "2"));
    assert_eq!((get(crash, "told_by"), get(crash, "status")), (&*supervisor, "137"));
}

#[test]
fn the_program_tells_it_to_people_and_programs_and_goes_on_as_it_comes() {
    let lab = Operated::with(50, |setup| setup);
    lab.restart_by(Engine::Fork);
    let ran = lab.heirloom(&["log", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&ran.out).expect(&ran.out);
    assert_eq!((ran.status, all.as_array().map(Vec::len)), (Some(0), Some(2)));
    assert_eq!((&all[1]["engine"], &all[1]["generation"]), (&"fork".into(), &1.into()));
    assert!(all[1]["ready"].is_f64() && all[1]["program"].is_string(), "{all}");

    let mut follow = common::ops::heirloom(&lab.control());
    follow.args(["log", "--follow", "--every", "0.01"]).stdout(process::Stdio::piped());
    let mut follow = follow.spawn().expect("the program runs");
    let mut out = std::io::BufReader::new(follow.stdout.take().expect("a pipe"));
    let mut line = || common::read_line(&mut out);
    assert!(line().contains("start     generation 0"));
    assert!(line().contains("restart   generation 1 by fork, committed"));
    lab.restart_by(Engine::ForkExec);
    assert!(line().contains("restart   generation 2 by fork-exec, committed"));
    follow.kill().expect("it runs");
    follow.wait().expect("it ends");
}

/// Who could tell how it went has ended, and the new side does.
#[test]
fn a_restart_whose_old_side_dies_is_told_by_the_new_one() {
    let lab = Operated::with(20_000, |setup| setup);
    let old = lab.pid();
    lab.signal(Signal::SIGUSR2);
    wait_for("the new one to serve", || lab.status()[0].get("phase") == "probation");
    kill(Pid::from_raw(old), Signal::SIGKILL).expect("the process is there");
    wait_for("it to be told", || log(&lab).len() == 2);
    let told = log(&lab).pop().expect("an entry");
    assert_eq!((get(&told, "outcome"), get(&told, "trigger")), ("committed", "unknown"));
    assert_eq!(get(&told, "told_by"), get(&told, "pid"));
}

/// Of requests that are refused in a row the first one is told, so that nobody writes over what has happened.
#[test]
fn a_storm_of_refusals_is_one_entry() {
    let lab = Operated::with(50, |setup| setup.env("LAB_GENERATIONS", 1));
    for _ in 0..200 {
        assert!(lab.request("restart")[0].starts_with("error: restart refused"));
    }
    let entries = log(&lab);
    assert_eq!((entries.len(), get(&entries[1], "outcome")), (2, "too_many"), "{entries:?}");
}

/// The last ones are kept, however many there were.
#[test]
fn it_has_a_bound() {
    let lab = Operated::with(1, |setup| setup);
    for _ in 0..130 {
        assert!(lab.request("restart fork")[0].starts_with("ok: "));
    }
    let entries = log(&lab);
    assert_eq!(entries.len(), 128);
    assert_eq!((get(&entries[0], "number"), get(&entries[127], "number")), ("3", "130"));
    assert_eq!(get(&entries[127], "generation"), "130");
}
