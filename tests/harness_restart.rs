//! The harness restarts a service as two processes would: given up, with both sides beside each other,
//! rolled back, and with the alarms where they belong.

use std::{
    io::{BufRead, Write},
    rc::Rc,
    time::Duration,
};

use heirloom::{
    Alarm, ConnId, Connection, Leaving, Move, Net, Origin, RestartError, Result, Service, Start,
    Verdict,
    testing::{Harness, Peer},
};

/// Writes down what happens to it. `s` makes a connection stay, `a` sets the alarm, `r` asks for a roll
/// back; every byte is answered by the version.
struct Diary {
    version: u8,
    lines: Vec<String>,
    can_load: bool,
}

const BELL: Alarm = Alarm(7);
/// A version that has no use for alarms.
const NO_ALARMS: u8 = 3;
const SECOND: Duration = Duration::from_secs(1);

impl Diary {
    fn of(version: u8) -> Diary {
        Diary { version, lines: Vec::new(), can_load: true }
    }

    fn harness() -> Harness<Diary> {
        let mut harness = Harness::new(Diary::of(1));
        harness.service().lines.clear();
        harness
    }
}

impl Service for Diary {
    type Session = bool;

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<bool> {
        Ok(false)
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        stays: &mut bool,
        input: &[u8],
    ) -> Result<usize> {
        match input[0] {
            b's' => *stays = true,
            b'a' => conn.net.set_alarm(BELL, 10 * SECOND),
            b'r' => conn.net.roll_back("unfit"),
            _ => {}
        }
        conn.send(&[self.version + b'0']);
        Ok(1)
    }

    fn on_start(&mut self, net: &mut Net, start: Start) {
        self.lines.push(match start {
            Start::Upgraded { moved } => format!("Upgraded {moved}"),
            Start::Resumed { gone } => format!("Resumed {}", gone.len()),
            other => format!("{other:?}"),
        });
        for alarm in net.alarms() {
            self.lines.push(format!("{:?} are left", alarm.left));
            if self.version == NO_ALARMS {
                net.cancel_alarm(alarm.key);
            }
        }
    }

    fn on_alarm(&mut self, _net: &mut Net, _key: Alarm) {
        self.lines.push("alarm".into());
    }

    fn on_retire(&mut self, _net: &mut Net) {
        self.lines.push("retire".into());
    }

    fn on_drain(
        &mut self,
        _conn: &mut Connection<'_>,
        _stays: &mut bool,
        leaving: &Leaving,
    ) -> Result {
        self.lines.push(format!("drain {:?} {:?}", leaving.reason, leaving.within));
        Ok(())
    }

    fn on_end(&mut self, _net: &mut Net) {
        self.lines.push("end".into());
    }

    fn on_restart_ended(&mut self, _net: &mut Net, verdict: &Verdict) {
        self.lines.push(match &verdict.outcome {
            Ok(_) => format!("generation {}", verdict.generation),
            Err(RestartError::RolledBack { reason }) => format!("rolled back: {reason}"),
            Err(RestartError::Died { in_probation, .. }) => format!("died, {in_probation}"),
            Err(RestartError::Failed { reason, .. }) => format!("failed: {reason}"),
            Err(other) => other.to_string(),
        });
    }

    fn on_move(&self, stays: &bool) -> Move {
        if *stays { Move::Stay } else { Move::Yes }
    }

    fn load(&mut self, saved: &mut dyn BufRead) -> Result {
        saved.read_exact(&mut [0])?;
        if self.can_load { Ok(()) } else { Err("of another time".into()) }
    }

    fn save(&self, out: &mut dyn Write) -> Result {
        out.write_all(&[self.version])?;
        Ok(())
    }

    fn export(&self, _stays: &bool) -> Option<Vec<u8>> {
        Some(Vec::new())
    }

    fn import(&mut self, _conn: &mut Connection<'_>, _saved: &[u8]) -> Result<bool> {
        Ok(false)
    }
}

