//! The proof of the table: two processes, the link between them, and everything that can happen to
//! them in every order. Test code; knows nothing but [`step`].
//!
//! The model takes the table at its word and adds what the code around it does: messages arrive in
//! order and are heard before a death or a timeout is acted upon, but a side that is dead is not
//! believed to serve; a new side that is overdue or cannot be understood is given up and killed. In some
//! worlds that kill reaches nobody, since what serves is a process that the new one has made.
//!
//! A lame duck is no phase: whoever was told to drain goes on as before, and is told once more when its time is over. That a
//! stop which was heard is not undone meanwhile, whoever dies, is proved here (`told_to_leave`).

use std::collections::{HashSet, VecDeque};

use super::{
    model_copy::Copy,
    table::{Action, Event, Phase, step},
};

pub(super) const PHASES: [Phase; 15] = [
    Phase::Waiting,
    Phase::Probation,
    Phase::HandingBack,
    Phase::Returned,
    Phase::Serving,
    Phase::Starting,
    Phase::Copying,
    Phase::CatchingUp,
    Phase::HandingOver,
    Phase::Handed,
    Phase::Released,
    Phase::TakingBack,
    Phase::Retired,
    Phase::Stopping,
    Phase::Ended,
];

pub(super) const EVENTS: [Event; 30] = [
    Event::Begun,
    Event::Forked,
    Event::Claimed,
    Event::Tracked,
    Event::Untracked,
    Event::NoScribe,
    Event::Loaded,
    Event::CaughtUp,
    Event::AllSent,
    Event::Ready,
    Event::Committed,
    Event::NewGone,
    Event::TakeBack,
    Event::HandedBack,
    Event::Kept,
    Event::NotTaken,
    Event::Taken,
    Event::Released,
    Event::OldGone,
    Event::Orphaned,
    Event::GivenUp,
    Event::OldSilent,
    Event::Proven,
    Event::RollBack,
    Event::Resumed,
    Event::Drain,
    Event::Dismissed,
    Event::Stop,
    Event::Deadline,
    Event::Empty,
];

/// One of the two processes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    /// `None`: it is dead.
    pub phase: Option<Phase>,
    /// Stopped by SIGSTOP: it does nothing until it is continued.
    pub hung: bool,
    /// It was told to drain, and accepts until its time is over.
    is_lame_duck: bool,
    /// It has heard that its end of the link leads nowhere, or has closed it.
    cut_off: bool,
    /// What waits in its end of the link.
    pub inbox: VecDeque<Message>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Message {
    Is(Event),
    /// What moves is the new side's from here on: it has not written so far.
    TakenOver,
    /// I was told to drain, and do when some time is over.
    LameDuck,
    /// Everything, handed back for the so manieth time; and whether that could be taken.
    Back(u8),
    Answer(u8, bool),
    /// What a new program is to serve, in this order; and that a piece of changes was applied.
    Snapshot,
    Changes,
    Copied,
    Handed,
    Applied,
    Garbage,
    /// The other end was closed.
    End,
}

/// Both, and what may still befall them. The budgets keep the state space finite.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub old: Process,
    pub new: Process,
    pub deaths: u8,
    pub hangs: u8,
    pub garbage: u8,
    requests: u8,
    /// How the new side gets the state. A forked child has it from birth.
    pub copy: Copy,
    /// Whether a kill of the new side ends it, and whether it hears before that it was given up.
    kill_reaches: bool,
    word_arrives: bool,
    given_up: bool,
    /// Whether the old side could serve with what the new one hands back.
    can_take_back: bool,
    /// A stop comes in two steps here.
    lame_ducks: bool,
    /// How often that was tried.
    tries: u8,
    /// Of the connections that move: the old side has taken them in; who serves them.
    has_copies: bool,
    old_serves: bool,
    new_serves: bool,
    /// The old side still has what it froze, and would go on with that.
    has_originals: bool,
    /// The new side has served them since it was given them, or has handed them back last. Whoever goes on with
    /// what was before writes what was written, for TLS with the same nonces.
    is_stale: bool,
    two_writers: bool,
    /// The new side has taken the old one's silence for its end.
    stood_in: bool,
    /// Somebody has asked for the end of the service.
    told_to_stop: bool,
    /// A side that was the only one left was killed: no table can help.
    bereft: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Old,
    New,
}
use Who::{New, Old};

