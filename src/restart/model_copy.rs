//! The part of the [model](super::model) in which a new program gets the state: a scribe, the stream out of it, rounds
//! of changes, and the standstill. Whatever an old side decides is the table's, what a new one takes is
//! [`Has`]'s, and when the last changes come is for [`next`](rounds::next) to say.

use super::{
    arrival::{Has, Piece},
    model::{
        Message,
        Who::{New, Old},
        World,
    },
    table::{Action, Event, Phase},
    transfer::rounds::{self, Next},
};

/// How many pieces of changes may come before the last one.
const ROUNDS: u8 = 3;

/// And how many may be under way at a time.
const IN_FLIGHT: u8 = 2;

/// Who writes the snapshot, and what becomes of that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Scribe {
    /// There is none, or it was given up.
    #[default]
    None,
    Writes,
    /// Stopped by SIGSTOP.
    Hangs,
    /// All is in the pipe. So it is if the old side has written it itself.
    Done,
    /// What is in the pipe is cut off.
    Dead,
    /// What is in the pipe is nonsense.
    Garbled,
}

/// Whether there is a scribe to be had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Fork {
    #[default]
    May,
    /// There are threads.
    MayNot,
    /// The system makes no process.
    Refused,
}

/// How the state goes to the new side, and how far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Copy {
    /// It is a new program, and gets the state like this. A child has it.
    by_exec: bool,
    moves: bool,
    notes: bool,
    fork: Fork,
    scribe: Scribe,
    /// The service notes its changes.
    tracks: bool,
    /// Nobody changes any more what goes along; connections that move are not served.
    is_still: bool,
    frozen: bool,
    /// Something has changed, and the new side does not know.
    changed: bool,
    /// Changes may be sent.
    is_due: bool,
    /// Pieces of changes that are under way, and how many more there may be.
    in_flight: u8,
    rounds: u8,
    /// The new side has asked for the state; what it has; whether it has said that this is all.
    claimed: bool,
    pub has: Has,
    whole_snapshot: bool,
    pub said_ready: bool,
    /// It serves, and something is missing.
    pub lacks: bool,
}

impl Copy {
    pub fn forked() -> Copy {
        Copy { has: Has::Everything, said_ready: true, ..Copy::default() }
    }

    /// Each way in which a new program gets the state.
    pub fn all() -> Vec<Copy> {
        let ways = [
            (false, true, Fork::May),
            (true, true, Fork::May),
            (false, false, Fork::May),
            (true, false, Fork::May),
            (true, true, Fork::Refused),
            (true, true, Fork::MayNot),
        ];
        let rest = Copy { by_exec: true, rounds: ROUNDS, ..Copy::default() };
        ways.map(|(moves, notes, fork)| Copy { moves, notes, fork, ..rest.clone() }).to_vec()
    }

    /// Somebody is at work for it.
    fn is_alive(&self) -> bool {
        matches!(self.scribe, Scribe::Writes | Scribe::Hangs)
    }

    fn end(&mut self) {
        if self.is_alive() {
            self.scribe = Scribe::Dead;
        }
        self.tracks = false;
    }

    /// With its old side goes the scribe.
    pub fn old_dies(&mut self) {
        self.end();
        self.frozen = false;
    }
}