fn ask(harness: &mut Harness<Diary>, peer: Peer, byte: u8) -> Vec<u8> {
    harness.feed(peer, &[byte]);
    harness.take(peer)
}

fn lines(harness: &mut Harness<Diary>) -> String {
    std::mem::take(&mut harness.service().lines).join(", ")
}

#[test]
fn alarms_go_along() {
    let mut harness = Diary::harness();
    let peer = harness.connect();
    ask(&mut harness, peer, b'a');
    harness.advance(4 * SECOND);
    let mut harness = harness.restart(Diary::of(2)).unwrap();
    assert_eq!(lines(&mut harness), "Upgraded 1, 6s are left");
    harness.advance(5 * SECOND);
    assert_eq!(lines(&mut harness), "");
    harness.advance(20 * SECOND);
    assert_eq!(lines(&mut harness), "alarm");
}

#[test]
fn a_new_program_says_which_alarms_do_not_go_along() {
    let mut harness = Diary::harness();
    let peer = harness.connect();
    ask(&mut harness, peer, b'a');
    let mut harness = harness.restart(Diary::of(NO_ALARMS)).unwrap();
    assert_eq!(lines(&mut harness), "Upgraded 1, 10s are left");
    harness.advance(20 * SECOND);
    assert_eq!(lines(&mut harness), "");
}

#[test]
fn a_restart_that_is_given_up_changes_nothing() {
    let mut harness = Diary::harness();
    let [peer, stays] = [harness.connect(), harness.connect()];
    ask(&mut harness, peer, b'a');
    ask(&mut harness, stays, b's');
    harness.give_up_restart(Diary::of(2)).unwrap();
    assert_eq!(lines(&mut harness), "failed: given up, as the test has asked");
    let unfit = Diary { can_load: false, ..Diary::of(2) };
    assert!(harness.give_up_restart(unfit).is_err());
    assert_eq!(lines(&mut harness), "failed: of another time");
    assert_eq!(ask(&mut harness, peer, b'x'), b"1");
    assert_eq!(ask(&mut harness, stays, b'x'), b"1");
    harness.advance(10 * SECOND);
    assert_eq!(lines(&mut harness), "alarm");
}

#[test]
fn both_sides_serve_what_they_have_and_the_old_one_drains_after_the_commit() {
    let mut harness = Diary::harness();
    let [moves, stays] = [harness.connect(), harness.connect()];
    ask(&mut harness, moves, b'a');
    ask(&mut harness, stays, b's');
    let mut sides = harness.begin_restart(Diary::of(2)).unwrap();
    assert_eq!((sides.old.has(moves), sides.old.has(stays)), (false, true));
    assert_eq!((sides.new.has(moves), sides.new.has(stays)), (true, false));
    assert_eq!(ask(&mut sides.old, stays, b'x'), b"1");
    assert_eq!(ask(&mut sides.new, moves, b'x'), b"2");
    assert_eq!(lines(&mut sides.old), "retire");
    assert_eq!(lines(&mut sides.new), "Upgraded 1, 10s are left");
    assert_eq!(sides.asked_to_roll_back(), None);
    let (mut old, mut new) = sides.commit();
    assert_eq!(lines(&mut old), "generation 1, drain Restart Some(3600s)");
    assert!(!old.has_ended());
    old.finish(stays);
    assert!(old.has_ended() && old.is_closed(stays) && !new.is_closed(moves));
    new.advance(11 * SECOND);
    old.advance(11 * SECOND);
    assert_eq!((lines(&mut new), lines(&mut old)), ("alarm".into(), "end".into()));
}

