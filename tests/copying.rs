//! The state goes to a new program while the old one serves: nobody waits for it, every limit holds, and whatever
//! becomes of the scribe, of the new side or of the old one, nobody serves half of it.

mod common;

use std::{
    collections::BTreeMap,
    fs, thread,
    time::{Duration, Instant},
};

use common::{
    Client, DEADLINE, Dir, Setup, open_fds,
    restart::{Engine, Lab, resume, slay, stop, zombies_of},
    wait_for, wait_gone,
};
use nix::sys::signal::Signal;

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

/// A process that the serving one has made and that is neither the new side nor ended.
fn scribe_of(lab: &Lab) -> i32 {
    let old = lab.pid();
    let mut found = None;
    wait_for("a scribe", || {
        found = lab.generations().into_iter().find(|&pid| pid != old && is_fork(pid, old));
        found.is_some()
    });
    found.expect("it was found")
}

/// Whether it runs the same program with the same arguments as its parent, and has no loop of its own.
fn is_fork(pid: i32, of: i32) -> bool {
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let names: Vec<_> = fds.filter_map(|fd| fs::read_link(fd.path()).ok()).collect();
    let has_loop = names.iter().any(|name| name.to_string_lossy().contains("eventpoll"));
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
    parent == Some(&of.to_string()) && !has_loop && !names.is_empty() && names.len() <= 3
}

/// Asks without a pause until `done`, and answers the longest time that an answer took.
fn longest_wait(client: &mut Client, mut done: impl FnMut() -> bool) -> Duration {
    let mut longest = Duration::ZERO;
    let until = Instant::now() + DEADLINE;
    while !done() {
        let asked = Instant::now();
        assert_eq!(client.ask("echo hello"), "hello");
        longest = longest.max(asked.elapsed());
        assert!(Instant::now() < until, "it never comes to an end");
    }
    longest
}

/// Nobody is left that does not serve, and no descriptor.
fn assert_nothing_is_left(lab: &Lab, fds: usize) {
    let serving = lab.pid();
    wait_for("one process to be left", || lab.generations() == [serving]);
    wait_for("no zombie to be left", || zombies_of(serving).is_empty());
    wait_for("descriptors to be given back", || open_fds(serving) == fds);
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
            let longest = longest_wait(&mut client, || lab.count_lines("restart: done") > 0);
            assert!(begun.elapsed() >= LONG, "{callback} was not slow");
            assert!(longest < PROMPT, "{callback}, tracked: {track}: {longest:?}");
            assert!(lab.wait_line("copied: ").contains(" by a scribe in "));
            let mut late = lab.connect();
            assert_eq!(late.who().generation, 1);
            assert_eq!(late.ask("pages"), (PAGES + u64::from(track)).to_string());
        }
    }
}