impl World {
    /// What the old side does for the copy.
    pub(super) fn act_on_copy(&mut self, action: Action) {
        let copy = &mut self.copy;
        match action {
            Action::Track if copy.fork == Fork::MayNot => self.happen(Old, Event::NoScribe),
            Action::Track => {
                copy.tracks = copy.notes;
                let event = if copy.notes { Event::Tracked } else { Event::Untracked };
                self.happen(Old, event);
            }
            Action::Scribe if copy.fork == Fork::Refused => self.happen(Old, Event::NoScribe),
            Action::Scribe | Action::Save => {
                let by_scribe = action == Action::Scribe;
                copy.scribe = if by_scribe { Scribe::Writes } else { Scribe::Done };
                copy.changed = false;
                self.send(Old, Message::Snapshot);
            }
            Action::StandStill if !copy.is_still => {
                (copy.is_still, copy.frozen) = (true, copy.moves);
            }
            Action::CatchUp if !copy.tracks => self.happen(Old, Event::CaughtUp),
            Action::CatchUp => copy.is_due = true,
            Action::LastChanges if copy.tracks => self.send_changes(),
            Action::Untrack => copy.tracks = false,
            Action::HandOver => self.send(Old, Message::Copied),
            Action::EndCopy => copy.end(),
            // Those that it had taken over are its own by then, and the old side goes on with the others.
            Action::Thaw | Action::Abandon | Action::Resume | Action::Dismiss | Action::Serve => {
                copy.frozen = false;
            }
            _ => {}
        }
        if action == Action::Serve {
            let copy = &mut self.copy;
            copy.lacks |= copy.by_exec && (copy.changed || !copy.whole_snapshot);
        }
    }

    fn send_changes(&mut self) {
        self.copy.changed = false;
        self.copy.in_flight += 1;
        self.send(Old, Message::Changes);
    }

    /// The new side has applied a piece of them.
    pub(super) fn changes_applied(&mut self) {
        match self.copy.in_flight {
            0 => self.give_up(),
            _ => self.copy.in_flight -= 1,
        }
    }

    /// Something comes that the new side is to serve.
    pub(super) fn take_in(&mut self, message: Message) {
        if self.new.phase != Some(Phase::Waiting) || self.copy.said_ready {
            return;
        }
        let piece = match message {
            Message::Snapshot => Piece::Snapshot,
            Message::Changes => Piece::Changes,
            Message::Copied => Piece::Copied,
            _ => Piece::Handed,
        };
        if message == Message::Snapshot && self.copy.scribe != Scribe::Done {
            let is_cut = self.old.phase.is_none() || self.new.inbox.contains(&Message::End);
            return if is_cut {
            } else {
                self.die(New)
            };
        }
        let Some(has) = self.copy.has.with(piece) else { return self.die(New) };
        self.copy.has = has;
        match piece {
            Piece::Snapshot => {
                self.copy.whole_snapshot = true;
                self.send(New, Message::Is(Event::Loaded));
            }
            Piece::Changes => self.send(New, Message::Applied),
            Piece::Handed => {
                self.copy.said_ready = true;
                self.send(New, Message::Is(Event::Ready));
            }
            Piece::Copied | Piece::Connections => {}
        }
    }

    /// It reads what is still being written, and hears nothing meanwhile.
    pub(super) fn is_reading(&self) -> bool {
        self.new.inbox.front() == Some(&Message::Snapshot) && self.copy.is_alive()
    }

    /// What the scribe does by itself, or what comes next in this phase of one of the sides.
    pub(super) fn steps_of_copy(&self) -> Vec<World> {
        let mut steps = Vec::new();
        if self.copy.scribe == Scribe::Writes {
            steps.push(self.changed(&|world| world.copy.scribe = Scribe::Done));
        }
        steps
    }

    pub(super) fn next_of_old(&mut self, phase: Phase) {
        let copy = &mut self.copy;
        match phase {
            Phase::CatchingUp if copy.is_due => {
                let is_sent = !copy.changed;
                match rounds::next(copy.in_flight.into(), is_sent, is_sent || copy.rounds == 0) {
                    Next::Piece(()) => {
                        copy.rounds -= 1;
                        self.send_changes();
                    }
                    Next::Last => self.happen(Old, Event::CaughtUp),
                    Next::Wait => {}
                }
            }
            Phase::HandingOver => {
                self.send(Old, Message::Handed);
                self.happen(Old, Event::AllSent);
            }
            _ => {}
        }
    }

    pub(super) fn next_of_new(&mut self) {
        if self.copy.by_exec && !self.copy.claimed {
            self.copy.claimed = true;
            self.send(New, Message::Is(Event::Claimed));
        }
    }