#[test]
fn a_roll_back_takes_the_alarms_and_the_connections_back() {
    let mut harness = Diary::harness();
    let peer = harness.connect();
    let mut sides = harness.begin_restart(Diary::of(2)).unwrap();
    ask(&mut sides.new, peer, b'a'); // set by the new side
    let late = sides.new.connect();
    ask(&mut sides.new, late, b'x');
    sides.new.feed(peer, b"r");
    assert_eq!(sides.asked_to_roll_back().as_deref(), Some("unfit"));
    let (mut old, mut new) = sides.roll_back("not asked").unwrap();
    assert_eq!(lines(&mut old), "retire, Resumed 0, 10s are left, rolled back: unfit");
    assert_eq!(lines(&mut new), "Upgraded 1, retire, end");
    assert!(!new.has(peer) && !new.has(late));
    assert_eq!((ask(&mut old, peer, b'x'), ask(&mut old, late, b'x')), (b"21".into(), b"1".into()));
    let later = old.connect();
    assert_eq!(ask(&mut old, later, b'x'), b"1");
    new.advance(11 * SECOND);
    old.advance(11 * SECOND);
    assert_eq!((lines(&mut old), lines(&mut new)), ("alarm".into(), "".into()));
}

/// Between processes the new side would go on.
#[test]
fn an_old_side_that_cannot_take_it_back_says_why() {
    let mut harness = Diary::harness();
    harness.connect();
    harness.service().can_load = false;
    let sides = harness.begin_restart(Diary::of(2)).unwrap();
    let why = sides.roll_back("on request").expect_err("it does not load").to_string();
    assert_eq!(why, "of another time");
}

#[test]
fn what_has_gone_off_on_the_new_side_does_not_on_the_old_one() {
    let mut harness = Diary::harness();
    let peer = harness.connect();
    ask(&mut harness, peer, b'a');
    let mut sides = harness.begin_restart(Diary::of(2)).unwrap();
    sides.new.advance(10 * SECOND);
    assert!(lines(&mut sides.new).ends_with("alarm"));
    let (mut old, _new) = sides.roll_back("on request").unwrap();
    old.advance(20 * SECOND);
    assert_eq!(lines(&mut old), "retire, Resumed 0, rolled back: on request");
}

#[test]
fn a_new_side_that_dies_takes_with_it_what_it_had() {
    let mut harness = Diary::harness();
    let [moves, stays] = [harness.connect(), harness.connect()];
    ask(&mut harness, moves, b'a');
    ask(&mut harness, stays, b's');
    let mut old = harness.begin_restart(Diary::of(2)).unwrap().lose_new();
    assert_eq!(lines(&mut old), "retire, Resumed 1, 10s are left, died, true");
    assert!(old.is_closed(moves) && !old.is_closed(stays));
    assert_eq!(ask(&mut old, stays, b'x'), b"1");
    old.advance(10 * SECOND);
    assert_eq!(lines(&mut old), "alarm");
}

/// Says to all what one says, without a copy for each.
#[derive(Default)]
struct Fan(Vec<ConnId>);

impl Service for Fan {
    type Session = ();

    fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result {
        self.0.push(conn.id());
        Ok(())
    }

    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        let said: Rc<[u8]> = input.into();
        for &id in &self.0 {
            conn.other(id).into_iter().for_each(|mut conn| conn.send_shared(Rc::clone(&said)));
        }
        Ok(input.len())
    }

    fn export(&self, _: &()) -> Option<Vec<u8>> {
        Some(Vec::new())
    }

    fn import(&mut self, conn: &mut Connection<'_>, _: &[u8]) -> Result {
        self.0.push(conn.id());
        Ok(())
    }
}

/// Each has been sent another part of it.
#[test]
fn what_all_wait_for_goes_along_to_each() {
    let mut harness = Harness::new(Fan::default());
    let peers: Vec<_> = (0..5).map(|_| harness.connect()).collect();
    let speaker = harness.connect();
    for (at, &peer) in peers.iter().enumerate() {
        harness.set_window(peer, 700 * at);
    }
    let said: Vec<_> = (0..9000).map(|byte| (byte / 7) as u8).collect();
    harness.feed(speaker, &said);
    let mut harness = harness.restart(Fan::default()).unwrap();
    harness.feed(speaker, b"and more");
    for &peer in &peers {
        harness.set_window(peer, usize::MAX);
        assert_eq!(harness.take(peer), [&said[..], b"and more"].concat());
    }
}

