//! The state goes to a new program while the old one serves: nobody waits for it, every limit holds, and whatever
//! becomes of the scribe, of the new side or of the old one, nobody serves half of it.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::common::{
    self, Client, DEADLINE, Dir, Setup, open_fds,
    restart::{Engine, Lab, slay, stop, zombies_of},
    wait_for, wait_gone,
};
use nix::{
    poll::{PollTimeout, poll},
    sys::signal::Signal,
};

/// How long a copy takes here that is to be slow.
const LONG: Duration = Duration::from_secs(2);

/// A turn of a busy machine; a copy that stops the loop takes [`LONG`].
const PROMPT: Duration = Duration::from_millis(100);

const PAGES: u64 = 40;

/// A lab with a book of some MB.
fn lab(adjust: impl FnOnce(Setup) -> Setup) -> Lab {
    let lab = Lab::with(adjust);
    assert_eq!(lab.connect().ask(&format!("fill {PAGES} 100000")), "ok");
    lab
}

fn tracked(setup: Setup) -> Setup {
    setup.env("LAB_TRACK", 1)
}

/// Makes each page take so long that all of them take [`LONG`].
fn slow_pages(lab: &Lab, callback: &str) {
    lab.slow_down(callback, LONG / PAGES as u32);
}

/// A scribe that has let go of what is the server's.
fn scribe_of(lab: &Lab) -> i32 {
    let mut found = None;
    wait_for("a scribe", || {
        found = lab.scribes().into_iter().find(|&pid| (1..=3).contains(&names(pid).len()));
        found.is_some()
    });
    found.expect("it was found")
}

/// Asks without a pause until `done`, and answers the longest time that an answer took, and how many came late.
fn waits(client: &mut Client, mut done: impl FnMut() -> bool) -> (Duration, usize) {
    let (mut longest, mut late) = (Duration::ZERO, 0);
    let until = Instant::now() + DEADLINE;
    while !done() {
        let asked = Instant::now();
        assert_eq!(client.ask("echo hello"), "hello");
        longest = longest.max(asked.elapsed());
        late += usize::from(asked.elapsed() > PROMPT);
        assert!(Instant::now() < until, "it never comes to an end");
    }
    (longest, late)
}

fn names(pid: i32) -> Vec<String> {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let names = fds.filter_map(|fd| fs::read_link(fd.path()).ok());
    names.map(|name| name.display().to_string()).collect()
}

/// Nobody is left that does not serve, and no descriptor.
fn assert_nothing_is_left(lab: &Lab, fds: usize) {
    let serving = lab.pid();
    wait_for("one process to be left", || lab.generations() == [serving]);
    wait_for("no zombie to be left", || zombies_of(serving).is_empty());
    wait_for(&format!("{fds} descriptors, {:?}", names(serving)), || open_fds(serving) == fds);
}

#[test]
fn clients_are_served_while_a_scribe_writes_and_a_new_program_loads() {
    for callback in ["save_page", "load_page"] {
        for track in [false, true] {
            let lab = lab(|setup| if track { tracked(setup) } else { setup });
            slow_pages(&lab, callback);
            let mut client = lab.connect();
            let begun = Instant::now();
            lab.signal(Signal::SIGUSR2);
            let (longest, late) = waits(&mut client, || lab.count_lines("restart: done") > 0);
            assert!(begun.elapsed() >= LONG, "{callback} was not slow");
            // On a machine that has other things to do one answer may be late, and not for as long as this.
            assert!(late <= 2 && longest < LONG / 4, "{callback}, tracked: {track}: {longest:?}");
            assert!(lab.wait_line("copied: ").contains(" by a scribe in "));
            let mut late = lab.connect();
            assert_eq!(late.who().generation, 1);
            assert_eq!(late.ask("pages"), (PAGES + u64::from(track)).to_string());
        }
    }
}

// Who asks for something meanwhile.

#[test]
fn operators_are_answered_and_another_restart_is_refused_while_a_scribe_writes() {
    let files = Dir::new();
    let control = files.path("control");
    let lab = lab(|setup| setup.arg("--control").arg(control.display().to_string()));
    slow_pages(&lab, "save_page");
    lab.signal(Signal::SIGUSR2);
    let scribe = scribe_of(&lab);
    let status = common::ask_unix(&control, "status");
    assert!(status.starts_with("ok: 2 generations"), "{status}");
    let refused = lab.connect().ask("restart fork");
    assert!(refused.contains("another one is in progress"), "{refused}");
    assert_eq!(lab.scribes(), [scribe], "it was over before");
    lab.wait_line("restart: done");
}

