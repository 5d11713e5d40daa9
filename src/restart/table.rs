//! The state machine of a restart as one table. Pure: knows no process, no socket, no time.

/// What this process is in the succession.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// A new side that may not serve yet: from its making until it is released.
    Waiting,
    /// A new side that serves; the old one could still take over again.
    Probation,
    /// A new side that is not wanted after all, and serves until the old one does again.
    HandingBack,
    /// The generation that accepts, with nobody else to do it.
    Serving,
    /// It accepts, and a new side is being made.
    Starting,
    /// It has stopped accepting in favour of a new side that has not committed.
    Released,
    /// Another generation serves: this one serves what it has.
    Retired,
    /// It was told to stop: it serves what it has.
    Stopping,
    /// Nothing is left to do.
    Ended,
}

/// What happens to this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// A new side was made.
    Begun,
    /// The new side says that it can serve.
    Ready,
    /// The new side serves, and stays.
    Committed,
    /// The new side failed, died, hung, or spoke nonsense.
    NewGone,
    /// The new side asks this one to serve again.
    TakeBack,
    /// The old side says that it has stopped accepting.
    Released,
    /// The old side is gone.
    OldGone,
    /// The old side has not said that it has stopped accepting, for too long.
    OldSilent,
    /// This new side has served long enough to be trusted.
    Proven,
    /// This new side is not wanted after all.
    RollBack,
    /// The old side serves again.
    Resumed,
    /// Stop accepting, serve what there is, exit.
    Drain,
    /// Another generation says so, which is not a second time.
    Dismissed,
    /// Abort what there is, exit.
    Stop,
    /// The time for draining is over.
    Deadline,
    /// The last connection is gone and nothing is held.
    Empty,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Accept, and tell the service.
    Serve,
    /// Tell the old side that this one stays.
    Commit,
    /// Ask the old side to serve again, and tell it why.
    HandBack,
    /// Tell the new side that this one serves again.
    Return,
    /// Stop accepting, keep the listeners, tell the new side.
    Release,
    /// Accept again.
    Resume,
    /// Close the listeners and drain: another generation serves.
    Retire,
    /// Kill the new side.
    Abandon,
    /// Tell the new side to leave as well.
    Dismiss,
    /// Close the listeners for good and drain, and tell all older generations to do the same.
    Drain,
    /// A drain is under way already, but now in the time that a stop has.
    Hurry,
    /// Abort every connection.
    Abort,
}

