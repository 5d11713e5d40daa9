//! The service hears of an end when it is decided; the socket's own end is the reactor's business.

use std::time::{Duration, Instant};

use crate::common::{Server, restart::Engine, stat, wait_for, while_stopped};
use heirloom::{
    ConnId, Connection, Net, Origin, Reason, Result, Service, Timeouts,
    testing::{Harness, Peer},
};

for_both_engines!(a_guest_that_goes_as_a_restart_begins_has_left_for_everybody);

/// Longer than any test waits for what must not wait for it.
const CLOSE: Duration = Duration::from_secs(5);

/// Does as it is told, and notes the ends.
#[derive(Default)]
struct Ends {
    told: Vec<(ConnId, String)>,
    sessions: std::rc::Rc<()>,
}

impl Service for Ends {
    type Session = std::rc::Rc<()>;

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<Self::Session> {
        Ok(std::rc::Rc::clone(&self.sessions))
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        _: &mut Self::Session,
        input: &[u8],
    ) -> Result<usize> {
        match input {
            b"close" => conn.close(),
            b"abort" => conn.abort(),
            b"fail" => return Err("as told".into()),
            b"reply and close" => {
                conn.send(&[b'x'; 1000]);
                conn.close();
            }
            b"reply and abort" => {
                conn.send(&[b'x'; 1000]);
                conn.abort();
            }
            b"reply" => conn.send(&[b'x'; 1000]),
            _ => {}
        }
        Ok(input.len())
    }

    fn on_close(&mut self, net: &mut Net, id: ConnId, _: Self::Session, why: Reason) {
        assert!(net.get(id).is_none(), "still to be found");
        self.told.push((id, why.to_string()));
    }
}

impl Ends {
    fn sessions(&self) -> usize {
        std::rc::Rc::strong_count(&self.sessions) - 1
    }
}

/// What is said of one that is silent for a minute.
const IDLE: &str = "idle timeout: nothing came or was sent for 60.000s, the limit is 60s";

/// With a limit to silence.
fn ends() -> Harness<Ends> {
    Harness::new(Ends::default()).timeouts(Timeouts::new().all_idle(Duration::from_secs(60)))
}

/// What the service has heard since it was asked last.
fn heard(harness: &mut Harness<Ends>, peer: Peer) -> Vec<String> {
    let id = harness.id(peer);
    let told = std::mem::take(&mut harness.service().told);
    told.into_iter().map(|(of, why)| if of == id { why } else { format!("{of}: {why}") }).collect()
}

#[test]
fn a_peer_that_stays_silent_after_our_fin_delays_no_on_close() {
    let reasons = [("close", "closed"), ("fail", "failed: as told"), ("", IDLE)];
    for (request, reason) in reasons {
        let mut harness = ends();
        let peer = harness.connect_silent();
        harness.feed(peer, b"hello");
        harness.feed(peer, request.as_bytes());
        if request.is_empty() {
            harness.advance(Duration::from_secs(60));
        }
        assert_eq!(heard(&mut harness, peer), [reason]);
        assert!(harness.is_closed(peer) && !harness.is_reset(peer));
        assert_eq!(harness.service().sessions(), 0, "a session that nobody has a use for");
        // The socket is there until the peer's time is over, and counts as long.
        assert_eq!((harness.net().connections(), harness.net().stats().closed), (1, 0));
        harness.advance(CLOSE);
        assert_eq!((harness.net().connections(), harness.net().stats().closed), (0, 1));
        assert_eq!(heard(&mut harness, peer), [""; 0], "told twice");
    }
}

#[test]
fn output_that_is_still_on_its_way_delays_no_on_close() {
    let mut harness = Harness::new(Ends::default());
    let peer = harness.connect();
    harness.set_window(peer, 10);
    harness.feed(peer, b"reply and close");
    assert_eq!(heard(&mut harness, peer), ["closed"]);
    assert!(!harness.is_closed(peer), "its reply is not through");
    assert_eq!(harness.take(peer).len(), 1000);
    assert!(harness.is_closed(peer) && !harness.is_reset(peer));
    assert_eq!(heard(&mut harness, peer), [""; 0]);
}

