//! What changes while the state is copied is there afterwards, once: the rounds of a service that notes its changes;
//! and what is done where no process can be made that writes the state down.

use std::{
    collections::BTreeMap,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use crate::common::{
    self, Client, Setup, open_fds,
    restart::{Engine, Lab, zombies_of},
    wait_for,
};
use nix::sys::signal::Signal;

const PAGES: u64 = 20_000;

fn tracked(adjust: impl FnOnce(Setup) -> Setup) -> Lab {
    let lab = Lab::with(|setup| adjust(setup.env("LAB_TRACK", 1).env("LAB_MOVE", 1)));
    assert_eq!(lab.connect().ask(&format!("fill {PAGES} 20")), "ok");
    lab
}

/// Changes pages as fast as it can until `done`: each has what it was given last, and `next` is what comes next.
fn write_until(
    done: &AtomicBool,
    client: &mut Client,
    book: &mut BTreeMap<u64, u64>,
    next: &mut u64,
) {
    while !done.load(Ordering::Relaxed) {
        let page = next.wrapping_mul(0x9e37_79b9_7f4a_7c15) % PAGES;
        assert_eq!(client.ask(&format!("write {page} {next}")), "ok");
        book.insert(page, *next);
        *next += 1;
    }
}

/// Every page that was changed has its last value, whoever is asked.
fn assert_has(client: &mut Client, book: &BTreeMap<u64, u64>) {
    for page in book.keys() {
        client.send(format!("page {page}\n"));
    }
    for (page, value) in book {
        assert_eq!(client.line(), value.to_string(), "page {page}");
    }
}

/// The rounds and the changes that the log tells of each copy.
fn told(lab: &Lab) -> Vec<(u32, u64)> {
    let count = lab.count_lines("copied: ");
    let number = |text: &str| text.split(' ').next().and_then(|number| number.parse().ok());
    let read = |line: String| {
        let mut parts = line.rsplit(", ");
        let changes = parts.next().and_then(number)?;
        Some((parts.next().and_then(number)? as u32, changes))
    };
    lab.wait_lines("copied: ", count).into_iter().map(|line| read(line).unwrap_or((0, 0))).collect()
}

/// Restarts so often while a client writes. It has moved along each time.
fn restart_under_writes(lab: &Lab, times: usize, each: impl Fn(i32)) -> BTreeMap<u64, u64> {
    let (mut book, mut next) = (BTreeMap::new(), 0);
    let mut client = lab.connect();
    for _ in 0..times {
        let done = AtomicBool::new(false);
        let new = thread::scope(|scope| {
            let writer = scope.spawn(|| write_until(&done, &mut client, &mut book, &mut next));
            let restarted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                lab.restart_by(Engine::ForkExec)
            }));
            done.store(true, Ordering::Relaxed);
            writer.join().expect("all writes are acknowledged");
            restarted.unwrap_or_else(|why| std::panic::resume_unwind(why))
        });
        assert_eq!(client.who().pid, new);
        assert_has(&mut client, &book);
        each(new);
    }
    book
}

#[test]
fn every_change_that_is_made_during_the_copy_is_there_and_the_rounds_converge() {
    let lab = tracked(|setup| setup);
    let book = restart_under_writes(&lab, 5, |_| ());
    assert!(book.len() > 100, "only {} pages were changed", book.len());
    for (rounds, changes) in told(&lab) {
        // The one that the lab makes by itself, and those of the client; and no page again and again.
        assert!((1..10).contains(&rounds), "{rounds} rounds");
        assert!((1..2 * PAGES).contains(&changes), "{changes} changes");
    }
    let mut late = lab.connect();
    assert_eq!(late.ask("copies"), "10", "each new side notes what it might have to hand back");
    assert_eq!(late.ask("pages"), (PAGES + 1).to_string());
}

/// Each piece takes so long that as many pages have changed by then as were in it.
#[test]
fn rounds_that_do_not_converge_end_by_their_number_or_in_time() {
    for (limit, callback) in
        [(60_000, "save_changes"), (60_000, "load_changes"), (1500, "load_changes")]
    {
        let lab = tracked(|setup| setup.env("LAB_COPY", limit).env("LAB_MAX_DOWNTIME", 10_000));
        lab.slow_down(callback, Duration::from_millis(60));
        restart_under_writes(&lab, 1, |_| ());
        let told = told(&lab);
        let [(rounds, _)] = told[..] else { panic!("{told:?}") };
        assert!((1..=10).contains(&rounds), "{rounds} rounds");
        if limit < 10_000 {
            let line = lab.wait_line("copied: ");
            let took = line.split(" s, ").next().and_then(|rest| rest.rsplit(' ').next());
            let took: f64 = took.and_then(|took| took.parse().ok()).expect("seconds");
            assert!(took <= 1.5, "{line}");
        }
    }
}

