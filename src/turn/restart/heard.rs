//! What an old side makes of the words of the new one: which are steps of the restart, and what is wrong with
//! those that are none. Pure.

use crate::restart::{
    engine::attempt::MUST_EXEC,
    link::{LinkError, Message, Parcel, Rollback as Word},
};

/// Whether the new side has said something that the state machine decides about, or nonsense.
pub(super) fn is_step(word: &Message) -> bool {
    use Message::*;
    !matches!(
        word,
        Connect { .. }
            | Claim { .. }
            | Loaded { .. }
            | Applied { .. }
            | Taken
            | TakenOver
            | Rollback(Word::State { .. } | Word::Kept)
            | Connections { .. }
            | Serving { .. }
            | Alarms(_)
            | TicketKeys
            | Dismissed { .. }
            | Ask
            | Talk(_)
    )
}

/// What the new side has said instead of what it should.
pub(super) fn complaint(
    received: std::result::Result<Option<Parcel<Message>>, LinkError>,
) -> String {
    match received {
        Ok(Some((Message::Failed { reason }, _))) => reason,
        Ok(Some((Message::Ready { pid }, _))) => format!("it has become pid {pid}: {MUST_EXEC}"),
        Ok(Some((other, _))) => format!("it said {other:?}"),
        Ok(None) => "it said nothing".into(),
        Err(e) => e.to_string(),
    }
}