    /// What is done from outside to the scribe, and by clients to the state.
    pub(super) fn outer_steps_of_copy(&self) -> Vec<World> {
        let mut next = Vec::new();
        let mut go = |change: &dyn Fn(&mut World)| next.push(self.changed(change));
        let copy = &self.copy;
        if copy.is_alive() && self.deaths > 0 {
            go(&|world| (world.deaths, world.copy.scribe) = (world.deaths - 1, Scribe::Dead));
        }
        if copy.is_alive() && self.garbage > 0 {
            go(&|world| (world.garbage, world.copy.scribe) = (world.garbage - 1, Scribe::Garbled));
        }
        if copy.scribe == Scribe::Writes && self.hangs > 0 {
            go(&|world| (world.hangs, world.copy.scribe) = (world.hangs - 1, Scribe::Hangs));
        }
        if copy.scribe == Scribe::Hangs {
            go(&|world| world.copy.scribe = Scribe::Writes);
        }
        if self.changes_matter() && !copy.changed {
            go(&|world| world.copy.changed = true);
        }
        next
    }

    /// Whether clients are served whose doings the new side is to know: all, where they move; where they stay,
    /// those of the time in which they are noted.
    fn changes_matter(&self) -> bool {
        let copy = &self.copy;
        let is_served = !copy.frozen && !self.old.hung;
        let is_noted = matches!(self.old.phase, Some(Phase::Copying | Phase::CatchingUp));
        let is_copied = self.old.phase.is_some_and(Phase::makes_successor);
        let notes = copy.notes && copy.fork == Fork::May;
        copy.by_exec && is_served && is_copied && (copy.moves || (notes && is_noted))
    }

    /// What an old side gives out of turn, and a new one can tell: that there was more of the state it cannot.
    pub(super) fn untimely(&self) -> Vec<Message> {
        let is_made = self.old.phase.is_some_and(Phase::makes_successor);
        let has_begun = self.copy.has != Has::Nothing || !self.new.inbox.is_empty();
        match is_made && self.copy.by_exec {
            true if has_begun => vec![Message::Handed],
            true => vec![Message::Copied, Message::Handed],
            false => vec![],
        }
    }

    /// What is over makes no difference any more, but for what should be over and is not.
    pub(super) fn forget_copy(&mut self) {
        let is_made = self.old.phase.is_some_and(Phase::makes_successor);
        if !is_made && self.new.phase != Some(Phase::Waiting) {
            let Copy { scribe, tracks, frozen, has, lacks, .. } = self.copy;
            let scribe = if self.copy.is_alive() { scribe } else { Scribe::None };
            let said_ready = true;
            self.copy = Copy { scribe, tracks, frozen, has, lacks, said_ready, ..Copy::default() };
        }
    }

    /// While the state is copied everybody is served, and when that is over nothing of it is left.
    pub(super) fn check_copy(&self) {
        let copy = &self.copy;
        assert!(!copy.lacks, "it serves, and something is missing: {self:#?}");
        let Some(phase) = self.old.phase else {
            assert!(!copy.is_alive(), "a scribe outlives who has made it: {self:#?}");
            return;
        };
        let must_freeze = copy.moves && (!copy.notes || copy.fork != Fork::May);
        let may_be_frozen = match phase {
            Phase::Copying | Phase::CatchingUp => must_freeze,
            Phase::HandingOver | Phase::Handed => copy.moves,
            Phase::Released => true,
            _ => false,
        };
        assert!(may_be_frozen || !copy.frozen, "clients wait for nothing: {self:#?}");
        let is_noted = matches!(phase, Phase::Copying | Phase::CatchingUp);
        let may_track = is_noted && !copy.is_still;
        assert!(may_track || !copy.tracks, "changes are noted for nobody: {self:#?}");
        assert!(phase == Phase::Copying || !copy.is_alive(), "it writes for nobody: {self:#?}");
        // The last piece comes when those before it were applied, and has the standstill for itself.
        let most = match phase {
            Phase::HandingOver | Phase::Handed => 1,
            _ => IN_FLIGHT,
        };
        assert!(copy.in_flight <= most, "too much is under way: {self:#?}");
    }
}