impl World {
    /// Every restart that has just begun: by fork or by fork-exec, and with each kind of new side. One that
    /// neither a kill nor a word reaches does nothing else that is out of order.
    fn all() -> Vec<World> {
        let kinds = [(true, true), (false, true), (false, false)];
        let begin =
            |copy: Copy| kinds.map(|(kill, word)| World::begin(copy.clone(), kill, word)).to_vec();
        let forked = begin(Copy::forked());
        let unable = |world: &World| World { can_take_back: false, ..world.clone() };
        // A kind of its own, like those that a kill does not reach: all in one would take long, and say no more.
        let reached = forked.iter().filter(|world| world.kill_reaches).map(unable);
        let copied: Vec<_> = Copy::all().into_iter().flat_map(begin).collect();
        let all = reached.chain(forked.clone()).chain(copied);
        // And another: who hangs or speaks nonsense is given up, which is what a death is.
        let lame =
            |world: &World| World { lame_ducks: true, hangs: 0, garbage: 0, ..world.clone() };
        let reached = |world: &&World| world.kill_reaches;
        let all: Vec<_> = all.collect();
        all.iter().filter(reached).map(lame).chain(all.clone()).collect()
    }

    fn begin(copy: Copy, kill_reaches: bool, word_arrives: bool) -> World {
        let forked = copy == Copy::forked();
        let process = |phase| Process {
            phase: Some(phase),
            hung: false,
            is_lame_duck: false,
            cut_off: false,
            inbox: VecDeque::new(),
        };
        let (old, nothing) =
            step(Phase::Serving, if forked { Event::Forked } else { Event::Begun });
        assert!(nothing.is_empty());
        let mut world = World {
            old: process(old),
            new: process(Phase::Waiting),
            deaths: 2,
            hangs: 1,
            garbage: u8::from(word_arrives),
            requests: if word_arrives { 2 } else { 0 },
            copy,
            kill_reaches,
            word_arrives,
            given_up: false,
            can_take_back: true,
            lame_ducks: false,
            tries: 0,
            has_copies: false,
            old_serves: false,
            new_serves: false,
            has_originals: true,
            is_stale: false,
            two_writers: false,
            stood_in: false,
            told_to_stop: false,
            bereft: false,
        };
        if forked {
            world.send(New, Message::Is(Event::Ready));
        }
        world
    }

    fn at(&mut self, who: Who) -> &mut Process {
        match who {
            Old => &mut self.old,
            New => &mut self.new,
        }
    }

    fn other(&mut self, who: Who) -> &mut Process {
        self.at(if who == Old { New } else { Old })
    }

    pub(super) fn send(&mut self, from: Who, message: Message) {
        if !self.at(from).cut_off && self.other(from).phase.is_some() {
            self.other(from).inbox.push_back(message);
        }
    }

    fn close_link(&mut self, who: Who) {
        self.send(who, Message::End);
        self.at(who).cut_off = true;
    }

    pub(super) fn die(&mut self, who: Who) {
        if self.at(who).phase.is_some() {
            self.close_link(who);
            let process = self.at(who);
            (process.phase, process.hung) = (None, false);
            process.inbox.clear();
            *(if who == Old { &mut self.old_serves } else { &mut self.new_serves }) = false;
            if who == Old {
                self.copy.old_dies();
            }
        }
    }

