//! The state machine of a restart as one table. Pure: knows no process, no socket, no time.

/// What this process is in the succession.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// A new side that may not serve yet: from its making until it is released.
    Waiting,
    /// A new side that serves; the old one could still take over again.
    Probation,
    /// A new side that is not wanted after all, has handed everything back, and has it until the old one could
    /// serve again. Nobody is served meanwhile.
    HandingBack,
    /// A new side that has let go of what it has handed back, and waits until the old one does serve.
    Returned,
    /// The generation that accepts, with nobody else to do it.
    Serving,
    /// It accepts, and a new program is being started.
    Starting,
    /// It accepts, and that one gets the state: a snapshot, written and read meanwhile.
    Copying,
    /// It accepts, and that one gets what has changed since the snapshot, as long as that is worth it.
    CatchingUp,
    /// It has the listeners. What is left of the state and the connections that move are on their way.
    HandingOver,
    /// The same, and the new side has everything: a forked child has it from birth.
    Handed,
    /// It has stopped accepting in favour of a new side that has not committed.
    Released,
    /// It has taken in what that one hands back, and could serve. Nobody is served until the other one says so.
    TakingBack,
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
    /// A new program was started.
    Begun,
    /// A child was made, which has everything.
    Forked,
    /// The new program is up, and asks for the state.
    Claimed,
    /// The service notes what changes from now on.
    Tracked,
    /// It does not.
    Untracked,
    /// There may be no scribe, or there is none to be had.
    NoScribe,
    /// The new program has read the snapshot.
    Loaded,
    /// So few changes are left, or so little time, that the next ones are the last.
    CaughtUp,
    /// Everything is on its way.
    AllSent,
    /// The new side says that it can serve.
    Ready,
    /// The new side serves, and stays.
    Committed,
    /// The new side failed, died, hung, or spoke nonsense.
    NewGone,
    /// The new side has handed everything back, and asks this one to serve again.
    TakeBack,
    /// The new side has let go of it: it is this one's.
    HandedBack,
    /// The new side keeps it after all.
    Kept,
    /// What was handed back cannot be taken back, says the old side, or it says nothing for too long.
    NotTaken,
    /// The old side has taken back what this one hands back.
    Taken,
    /// The old side says that it has stopped accepting.
    Released,
    /// The old side is gone: its process has ended.
    OldGone,
    /// It is gone, and has not handed over what this new side is to serve.
    Orphaned,
    /// The old side lives and does without this new one.
    GivenUp,
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
    /// Have the service note what changes from now on, if it does that, and if there may be a scribe.
    Track,
    /// Have a scribe write the snapshot.
    Scribe,
    /// Write it here.
    Save,
    /// From here on nobody changes what goes along: connections that move are frozen. Once in a restart.
    StandStill,
    /// Send what has changed meanwhile, in rounds.
    CatchUp,
    /// Send what is left of that.
    LastChanges,
    /// The service need not note what changes any more.
    Untrack,
    /// Send the connections that move, and say that this was all.
    HandOver,
    /// End the scribe, and whatever else there is of the copy.
    EndCopy,
    /// Go on with what stood still.
    Thaw,
    /// Accept, and tell the service.
    Serve,
    /// Tell the old side that this one stays.
    Commit,
    /// Hand everything back to the old side, and ask it to serve again.
    HandBack,
    /// Take in what is handed back, and say whether this side could serve.
    TakeBack,
    /// The old side could serve: let go of what was handed back, and say so.
    LetGo,
    /// Go on with what was handed back, and tell the old side so.
    Keep,
    /// Forget what was taken back: the new side goes on with it.
    Forget,
    /// Accept again; the service has never heard that this one does not.
    Reopen,
    /// Tell the new side that this one serves again.
    Return,
    /// Stop accepting, keep the listeners, tell the new side.
    Release,
    /// Accept again.
    Resume,
    /// Close the listeners and drain: another generation serves.
    Retire,
    /// Kill the new side, and go on with what stood still.
    Abandon,
    /// The new side lives on and is an older generation like any other, which is told to leave as well.
    Dismiss,
    /// Tell all other generations that the service ends; close the listeners for good and drain.
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
        (Waiting,   On::Drain | On::Stop | On::RollBack | On::Dismissed | On::GivenUp)
                                                   => (Ended,     &[]),
        // Nobody serves, rather than one that knows nothing of what was.
        (Waiting,   On::Orphaned)                  => (Ended,     &[]),

        (Probation, On::Proven | On::OldGone)      => (Serving,   &[Do::Commit]),
        // The old side serves, or leaves as well: the listeners are not this one's to end.
        (Probation | Returned | Serving, On::GivenUp)
                                                   => (Retired,   &[Do::Retire]),
        // A new side does not commit before it leaves: an old one that has heard of both would go on alone.
        (Probation | Returned | Serving, On::Drain | On::Dismissed)
                                                   => (Stopping,  &[Do::Drain]),
        (Probation | Returned | Serving, On::Stop) => (Stopping,  &[Do::Drain, Do::Abort]),

        (Released,  On::Committed)                 => (Retired,   &[Do::Retire]),
        (Released,  On::NewGone)                   => (Serving,   &[Do::Resume]),
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

        (phase, event) => step_over(phase, event),
    }
}

