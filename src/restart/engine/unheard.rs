//! What a side that has ended had said before, and nobody has heard.

use crate::restart::link::{Link, LinkError, Message, Parcel, Rollback};

/// All words that are left. One that is lost, for want of room for its descriptors or by its form, costs no later one; but
/// what is handed back behind it is without something, and not taken.
pub(super) fn rest_of(link: &mut Link) -> Vec<Parcel<Message>> {
    let (mut heard, mut is_whole) = (Vec::new(), true);
    loop {
        match link.receive() {
            Ok(Some((word, _))) if !is_whole && hands_back(&word) => {}
            Ok(Some(parcel)) => heard.push(parcel),
            Err(LinkError::NoRoom | LinkError::Malformed(_)) => is_whole = false,
            Ok(None) | Err(_) => return heard,
        }
    }
}

fn hands_back(word: &Message) -> bool {
    matches!(word, Message::Rollback(Rollback::State { .. }) | Message::Connections { .. })
}

#[cfg(all(test, debug_assertions))] // who says nonsense is there for tests alone
mod tests {
    use super::*;

    #[test]
    fn a_word_behind_one_that_is_lost_is_heard_and_a_part_of_what_came_back_is_not_taken() {
        let (mut new, mut old) = Link::pair().expect("a pair");
        let batch = |count| Message::Connections { count };
        new.send(&batch(1), Vec::new()).expect("it takes it");
        new.send_garbage();
        new.send(&batch(2), Vec::new()).expect("it takes it");
        new.send(&Message::Rollback(Rollback::Kept), Vec::new()).expect("it takes it");
        drop(new);
        let heard: Vec<_> = rest_of(&mut old).into_iter().map(|(word, _)| word).collect();
        assert_eq!(heard, [batch(1), Message::Rollback(Rollback::Kept)]);
    }
}