    /// One event at one process, and what it does about it.
    pub(super) fn happen(&mut self, who: Who, event: Event) {
        let Some(phase) = self.at(who).phase else { return };
        let (next, actions) = step(phase, event);
        self.at(who).phase = Some(next);
        for &action in actions {
            self.act_on_copy(action);
            match action {
                Action::Release => self.send(who, Message::Is(Event::Released)),
                Action::Commit => self.send(who, Message::Is(Event::Committed)),
                Action::Serve => {
                    self.send(who, Message::TakenOver);
                    (self.new_serves, self.is_stale) = (true, true);
                }
                Action::HandBack => {
                    (self.new_serves, self.is_stale, self.tries) = (false, false, self.tries + 1);
                    self.send(who, Message::Back(self.tries));
                }
                Action::Keep => {
                    (self.new_serves, self.is_stale) = (true, true);
                    self.send(who, Message::Is(Event::Kept));
                }
                Action::LetGo => self.send(who, Message::Is(Event::HandedBack)),
                Action::Forget => self.has_copies = false,
                Action::Resume => {
                    self.go_on();
                    self.old_serves = self.has_copies;
                }
                Action::Thaw => self.go_on(),
                Action::Return => self.send(who, Message::Is(Event::Resumed)),
                Action::Drain => self.send(who, Message::Is(Event::Dismissed)),
                Action::Abandon => self.end_new(),
                _ => {}
            }
            if self.at(who).phase != Some(next) {
                return; // what has come of it decides
            }
        }
        self.stood_in |= event == Event::OldSilent;
        if next == Phase::Ended {
            self.die(who);
        }
    }

    /// The old side thaws whatever it has of them.
    fn go_on(&mut self) {
        let has_any = self.has_originals || self.has_copies;
        // Who cannot be killed and was given up has served nobody: it was not let in (`check_speaker`).
        self.two_writers |= has_any && self.is_stale && self.kill_reaches;
    }

    /// The old side ends the new one.
    fn end_new(&mut self) {
        self.given_up = true;
        if self.word_arrives {
            self.send(Old, Message::Is(Event::GivenUp));
        }
        self.close_link(Old);
        if self.kill_reaches {
            self.die(New);
        }
    }

    /// The old side has no use for the new one as it is. But if that one was told to stop, both were.
    pub(super) fn give_up(&mut self) {
        let undecided = |phase: Phase| {
            phase.makes_successor() || matches!(phase, Phase::Released | Phase::TakingBack)
        };
        if self.old.phase.is_some_and(undecided) {
            self.end_new();
            let unheard = std::mem::take(&mut self.old.inbox);
            for message in &unheard {
                match message {
                    Message::Back(_) => self.has_copies = self.can_take_back,
                    Message::Is(Event::Kept) => self.has_copies = false,
                    Message::TakenOver => self.has_originals = false,
                    _ => {}
                }
            }
            self.happen(Old, Event::NewGone);
            if unheard.contains(&Message::LameDuck) {
                self.told_to_leave(Old, false);
            }
            if unheard.contains(&Message::Is(Event::Dismissed)) {
                self.happen(Old, Event::Dismissed);
            }
        }
    }

    /// One side was told to drain, by somebody or by the other side: it goes on for a time, with no new side in the making.
    fn told_to_leave(&mut self, who: Who, tells: bool) {
        let phase = self.at(who).phase.filter(|&phase| !phase.drains() && phase != Phase::Waiting);
        let Some(phase) = phase.filter(|_| !self.at(who).is_lame_duck) else { return };
        if phase.makes_successor() {
            self.give_up();
        }
        if self.at(who).phase.is_none_or(Phase::drains) {
            return;
        }
        self.at(who).is_lame_duck = true;
        if tells {
            self.send(who, Message::LameDuck);
        }
    }

