//! The journal of a service: every restart is in it, with who has asked, what came of it and which program, through all
//! generations, and `heirloom log` tells it.

use std::{fs, process};

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

for_both_engines!(
    a_restart_is_told_with_who_has_asked_and_what_came_of_it,
    a_roll_back_is_told,
    a_drain_is_told_with_its_begin_and_its_end,
    a_generation_that_dies_is_told_with_its_status,
);

/// All entries, as the control socket has them.
fn all(lab: &Operated) -> Vec<String> {
    lab.request("log")[1..].to_vec()
}

/// Those of restarts.
fn log(lab: &Operated) -> Vec<String> {
    without_drains(all(lab))
}

fn without_drains(mut entries: Vec<String>) -> Vec<String> {
    entries.retain(|entry| !get(entry, "event").starts_with("drain"));
    entries
}

/// Waits for an entry of this event, and answers the last one.
fn wait_told(lab: &Operated, event: &str) -> String {
    let found = || all(lab).into_iter().rfind(|entry| get(entry, "event") == event);
    wait_for(event, || found().is_some());
    found().expect("it was there")
}

/// This process, as an entry has it.
fn assert_by_us(entry: &str) {
    let comm = fs::read_to_string("/proc/self/comm").expect("a name");
    let who = ["by_pid", "by_uid", "by_program"].map(|key| get(entry, key));
    let (pid, uid) = (process::id().to_string(), getuid().to_string());
    assert_eq!(who, [&*pid, &*uid, comm.trim_end()], "{entry}");
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
    assert_by_us(signal);
    assert_eq!(get(signal, "pid"), second.to_string());
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
    assert_eq!(get(&command, "by_program"), "heirloom");

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
    let last = ran.out.lines().rfind(|line| line.contains("  restart ")).expect("a line");
    assert!(
        last.contains("generation 1 by ") && last.contains(", rolled_back, by a command"),
        "{ran:?}"
    );
    assert!(last.ends_with("; restart: rolled back: on request"), "{ran:?}");
    assert_eq!(get(&wait_told(&lab, "drain"), "reason"), "roll_back");
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
        entries = reply.map(|lines| without_drains(lines[1..].to_vec())).unwrap_or_default();
        entries.len() == 4
    });
    let supervisor = lab.child.id().to_string();
    let [start, by_fork, died, crash] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((get(died, "event"), get(died, "generation")), ("died", "1"));
    assert_eq!((get(died, "pid"), get(died, "status")), (&*pid.to_string(), "137"));
    assert_eq!(get(died, "signal"), "SIGKILL");
    assert_eq!((get(start, "event"), get(by_fork, "outcome")), ("start", "committed"));
    assert_by_us(by_fork); // by way of the supervisor
    assert_eq!((get(crash, "trigger"), get(crash, "crashed")), ("crash", "1"));
    assert_eq!((get(crash, "outcome"), get(crash, "generation")), ("committed", "2"));
    assert_eq!((get(crash, "told_by"), get(crash, "status")), (&*supervisor, "137"));
}

#[test]
fn the_program_tells_it_to_people_and_programs_and_goes_on_as_it_comes() {
    let lab = Operated::with(50, |setup| setup);
    lab.restart_by(Engine::Fork);
    wait_told(&lab, "drained");
    let ran = lab.heirloom(&["log", "--json"]);
    let all: serde_json::Value = serde_json::from_str(&ran.out).expect(&ran.out);
    assert_eq!((ran.status, &all[2]["event"]), (Some(0), &"drain".into()));
    assert_eq!((&all[1]["engine"], &all[1]["generation"]), (&"fork".into(), &1.into()));
    assert!(all[1]["ready"].is_f64() && all[1]["program"].is_string(), "{all}");

    let mut follow = common::ops::heirloom(&lab.control());
    follow.args(["log", "--follow", "--every", "0.01"]).stdout(process::Stdio::piped());
    let mut follow = follow.spawn().expect("the program runs");
    let mut out = std::io::BufReader::new(follow.stdout.take().expect("a pipe"));
    let mut line = || common::read_line(&mut out);
    assert!(line().contains("start      generation 0"));
    assert!(line().contains("restart    generation 1 by fork, committed"));
    assert!(line().contains("drain      generation 0, pid "));
    assert!(line().contains("drained    generation 0, empty, pid "));
    lab.restart_by(Engine::ForkExec);
    assert!(line().contains("restart    generation 2 by fork-exec, committed"));
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
    lab.wait_lines("drained: generation", 130);
    let entries = all(&lab);
    let numbers: Vec<u64> =
        entries.iter().map(|entry| get(entry, "number").parse().expect(entry)).collect();
    assert_eq!(numbers, (7..=390).collect::<Vec<_>>(), "three for each restart, and the start");
    assert_eq!(get(log(&lab).last().expect("a restart"), "generation"), "130");
}

fn a_drain_is_told_with_its_begin_and_its_end(engine: Engine) {
    let lab = Operated::with(50, |setup| setup.env("LAB_DRAIN", 60_000));
    let mut client = lab.connect();
    client.who();
    let old = lab.pid().to_string();
    lab.restart_by(engine);
    let begin = wait_told(&lab, "drain");
    let keys = ["generation", "pid", "reason", "connections", "within"].map(|key| get(&begin, key));
    assert_eq!(keys, ["0", &old, "restart", "1", "60.000"], "{begin}");
    assert!(!all(&lab).iter().any(|entry| get(entry, "event") == "drained"), "it has a client");
    drop(client);
    let end = wait_told(&lab, "drained");
    let keys = ["generation", "pid", "outcome", "cut"].map(|key| get(&end, key));
    assert_eq!(keys, ["0", &old, "empty", "0"], "{end}");
    is_seconds(&end, "took");
}

