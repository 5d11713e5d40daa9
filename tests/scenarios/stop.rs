//! A stop in the middle of a restart.

use std::{net::TcpStream, time::Instant};

use nix::sys::signal::Signal::SIGTERM;

use crate::common::{
    Client,
    ops::{Operated, newcomer, wait_settled},
    restart::{Engine, resume, tell, zombies_of},
    wait_for, wait_gone,
};

for_both_engines!(
    scenario_19_stop_during_an_upgrade,
    a_new_side_stopped_before_it_is_ready_is_alone
);

/// What a process has for its last clients, in milliseconds.
const STOP: u64 = 500;

fn start() -> Operated {
    Operated::with(15_000, |setup| setup.env("LAB_STOP", STOP).env("LAB_DRAIN", 60_000))
}

/// At the old side, at the new one, or at both, when the new one serves already or before: in the time
/// that a stop has nothing is left, and nothing has the port.
fn scenario_19_stop_during_an_upgrade(engine: Engine) {
    for (ready, at_old, at_new) in [
        (false, true, false),
        (false, true, true),
        (true, true, false),
        (true, false, true),
        (true, true, true),
    ] {
        let lab = start();
        let old = lab.pid();
        let mut early = lab.connect();
        early.who();
        let (new, late) = begin(&lab, engine, ready);
        let told = Instant::now();
        // The new one first: told to stop, the old one ends it.
        [(at_new, new), (at_old, old)]
            .into_iter()
            .filter(|who| who.0)
            .for_each(|who| tell(who.1, SIGTERM));
        if !ready && !at_old {
            resume(new); // otherwise the old one ends it
        }
        wait_for("everybody to leave", || lab.generations().is_empty());
        let took = told.elapsed();
        assert!(took.as_millis() >= u128::from(STOP) / 2, "the early client had no time: {took:?}");
        assert!(took.as_millis() < u128::from(STOP) + 1500, "{took:?}");
        let refused = TcpStream::connect(&lab.address).map_err(|e| e.kind());
        assert_eq!(
            refused.err(),
            Some(std::io::ErrorKind::ConnectionRefused),
            "an orphan has the port"
        );
        drop((early, late));
    }
}

/// Begins a restart, up to where the new side is about to start or serves. Answers its pid and a client
/// of it, if it has any.
fn begin(lab: &Operated, engine: Engine, ready: bool) -> (i32, Option<Client>) {
    if !ready {
        return (lab.hold(engine), None);
    }
    lab.signal(engine.signal());
    wait_for("the new one to serve", || newcomer(lab).generation == 1);
    let mut client = lab.connect();
    (client.who().pid, Some(client))
}

/// It is not part of the service yet: the old one goes on.
fn a_new_side_stopped_before_it_is_ready_is_alone(engine: Engine) {
    let lab = start();
    let old = lab.pid();
    let new = lab.hold(engine);
    tell(new, SIGTERM);
    resume(new);
    wait_gone(new);
    wait_for("it to be reaped", || zombies_of(old).is_empty());
    assert_eq!(wait_settled(&lab).pid, old);
}
