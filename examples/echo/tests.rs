//! Echo without sockets, and through restarts.

use heirloom::testing::Conversation;

use super::*;

/// It shares nothing between its clients, so some may be served by an old side and some by a new one.
#[test]
fn a_conversation_goes_as_it_should_whatever_is_restarted_when() {
    let talk = Conversation::new()
        .staying()
        .says("ann", "hello\n")
        .hears("ann", "hello\n")
        .says("bob", [0, 255, b'\n'])
        .hears("bob", [0, 255, b'\n'])
        .says("ann", "and")
        .says("bob", "good")
        .says("ann", "more")
        .hears("ann", "andmore")
        .finishes("ann")
        .is_closed("ann")
        .says("bob", "bye")
        .hears("bob", "goodbye");
    let runs = talk.check(|| Echo);
    assert!(runs > 300, "{runs}");
}
