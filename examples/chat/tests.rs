//! The room without sockets, and through restarts.

use heirloom::testing::{Harness, Peer, Sides, every_split_restarted};

use super::*;

fn said(harness: &mut Harness<Chat>, peer: Peer) -> String {
    String::from_utf8(harness.take(peer)).expect("text")
}

/// Nobody hears oneself, so one guest's answers are the question alone, whatever is cut where.
#[test]
fn a_restart_at_any_byte_changes_nothing_for_the_speaker() {
    every_split_restarted(Chat::default, b"\nann\nhello\nworld\n", b"What is your name?\n");
}

/// What the others hear is the same wherever the line is cut by a restart.
#[test]
fn a_restart_at_any_byte_changes_nothing_for_the_others() {
    let lines = "bob\nhello\nworld\n";
    for cut in 0..=lines.len() {
        let mut harness = Harness::new(Chat::default());
        let (ann, bob) = (harness.connect(), harness.connect());
        harness.feed(ann, b"ann\n");
        let (before, after) = lines.split_at(cut);
        harness.feed(bob, before.as_bytes());
        let mut harness = harness.restart(Chat::default()).expect("nothing is saved");
        harness.feed(bob, after.as_bytes());
        harness.finish(bob);
        assert_eq!(
            said(&mut harness, ann),
            "What is your name?\n* bob is here\nbob: hello\nbob: world\n* bob left\n",
            "cut after byte {cut}"
        );
    }
}

/// The time for a name goes on through a restart, and ends with the name.
#[test]
fn who_has_no_name_is_still_waited_for() {
    let mut harness = Harness::new(Chat::default());
    let (silent, ann) = (harness.connect(), harness.connect());
    harness.feed(ann, b"ann\n");
    for _ in 0..2 {
        // Nothing is a name, but it is more than silence.
        harness.feed(silent, b"\n");
        harness.advance(Duration::from_secs(9));
    }
    let mut harness = harness.restart(Chat::default()).expect("nothing is saved");
    harness.feed(ann, b"hello\n");
    harness.feed(silent, b"\n");
    harness.advance(Duration::from_secs(41));
    assert!(!harness.is_closed(silent), "59 s after it came");
    harness.advance(Duration::from_secs(2));
    assert!(harness.is_closed(silent), "61 s after it came, 43 s after its last line");
    assert!(!harness.is_closed(ann));
}

/// What was said by then is heard first.
#[test]
fn at_a_stop_everybody_hears_a_last_word() {
    let mut harness = Harness::new(Chat::default());
    let (ann, bob) = (harness.connect(), harness.connect());
    harness.feed(ann, b"ann\n");
    harness.feed(bob, b"bob\n");
    harness.net().drain();
    harness.feed(bob, b"bye\n");
    assert!(
        said(&mut harness, ann)
            .ends_with("* bob is here\nbob: bye\n* the chat closes: good night\n")
    );
    assert!(said(&mut harness, bob).ends_with("* the chat closes: good night\n"));
    assert!(harness.is_closed(ann) && harness.is_closed(bob));
}

/// An old and a new room, and a guest in each. Whoever is in the old one came at the last moment, and stays.
fn two_rooms(names: [&str; 2]) -> (Sides<Chat, Chat>, Peer, Peer) {
    let mut sides =
        Harness::new(Chat::default()).begin_restart(Chat::default()).expect("a new one");
    let (early, late) = (sides.old.connect(), sides.new.connect());
    sides.old.feed(early, format!("{}\n", names[0]).as_bytes());
    sides.new.feed(late, format!("{}\n", names[1]).as_bytes());
    (sides, early, late)
}

#[test]
fn two_rooms_hear_each_other() {
    let (mut sides, ann, bob) = two_rooms(["ann", "bob"]);
    sides.exchange();
    sides.old.feed(ann, b"hello\n");
    sides.exchange();
    sides.new.feed(bob, b"hi\n");
    let (mut old, mut new) = sides.commit();
    old.exchange(&mut new);
    new.finish(bob);
    old.exchange(&mut new);
    let heard = said(&mut old, ann);
    assert_eq!(
        heard,
        "What is your name?\n* bob is here\n* there is a new room: call again to be in it\nbob: hi\n* bob left\n"
    );
    assert_eq!(said(&mut new, bob), "What is your name?\n* ann is here\nann: hello\n");
}

/// Two come with the same name at the same moment, each to a room that knows nothing of it.
#[test]
fn a_name_is_the_older_room_s_guest_s() {
    let (mut sides, early, late) = two_rooms(["ann", "ann"]);
    sides.exchange();
    sides.new.feed(late, b"hello?\nbob\n");
    sides.exchange();
    sides.old.feed(early, b"hello\n");
    sides.exchange();
    let heard = said(&mut sides.new, late);
    assert!(heard.contains("* ann is taken. What is your name?\n"), "{heard}");
    assert!(heard.ends_with("ann: hello\n"), "{heard}");
    assert!(said(&mut sides.old, early).contains("* hello? is here\n"));
    // Nobody is left who would be taken for another one.
    sides.old.finish(early);
    sides.exchange();
    let third = sides.new.connect();
    sides.new.feed(third, b"ann\n");
    assert_eq!(said(&mut sides.new, third), "What is your name?\n");
}
