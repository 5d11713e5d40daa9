//! Clients that never leave, and restarts that never end.

use std::{
    fs,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use crate::common::{
    open_fds,
    ops::{AtEnd, Operated},
    restart::{Engine, Lab},
    wait_gone,
};

const CAP: usize = 3;
const UPGRADES: usize = 20;

/// Never more than three processes, whatever their clients do; the oldest goes first.
#[test]
fn scenario_10_generation_pile_up() {
    let lab = Operated::with(20, |setup| {
        setup.env("LAB_GENERATIONS", CAP).env("LAB_DISMISS", 150).env("LAB_DRAIN", 60_000)
    });
    let done = AtomicBool::new(false);
    let ended = Mutex::new(Vec::new());
    thread::scope(|scope| {
        let at_end = AtEnd(&done);
        let seen = scope.spawn(|| seen_at_a_time(&lab, &done));
        for (number, engine) in Engine::alternating().take(UPGRADES).enumerate() {
            for _ in 0..2 {
                let mut client = lab.connect();
                assert_eq!(client.who().generation, number as u64);
                let ended = &ended;
                scope.spawn(move || {
                    let _ = client.read_to_end(); // it stays until it is sent away
                    ended.lock().unwrap().push(number);
                });
            }
            let flag = format!("--{}", engine.name());
            let ran = lab.heirloom(&["restart", &flag]);
            assert_eq!(ran.status, Some(0), "{ran:?}");
            let status = lab.status();
            assert!(status.len() <= CAP, "{status:?}");
            for (age, row) in status.iter().enumerate() {
                assert_eq!(row.get("generation"), (number + 1 - age).to_string());
                assert_eq!(row.get("connections"), if age == 0 { "0" } else { "2" });
                assert!(row.get("age").parse::<f64>().is_ok_and(|age| age < 20.0), "{row:?}");
                assert!(row.pid() > 0);
            }
        }
        drop(at_end);
        let seen = seen.join().expect("no panic");
        // A scribe is told from a generation by a name that it has not in its first moment. The log knows.
        let log = lab.log();
        let is_generation = |pid: &&i32| log.contains(&format!(" pid {pid}"));
        let most = seen.iter().map(|pids| pids.iter().filter(is_generation).count()).max();
        assert_eq!(most, Some(CAP), "generations at a time");
        let rss: u64 = lab.generations().into_iter().map(rss).sum();
        assert!(rss < 200 << 20, "{rss} bytes in memory");
        lab.request("stop");
    });
    let ended = ended.into_inner().unwrap();
    let sorted = ended.windows(2).all(|pair| pair[0] <= pair[1] + 1);
    assert!(sorted, "not the oldest first: {ended:?}");
}

/// The processes of each moment; all different from the one before.
fn seen_at_a_time(lab: &Lab, done: &AtomicBool) -> Vec<Vec<i32>> {
    let mut seen: Vec<Vec<i32>> = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let mut pids = lab.generations();
        pids.retain(|&pid| open_fds(pid) > 0); // one that has closed everything is on its way out
        if seen.last() != Some(&pids) {
            seen.push(pids);
        }
        thread::sleep(Duration::from_millis(1));
    }
    seen
}

fn rss(pid: i32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

#[test]
fn at_the_cap_a_restart_is_refused_with_a_reason_that_names_the_oldest() {
    let lab = Operated::with(20, |setup| setup.env("LAB_GENERATIONS", 2));
    let old = lab.pid();
    let mut client = lab.connect();
    client.who();
    assert_eq!(lab.heirloom(&["restart", "--fork"]).status, Some(0));
    for flag in ["--fork", "--fork-exec"] {
        let ran = lab.heirloom(&["restart", flag]);
        assert_eq!(ran.status, Some(1), "{ran:?}");
        let reason = format!(
            "heirloom: restart refused: 2 generations are alive, which is the limit; the oldest is \
             generation 0, pid {old}\n"
        );
        assert_eq!(ran.err, reason);
    }
    assert_eq!(client.who().pid, old, "nobody was sent away");
    drop(client);
    wait_gone(old);
    assert_eq!(lab.heirloom(&["restart", "--fork-exec"]).status, Some(0));
}