#[test]
fn a_close_that_the_peer_does_not_take_is_a_reset_and_told_once() {
    let mut harness = Harness::new(Ends::default());
    let peer = harness.connect();
    harness.set_window(peer, 10);
    harness.feed(peer, b"reply and close");
    assert_eq!(heard(&mut harness, peer), ["closed"]);
    harness.advance(Duration::from_secs(30)); // the write timeout
    assert!(harness.is_reset(peer), "a reply that was cut looks whole");
    assert_eq!(harness.net().stats().failed, 1);
    assert_eq!(heard(&mut harness, peer), [""; 0]);
}

#[test]
fn a_peer_that_resets_is_told_once_before_and_after_our_close() {
    let mut harness = Harness::new(Ends::default());
    let peer = harness.connect();
    harness.reset(peer);
    assert_eq!(heard(&mut harness, peer), ["broken: connection reset"]);
    let peer = harness.connect_silent();
    harness.feed(peer, b"close");
    harness.reset(peer);
    assert_eq!(heard(&mut harness, peer), ["closed"]);
    assert_eq!(harness.net().connections(), 0);
}

#[test]
fn what_is_thrown_away_is_a_reset_and_what_is_sent_is_not() {
    let cut = |request: &[u8], end: fn(&mut Harness<Ends>)| {
        let mut harness = ends();
        let peer = harness.connect();
        harness.set_window(peer, 10);
        harness.feed(peer, request);
        end(&mut harness);
        assert!(harness.is_closed(peer));
        harness.is_reset(peer)
    };
    let later = |harness: &mut Harness<Ends>| harness.advance(Duration::from_secs(30));
    assert!(cut(b"reply", later), "the write timeout");
    let stop = |harness: &mut Harness<Ends>| {
        harness.net().stop();
        harness.advance(Duration::ZERO);
    };
    assert!(cut(b"reply", stop), "a stop");
    assert!(!cut(b"hello", stop), "a stop of one that has had everything");
    assert!(cut(b"reply and abort", |_| {}), "an abort");
    assert!(!cut(b"abort", |_| {}), "an abort of one that has had everything");
    assert!(!cut(b"fail", |_| {}), "an error ends after what was queued");
    assert!(!cut(b"hello", |harness| harness.advance(Duration::from_secs(60))), "an idle one");
}

/// Both come in one turn, in which the guest is heard first: what the old generation knows by then is
/// what the new one will know.
fn a_guest_that_goes_as_a_restart_begins_has_left_for_everybody(engine: Engine) {
    let server = Server::of("chat").start();
    let [mut alice, mut bob] = ["alice", "bob"].map(|name| {
        let mut guest = server.connect();
        assert_eq!(guest.line(), "What is your name?");
        guest.send(format!("{name}\n"));
        guest
    });
    assert_eq!(alice.line(), "* bob is here");
    let begun = Instant::now();
    while_stopped(server.pid(), || {
        bob.send("x".repeat(600)); // longer than a line may be, so that the server closes
        server.signal(engine.signal());
    });
    assert_eq!(alice.line(), "* bob left");
    assert!(begun.elapsed() < CLOSE / 2, "not before its socket was closed");
    server.wait_line("restart: done");
    assert_eq!(bob.read_to_end().expect("a FIN"), b"");
    drop(bob);
    server.wait_line("generation 0 is gone");
    // Nothing more came of it.
    let mut carol = server.connect();
    assert_eq!(carol.line(), "What is your name?");
    carol.send("carol\n");
    assert_eq!(alice.line(), "* carol is here");
}

#[test]
fn a_close_that_is_not_complete_is_no_reason_to_hear_of_it_later() {
    let server = Server::of("lab").start();
    let (mut client, mut control) = (server.connect(), server.connect());
    client.send("close\n");
    assert_eq!(client.read_to_end().expect("a FIN"), b"");
    assert_eq!(control.ask("closes"), "closed");
    assert_eq!(stat(&mut control, "closed"), 0, "its socket is still there");
    client.finish();
    wait_for("the peer's FIN", || stat(&mut control, "closed") == 1);
    assert_eq!(control.ask("closes"), "closed");
}
