//! A client resumes with the next generation what it has begun with this one, by either engine and after a roll back.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::common::{
    Dir,
    restart::Engine,
    tls::{BOTH, Secured, TlsClient},
    tool::{Tool, wait_line},
    wait_for,
};
use heirloom::tls::rustls::ClientConfig;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

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

/// Calls it for each generation: the first one twice, those of both engines, and the one to which two others roll back. It
/// answers whether a new connection has resumed what the first one has begun.
fn with_each_generation(mut resumes: impl FnMut(&Secured) -> bool) {
    let told = Dir::new();
    let broken = told.path("broken");
    let lab = Secured::with("tls", "tickets 3600", |setup| {
        setup.arg("--move").env("LAB_PROBATION", 200).env("LAB_BROKEN", broken.display())
    });
    assert!(!resumes(&lab), "there is nothing to resume");
    assert!(resumes(&lab));
    for engine in [Engine::Fork, Engine::ForkExec] {
        lab.server.restart(engine.signal());
        assert!(resumes(&lab), "after a restart by {engine:?}");
    }
    for (count, engine) in (1..).zip([Engine::Fork, Engine::ForkExec]) {
        fs::write(&broken, "roll back").expect("a file");
        lab.server.signal(engine.signal());
        lab.server.wait_lines("restart: rolled back", count);
        fs::remove_file(&broken).expect("a file of ours");
        assert!(resumes(&lab), "after one by {engine:?} that was rolled back");
    }
}

/// Begins a session, and then, for each line that it reads, resumes that. Arguments: port, authority, version.
const PYTHON: &str = r#"
import socket, ssl, sys

port, authority, version = sys.argv[1:]
context = ssl.create_default_context(cafile=authority)
context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
session = None
for _ in sys.stdin:
    plain = socket.create_connection(("127.0.0.1", int(port)))
    with context.wrap_socket(plain, server_hostname="localhost", session=session) as stream:
        stream.sendall(b"tls\n")
        told = stream.makefile().readline()  # tickets come before it
        assert told.endswith(" resumed\n") == stream.session_reused
        session = session or stream.session
        print("resumed" if stream.session_reused else "full", flush=True)
"#;

#[test]
#[ignore = "needs python3"]
fn python_resumes_its_session_with_each_generation() {
    for version in ["TLSv1_3", "TLSv1_2"] {
        let mut python = None;
        with_each_generation(|lab| {
            let (python, says) = python.get_or_insert_with(|| {
                let port = lab.address.rsplit(':').next().expect("a port");
                let authority = lab.pki.path("ca.pem");
                let mut python = Tool::start("python3", &["-c", PYTHON, port, &authority, version]);
                let says = python.lines();
                (python, says)
            });
            python.say("once more\n");
            wait_line(says, "") == "resumed\n"
        });
    }
}

/// A connection of openssl's own client, with the session in the file if there is one. Whether that was resumed.
fn openssl_resumes(lab: &Secured, version: &str) -> bool {
    let file = lab.pki.dir.path("session");
    let how = if file.exists() { "-sess_in" } else { "-sess_out" };
    let mut openssl = Command::new("timeout");
    openssl.args(["45", "openssl", "s_client", "-connect", &lab.address, version, "-ign_eof"]);
    openssl.args(["-servername", "localhost", "-CAfile", &lab.pki.path("ca.pem"), how]).arg(&file);
    openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut openssl = openssl.spawn().expect("it is installed");
    openssl.stdin.take().expect("a pipe").write_all(b"tls\nclose\n").expect("it reads");
    let output = openssl.wait_with_output().expect("what it said");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let told = said.lines().find(|line| line.contains("Some(\"localhost\")")).expect("an answer");
    let is_resumed = said.contains("\nReused, ");
    assert_eq!(told.ends_with(" resumed"), is_resumed, "{said}");
    is_resumed
}

#[test]
#[ignore = "needs openssl"]
fn openssl_resumes_its_session_with_each_generation() {
    for version in ["-tls1_3", "-tls1_2"] {
        with_each_generation(|lab| openssl_resumes(lab, version));
    }
}

/// openssl's client offers a ticket of TLS 1.2 however old it is, so it is for the server to know.
#[test]
#[ignore = "needs openssl"]
fn a_ticket_is_good_for_two_lifetimes_of_its_key_whoever_has_it_by_then() {
    const LIFETIME: Duration = Duration::from_secs(3);
    let lab = Secured::with("tls", &format!("tickets {}", LIFETIME.as_secs()), |setup| {
        setup.arg("--move").env("LAB_PROBATION", 0)
    });
    let begun = Instant::now();
    assert!(!openssl_resumes(&lab, "-tls1_2"), "there is nothing to resume");
    let has_key = Instant::now();
    // With a key that seals, and with one that only opens.
    let mut engines = Engine::alternating();
    let mut resumed = [0; 2];
    // A key does not age on its way to another program.
    let (mut restarts, mut on_the_way) = (0, Duration::ZERO);
    loop {
        let before = Instant::now();
        let resumes = openssl_resumes(&lab, "-tls1_2");
        let after = Instant::now();
        let period = (before - begun).as_secs() / LIFETIME.as_secs();
        if after < begun + 2 * LIFETIME {
            assert!(resumes, "after {:?}", before - begun);
            resumed[period as usize] += 1;
        } else if before > has_key + 2 * LIFETIME + on_the_way {
            assert!(!resumes, "after {:?}", before - begun);
            break;
        }
        if before > begun + restarts * (LIFETIME / 4) {
            let restarted = Instant::now();
            lab.server.restart(engines.next().expect("one of two").signal());
            (restarts, on_the_way) = (restarts + 1, on_the_way + restarted.elapsed());
        }
    }
    assert!(resumed[0] > 0 && resumed[1] > 0, "{resumed:?}");
}
