//! A side that neither works nor dies.

use std::time::{Duration, Instant};

use crate::common::{
    Client, Dir,
    churn::{Churn, LAB},
    open_fds,
    ops::{Operated, newcomer, restart_to_the_end, stopped, wait_settled},
    restart::{Engine, fds_at_rest, is_stopped, resume},
    wait_for, wait_gone,
};

for_both_engines!(
    scenario_08_child_hangs,
    scenario_25_old_stopped_right_after_ready,
    an_old_side_that_hangs_before_it_releases_holds_nobody_up_for_long,
);

fn scenario_08_child_hangs(engine: Engine) {
    let lab = Operated::with(50, |setup| setup.env("LAB_READY", 700));
    let old = lab.pid();
    let fds = fds_at_rest(old);
    let traffic = Churn::start(&lab.address, LAB);
    let new = lab.hold(engine);
    // The old one has never stopped accepting.
    assert_eq!(newcomer(&lab).pid, old);
    assert!(is_stopped(new), "it was ended already: too slow a test");
    wait_gone(new);
    let why = lab.wait_line("ERROR: restart: the new side ");
    assert!(why.contains("700ms"), "{why}");
    assert_eq!(lab.connect().ask("events"), "Fresh,error", "the service was told");
    let failed = traffic.stop();
    assert_eq!(failed.total(), 0, "{failed:?}");
    assert_eq!(wait_settled(&lab).pid, old); // reaped, too
    wait_for("descriptors to be given back", || open_fds(old) == fds);
    assert_ne!(restart_to_the_end(&lab, engine).pid, old);
}

/// Restarts a lab whose old side stops after `step`. Answers the lab, a client of the old side, and that
/// side's pid.
fn stop_after(step: &str, engine: Engine) -> (Operated, Client, i32) {
    let files = Dir::new();
    let fault = files.path("fault");
    let lab = Operated::with(50, |setup| setup.env("HEIRLOOM_FAULT", fault.display()));
    let old = lab.pid();
    let mut early = lab.connect();
    early.who();
    std::fs::write(&fault, format!("{step} hang")).expect("a file of ours");
    lab.signal(engine.signal());
    wait_for("the old side to stop", || stopped(&lab) == [old]);
    (lab, early, old)
}

/// It has stopped accepting and said so; whatever it does after that is waited for by nobody.
fn scenario_25_old_stopped_right_after_ready(engine: Engine) {
    if !cfg!(debug_assertions) {
        return println!("skipped: faults are in debug builds only");
    }
    let (lab, mut early, old) = stop_after("OldReleased", engine);
    let begun = Instant::now();
    let new = newcomer(&lab);
    assert_ne!(new.pid, old);
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    lab.wait_line("committed: generation 1 stays");
    // It is not gone, and an operator can see that it says nothing.
    let rows = lab.status();
    assert_eq!((rows[0].pid(), rows[0].get("phase")), (new.pid, "serving"));
    assert_eq!((rows[1].pid(), rows[1].get("phase")), (old, "silent"));
    resume(old);
    assert_eq!(early.who().pid, old, "its clients are its own");
    wait_for("the old one to answer", || lab.status()[1].get("phase") == "draining");
    drop(early);
    wait_gone(old);
    assert_eq!(wait_settled(&lab), new);
}

/// It has not said that it stopped accepting: the new one waits a moment for its word.
fn an_old_side_that_hangs_before_it_releases_holds_nobody_up_for_long(engine: Engine) {
    if !cfg!(debug_assertions) {
        return println!("skipped: faults are in debug builds only");
    }
    let (lab, early, old) = stop_after("OldReady", engine);
    let begun = Instant::now();
    assert_ne!(newcomer(&lab).pid, old);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    lab.wait_line("the old side is silent: serving beside it");
    resume(old);
    drop(early);
    wait_gone(old);
    assert_eq!(wait_settled(&lab).generation, 1);
}
