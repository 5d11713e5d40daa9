//! One restart, told as a state machine. Knows no [`Service`](crate::Service) and no connection.
//!
//! ```text
//!  old: Serving                              new
//!   |  fork() or posix_spawn()            -> | fork: the child turns itself into an heir
//!   |  Hello, Listeners, Offered (exec)   -> | exec: main() runs, listen() claims by name
//!  old: Starting, still accepting            | new: Waiting
//!   |                                     <- | Ready                        (or Failed)
//!   |  stops accepting, keeps its listeners
//!   |  Released                           -> | accepts; on_start
//!  old: Released                             | new: Serving
//!   |                                     <- | Committed
//!   |  closes its listeners; on_retire
//!  old: Retired, drains, exits when empty
//! ```
//!
//! The rules that the table below keeps:
//! - until `Ready` the old side accepts; between `Released` and `Committed` the new side does, and
//!   the old one still has its listeners, so it can take over again;
//! - whatever ends the new side before `Committed` brings the old one back to `Serving`;
//! - whatever ends the old side after `Ready` makes the new one serve: it has the listeners;
//! - a side that is told to stop never leaves the other waiting: the link closes with it.
//!
//! `Committed` follows `Released` at once for now; a probation in between has its place there, and
//! the table is ready for it.

pub(crate) mod attempt;
pub(crate) mod child;
pub(crate) mod exec;
pub(crate) mod fork;
pub(crate) mod link;
pub(crate) mod pass;

/// What this process is in the succession.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// A new side that has said `Ready` and may not serve yet.
    Waiting,
    /// The generation that accepts.
    Serving,
    /// It accepts, and a new side is being made.
    Starting,
    /// It has stopped accepting in favour of a new side that has not committed.
    Released,
    /// Its successor has committed: it serves what it has.
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
    /// The new side failed, died, hung or spoke nonsense.
    NewGone,
    /// The old side says that it has stopped accepting.
    Released,
    /// The old side is gone.
    OldGone,
    /// Stop accepting, serve what there is, exit.
    Drain,
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
    Nothing,
    /// Accept, tell the service, commit.
    Serve,
    /// Stop accepting, keep the listeners, tell the new side.
    Release,
    /// Kill the new side; this one has never stopped.
    RollBack,
    /// Kill the new side and accept again.
    Resume,
    /// Close the listeners, tell the service, drain.
    Retire,
    /// Close the listeners for good, drain.
    Drain,
    /// The same, and kill the new side first.
    AbandonAndDrain,
    /// A drain is under way already, but now in the time that a stop has.
    Hurry,
    /// Close the listeners, drain in the time that a stop has.
    RetireAndHurry,
    /// Close the listeners, abort every connection.
    RetireAndAbort,
    /// Abort every connection.
    Abort,
    /// Kill the new side, close the listeners for good, abort every connection.
    AbandonAndAbort,
    /// Close the listeners for good and abort every connection.
    DrainAndAbort,
    /// Leave the loop.
    Exit,
}

/// The whole of it.
#[rustfmt::skip] // a table
pub(crate) fn step(phase: Phase, event: Event) -> (Phase, Action) {
    use {Action as Do, Event as On, Phase::*};
    match (phase, event) {
        (Waiting,  On::Released | On::OldGone) => (Serving,  Do::Serve),
        (Waiting,  On::Drain | On::Stop)       => (Ended,    Do::Exit),

        (Serving,  On::Begun)                  => (Starting, Do::Nothing),
        (Serving,  On::Drain)                  => (Stopping, Do::Drain),
        (Serving,  On::Stop)                   => (Stopping, Do::DrainAndAbort),

        (Starting, On::Ready)                  => (Released, Do::Release),
        (Starting, On::NewGone)                => (Serving,  Do::RollBack),
        (Starting, On::Drain)                  => (Stopping, Do::AbandonAndDrain),
        (Starting, On::Stop)                   => (Stopping, Do::AbandonAndAbort),

        (Released, On::Committed)              => (Retired,  Do::Retire),
        (Released, On::NewGone)                => (Serving,  Do::Resume),
        // The new side has the listeners and outlives this one.
        (Released, On::Drain)                  => (Stopping, Do::RetireAndHurry),
        (Released, On::Stop)                   => (Stopping, Do::RetireAndAbort),

        (Retired,  On::Drain)                  => (Stopping, Do::Hurry),
        (Retired | Stopping, On::Stop)         => (Stopping, Do::Abort),
        (Stopping, On::Drain)                  => (Stopping, Do::Abort), // the second one means now
        (Retired | Stopping, On::Deadline)     => (phase,    Do::Abort),
        (Retired | Stopping, On::Empty)        => (Ended,    Do::Exit),

        (phase, _) => (phase, Do::Nothing),
    }
}