    fn deliver(&mut self, who: Who, message: Message) {
        match (who, message) {
            (_, Message::LameDuck) => self.told_to_leave(who, false),
            // A side that has died since is none to retire for.
            (Old, Message::Is(Event::Committed)) if self.new.phase.is_none() => {}
            (New, Message::Is(Event::Resumed)) if self.old.phase.is_none() => {}
            (New, Message::Snapshot | Message::Changes | Message::Copied | Message::Handed) => {
                self.take_in(message);
            }
            (Old, Message::Applied) => self.changes_applied(),
            (Old, Message::TakenOver) => self.has_originals = false,
            (Old, Message::Is(event @ (Event::Claimed | Event::Loaded | Event::Ready)))
                if self.old.phase.is_some_and(|phase| step(phase, event).0 == phase) =>
            {
                self.give_up(); // out of turn
            }
            // It had gone on before that was heard.
            (Old, Message::Is(Event::Kept)) if self.old.phase == Some(Phase::Released) => {}
            (_, Message::Is(event)) => self.happen(who, event),
            (Old, Message::Back(number)) => self.take_back(number),
            (New, Message::Answer(number, _)) if number != self.tries => {}
            (New, Message::Answer(_, true)) => self.happen(New, Event::Taken),
            (New, Message::Answer(_, false)) => self.happen(New, Event::NotTaken),
            (Old, Message::Garbage | Message::End) => self.give_up(),
            (New, Message::Garbage) => {} // skipped: the old side's silence is what counts
            (_, Message::Back(_) | Message::Answer(..) | Message::Applied | Message::TakenOver)
            | (Old, Message::Snapshot | Message::Changes | Message::Copied | Message::Handed) => {
                unreachable!("nobody says that to {who:?}")
            }
            (New, Message::End) => self.new.cut_off = true,
        }
    }

    /// The new side hands everything back.
    fn take_back(&mut self, number: u8) {
        if self.old.phase != Some(Phase::Released) {
            return;
        }
        self.happen(Old, Event::TakeBack);
        self.has_copies = self.can_take_back;
        self.send(Old, Message::Answer(number, self.can_take_back));
        if !self.can_take_back {
            self.happen(Old, Event::NotTaken);
        }
    }

    /// The new side has no link any more, and knows whether the old one has ended or lives.
    fn learn_of_old(&mut self) {
        let event = match self.old.phase {
            None if !self.copy.has.may_serve() => Event::Orphaned,
            None => Event::OldGone,
            Some(_) => Event::GivenUp,
        };
        self.happen(New, event);
    }

    /// It was promised something, and hears nothing for too long.
    fn lose_patience(&mut self) {
        match self.copy.said_ready {
            true => self.happen(New, Event::OldSilent),
            false => self.die(New),
        }
    }

    pub(super) fn changed(&self, change: &dyn Fn(&mut World)) -> World {
        let mut world = self.clone();
        change(&mut world);
        world.forget_copy();
        world
    }

    /// What happens by itself: messages arrive, time passes.
    fn inner_steps(&self) -> Vec<World> {
        let mut next = self.steps_of_copy();
        let mut go = |change: &dyn Fn(&mut World)| {
            next.extend(Some(self.changed(change)).filter(|world| world != self));
        };
        for who in [Old, New] {
            let process = if who == Old { &self.old } else { &self.new };
            let Some(phase) = process.phase.filter(|_| !process.hung) else { continue };
            if who == New && self.is_reading() {
                go(&World::lose_patience);
                continue;
            }
            if let Some(&message) = process.inbox.front() {
                go(&|world| {
                    world.at(who).inbox.pop_front();
                    world.deliver(who, message);
                });
                continue; // everything that was said is heard before time is up
            }
            let decides = [Phase::Waiting, Phase::Probation, Phase::HandingBack, Phase::Returned];
            let decides = decides.contains(&phase);
            if decides && process.cut_off {
                go(&World::learn_of_old);
                continue; // what comes of it decides
            }
            match who {
                Old => go(&|world| world.next_of_old(phase)),
                New => go(&World::next_of_new),
            }
            // The time of a lame duck is over; where the connections are on their way back, when they are there.
            if process.is_lame_duck && !phase.drains() && phase != Phase::TakingBack {
                go(&|world| world.happen(who, Event::Drain));
            }
            match (who, phase) {
                (Old, _) if phase.makes_successor() => go(&World::give_up),
                (Old, Phase::Released | Phase::TakingBack) => go(&World::give_up),
                (_, Phase::HandingBack) => go(&|world| world.happen(New, Event::OldSilent)),
                // It holds up the connections that it has by now: it is killed.
                (_, Phase::Returned) => go(&|world| world.die(Old)),
                (_, Phase::Waiting) => go(&World::lose_patience),
                (_, Phase::Probation) => go(&|world| world.happen(New, Event::Proven)),
                (_, Phase::Retired | Phase::Stopping) => {
                    go(&|world| world.happen(who, Event::Empty));
                }
                _ => {}
            }
        }
        next
    }

