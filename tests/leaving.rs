//! Connections are told why their process leaves and how long they have, and a process that begins to serve is told
//! which of those that it may know are elsewhere.

use std::fs;

use crate::common::{
    Client, Server, Setup,
    restart::{Engine, Lab, tell},
    wait_for, wait_gone,
};
use nix::sys::signal::Signal::SIGTERM;

/// What a restart leaves behind has so long, and what a stop does, in milliseconds.
const RESTART: u64 = 600_000;
const STOP: u64 = 120_000;
/// Nobody takes longer to hear of something. Nothing waits for it.
const LATE: u64 = 60_000;

/// Ends a probation that is to be survived; and one in which something happens.
const SHORT: u64 = 50;
const LONG: u64 = 20_000;

fn lab(adjust: impl FnOnce(Setup) -> Setup) -> Lab {
    Lab::with(|setup| {
        let setup = setup.env("LAB_LEAVING", 1).env("LAB_DRAIN", RESTART).env("LAB_STOP", STOP);
        adjust(setup.env("LAB_PROBATION", SHORT))
    })
}

/// The next thing that a client hears is that its process leaves, and that is true of the time.
fn assert_told(client: &mut Client, reason: &str, limit: u64) {
    let line = client.line();
    let left = line.strip_prefix(&format!("leaving {reason} "));
    let left: u64 = left.and_then(|left| left.parse().ok()).unwrap_or_else(|| panic!("{line:?}"));
    assert!(left <= limit && left + LATE > limit, "{line:?}, of {limit} ms");
}

/// It has not been told anything since.
fn assert_told_nothing(client: &mut Client) {
    assert_eq!(client.ask("echo still here"), "still here");
}

/// Begins a restart with a probation in which something is to happen. Answers the pid of who serves by then.
fn begin(lab: &Lab, engine: Engine) -> i32 {
    let old = lab.pid();
    lab.signal(engine.signal());
    wait_for("the new process to serve", || lab.pid() != old);
    lab.pid()
}

fn id(client: &mut Client) -> u64 {
    client.ask("id").parse().expect("a number")
}

/// What a process was told as it began, and these are elsewhere.
fn whence(how: &str, elsewhere: &[u64]) -> String {
    let mut elsewhere = elsewhere.to_vec();
    elsewhere.sort_unstable();
    let ids: String = elsewhere.iter().map(|id| format!(" {id}")).collect();
    if ids.is_empty() { how.to_owned() } else { format!("{how} elsewhere{ids}") }
}

fn a_restart_and_then_a_stop_are_told_each_with_its_time(engine: Engine) {
    let lab = lab(|setup| setup);
    let (mut early, old) = (lab.connect(), lab.pid());
    early.who();
    let new = lab.restart_by(engine);
    assert_told(&mut early, "Restart", RESTART);
    assert_told_nothing(&mut early);
    let mut late = lab.connect();
    assert_eq!(late.who().pid, new);
    tell(new, SIGTERM);
    assert_told(&mut late, "Stop", STOP);
    assert_told(&mut early, "Stop", STOP);
    assert_told_nothing(&mut early);
    assert_told_nothing(&mut late);
    drop((early, late));
    wait_gone(new);
    wait_gone(old);
}

fn a_new_process_that_is_not_wanted_says_so(engine: Engine) {
    let lab = lab(|setup| setup.env("LAB_PROBATION", LONG));
    let (mut early, old) = (lab.connect(), lab.pid());
    early.who();
    let new = begin(&lab, engine);
    let mut late = lab.connect();
    assert_eq!(late.who().pid, new);
    late.send("roll-back as told\n");
    assert_eq!(late.line(), "ok");
    assert_told(&mut late, "RollBack", RESTART);
    assert_told_nothing(&mut late);
    wait_for("the old one to serve again", || lab.pid() == old);
    assert_told_nothing(&mut early);
    assert_eq!(early.ask("whence"), "Resumed");
    // It may be told of a stop as well.
    tell(old, SIGTERM);
    assert_told(&mut early, "Stop", STOP);
    assert_told(&mut late, "Stop", STOP);
}

