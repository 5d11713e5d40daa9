//! A client resumes with the next generation what it has begun with this one, by either engine and after a roll back.

mod common;
#[path = "common/tls.rs"]
mod tls;

use std::sync::Arc;

use common::wait_for;
use heirloom::tls::rustls::ClientConfig;
use nix::sys::signal::Signal;
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