/// The whole of it: where an event leads, and what is done on the way, in this order. A pair that is
/// not in the table changes nothing: the message was late, the request is being fulfilled already.
#[rustfmt::skip] // a table
pub(crate) fn step(phase: Phase, event: Event) -> (Phase, &'static [Action]) {
    use {Action as Do, Event as On, Phase::*};
    match (phase, event) {
        (Waiting,   On::Released | On::OldSilent)  => (Probation, &[Do::Serve]),
        (Waiting,   On::OldGone)                   => (Serving,   &[Do::Serve, Do::Commit]),
        // The old side has never stopped, and goes on.
        (Waiting,   On::Drain | On::Stop | On::RollBack | On::Dismissed)
                                                   => (Ended,     &[]),

        (Probation, On::Proven | On::OldGone)      => (Serving,   &[Do::Commit]),
        // Make before break: this side accepts until it knows that the old one does.
        (Probation, On::RollBack)                  => (HandingBack, &[Do::HandBack]),
        (HandingBack, On::Resumed)                 => (Retired,   &[Do::Retire]),
        (HandingBack, On::OldGone)                 => (Serving,   &[Do::Commit]),
        (Probation | HandingBack, On::Drain | On::Dismissed)
                                                   => (Stopping,  &[Do::Commit, Do::Drain]),
        (Probation | HandingBack, On::Stop)        => (Stopping,  &[Do::Commit, Do::Drain, Do::Abort]),

        (Serving,   On::Begun)                     => (Starting,  &[]),
        (Serving,   On::Drain | On::Dismissed)     => (Stopping,  &[Do::Drain]),
        (Serving,   On::Stop)                      => (Stopping,  &[Do::Drain, Do::Abort]),

        (Starting,  On::Ready)                     => (Released,  &[Do::Release]),
        (Starting,  On::NewGone)                   => (Serving,   &[]),
        (Starting,  On::Drain | On::Dismissed)     => (Stopping,  &[Do::Abandon, Do::Drain]),
        (Starting,  On::Stop)                      => (Stopping,  &[Do::Abandon, Do::Drain, Do::Abort]),

        (Released,  On::Committed)                 => (Retired,   &[Do::Retire]),
        (Released,  On::NewGone)                   => (Serving,   &[Do::Resume]),
        (Released,  On::TakeBack)                  => (Serving,   &[Do::Resume, Do::Return]),
        (Released,  On::Drain | On::Dismissed)     => (Stopping,  &[Do::Dismiss, Do::Drain]),
        (Released,  On::Stop)                      => (Stopping,  &[Do::Dismiss, Do::Drain, Do::Abort]),

        (Retired,   On::Drain | On::Dismissed)     => (Stopping,  &[Do::Hurry]),
        // In the time that it is told, if that is shorter.
        (Stopping,  On::Dismissed)                 => (Stopping,  &[Do::Hurry]),
        // The second one means now.
        (Stopping,  On::Drain)                     => (Stopping,  &[Do::Abort]),
        (Retired | Stopping, On::Stop)             => (Stopping,  &[Do::Abort]),
        (Retired | Stopping, On::Deadline)         => (phase,     &[Do::Abort]),
        (Retired | Stopping, On::Empty)            => (Ended,     &[]),

        (phase, _) => (phase, &[]),
    }
}

impl Phase {
    /// Whether this process takes new clients.
    #[cfg(test)]
    pub fn accepts(self) -> bool {
        matches!(self, Phase::Probation | Phase::HandingBack | Phase::Serving | Phase::Starting)
    }

    /// Whether this process is leaving.
    pub fn drains(self) -> bool {
        matches!(self, Phase::Retired | Phase::Stopping | Phase::Ended)
    }

    /// As an operator reads it.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Waiting => "waiting",
            Phase::Probation => "probation",
            Phase::HandingBack => "handing-back",
            Phase::Serving => "serving",
            Phase::Starting => "starting-successor",
            Phase::Released => "released",
            Phase::Retired => "draining",
            Phase::Stopping => "stopping",
            Phase::Ended => "ended",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restart::model::{EVENTS, PHASES};

    #[test]
    fn only_a_stop_or_a_successor_ends_accepting() {
        for phase in PHASES.into_iter().filter(|phase| phase.accepts()) {
            for event in EVENTS {
                let (next, _) = step(phase, event);
                let asked = matches!(event, Event::Drain | Event::Stop | Event::Dismissed);
                let succeeded = (phase, event) == (Phase::Starting, Event::Ready);
                let handed_back = (phase, event) == (Phase::HandingBack, Event::Resumed);
                assert!(
                    next.accepts() || asked || succeeded || handed_back,
                    "{phase:?} {event:?} -> {next:?}"
                );
            }
        }
    }

    #[test]
    fn who_leaves_never_comes_back() {
        for phase in PHASES.into_iter().filter(|phase| phase.drains()) {
            for event in EVENTS {
                assert!(step(phase, event).0.drains(), "{phase:?} {event:?}");
            }
        }
    }

    #[test]
    fn who_accepts_and_who_does_not_is_told_by_an_action() {
        for phase in PHASES {
            for event in EVENTS {
                let (next, actions) = step(phase, event);
                let does = |action| actions.contains(&action);
                let begins = does(Action::Serve) || does(Action::Resume);
                assert_eq!(begins, !phase.accepts() && next.accepts(), "{phase:?} {event:?}");
                let ends = does(Action::Release) || does(Action::Retire) || does(Action::Drain);
                let ended = phase.accepts() && !next.accepts();
                assert!(ends || !ended, "{phase:?} {event:?}");
            }
        }
    }
}