#[test]
fn a_drain_whose_time_is_over_is_told_with_how_many_were_cut() {
    let lab = Operated::with(50, |setup| setup.env("LAB_DRAIN", 100));
    let mut clients = [lab.connect(), lab.connect()];
    clients.iter_mut().for_each(|client| drop(client.who()));
    lab.restart_by(Engine::Fork);
    let end = wait_told(&lab, "drained");
    assert_eq!((get(&end, "outcome"), get(&end, "cut")), ("deadline", "2"));
    let took: f64 = get(&end, "took").parse().expect(&end);
    assert!(took >= 0.1, "{end}");
}

/// Nobody is left to ask when all have ended; until then there is.
#[test]
fn the_end_of_the_service_is_told_with_who_has_asked() {
    for supervised in [false, true] {
        let adjust = |setup: Setup| if supervised { setup.arg("--supervised") } else { setup };
        let mut lab = Operated::with(50, |setup| adjust(setup.env("LAB_STOP", 60_000)));
        let mut client = lab.connect();
        client.who();
        lab.signal(Signal::SIGTERM);
        let stop = wait_told(&lab, "drain");
        assert_by_us(&stop);
        let keys = ["reason", "trigger", "signal", "connections"].map(|key| get(&stop, key));
        assert_eq!(keys, ["stop", "signal", "SIGTERM", "1"], "{stop}");
        drop(client);
        assert!(lab.wait_exit().success());
    }
}

#[test]
fn a_lame_duck_is_told_before_its_drain() {
    let lab =
        Operated::with(50, |setup| setup.arg("--lame-duck").arg("0.2").env("LAB_STOP", 60_000));
    let mut client = lab.connect();
    client.who();
    assert_eq!(lab.heirloom(&["drain"]).status, Some(0));
    let stop = wait_told(&lab, "drain");
    let lame = wait_told(&lab, "lame_duck");
    for entry in [&lame, &stop] {
        assert_eq!((get(entry, "trigger"), get(entry, "by_program")), ("command", "heirloom"));
    }
    assert_eq!(get(&lame, "within"), "0.200");
    let [lame, stop] = [lame, stop].map(|entry| get(&entry, "number").parse::<u64>().expect("one"));
    assert_eq!(stop, lame + 1);
}

/// One that was rolled back, and serves who is left.
fn a_generation_that_dies_is_told_with_its_status(engine: Engine) {
    let lab = Operated::with(20_000, |setup| setup);
    let restart = lab.heirloom_later(&["restart", &format!("--{}", engine.name())]);
    wait_for("the new one to serve", || lab.status()[0].get("phase") == "probation");
    let mut client = lab.connect();
    let new = client.who();
    assert_eq!(lab.request("rollback"), ["ok: generation 0 serves again"]);
    assert_eq!(restart.wait().status, Some(1));
    kill(Pid::from_raw(new.pid), Signal::SIGKILL).expect("the process is there");
    let died = wait_told(&lab, "died");
    let keys = ["generation", "pid", "status", "signal"].map(|key| get(&died, key));
    assert_eq!(keys, ["1", &*new.pid.to_string(), "137", "SIGKILL"], "{died}");
}

/// The supervisor asks each worker, on behalf of whoever has asked it.
#[test]
fn what_several_workers_are_asked_is_told_with_who_has_asked_their_supervisor() {
    let mut lab =
        Operated::with(50, |setup| setup.arg("--workers").arg("2").env("LAB_STOP", 60_000));
    wait_for("both workers to stay", || lab.count_lines("committed: generation 0") == 2);
    let of_both = |trigger: &str| {
        let entries = log(&lab);
        let told = entries
            .iter()
            .filter(|entry| get(entry, "event") == "restart" && get(entry, "trigger") == trigger);
        let mut told: Vec<_> = told.cloned().collect();
        told.sort_by_key(|entry| get(entry, "worker").to_owned());
        let workers: Vec<_> = told.iter().map(|entry| get(entry, "worker").to_owned()).collect();
        assert_eq!(workers, ["0", "1"], "{entries:?}");
        told
    };
    lab.signal(Signal::SIGHUP);
    lab.wait_line("all 2 workers are replaced");
    of_both("signal").iter().for_each(|entry| {
        assert_by_us(entry);
        assert_eq!(get(entry, "signal"), "SIGHUP");
    });
    let ran = lab.heirloom(&["restart", "--fork"]);
    assert_eq!(ran.status, Some(0), "{ran:?}");
    for entry in of_both("command") {
        assert_eq!(get(&entry, "by_program"), "heirloom", "{entry}");
    }
    // Nobody else may say so.
    let said = lab.request("for 1 0 restart");
    assert!(said[0].contains("is no request"), "{said:?}");

    let mut clients: Vec<_> = (0..16).map(|_| lab.connect()).collect();
    clients.iter_mut().for_each(|client| drop(client.who()));
    lab.signal(Signal::SIGTERM);
    wait_for("both to be told", || {
        let stops = all(&lab).into_iter().filter(|entry| entry.contains(" reason=stop "));
        let stops: Vec<_> = stops.collect();
        stops.iter().for_each(|entry| assert_by_us(entry));
        stops.len() == 2
    });
    drop(clients);
    assert!(lab.wait_exit().success());
}
