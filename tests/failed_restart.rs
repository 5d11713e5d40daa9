//! Whatever ends one side of a restart, at whatever step: the other one serves, nobody who was
//! queued is lost, and the next restart works.

use std::time::Duration;

use crate::common::{
    Client, open_fds,
    restart::{
        Engine, Lab, fds_at_rest, is_stopped, resume, slay, stop, wait_for_events, zombies_of,
    },
    wait_for, wait_gone,
};

for_both_engines!(
    a_new_side_that_dies_before_it_is_ready_changes_nothing,
    a_new_side_that_hangs_is_ended_in_time_and_the_old_one_never_stops_accepting,
    a_new_side_that_dies_before_its_release_gives_the_queue_back,
    a_new_side_that_hangs_after_its_release_gives_the_queue_back,
    an_old_side_that_dies_before_it_releases_is_replaced,
    an_old_side_that_dies_after_it_has_released_is_replaced,
    a_new_side_that_dies_after_it_has_committed_is_reaped_and_the_old_one_drains_on,
);

/// Long enough for a new side that is well, and short enough to wait for one that is not.
const READY: Duration = Duration::from_millis(1000);

fn impatient_lab() -> Lab {
    Lab::with(|setup| setup.env("LAB_READY", READY.as_millis()))
}

/// The same process serves as before, has cleaned up after its child, and can be restarted.
fn assert_unharmed(lab: &Lab, old: i32, fds: usize, engine: Engine) {
    let who = lab.connect().who();
    assert_eq!((who.generation, who.pid), (0, old));
    wait_for("descriptors to be closed", || open_fds(old) == fds);
    assert_eq!(zombies_of(old), [0; 0]);
    let new = lab.restart_by(engine);
    let who = lab.connect().who();
    assert_eq!(who.pid, new);
    // The number of one that has been released is not given again.
    let released = lab.count_lines("in its probation") + lab.count_lines("did not commit");
    assert_eq!(who.generation, 1 + u64::from(released > 0));
    wait_gone(old);
}

/// A hundred clients that have connected and asked, and have no answer yet.
fn queue_of(lab: &Lab) -> Vec<Client> {
    let mut clients: Vec<_> = (0..100).map(|_| lab.connect()).collect();
    clients.iter_mut().for_each(|client| client.send("who\n"));
    clients
}

fn assert_served_by(generation: u64, clients: Vec<Client>) {
    for mut client in clients {
        let answer = client.line();
        assert!(answer.starts_with(&format!("{generation} ")), "served by {answer}");
    }
}

fn a_new_side_that_dies_before_it_is_ready_changes_nothing(engine: Engine) {
    let lab = Lab::start();
    let (old, fds) = (lab.pid(), fds_at_rest(lab.pid()));
    let mut early = lab.connect();
    early.who();
    slay(lab.hold(engine));
    lab.wait_line("restart: the new side ended before it was ready: killed by SIGKILL");
    assert_eq!(early.ask("events"), "Fresh,error");
    drop(early);
    assert_unharmed(&lab, old, fds, engine);
}

fn a_new_side_that_hangs_is_ended_in_time_and_the_old_one_never_stops_accepting(engine: Engine) {
    let lab = impatient_lab();
    let (old, fds) = (lab.pid(), fds_at_rest(lab.pid()));
    let new = lab.hold(engine);
    assert_served_by(0, queue_of(&lab));
    assert!(is_stopped(new), "it was ended already: too slow a test");
    lab.wait_line("restart: the new side was not ready within 1s");
    wait_gone(new);
    assert_unharmed(&lab, old, fds, engine);
}

/// No event comes for clients that are queued already: the old side has to look.
fn a_new_side_that_dies_before_its_release_gives_the_queue_back(engine: Engine) {
    let lab = Lab::start();
    let (old, fds) = (lab.pid(), fds_at_rest(lab.pid()));
    let mut early = lab.connect();
    early.who();
    let new = lab.hold_old(engine);
    let clients = queue_of(&lab);
    slay(new);
    resume(old);
    assert_served_by(0, clients);
    assert_eq!(early.ask("events"), "Fresh,retire,Resumed,error");
    drop(early);
    assert_unharmed(&lab, old, fds, engine);
}

