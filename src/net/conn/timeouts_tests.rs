//! Timeouts beside a plain model, which counts seconds of silence one by one.

use std::time::{Duration, Instant};

use proptest::{option, prelude::*};

use super::{ConnState, Phase, timeouts::Watched};
use crate::{
    buffer::Pool,
    clock::Stamp,
    net::{
        id::ConnId,
        stream::{Peer, Stream, memory::Pipe},
    },
    timeouts::{Direction, Timeouts},
};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug)]
enum Event {
    Pass(u32),
    Comes,
    IsSent,
    IsGreeted,
    /// Output waits, or more of it.
    Waits,
    IsTaken,
    IsTakenWhole,
    IsCongested,
    IsPaused,
    IsResumed,
    PeerEnds,
    WeEnd,
    IsTold(Direction),
}

use Event::*;

fn any_event() -> impl Strategy<Value = Event> {
    let direction =
        prop_oneof![Just(Direction::Read), Just(Direction::Write), Just(Direction::All),];
    prop_oneof![
        4 => (1u32..20).prop_map(Pass),
        2 => Just(Comes),
        2 => Just(IsSent),
        1 => Just(IsGreeted),
        2 => Just(Waits),
        2 => Just(IsTaken),
        2 => Just(IsTakenWhole),
        1 => Just(IsCongested),
        1 => Just(IsPaused),
        2 => Just(IsResumed),
        1 => Just(PeerEnds),
        1 => Just(WeEnd),
        3 => direction.prop_map(IsTold),
    ]
}

prop_compose! {
    fn any_timeouts()(limits in prop::array::uniform5(option::of(1u64..30))) -> Timeouts {
        let [read, write, all, first, stall] = limits.map(|limit| limit.map(Duration::from_secs));
        let idle = Timeouts::new().read_idle(read).write_idle(write).all_idle(all);
        idle.first_message(first).write_stall(stall)
    }
}

/// What is true of the connection, and for how long each thing has been so.
#[derive(Default)]
struct Model {
    waits: bool,
    congested: bool,
    paused: bool,
    greeted: bool,
    eof: bool,
    ended: bool,
    /// Seconds: without a byte that came, without one that was sent, without either.
    quiet: [i64; 3],
    stalled: i64,
    ungreeted: i64,
}

impl Model {
    fn reads(&self) -> bool {
        !self.paused && !self.congested && !self.eof
    }

    /// Whether `event` can happen now.
    fn allows(&self, event: Event) -> bool {
        match event {
            Comes | IsGreeted => self.reads(),
            IsSent => !self.waits && !self.ended,
            Waits => !self.ended,
            IsTaken | IsTakenWhole => self.waits,
            IsCongested => self.waits && !self.congested,
            IsResumed => self.paused,
            IsTold(direction) => self.applies(direction),
            Pass(_) | IsPaused | PeerEnds | WeEnd => true,
        }
    }

    fn applies(&self, direction: Direction) -> bool {
        match direction {
            Direction::Read => self.reads(),
            Direction::Write => !self.waits && !self.ended,
            Direction::All => !self.waits && !self.paused,
        }
    }

    fn moves(&mut self, direction: Direction) {
        self.quiet[direction as usize] = 0;
        self.quiet[Direction::All as usize] = 0;
    }

    fn listens(&mut self) {
        self.moves(Direction::Read);
        if !self.greeted {
            self.ungreeted = 0;
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Pass(seconds) => {
                let all = self.quiet.iter_mut().chain([&mut self.stalled, &mut self.ungreeted]);
                all.for_each(|count| *count += i64::from(seconds));
            }
            Comes => self.moves(Direction::Read),
            IsGreeted => {
                self.greeted = true;
                self.moves(Direction::Read);
            }
            IsSent => self.moves(Direction::Write),
            Waits if self.waits => {}
            Waits | IsTaken | IsTakenWhole => {
                self.waits = !matches!(event, IsTakenWhole);
                self.stalled = 0;
                self.moves(Direction::Write);
                if !self.waits && std::mem::take(&mut self.congested) {
                    self.listens();
                }
            }
            IsCongested => self.congested = true,
            IsPaused => self.paused = true,
            IsResumed => {
                self.paused = false;
                self.listens();
            }
            PeerEnds => self.eof = true,
            WeEnd => self.ended = true,
            IsTold(direction) => self.quiet[direction as usize] = 0,
        }
    }

