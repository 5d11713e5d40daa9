//! Turns without a loop: what a process does that waits, or whose relatives hang.

use super::*;
use crate::{
    restart::{
        Event,
        engine::exec::Launch,
        link::{Identity, Link, Message, Talk},
    },
    tasks::{Alarm, Batch, Heard, OtherGeneration, TellError},
};

struct Silent;

impl Service for Silent {
    type Session = ();

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result {
        Ok(())
    }

    fn on_data(&mut self, _conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        Ok(input.len())
    }
}

/// A turn, another generation that it talks with, and that one's end of the link.
fn beside_another() -> (Turn<Silent>, Generation, Link) {
    let now = Instant::now();
    let turn = Turn::new(Silent, Net::new(None, now), Succession::new(Launch::remember(), now));
    let (ours, theirs) = Link::pair().unwrap();
    let who = Identity { generation: 0, pid: 1, engine: None, words: true };
    (turn, Generation::new(who, ours), theirs)
}

#[test]
fn one_that_hangs_is_asked_once() {
    let (mut turn, other, mut theirs) = beside_another();
    turn.succession.older.push(other);
    for _ in 0..3 {
        assert!(turn.ask_others(), "its answer is waited for each time");
    }
    assert_eq!(theirs.receive().unwrap().unwrap().0, Message::Ask);
    assert!(theirs.receive().unwrap().is_none(), "it was asked again");
}

#[test]
fn an_old_side_that_hangs_is_told_how_alarms_stand_and_not_all_that_was() {
    let (mut turn, old, mut theirs) = beside_another();
    turn.succession.old = Some(old);
    turn.net.alarms.track_changes();
    let mut set = |seconds| {
        turn.net.set_alarm(Alarm(1), Duration::from_secs(seconds));
        turn.tell_alarms();
    };
    (1..=20_000).for_each(&mut set);
    let mut count = 0;
    let mut last = None;
    while let Some((message, _)) = theirs.receive().unwrap() {
        (count, last) = (count + 1, Some(message));
    }
    assert!((1..2_000).contains(&count), "{count} messages");
    let old = turn.succession.old.as_mut().expect("an old side");
    old.link.flush().unwrap();
    turn.tell_alarms();
    while let Some((message, _)) = theirs.receive().unwrap() {
        last = Some(message);
    }
    let Some(Message::Alarms(words)) = last else { panic!("{last:?}") };
    let (after, _) = words[0].times.expect("it is set");
    assert!(after > Duration::from_secs(19_990), "{after:?}");
}

#[test]
fn what_is_another_s_is_passed_on_unread() {
    let (mut turn, other, mut theirs) = beside_another();
    turn.succession.older.push(other);
    turn.net.generation = 5;
    let words = vec![b"hello".to_vec()];
    let batch = Talk::Words(Batch { from: 3, to: 0, oldest: 1, number: 1, words });
    let heard = Talk::Heard(Heard { by: 3, to: 0, number: 7 });
    let for_nobody = Talk::Heard(Heard { by: 3, to: 1, number: 7 });
    for talk in [&batch, &heard, &for_nobody] {
        turn.hear_talk(talk.clone());
    }
    turn.send_words();
    let mut passed_on = || theirs.receive().unwrap().map(|(message, _)| message);
    assert_eq!(passed_on(), Some(Message::Talk(batch)));
    assert_eq!(passed_on(), Some(Message::Talk(heard)));
    assert_eq!((passed_on(), turn.net.words.is_idle()), (None, true));
}

/// A program that is older than words neither says so nor passes them on.
#[test]
fn a_newest_that_knows_no_words_can_be_told_nothing() {
    let (mut turn, ..) = beside_another();
    turn.hear_speakers(2, vec![0, 1, 2]);
    let other = |number, serves| OtherGeneration { number, serves };
    assert_eq!(turn.net.generations(), [other(1, false), other(2, true)]);
    turn.net.tell(1, "hello").unwrap();
    turn.follow(3);
    assert_eq!(turn.net.tell(3, "hello"), Err(TellError::Deaf { to: 3 }));
    assert_eq!(turn.net.tell(1, "hello"), Err(TellError::Unknown { to: 1 }));
    assert_eq!(turn.net.words.take_lost(), Some((1, b"hello".to_vec())));
    turn.hear_speakers(4, Vec::new());
    assert_eq!(turn.net.tell(4, "hello"), Err(TellError::Deaf { to: 4 }));
}

/// Its parent may be slow to let it serve, or stopped.
#[test]
fn a_successor_sleeps_until_it_is_released() {
    let net = Net::new(None, Instant::now());
    let mut successor = Turn::new(Silent, net, Succession::new(Launch::remember(), Instant::now()));
    successor.inherited = vec![Inherited::shared(Default::default(), vec![Some(())])];
    let now = Instant::now();
    assert_eq!(successor.wait(now), None);
    successor.advance(Event::Released).unwrap();
    assert_eq!(successor.wait(now), Some(Duration::ZERO));
}