/// The part of it in which a new side is made and gets what it is to serve.
#[rustfmt::skip] // a table
fn step_over(phase: Phase, event: Event) -> (Phase, &'static [Action]) {
    use {Action as Do, Event as On, Phase::*};
    match (phase, event) {
        (Serving,   On::Begun)                     => (Starting,  &[]),
        (Serving,   On::Forked)                    => (Handed,    &[]),
        (Starting,  On::Claimed)                   => (Copying,   &[Do::Track]),
        (Copying,   On::Tracked)                   => (Copying,   &[Do::Scribe]),
        // Nobody would know what has changed meanwhile.
        (Copying,   On::Untracked)                 => (Copying,   &[Do::StandStill, Do::Scribe]),
        (Copying,   On::NoScribe)                  => (Copying,   &[Do::Untrack, Do::StandStill, Do::Save]),
        (Copying,   On::Loaded)                    => (CatchingUp, &[Do::CatchUp]),
        (CatchingUp, On::CaughtUp)
            => (HandingOver, &[Do::StandStill, Do::LastChanges, Do::Untrack, Do::HandOver]),
        (HandingOver, On::AllSent)                 => (Handed,    &[]),
        (Handed,    On::Ready)                     => (Released,  &[Do::EndCopy, Do::Release]),

        (phase, event) if !phase.makes_successor() => step_back(phase, event),
        // From here on: as if nothing had been.
        (_,         On::NewGone)                   => (Serving,   &[Do::EndCopy, Do::Thaw]),
        (_,         On::Drain | On::Dismissed)     => (Stopping,  &[Do::EndCopy, Do::Abandon, Do::Drain]),
        (_,         On::Stop)                      => (Stopping,  &[Do::EndCopy, Do::Abandon, Do::Drain, Do::Abort]),
        (_,         On::GivenUp)                   => (Retired,   &[Do::EndCopy, Do::Abandon, Do::Retire]),
        (phase, _)                                 => (phase,     &[]),
    }
}

/// The part of it that is a roll back.
#[rustfmt::skip] // a table
fn step_back(phase: Phase, event: Event) -> (Phase, &'static [Action]) {
    use {Action as Do, Event as On, Phase::*};
    match (phase, event) {
        (Probation, On::RollBack)                  => (HandingBack, &[Do::HandBack]),
        (HandingBack, On::NotTaken | On::OldSilent) => (Probation, &[Do::Keep]),
        (HandingBack, On::OldGone)                 => (Serving,   &[Do::Keep, Do::Commit]),
        // The last word is this side's: until it is said all is its own, and from then on nothing.
        (HandingBack, On::Taken)                   => (Returned,  &[Do::LetGo]),
        // By a program that takes nothing back but its listeners.
        (HandingBack, On::Resumed)                 => (Retired,   &[Do::Keep, Do::Retire]),
        (Returned,  On::Resumed)                   => (Retired,   &[Do::Retire]),
        (Returned,  On::OldGone)                   => (Serving,   &[Do::Reopen, Do::Commit]),
        (HandingBack, On::GivenUp)                 => (Retired,   &[Do::LetGo, Do::Retire]),
        (HandingBack, On::Drain | On::Dismissed)   => (Stopping,  &[Do::Keep, Do::Drain]),
        (HandingBack, On::Stop)                    => (Stopping,  &[Do::Keep, Do::Drain, Do::Abort]),

        (Released,  On::TakeBack)                  => (TakingBack, &[Do::TakeBack]),
        (TakingBack, On::NotTaken)                 => (Released,  &[]),
        (TakingBack, On::Kept)                     => (Released,  &[Do::Forget]),
        (TakingBack, On::HandedBack)               => (Serving,   &[Do::Resume, Do::Return]),
        // It has everything that the new side had.
        (TakingBack, On::NewGone)                  => (Serving,   &[Do::Resume]),
        // The new side was told to stop, and keeps what it has until then. What comes from elsewhere meanwhile
        // waits for its word.
        (TakingBack, On::Dismissed)                => (Stopping,  &[Do::Forget, Do::Dismiss, Do::Drain]),

        (phase, _) => (phase, &[]),
    }
}

impl Phase {
    /// Whether this process is the one that stays, as far as it knows.
    #[cfg(test)]
    pub fn stays(self) -> bool {
        self == Phase::Serving || self.makes_successor()
    }

    /// Whether there is to be a new side, which cannot serve yet.
    pub fn makes_successor(self) -> bool {
        use Phase::*;
        matches!(self, Starting | Copying | CatchingUp | HandingOver | Handed)
    }

    /// Whether this process takes new clients.
    pub fn accepts(self) -> bool {
        matches!(self, Phase::Probation | Phase::HandingBack | Phase::Serving)
            || self.makes_successor()
    }

    /// Whether it has stopped accepting for a new side that has not committed.
    pub fn has_released(self) -> bool {
        matches!(self, Phase::Released | Phase::TakingBack)
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
            Phase::Returned => "handed-back",
            Phase::Serving => "serving",
            Phase::Starting => "starting-successor",
            Phase::Copying => "copying",
            Phase::CatchingUp => "catching-up",
            Phase::HandingOver => "handing-over",
            Phase::Handed => "handed-over",
            Phase::Released => "released",
            Phase::TakingBack => "taking-back",
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
                let succeeded = (phase, event) == (Phase::Handed, Event::Ready);
                let handed_back = matches!(event, Event::Taken | Event::Resumed);
                let handed_back = phase == Phase::HandingBack && handed_back;
                let given_up = event == Event::GivenUp;
                assert!(
                    next.accepts() || asked || succeeded || handed_back || given_up,
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
                let begins = does(Action::Serve) || does(Action::Resume) || does(Action::Reopen);
                assert_eq!(begins, !phase.accepts() && next.accepts(), "{phase:?} {event:?}");
                let ends = does(Action::Release) || does(Action::Retire) || does(Action::Drain);
                let ends = ends || does(Action::LetGo);
                let ended = phase.accepts() && !next.accepts();
                assert!(ends || !ended, "{phase:?} {event:?}");
            }
        }
    }
}