#[test]
fn a_change_that_cannot_be_written_or_read_ends_the_restart() {
    for callback in ["track_changes", "save_changes", "load_changes"] {
        let lab = tracked(|setup| setup);
        let old = lab.pid();
        lab.break_programs(&format!("panic in {callback}"));
        lab.signal(Signal::SIGUSR2);
        let line = lab.wait_line("ERROR: restart: the new side failed: ");
        assert!(line.contains(&format!("panicked: {callback}: lab: as told")), "{line}");
        assert_eq!(lab.connect().who().pid, old);
        lab.mend_programs();
        assert_ne!(lab.restart_by(Engine::ForkExec), old);
    }
}

#[test]
fn nothing_is_left_behind_after_twenty_upgrades() {
    let lab = tracked(|setup| setup);
    let fds = std::cell::Cell::new(None);
    restart_under_writes(&lab, 20, |new| {
        wait_for("the others to be gone", || lab.generations() == [new]);
        assert!(zombies_of(new).is_empty());
        let before = fds.get().unwrap_or_else(|| open_fds(new));
        // The first may just be about to close its link to the one that is gone.
        wait_for("descriptors to be given back", || open_fds(new) <= before);
        fds.set(Some(open_fds(new)));
    });
    assert_eq!(lab.count_lines("copied: "), 20);
}

// Where there is no scribe.

#[test]
fn with_a_second_thread_the_server_writes_the_state_itself_and_says_so() {
    for moves in [false, true] {
        let lab = Lab::with(|setup| {
            let setup = setup.env("LAB_TRACK", 1);
            if moves { setup.env("LAB_MOVE", 1) } else { setup }
        });
        let mut client = lab.connect();
        client.ask(&format!("fill {PAGES} 200"));
        client.ask("threads 1");
        lab.restart_by(Engine::ForkExec);
        let line = lab.wait_line("copied: ");
        assert!(line.contains(" by the server itself (2 threads: no fork) in "), "{line}");
        let mut late = lab.connect();
        assert_eq!(
            late.ask("copies"),
            "1",
            "only the new side has noted something, for the way back"
        );
        assert_eq!(late.ask("tracks"), "false");
    }
}

/// Nobody reads the pipe, so each write waits, and looks at the clock.
#[test]
fn a_server_that_writes_the_state_itself_keeps_the_limit_at_each_write() {
    let limit = Duration::from_millis(300);
    for (name, moves) in [("LAB_COPY", false), ("LAB_MAX_DOWNTIME", true)] {
        let lab = Lab::with(|setup| {
            let setup = setup.env(name, limit.as_millis());
            if moves { setup.env("LAB_MOVE", 1) } else { setup }
        });
        let mut client = lab.connect();
        client.ask("fill 40 100000");
        client.ask("threads 1");
        lab.slow_down("load", common::DEADLINE);
        let mut late = Duration::MAX;
        for _ in 0..5 {
            let answer = client.ask("restart fork-exec");
            let (_, took) = answer.split_once("given up after ").expect("an overrun");
            let took = took.split("ms").next().and_then(|took| took.parse().ok());
            let took = Duration::from_secs_f64(took.map_or(f64::MAX, |ms: f64| ms / 1e3));
            late = late.min(took - limit);
            if late < Duration::from_millis(10) {
                break;
            }
        }
        assert!(late < Duration::from_millis(10), "{name}: {late:?} too late");
        fs::remove_file(lab.scratch("slow")).expect("a file of ours");
        client.ask("threads 0");
        assert_ne!(lab.restart_by(Engine::ForkExec), 0);
    }
}

/// A user who may have two processes: the old one and the new one.
fn with_two_processes(command: Command) -> Command {
    let user = 60_000 + std::process::id() % 5_000;
    let args: Vec<_> = command.get_args().collect();
    let mut limited = common::in_session("prlimit");
    limited.args(["--nproc=2:2", "setpriv", "--clear-groups", &format!("--reuid={user}")]);
    let at = args.iter().position(|arg| *arg == "--pid-file").expect("a pid file");
    let folder = Path::new(args[at + 1]).parent().expect("in a folder");
    fs::set_permissions(folder, Permissions::from_mode(0o777)).expect("ours");
    limited.args(&args);
    command.get_envs().for_each(|(name, value)| {
        if let Some(value) = value {
            limited.env(name, value);
        }
    });
    limited
}

#[test]
fn where_the_system_makes_no_process_the_server_writes_the_state_itself_and_says_so() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("skipped: only root can become a user who has no other processes");
    }
    for track in [false, true] {
        let lab = Lab::started(|setup| {
            let setup = if track { setup.env("LAB_TRACK", 1) } else { setup };
            setup.env("LAB_MOVE", 1).start_as(with_two_processes)
        });
        let mut client = lab.connect();
        client.ask("fill 1000 1000");
        // The kernel goes on counting for a while what has become this user's process.
        wait_for("a second process", || client.ask("restart fork-exec").starts_with("ok "));
        let line = lab.wait_line("copied: ");
        let why = " by the server itself (fork: Resource temporarily unavailable";
        assert!(line.contains(why), "{line}");
        lab.wait_line("committed: generation 1");
        assert_eq!(client.ask("tracks"), "false");
        assert_eq!(client.who().generation, 1);
        assert_eq!(client.ask("pages"), (1000 + u64::from(track)).to_string());
    }
}