fn a_process_is_told_which_have_stayed(engine: Engine) {
    for moves in [false, true] {
        let lab = lab(|setup| if moves { setup.env("LAB_MOVE", 1) } else { setup });
        let (mut goes, mut stays) = (lab.connect(), lab.connect());
        assert_eq!(stays.ask("stay"), "ok");
        let ids = [id(&mut goes), id(&mut stays)];
        let new = lab.restart_by(engine);
        let mut late = lab.connect();
        assert_eq!(late.who().pid, new);
        let told = match (engine, moves) {
            (Engine::Fork, false) => whence("Forked moved 0", &ids),
            (Engine::Fork, true) => whence("Forked moved 1", &ids[1..]),
            (Engine::ForkExec, _) => format!("Upgraded moved {}", u8::from(moves)),
        };
        assert_eq!(late.ask("whence"), told);
        assert_told(&mut stays, "Restart", RESTART);
        if moves {
            assert_eq!(goes.ask("whence"), told); // it was told nothing, for it does not leave
        }
    }
}

fn after_a_death_a_process_is_told_who_is_gone(engine: Engine) {
    for moves in [false, true] {
        let lab = lab(|setup| {
            let setup = setup.env("LAB_PROBATION", LONG);
            if moves { setup.env("LAB_MOVE", 1) } else { setup }
        });
        let (mut goes, mut stays) = (lab.connect(), lab.connect());
        assert_eq!(stays.ask("stay"), "ok");
        let gone = id(&mut goes);
        lab.break_programs("abort");
        lab.signal(engine.signal());
        wait_for("the new process to die", || stays.ask("events").ends_with("error"));
        let gone = if moves { vec![gone] } else { Vec::new() };
        assert_eq!(stays.ask("whence"), whence("Resumed", &gone));
        lab.mend_programs();
        // It says so of this restart, and of no later one.
        lab.break_programs("roll back");
        lab.signal(engine.signal());
        wait_for("the roll back", || stays.ask("events").matches("error").count() == 2);
        assert_eq!(stays.ask("whence"), "Resumed");
    }
}

/// The new side dies when it may take over the connections and has not: they are this one's.
fn who_was_not_taken_over_is_not_gone(engine: Engine) {
    let lab = lab(|setup| setup.env("LAB_MOVE", 1));
    let mut goes = lab.connect();
    goes.who();
    fs::write(lab.scratch("fault"), "NewReleased die").expect("a file");
    lab.signal(engine.signal());
    wait_for("the new process to die", || goes.ask("events").ends_with("error"));
    assert_eq!(goes.ask("whence"), "Resumed");
}

/// Of those that had moved: one comes back, one has ended there, and one is kept there.
fn after_a_roll_back_a_process_is_told_who_is_gone(engine: Engine) {
    let lab = lab(|setup| setup.env("LAB_MOVE", 1).env("LAB_PROBATION", LONG));
    let [mut back, mut ends, mut kept, mut stays] = std::array::from_fn(|_| lab.connect());
    assert_eq!(stays.ask("stay"), "ok");
    let ids = [&mut ends, &mut kept].map(id);
    back.who();
    let old = lab.pid();
    let new = begin(&lab, engine);
    assert_eq!(back.who().pid, new);
    assert_eq!(kept.ask("no-export"), "ok");
    drop(ends);
    wait_for("the end of one", || !back.ask("closes").is_empty());
    back.send("roll-back as told\n");
    assert_eq!(back.line(), "ok");
    wait_for("the old one to serve again", || lab.pid() == old);
    assert_eq!(back.ask("whence"), whence("Resumed", &ids));
    assert_eq!(stays.ask("whence"), whence("Resumed", &ids));
    assert_told(&mut kept, "RollBack", RESTART);
}

for_both_engines!(
    a_restart_and_then_a_stop_are_told_each_with_its_time,
    a_new_process_that_is_not_wanted_says_so,
    a_process_is_told_which_have_stayed,
    after_a_death_a_process_is_told_who_is_gone,
    who_was_not_taken_over_is_not_gone,
    after_a_roll_back_a_process_is_told_who_is_gone,
);