    /// The seconds that are left of each timeout that applies.
    fn left(&self, timeouts: &Timeouts) -> Option<i64> {
        let left = |limit: Option<Duration>, count| Some(limit?.as_secs() as i64 - count);
        let idle = Direction::EACH.into_iter().filter(|&direction| self.applies(direction));
        let idle = idle.map(|at| left(timeouts.idle(at), self.quiet[at as usize]));
        let stall = self.waits.then(|| left(timeouts.write_stall, self.stalled));
        let first = !self.greeted && !self.paused && !self.waits;
        let first = first.then(|| left(timeouts.first_message, self.ungreeted));
        idle.chain(stall).chain(first).flatten().min()
    }
}

/// The same, as the reactor does it.
fn happens(conn: &mut ConnState, event: Event, now: Stamp, pool: &mut Pool) {
    match event {
        Pass(_) => {}
        Comes => conn.read_at = now,
        IsGreeted => (conn.read_at, conn.flags.greeted) = (now, true),
        IsSent | IsTaken => conn.written_at = now,
        Waits => {
            if conn.output.is_empty() {
                conn.written_at = now;
            }
            conn.output.push(b"output", pool);
        }
        IsTakenWhole => {
            conn.output.clear(pool);
            conn.written_at = now;
            if std::mem::take(&mut conn.flags.congested) {
                conn.listen_from(now);
            }
        }
        IsCongested => conn.flags.congested = true,
        IsPaused => conn.flags.paused = true,
        IsResumed => {
            conn.flags.paused = false;
            conn.listen_from(now);
        }
        PeerEnds => conn.flags.eof = true,
        WeEnd => conn.flags.half_close = true,
        IsTold(direction) => conn.count_from(direction, now),
    }
}

fn connection(now: Stamp) -> ConnState {
    ConnState::new(ConnId::new(0, 1), Stream::Memory(Pipe::new(0)), Peer::Unknown, Phase::Open, now)
}

proptest! {
    #[test]
    fn each_limit_passes_when_so_many_seconds_of_silence_are_counted(
        timeouts in any_timeouts(), events in prop::collection::vec(any_event(), 0..40),
    ) {
        let mut now = Stamp::from(Instant::now()) + 1000 * SECOND;
        let (mut conn, mut model, mut pool) = (connection(now), Model::default(), Pool::default());
        for event in events {
            if let Pass(seconds) = event {
                now = now + seconds * SECOND;
            }
            if model.allows(event) {
                happens(&mut conn, event, now, &mut pool);
                model.happens(event);
            }
            let due = conn.deadline(&timeouts, SECOND).map(|(at, _)| {
                at.since(now).as_secs() as i64 - now.since(at).as_secs() as i64
            });
            prop_assert_eq!(due, model.left(&timeouts), "after {:?}", event);
        }
    }
}

#[test]
fn in_every_phase_it_is_watched_for_what_it_does() {
    let now = Stamp::from(Instant::now());
    let mut conn = connection(now);
    let timeouts = Timeouts::new().all_idle(SECOND);
    let watched = |conn: &mut ConnState, phase| {
        conn.phase = phase;
        conn.deadline(&timeouts, SECOND).map(|(_, watched)| watched)
    };
    assert_eq!(watched(&mut conn, Phase::Dialing), Some(Watched::Dial));
    assert_eq!(watched(&mut conn, Phase::Open), Some(Watched::Idle(Direction::All)));
    assert_eq!(watched(&mut conn, Phase::Flushing), None);
    conn.output.push(b"output", &mut Pool::default());
    assert_eq!(watched(&mut conn, Phase::Flushing), Some(Watched::WriteStall));
    assert_eq!(watched(&mut conn, Phase::Lingering), Some(Watched::Close));
    assert_eq!(watched(&mut conn, Phase::Dead), None);
}

/// It is what an idle connection costs: 8 bytes for each time, and two for its listener.
#[test]
fn a_connection_is_no_larger_for_it() {
    assert!(size_of::<ConnState>() <= 248, "{}", size_of::<ConnState>());
}