    /// What is done to them from outside.
    fn outer_steps(&self) -> Vec<World> {
        let mut next = self.outer_steps_of_copy();
        let mut go = |change: &dyn Fn(&mut World)| next.push(self.changed(change));
        for who in [Old, New] {
            let process = if who == Old { &self.old } else { &self.new };
            let Some(phase) = process.phase else { continue };
            let other = if who == Old { &self.new } else { &self.old };
            if self.deaths > 0 {
                go(&|world| {
                    world.deaths -= 1;
                    // The other one is dead, or is leaving: this was the last that could serve.
                    let has = world.copy.has.may_serve();
                    let unable = who == Old && (world.given_up || !has);
                    world.bereft |= unable || other.phase.is_none_or(Phase::drains);
                    world.die(who);
                });
            }
            if process.hung {
                go(&|world| world.at(who).hung = false);
                continue;
            }
            if self.hangs > 0 {
                go(&|world| {
                    world.hangs -= 1;
                    world.at(who).hung = true;
                });
            }
            if self.garbage > 0 && !process.cut_off {
                let nonsense = match who {
                    New if phase == Phase::Waiting => vec![Message::Is(Event::Ready)],
                    New => vec![],
                    Old => self.untimely(),
                };
                for message in nonsense.into_iter().chain([Message::Garbage]) {
                    go(&|world| {
                        world.garbage -= 1;
                        world.send(who, message);
                    });
                }
            }
            // A stop waits until it is decided whose the connections are.
            if self.requests > 0 && phase != Phase::TakingBack {
                for event in [Event::Drain, Event::Stop] {
                    go(&|world| {
                        world.requests -= 1;
                        // A new side that has not begun may be ended without ending the service.
                        let alone = other.phase.is_none();
                        world.told_to_stop |= (phase != Phase::Waiting || alone) && !phase.drains();
                        world.happen(who, event);
                    });
                }
                let can = !phase.drains() && phase != Phase::Waiting && !process.is_lame_duck;
                if self.lame_ducks && can {
                    go(&|world| {
                        world.requests -= 1;
                        world.told_to_stop = true;
                        world.told_to_leave(who, true);
                    });
                }
                if phase == Phase::Probation {
                    go(&|world| {
                        world.requests -= 1;
                        world.happen(who, Event::RollBack);
                    });
                }
            }
        }
        next
    }

    fn acceptors(&self) -> usize {
        let accepts = |process: &Process| process.phase.is_some_and(Phase::accepts);
        usize::from(accepts(&self.old)) + usize::from(accepts(&self.new))
    }