impl Phase {
    /// Whether this process takes new clients.
    #[cfg(test)]
    pub fn accepts(self) -> bool {
        matches!(self, Phase::Serving | Phase::Starting)
    }

    /// Whether this process is leaving.
    pub fn drains(self) -> bool {
        matches!(self, Phase::Retired | Phase::Stopping | Phase::Ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 7] = [
        Phase::Waiting,
        Phase::Serving,
        Phase::Starting,
        Phase::Released,
        Phase::Retired,
        Phase::Stopping,
        Phase::Ended,
    ];
    const EVENTS: [Event; 10] = [
        Event::Begun,
        Event::Ready,
        Event::Committed,
        Event::NewGone,
        Event::Released,
        Event::OldGone,
        Event::Drain,
        Event::Stop,
        Event::Deadline,
        Event::Empty,
    ];

    #[test]
    fn only_a_stop_or_a_successor_ends_accepting() {
        for phase in PHASES.into_iter().filter(|phase| phase.accepts()) {
            for event in EVENTS {
                let (next, _) = step(phase, event);
                let asked = matches!(event, Event::Drain | Event::Stop);
                let succeeded = (phase, event) == (Phase::Starting, Event::Ready);
                assert!(next.accepts() || asked || succeeded, "{phase:?} {event:?} -> {next:?}");
            }
        }
    }

    #[test]
    fn who_is_told_to_stop_hurries_in_every_phase() {
        for phase in PHASES {
            let (next, action) = step(phase, Event::Drain);
            assert!(matches!(next, Phase::Stopping | Phase::Ended), "{phase:?}: {next:?}");
            assert_ne!(action, Action::Retire, "{phase:?}: a deadline of an hour");
            let (next, action) = step(phase, Event::Stop);
            let aborts = format!("{action:?}").ends_with("Abort");
            assert!(aborts || next == Phase::Ended, "{phase:?}: {action:?}");
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

    /// Both sides together: every order of what can happen, walked to the end.
    #[test]
    fn in_every_order_of_events_somebody_accepts() {
        // (old, new): the new side exists from `Begun` on; `None` is a process that is gone.
        let mut seen = std::collections::HashSet::new();
        let mut todo = vec![(Some(Phase::Serving), None::<Phase>)];
        while let Some((old, new)) = todo.pop() {
            if !seen.insert((old, new)) {
                continue;
            }
            let mut go = |old: Option<Phase>, new: Option<Phase>| todo.push((old, new));
            match (old, new) {
                (Some(Phase::Serving), None) => {
                    go(Some(step(Phase::Serving, Event::Begun).0), Some(Phase::Waiting));
                }
                (Some(old), Some(new)) => {
                    // The messages of a good restart; each may be the next thing to happen.
                    if new == Phase::Waiting {
                        go(Some(step(old, Event::Ready).0), Some(new));
                    }
                    if old == Phase::Released && new == Phase::Waiting {
                        go(Some(old), Some(step(new, Event::Released).0));
                    }
                    if new == Phase::Serving {
                        go(Some(step(old, Event::Committed).0), Some(new));
                    }
                    // Either side may die at any time.
                    go(Some(step(old, Event::NewGone).0), None);
                    go(None, Some(step(new, Event::OldGone).0));
                }
                _ => {}
            }
            let settled = old.is_some_and(Phase::accepts) || new.is_some_and(Phase::accepts);
            // The accept queue holds new clients while the baton is in the air.
            let in_the_air = (old, new) == (Some(Phase::Released), Some(Phase::Waiting));
            // A successor that dies after it has committed takes nobody with it but itself:
            // that is what a supervisor is for.
            let after_commit = (old, new) == (Some(Phase::Retired), None);
            assert!(settled || in_the_air || after_commit, "{old:?} {new:?}");
        }
        assert!(seen.len() >= 7, "{seen:?}");
    }
}