#[test]
fn a_stop_alone_is_told_once_and_the_second_one_ends_without_a_word() {
    let mut lab = lab(|setup| setup);
    let mut client = lab.connect();
    client.who();
    lab.signal(SIGTERM);
    assert_told(&mut client, "Stop", STOP);
    assert_told_nothing(&mut client);
    lab.signal(SIGTERM);
    let rest = client.read_to_end().unwrap_or_default(); // a reset is an end as well
    assert_eq!(rest, b"");
    assert!(lab.wait_exit().success());
}

/// One that was told to stop by itself hears it again from the newest, which has no less time.
#[test]
fn what_is_no_news_is_not_told_again() {
    let lab = lab(|setup| setup);
    let (mut early, old) = (lab.connect(), lab.pid());
    early.who();
    let new = lab.restart_by(Engine::Fork);
    assert_told(&mut early, "Restart", RESTART);
    tell(old, SIGTERM);
    assert_told(&mut early, "Stop", STOP);
    let mut late = lab.connect();
    assert_eq!(late.who().pid, new);
    tell(new, SIGTERM);
    assert_told(&mut late, "Stop", STOP);
    lab.wait_line("dismissed by another generation");
    assert_told_nothing(&mut early);
}

/// The service goes on, so this is no stop; but there is less time.
#[test]
fn the_oldest_generation_is_told_to_make_room() {
    const SOON: u64 = 30_000;
    let lab = lab(|setup| setup.env("LAB_GENERATIONS", 2).env("LAB_DISMISS", SOON));
    let mut early = lab.connect();
    early.who();
    lab.restart_by(Engine::ForkExec);
    assert_told(&mut early, "Restart", RESTART);
    let mut second = lab.connect();
    second.who();
    lab.signal(Engine::Fork.signal());
    assert_told(&mut early, "Restart", SOON);
    assert_told_nothing(&mut early);
    drop(early);
    // The restart has waited for that.
    assert_told(&mut second, "Restart", RESTART);
    assert_eq!(lab.connect().who().generation, 2);
}

/// Each has what is left of the deadline after the window, from its own moment on.
#[test]
fn with_a_spread_each_is_told_its_own_time() {
    const WINDOW: u64 = 1_000;
    let mut lab = lab(|setup| setup.env("LAB_STOP", STOP).env("LAB_STOP_SPREAD", WINDOW));
    let mut clients: [Client; 4] = std::array::from_fn(|_| lab.connect());
    clients.iter_mut().for_each(|client| drop(client.who()));
    lab.signal(SIGTERM);
    for client in &mut clients {
        assert_told(client, "Stop", STOP - WINDOW);
        assert_told_nothing(client);
    }
    drop(clients);
    assert!(lab.wait_exit().success());
}

/// In a window of eleven days nobody is told of a restart at once.
#[test]
fn who_was_not_told_of_the_restart_yet_is_told_of_the_stop_only() {
    let lab =
        lab(|setup| setup.env("LAB_DRAIN", 2_000_000_000).env("LAB_DRAIN_SPREAD", 1_000_000_000));
    let mut clients: [Client; 2] = std::array::from_fn(|_| lab.connect());
    clients.iter_mut().for_each(|client| drop(client.who()));
    let new = lab.restart_by(Engine::Fork);
    lab.wait_line("draining: 2 connections are left");
    tell(new, SIGTERM);
    for client in &mut clients {
        assert_told(client, "Stop", STOP);
        assert_told_nothing(client);
    }
}

/// Who has stayed with the old room may talk on until the chat closes.
#[test]
fn the_chat_says_goodbye_differently() {
    let server = Server::of("chat").arg("--no-move").arg("--probation").arg("0").start();
    let mut guest = server.connect();
    assert_eq!(guest.line(), "What is your name?");
    guest.send("ann\n");
    let new = server.restart(Engine::Fork.signal());
    assert_eq!(guest.line(), "* there is a new room: call again to be in it");
    tell(new, SIGTERM);
    assert_eq!(guest.line(), "* the chat closes: good night");
    assert_eq!(guest.read_to_end().expect("a FIN"), b"");
}
