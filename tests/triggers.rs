//! Signals and requests at the wrong moment: whatever comes while a restart is under way, afterwards
//! exactly one generation serves, or none if that was the order.

use crate::common::{
    self,
    restart::{Engine, Lab, resume, sockets_of, stop, tell, zombies_of},
    wait_for, wait_gone,
};
use nix::sys::signal::Signal::{SIGHUP, SIGTERM, SIGUSR2};

for_both_engines!(
    a_restart_asked_for_while_one_is_in_progress_is_refused,
    the_old_side_told_to_stop_before_the_new_one_is_ready_ends_both,
    the_old_side_told_to_stop_before_the_commit_ends_both,
    the_new_side_told_to_stop_while_it_waits_leaves_the_old_one,
    a_waiting_side_hears_a_stop_behind_a_restart,
    both_sides_told_to_stop_end,
    a_signal_before_run_kills_nobody,
);

fn a_restart_asked_for_while_one_is_in_progress_is_refused(engine: Engine) {
    let lab = Lab::start();
    let old = lab.pid();
    let mut client = lab.connect();
    client.who();
    let new = lab.hold(engine);
    for asked in ["restart fork", "restart fork-exec"] {
        let answer = client.ask(asked);
        assert_eq!(answer, "error restart refused: another one is in progress");
    }
    tell(old, SIGHUP);
    lab.wait_lines("restart refused: another one is in progress", 3);
    resume(new);
    lab.wait_line("restart: done");
    assert_eq!(client.ask("events"), "Fresh,error,error,error,retire,ok,drain");
    assert_eq!(lab.connect().who().pid, new);
}

fn the_old_side_told_to_stop_before_the_new_one_is_ready_ends_both(engine: Engine) {
    let mut lab = Lab::start();
    let mut client = lab.connect();
    client.who();
    let new = lab.hold(engine);
    lab.signal(SIGTERM);
    wait_gone(new);
    wait_for("the drain to begin", || client.ask("events") == "Fresh,error,retire,drain");
    lab.wait_line("restart: given up, this process was told to stop");
    assert_eq!(zombies_of(lab.pid()), [0; 0]);
    drop(client);
    assert!(lab.wait_exit().success());
    assert_eq!(lab.generations(), [0; 0]);
}

/// The new side is a part of the service by then, which is to end.
fn the_old_side_told_to_stop_before_the_commit_ends_both(engine: Engine) {
    let lab = Lab::start();
    let old = lab.pid();
    let new = lab.hold_old(engine);
    stop(new);
    tell(old, SIGTERM);
    resume(old);
    wait_gone(old);
    resume(new);
    wait_gone(new);
}

fn the_new_side_told_to_stop_while_it_waits_leaves_the_old_one(engine: Engine) {
    let lab = Lab::start();
    let old = lab.pid();
    let new = lab.hold_old(engine);
    let mut client = lab.connect();
    tell(new, SIGTERM);
    wait_gone(new);
    resume(old);
    assert_eq!(client.who().pid, old);
    assert_eq!(client.ask("events"), "Fresh,retire,Resumed,error");
    lab.restart_by(engine);
}

/// Both come in one turn, the refused restart first.
fn a_waiting_side_hears_a_stop_behind_a_restart(engine: Engine) {
    let lab = Lab::start();
    let old = lab.pid();
    let new = lab.hold_old(engine);
    stop(new);
    tell(new, SIGHUP);
    tell(new, SIGTERM);
    resume(new);
    wait_gone(new);
    resume(old);
    assert_eq!(lab.connect().who().pid, old);
}

fn both_sides_told_to_stop_end(engine: Engine) {
    let lab = Lab::start();
    let old = lab.pid();
    let new = lab.hold_old(engine);
    tell(old, SIGTERM);
    tell(new, SIGTERM);
    resume(old);
    wait_gone(old);
    wait_gone(new);
    assert_eq!(lab.generations(), [0; 0]);
}

/// They wait until the new side can hear them.
fn a_signal_before_run_kills_nobody(engine: Engine) {
    let lab = Lab::start();
    let new = lab.hold(engine);
    tell(new, SIGHUP);
    tell(new, SIGUSR2);
    resume(new);
    lab.wait_line(&format!("[{new}] INFO: SIGUSR2: heard"));
    lab.wait_line("restart: done");
    assert!(lab.connect().who().generation >= 1);
}

/// Each signal of a storm begins a restart, is refused, or is one with another of its kind.
#[test]
fn a_storm_of_signals_leaves_exactly_one_serving_generation() {
    let mut lab = Lab::start();
    let first = lab.pid();
    let mut early = lab.connect();
    early.who();
    for wave in 0..5 {
        let serving = lab.pid();
        for number in 0..50 {
            tell(serving, if (number + wave) % 3 == 0 { SIGUSR2 } else { SIGHUP });
        }
        lab.wait_lines("restart: done", wave + 1);
        // The first one stays for its client; of the others, one.
        wait_for("the others to leave", || lab.generations().len() == 2);
        let listener = common::restart::listening(&lab.address);
        assert_eq!(listener.len(), 1, "bound more than once, or not at all");
        let accepts = |pid: &i32| sockets_of(*pid).contains(&listener[0]);
        let serving: Vec<_> = lab.generations().into_iter().filter(accepts).collect();
        assert_eq!(serving, [lab.pid()]);
        for _ in 0..20 {
            assert_eq!(lab.connect().who().pid, serving[0]);
        }
    }
    assert_eq!(early.who().pid, first);
    assert_eq!(zombies_of(first), [0; 0]);
    drop(early);
    assert!(lab.wait_exit().success());
}
