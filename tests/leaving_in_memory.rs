//! The harness tells a service why it leaves and whence it came, as a process does.

use std::time::Duration;

use heirloom::{
    ConnId, Connection, LeaveReason, Leaving, Move, Net, Origin, Result, Service, Start,
    testing::{Harness, Peer},
};

const HOUR: Duration = Duration::from_secs(3600);
const HALF_A_MINUTE: Duration = Duration::from_secs(30);

/// What it was told. A client that says `s` stays in its process, one that says `n` is not written down.
#[derive(Default)]
struct Told {
    /// How it began, each time.
    starts: Vec<Start>,
    /// What each connection was told, and how often the service was told to retire before that.
    drains: Vec<(ConnId, Leaving, usize)>,
    retired: usize,
    closed: Vec<ConnId>,
    /// Why the process was leaving at each of these.
    left: Vec<Option<LeaveReason>>,
}

impl Service for Told {
    type Session = u8;

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<u8> {
        Ok(b' ')
    }

    fn on_data(&mut self, _: &mut Connection<'_>, said: &mut u8, input: &[u8]) -> Result<usize> {
        *said = input[0];
        Ok(1)
    }

    fn on_start(&mut self, _net: &mut Net, start: Start) {
        self.starts.push(start);
    }

    fn on_retire(&mut self, _net: &mut Net) {
        self.retired += 1;
    }

    fn on_drain(&mut self, conn: &mut Connection<'_>, _: &mut u8, leaving: &Leaving) -> Result {
        self.drains.push((conn.id(), *leaving, self.retired));
        Ok(())
    }

    fn on_close(&mut self, net: &mut Net, id: ConnId, _: u8, _why: heirloom::Reason) {
        self.closed.push(id);
        self.left.push(net.leaving());
    }

    fn on_move(&self, said: &u8) -> Move {
        if *said == b's' { Move::Stay } else { Move::Yes }
    }

    fn export(&self, said: &u8) -> Option<Vec<u8>> {
        (*said != b'n').then(|| vec![*said])
    }

    fn import(&mut self, _conn: &mut Connection<'_>, saved: &[u8]) -> Result<u8> {
        Ok(saved[0])
    }
}

fn told(reason: LeaveReason, within: Duration) -> Leaving {
    Leaving { reason, within: Some(within) }
}

/// So many peers, each of which has said its byte.
fn with_peers<const N: usize>(said: [u8; N]) -> (Harness<Told>, [Peer; N]) {
    let mut harness = Harness::new(Told::default());
    let peers = said.map(|byte| {
        let peer = harness.connect();
        harness.feed(peer, &[byte]);
        peer
    });
    (harness, peers)
}

#[test]
fn a_stop_is_told_once_with_its_time() {
    let (mut harness, [peer]) = with_peers(*b"x");
    let id = harness.id(peer);
    harness.net().drain();
    harness.advance(Duration::from_secs(1));
    assert_eq!(harness.service().drains, [(id, told(LeaveReason::Stop, HALF_A_MINUTE), 1)]);
    harness.net().drain(); // the second one means now
    harness.advance(Duration::ZERO);
    assert_eq!((harness.service().drains.len(), &harness.service().closed[..]), (1, &[id][..]));
}

#[test]
fn nobody_is_told_of_a_stop_at_once() {
    let (mut harness, [peer]) = with_peers(*b"x");
    let id = harness.id(peer);
    harness.net().stop();
    harness.advance(Duration::ZERO);
    let service = harness.service();
    assert_eq!((service.retired, service.drains.len(), &service.closed[..]), (1, 0, &[id][..]));
    assert!(harness.has_ended());
}

#[test]
fn a_restart_and_then_a_stop_are_two_calls() {
    let (harness, [moves, stays]) = with_peers(*b"xs");
    let mut sides = harness.begin_restart(Told::default()).unwrap();
    let id = sides.old.id(stays);
    assert_eq!(sides.new.service().starts, [Start::Upgraded { moved: 1 }]);
    assert!(sides.old.service().drains.is_empty()); // it may yet serve again
    let (mut old, mut new) = sides.commit();
    let restart = (id, told(LeaveReason::Restart, HOUR), 1);
    assert_eq!(old.service().drains, [restart]);
    old.net().drain();
    old.advance(Duration::ZERO);
    let stop = (id, told(LeaveReason::Stop, HALF_A_MINUTE), 1);
    assert_eq!(old.service().drains, [restart, stop]);
    assert!(new.has(moves) && new.service().drains.is_empty());
}

#[test]
fn who_goes_may_be_told_of_by_why_the_process_leaves() {
    let (mut harness, [first, second, third]) = with_peers(*b"sss");
    harness.finish(first);
    let (mut old, _new) = harness.begin_restart(Told::default()).unwrap().commit();
    old.finish(second);
    old.net().drain();
    old.advance(Duration::ZERO);
    old.finish(third);
    let whys = [None, Some(LeaveReason::Restart), Some(LeaveReason::Stop)];
    assert_eq!(old.service().left, whys);
    assert!(old.has_ended());
}

#[test]
fn so_it_is_where_a_stop_ends_everybody() {
    let (mut harness, [_, _]) = with_peers(*b"xx");
    harness.net().stop();
    harness.advance(Duration::ZERO);
    assert_eq!(harness.service().left, [Some(LeaveReason::Stop); 2]);
}

/// Where less is left of the restart's own time, that is what there is.
#[test]
fn the_end_does_not_come_later_because_of_a_stop() {
    let (harness, [stays]) = with_peers(*b"s");
    let (mut old, _new) = harness.begin_restart(Told::default()).unwrap().commit();
    for _ in 0..119 {
        old.advance(Duration::from_secs(30)); // and it is not idle
        old.feed(stays, b"s");
    }
    old.advance(Duration::from_secs(20));
    old.net().drain();
    old.advance(Duration::ZERO);
    let (_, last, _) = *old.service().drains.last().unwrap();
    assert_eq!(last, told(LeaveReason::Stop, Duration::from_secs(10)));
}

#[test]
fn after_a_death_who_had_moved_is_gone() {
    let (harness, [moves, stays]) = with_peers(*b"xs");
    let sides = harness.begin_restart(Told::default()).unwrap();
    let gone = sides.new.id(moves);
    let mut old = sides.lose_new();
    assert_eq!(old.service().starts, [Start::Fresh, Start::Resumed { gone: vec![gone] }]);
    assert!(old.has(stays) && old.service().closed.is_empty());
}

#[test]
fn after_a_roll_back_who_did_not_come_back_is_gone() {
    let (harness, [back, ends, kept]) = with_peers(*b"xyz");
    let mut sides = harness.begin_restart(Told::default()).unwrap();
    let gone = vec![sides.new.id(ends), sides.new.id(kept)];
    sides.new.finish(ends);
    sides.new.feed(kept, b"n");
    let (mut old, mut new) = sides.roll_back("on request").unwrap();
    assert_eq!(old.service().starts, [Start::Fresh, Start::Resumed { gone: gone.clone() }]);
    assert!(old.has(back) && new.has(kept));
    assert_eq!(new.service().drains, [(gone[1], told(LeaveReason::RollBack, HOUR), 1)]);
    // That was about this restart, and no other.
    old.feed(back, b"s");
    let mut old = old.begin_restart(Told::default()).unwrap().lose_new();
    assert_eq!(old.service().starts.last(), Some(&Start::Resumed { gone: Vec::new() }));
}