    /// Checks a world in which nothing happens by itself any more.
    fn check_at_rest(&self) {
        for process in [&self.old, &self.new] {
            let waits =
                process.phase.is_some_and(|phase| !phase.drains() && phase != Phase::Serving);
            assert!(process.hung || !waits, "somebody waits for ever: {self:#?}");
        }
        let acceptors = self.acceptors();
        if self.told_to_stop {
            let hung = self.old.hung || self.new.hung;
            assert!(acceptors == 0 || hung, "a stop that was heard is undone: {self:#?}");
        }
        if self.told_to_stop || self.bereft {
            return;
        }
        // While one of them hangs, the other may stand in for it; or be dead, and all wait for the one
        // that hangs. What happens when it is continued is a world of its own.
        let hung = self.old.hung || self.new.hung;
        match acceptors {
            1 => {}
            0 | 2 if hung => {}
            count => panic!("{count} accept: {self:#?}"),
        }
    }

    /// Whatever else is true, new clients are not turned away while the service is to go on.
    fn check_always(&self) {
        let in_the_air = matches!(self.old.phase, Some(Phase::Released | Phase::TakingBack))
            || matches!(self.new.phase, Some(Phase::Waiting | Phase::Returned));
        let served = self.acceptors() > 0 || in_the_air;
        assert!(served || self.told_to_stop || self.bereft, "nobody has the listeners: {self:#?}");
        let stays = |process: &Process| process.phase.is_some_and(Phase::stays);
        let both = stays(&self.old) && stays(&self.new);
        let is_about_to_know = self.given_up && !self.new.inbox.is_empty();
        assert!(
            !both || self.stood_in || is_about_to_know,
            "both believe that they stay: {self:#?}"
        );
        // What a kill does not reach was never let in (`check_speaker`).
        let twice = self.old_serves && self.new_serves && self.kill_reaches;
        assert!(!twice, "both serve the same connections: {self:#?}");
        assert!(!self.two_writers, "what the other side has written is written again: {self:#?}");
        let new_accepts = self.new.phase.is_some_and(Phase::accepts);
        let has = self.copy.has.may_serve();
        assert!(!new_accepts || has, "it serves what it does not know: {self:#?}");
        self.check_copy();
    }
}

/// Walks over everything that can happen; the worlds, each once.
fn explore() -> HashSet<World> {
    let mut seen = HashSet::new();
    let mut todo = World::all();
    while let Some(world) = todo.pop() {
        if seen.contains(&world) {
            continue;
        }
        todo.extend(world.inner_steps());
        todo.extend(world.outer_steps());
        seen.insert(world);
    }
    seen
}

#[test]
fn in_every_order_of_events_somebody_accepts_and_nobody_waits_for_ever() {
    let worlds = explore();
    let mut at_rest = 0;
    for world in &worlds {
        world.check_always();
        if world.inner_steps().is_empty() {
            world.check_at_rest();
            at_rest += 1;
        }
    }
    println!("restart model: {} worlds visited, {at_rest} of them at rest", worlds.len());
    assert!(worlds.len() > 1000, "the model has lost its events: {} worlds", worlds.len());
}

/// However the state goes, there is a way on which it arrives and the old side retires.
#[test]
fn where_nothing_goes_wrong_the_new_side_comes_to_serve() {
    for begun in World::all() {
        let (mut seen, mut todo) = (HashSet::new(), vec![begun.clone()]);
        while let Some(world) = todo.pop() {
            if seen.insert(world.clone()) {
                todo.extend(world.inner_steps());
            }
        }
        let succeeds = |world: &World| {
            let at_work = world.new.phase == Some(Phase::Serving) && world.old.phase.is_none();
            at_work && !world.given_up && !world.stood_in
        };
        assert!(seen.iter().any(succeeds), "it can only be given up: {begun:#?}");
    }
}

/// Time and messages alone bring every world to rest: no restart goes round in circles.
#[test]
fn every_restart_comes_to_an_end() {
    for world in explore() {
        let mut layer: HashSet<World> = HashSet::from([world]);
        for _ in 0..32 {
            layer = layer.iter().flat_map(World::inner_steps).collect();
            if layer.is_empty() {
                break;
            }
        }
        assert!(layer.is_empty(), "still going: {:#?}", layer.iter().next());
    }
}