#[test]
fn a_stop_while_a_scribe_writes_ends_everybody() {
    for (signal, moves) in [(Signal::SIGTERM, false), (Signal::SIGINT, true)] {
        let mut lab = lab(|setup| if moves { setup.env("LAB_MOVE", 1) } else { setup });
        lab.slow_down("save", DEADLINE);
        lab.signal(Signal::SIGUSR2);
        let scribe = scribe_of(&lab);
        lab.signal(signal);
        assert!(lab.wait_exit().success());
        wait_gone(scribe);
        wait_for("nobody to be left", || lab.generations().is_empty());
        lab.wait_line("restart: given up, this process was told to stop");
    }
}

// What can go wrong, and who notices.

type Mode = (&'static str, fn(Setup) -> Setup);

/// Each way in which connections and state go.
fn all_modes() -> [Mode; 3] {
    [
        ("they stay", |setup| setup),
        ("they move", |setup| setup.env("LAB_MOVE", 1).env("LAB_MAX_DOWNTIME", 60_000)),
        ("tracked", |setup| tracked(setup).env("LAB_MOVE", 1)),
    ]
}

/// A restart that comes to nothing: `spoil` sees to that. The old side says why, and has never stopped.
fn comes_to_nothing(why: &str, limits: &[(&str, u64)], spoil: impl Fn(&Lab, &mut Client)) {
    comes_to_nothing_by(&[why], limits, spoil);
}

fn comes_to_nothing_by(whys: &[&str], limits: &[(&str, u64)], spoil: impl Fn(&Lab, &mut Client)) {
    for (mode, adjust) in all_modes() {
        let lab = lab(|setup| {
            let setup = limits.iter().fold(setup, |setup, (name, ms)| setup.env(name, ms));
            adjust(setup)
        });
        let mut client = lab.connect();
        let old = client.who();
        wait_for("one client to be left", || client.stat("closed") == 1);
        let fds = open_fds(lab.pid());
        spoil(&lab, &mut client);
        let line = lab.wait_line("ERROR: restart: ");
        assert!(whys.iter().any(|why| line.contains(why)), "{mode}: {line}, not {whys:?}");
        assert_eq!(client.who(), old, "{mode}");
        assert_eq!(client.ask("tracks"), "false", "{mode}: nobody needs the changes any more");
        assert_nothing_is_left(&lab, fds);
        fs::write(lab.scratch("slow"), "").expect("a file of ours");
        fs::write(lab.scratch("broken"), "").expect("a file of ours");
        client.ask("load");
        let new = lab.restart_by(Engine::ForkExec);
        let mut late = lab.connect();
        assert_eq!(late.who().pid, new, "{mode}");
        let tracks = u64::from(mode == "tracked");
        assert_eq!(late.ask("pages"), (PAGES + tracks).to_string(), "{mode}");
    }
}

/// Begins a restart whose scribe takes its time, and answers that.
fn begin(lab: &Lab) -> i32 {
    slow_pages(lab, "save_page");
    lab.signal(Signal::SIGUSR2);
    scribe_of(lab)
}

fn new_side(lab: &Lab) -> i32 {
    let line = lab.wait_line("restart: generation 1 by fork-exec is pid ");
    line.rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a pid")
}

#[test]
fn a_scribe_that_dies_ends_the_restart() {
    let why = "the process that wrote down the state has ended: killed by SIGKILL";
    let seen_sooner = "the new side failed: state: cut off after ";
    comes_to_nothing_by(&[why, seen_sooner], &[], |lab, _| slay(begin(lab)));
}

#[test]
fn a_scribe_that_hangs_ends_the_restart_when_the_time_is_over() {
    comes_to_nothing("the state was not copied within 700ms", &[("LAB_COPY", 700)], |lab, _| {
        stop(begin(lab))
    });
}

#[test]
fn a_save_that_fails_or_panics_ends_the_restart_with_its_reason() {
    let why = "the new side failed: the state was not saved: lab: not saved, as told";
    comes_to_nothing(why, &[], |lab, client| {
        client.ask("no-save");
        lab.signal(Signal::SIGUSR2);
    });
    comes_to_nothing("the new side failed: panicked: save: lab: as told", &[], |lab, _| {
        lab.break_programs("panic in save");
        lab.signal(Signal::SIGUSR2);
    });
}

#[test]
fn a_new_side_that_dies_while_it_loads_ends_the_restart() {
    comes_to_nothing("the new side ended before it was ready: killed by SIGKILL", &[], |lab, _| {
        begin(lab);
        slay(new_side(lab));
    });
}

/// Its pipe is full then, and the scribe waits.
#[test]
fn a_new_side_that_reads_no_more_ends_the_restart_when_the_time_is_over() {
    comes_to_nothing("the state was not copied within 700ms", &[("LAB_COPY", 700)], |lab, _| {
        begin(lab);
        stop(new_side(lab));
    });
}

#[test]
fn a_load_that_fails_panics_or_hangs_ends_the_restart() {
    let why = "the new side failed: lab: not loaded, as told";
    comes_to_nothing(why, &[], |lab, client| {
        client.ask("no-load");
        lab.signal(Signal::SIGUSR2);
    });
    comes_to_nothing("the new side failed: panicked: load: lab: as told", &[], |lab, _| {
        lab.break_programs("panic in load");
        lab.signal(Signal::SIGUSR2);
    });
    comes_to_nothing("the state was not copied within 700ms", &[("LAB_COPY", 700)], |lab, _| {
        lab.slow_down("load", DEADLINE);
        lab.signal(Signal::SIGUSR2);
    });
}

#[test]
#[cfg_attr(not(debug_assertions), ignore = "faults are in debug builds only")]
fn a_stream_that_is_none_ends_the_restart() {
    comes_to_nothing("the new side failed: state: this is none", &[], |lab, _| {
        fs::write(lab.scratch("fault"), "ScribeMade garbage").expect("a file");
        lab.signal(Signal::SIGUSR2);
    });
}

/// Half of what was is worse than nothing.
#[test]
fn an_old_side_that_dies_meanwhile_takes_everybody_with_it() {
    for (_, adjust) in all_modes() {
        let mut lab = lab(adjust);
        let scribe = begin(&lab);
        slay(lab.pid());
        lab.wait_exit();
        wait_gone(scribe);
        lab.wait_line("it ended before it had handed over its state");
        wait_for("nobody to be left", || lab.generations().is_empty());
        assert_eq!(lab.count_lines("ready: generation 1"), 0);
    }
}

// Limits.

/// What `Duration` shows in a verdict, behind `name: `.
fn time_in(verdict: &str, name: &str) -> Duration {
    let (_, rest) = verdict.split_once(&format!("{name}: ")).unwrap_or_else(|| panic!("{verdict}"));
    let end = rest.find([',', ')', ' ']).unwrap_or(rest.len());
    let (number, factor) = [("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9), ("s", 1.0)]
        .iter()
        .find_map(|(unit, factor)| Some((rest[..end].strip_suffix(unit)?, *factor)))
        .unwrap_or_else(|| panic!("no time in {rest:?}"));
    Duration::from_secs_f64(number.parse::<f64>().expect("a number") * factor)
}

/// So much later than promised is the scheduler's doing.
const SLACK: Duration = Duration::from_millis(10);

/// How much later than promised something was: the best of a few, since on a machine that has other things to do one of them may be
/// late, and without what any sleep of this length is late by, which on a virtual machine is some milliseconds.
fn best_of_five(limit: Duration, mut lateness: impl FnMut() -> Duration) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        poll(&mut [], PollTimeout::try_from(limit).expect("a short time")).expect("a sleep");
        let overslept = begun.elapsed() - limit;
        best = best.min(lateness().saturating_sub(overslept));
        if best <= SLACK {
            break;
        }
    }
    best
}

#[test]
fn each_limit_holds_to_the_millisecond_whatever_takes_long() {
    let limit = Duration::from_millis(300);
    for (name, adjust, callback) in [
        ("LAB_COPY", all_modes()[0].1, "save"),
        ("LAB_COPY", all_modes()[0].1, "load"),
        ("LAB_COPY", all_modes()[2].1, "save"),
        ("LAB_COPY", all_modes()[2].1, "load_changes"),
        ("LAB_MAX_DOWNTIME", all_modes()[1].1, "save"),
        ("LAB_MAX_DOWNTIME", all_modes()[1].1, "load"),
    ] {
        let lab = lab(|setup| adjust(setup).env(name, limit.as_millis()));
        lab.slow_down(callback, DEADLINE);
        let late = best_of_five(limit, || {
            let mut client = lab.connect();
            let answer = client.ask("restart fork-exec");
            assert!(answer.contains("the state was not copied within 300ms"), "{answer}");
            time_in(&client.ask("verdict"), "NotCopied { limit: 300ms, took") - limit
        });
        assert!(late <= SLACK, "{name}, {callback}: {late:?} too late");
    }
}

/// The time that a new side has to be ready is no part of the copy's, nor the other way round.
#[test]
fn the_copy_has_a_time_of_its_own() {
    let limit = Duration::from_millis(700);
    let lab = lab(|setup| setup.env("LAB_READY", limit.as_millis()));
    slow_pages(&lab, "save_page");
    assert_eq!(lab.restart_by(Engine::ForkExec), lab.pid(), "it took {LONG:?}");
    lab.speed_up();
    if cfg!(debug_assertions) {
        let late = best_of_five(limit, || {
            fs::write(lab.scratch("fault"), "NewTaken hang").expect("a file");
            let mut client = lab.connect();
            let answer = client.ask("restart fork-exec");
            assert!(answer.contains("the new side was not ready within 700ms"), "{answer}");
            let verdict = client.ask("verdict");
            let (_, copied) = verdict.split_once("Copied {").expect("it was copied");
            time_in(&verdict, "took") - time_in(copied, "took") - limit
        });
        // A program that is not optimized has to be started as well, which is the time of neither.
        assert!(late <= SLACK + PROMPT, "{late:?} too late");
    }
}