/// Adds up what comes, and notes that it has.
#[derive(Default)]
struct Sum {
    sum: u64,
    /// What has come since somebody wanted to know.
    more: Option<u64>,
    loads: u32,
}

impl Service for Sum {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, _: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        self.sum += u64::from(input[0]);
        self.more.iter_mut().for_each(|more| *more += u64::from(input[0]));
        Ok(1)
    }

    fn save(&self, out: &mut dyn Write) -> Result {
        Ok(out.write_all(&self.sum.to_le_bytes())?)
    }

    fn load(&mut self, saved: &mut dyn BufRead) -> Result {
        self.sum = read_number(saved)?;
        self.loads += 1;
        Ok(())
    }

    fn track_changes(&mut self, on: bool) -> bool {
        self.more = on.then_some(0);
        true
    }

    fn save_changes(&mut self, out: &mut dyn Write, _most: usize) -> Result<usize> {
        out.write_all(&self.more.replace(0).unwrap_or(0).to_le_bytes())?;
        Ok(0)
    }

    fn load_changes(&mut self, saved: &mut dyn BufRead) -> Result {
        self.sum += read_number(saved)?;
        Ok(())
    }

    fn export(&self, _session: &()) -> Option<Vec<u8>> {
        Some(Vec::new())
    }

    fn import(&mut self, _conn: &mut Connection<'_>, _saved: &[u8]) -> Result {
        Ok(())
    }
}

fn read_number(saved: &mut dyn BufRead) -> Result<u64> {
    let mut bytes = [0; 8];
    saved.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// And not all of it: each is added once.
#[test]
fn what_has_changed_since_the_new_side_serves_goes_back() {
    let mut harness = Harness::new(Sum::default());
    let peer = harness.connect();
    harness.feed(peer, &[1, 2]);
    let mut sides = harness.begin_restart(Sum::default()).unwrap();
    sides.new.feed(peer, &[3, 4]);
    let (mut old, mut new) = sides.roll_back("on request").unwrap();
    assert_eq!((old.service().sum, old.service().loads), (10, 0));
    assert_eq!((new.service().sum, new.service().more), (10, None), "it need not note it any more");
    old.feed(peer, &[5]);
    let mut harness = old.restart(Sum::default()).unwrap();
    assert_eq!((harness.service().sum, harness.service().more), (15, None));
}

/// What came back once is not taken for what comes back now.
#[test]
fn so_it_does_each_time() {
    let mut harness = Harness::new(Sum::default());
    let peer = harness.connect();
    for byte in 1..=3 {
        let mut sides = harness.begin_restart(Sum::default()).unwrap();
        sides.new.feed(peer, &[byte]);
        harness = sides.roll_back("on request").unwrap().0;
    }
    assert_eq!(harness.service().sum, 6);
}

/// Is half changed when it panics.
struct Half {
    value: u8,
    panics: bool,
}

impl Service for Half {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, _: &mut Connection<'_>, _: &mut (), _: &[u8]) -> Result<usize> {
        Ok(1)
    }

    fn on_start(&mut self, _net: &mut Net, _start: Start) {
        if self.panics {
            self.value = 0;
            panic!("as told");
        }
    }

    fn save(&self, out: &mut dyn Write) -> Result {
        Ok(out.write_all(&[self.value])?)
    }

    fn load(&mut self, saved: &mut dyn BufRead) -> Result {
        let mut bytes = [0];
        saved.read_exact(&mut bytes)?;
        self.value = bytes[0];
        Ok(())
    }
}

/// It has served nobody, so nothing is lost.
#[test]
fn a_new_side_that_panics_as_it_starts_hands_back_no_state() {
    let harness = Harness::new(Half { value: 7, panics: false }).catch_panics();
    let sides = harness.begin_restart(Half { value: 0, panics: true }).unwrap();
    let (mut old, mut new) = sides.roll_back("").unwrap();
    assert_eq!((old.service().value, new.service().value), (7, 0));
}