fn a_new_side_that_hangs_after_its_release_gives_the_queue_back(engine: Engine) {
    let lab = impatient_lab();
    let (old, fds) = (lab.pid(), fds_at_rest(lab.pid()));
    let new = lab.hold_old(engine);
    stop(new);
    let clients = queue_of(&lab);
    resume(old);
    assert_served_by(0, clients);
    wait_gone(new);
    assert_unharmed(&lab, old, fds, engine);
}

/// A forked child has the state from birth. What a new program does without it is in `one_generation`.
#[test]
fn an_old_side_that_dies_before_its_child_is_ready_is_replaced() {
    let lab = Lab::start();
    let new = lab.hold(Engine::Fork);
    slay(lab.pid());
    let clients = queue_of(&lab);
    resume(new);
    assert_served_by(1, clients);
    assert_promoted(&lab, new, Engine::Fork);
}

fn an_old_side_that_dies_before_it_releases_is_replaced(engine: Engine) {
    let lab = Lab::start();
    let new = lab.hold_old(engine);
    let clients = queue_of(&lab);
    slay(lab.pid());
    assert_served_by(1, clients);
    assert_promoted(&lab, new, engine);
}

fn an_old_side_that_dies_after_it_has_released_is_replaced(engine: Engine) {
    let lab = Lab::with(|setup| setup.env("RUST_LOG", "debug"));
    let old = lab.pid();
    let new = lab.hold_old(engine);
    stop(new);
    let clients = queue_of(&lab);
    resume(old);
    lab.wait_line("on Ready: Released, ");
    wait_for_events(old);
    slay(old);
    resume(new);
    assert_served_by(1, clients);
    assert_promoted(&lab, new, engine);
}

/// The new side is a generation like any other.
fn assert_promoted(lab: &Lab, new: i32, engine: Engine) {
    lab.wait_line("ready: generation 1");
    assert_eq!(lab.pid(), new);
    assert_eq!(lab.connect().ask("events"), engine.start());
    lab.restart_by(engine);
    assert_eq!(lab.connect().who().generation, 2);
}

fn a_new_side_that_dies_after_it_has_committed_is_reaped_and_the_old_one_drains_on(engine: Engine) {
    let mut lab = Lab::start();
    let old = lab.pid();
    let mut early = lab.connect();
    early.who();
    slay(lab.restart_by(engine));
    wait_for("the new side to be reaped", || zombies_of(old).is_empty());
    assert_eq!(early.who().pid, old);
    drop(early);
    assert!(lab.wait_exit().success());
}

/// Asks for a restart that fails, and answers the reason.
fn reason(client: &mut Client) -> String {
    let answer = client.ask("restart fork-exec");
    answer.strip_prefix("error restart: ").unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[test]
fn the_reason_tells_the_exit_status_and_the_last_words() {
    let lab = Lab::start();
    let mut client = lab.connect();
    for (how, status, words) in [
        ("exit", "exit status 3", "lab: the configuration is broken"),
        ("panic", "exit status 101", "lab: as told"),
    ] {
        lab.break_programs(how);
        let reason = reason(&mut client);
        assert!(reason.contains(status) && reason.contains(words), "{reason}");
        lab.wait_lines(words, 2); // once as it was said, once in the verdict
    }
    lab.mend_programs();
    let fds = fds_at_rest(lab.pid());
    drop(client);
    let old = lab.pid();
    assert_unharmed(&lab, old, fds - 1, Engine::ForkExec);
}

/// It tells the other side why, instead of dying without a word.
#[test]
fn a_new_program_that_cannot_listen_says_so() {
    let lab = Lab::start();
    lab.listen_also("unix:/no/such/directory/sock");
    let reason = reason(&mut lab.connect());
    assert!(reason.contains("listen on unix:/no/such/directory/sock"), "{reason}");
    assert_eq!(lab.connect().who().generation, 0);
}
