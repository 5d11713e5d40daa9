//! A client resumes with the next generation what it has begun with this one, by either engine and after a roll back.

mod common;
#[path = "common/tls.rs"]
mod tls;

use std::sync::Arc;

use common::wait_for;
use heirloom::tls::rustls::ClientConfig;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tls::{BOTH, Secured, TlsClient};

/// Whether a new connection has resumed a session of an earlier one.
fn resumes(lab: &Secured, config: &Arc<ClientConfig>) -> bool {
    let mut client = TlsClient::connect(&lab.address, Arc::clone(config), "localhost");
    let told = client.ask("tls");
    client.close_notify();
    assert_eq!(client.read_to_end().expect("an orderly end"), b"");
    told.ends_with(" resumed")
}

#[test]
fn sessions_are_resumed_across_restarts_by_both_engines() {
    for version in BOTH {
        for moves in [false, true] {
            let lab = Secured::with("tls", "tickets 3600", |setup| {
                let setup = setup.env("LAB_PROBATION", 0);
                if moves { setup.arg("--move") } else { setup }
            });
            let config: Arc<_> = lab.pki.client(&[version]).into();
            assert!(!resumes(&lab, &config), "there is nothing to resume");
            for round in 0..3 {
                assert!(resumes(&lab, &config), "{version:?}, {round}");
                lab.server.restart(Signal::SIGUSR2);
                assert!(resumes(&lab, &config), "{version:?}, {round}: another program");
                lab.server.restart(Signal::SIGHUP);
            }
            assert!(resumes(&lab, &config));
            // Of somebody who has begun nothing.
            assert!(!resumes(&lab, &lab.pki.client(&[version]).into()));
        }
    }
}

/// Two sides of it by turns: whoever it comes to knows the keys of the others.
#[test]
fn sessions_are_resumed_with_every_worker_whoever_was_restarted_or_has_crashed() {
    for version in BOTH {
        let lab = Secured::with("tls", "tickets 3600", |setup| {
            setup.arg("--workers").arg("2").env("LAB_PROBATION", 0)
        });
        lab.server.wait_lines("committed: generation 0", 2);
        let config: Arc<_> = lab.pki.client(&[version]).into();
        assert!(!resumes(&lab, &config), "there is nothing to resume");
        // Of twelve connections all go to one of two workers once in 2048 times.
        let all_resume = || (0..12).all(|_| resumes(&lab, &config));
        assert!(all_resume(), "{version:?}");
        for (round, signal) in [Signal::SIGUSR2, Signal::SIGHUP].into_iter().enumerate() {
            lab.server.signal(signal);
            lab.server.wait_lines("supervisor: all 2 workers are replaced", round + 1);
            assert!(all_resume(), "{version:?}: {signal}");
        }
        let main = lab.server.wait_lines("supervisor: worker 1: generation 2 is main", 1);
        let pid =
            main[0].rsplit("pid ").next().and_then(|it| it.trim_end_matches(')').parse().ok());
        kill(Pid::from_raw(pid.expect("a pid")), Signal::SIGKILL).expect("it lives");
        lab.server.wait_line("committed: generation 3");
        assert!(all_resume(), "{version:?}: one that was made anew");
    }
}

#[test]
fn what_was_begun_with_a_new_side_is_resumed_after_its_roll_back() {
    for engine in [Signal::SIGUSR2, Signal::SIGHUP] {
        let lab = Secured::with("tls", "tickets 3600", |setup| {
            setup.arg("--move").env("LAB_PROBATION", 600_000)
        });
        let config: Arc<_> = lab.pki.client(BOTH).into();
        let mut plain = lab.server.connect();
        let old = plain.ask("who");
        lab.server.signal(engine);
        wait_for("the new process to serve", || plain.ask("who") != old);
        assert!(!resumes(&lab, &config), "there is nothing to resume");
        assert_eq!(plain.ask("roll-back unfit"), "ok");
        wait_for("the old process to serve", || plain.ask("who") == old);
        assert!(resumes(&lab, &config));
    }
}
