//! One way in which a conversation may go, as data that can be written down and read again.

use std::{fmt, str::FromStr};

use crate::plan::Engine;

/// One way in which a [`Conversation`](super::Conversation) goes: where input is cut, where the service is
/// restarted, how, and what becomes of that. As text it is what a failure says, and what
/// [`only`](super::Conversation::only) plays.
///
/// Places are numbers of steps, counted from 1; `3:2` is after the second byte of the third step, and 0 is before
/// everything.
///
/// ```
/// use heirloom::testing::Run;
///
/// for text in [
///     "plain",
///     "twice",
///     "byte by byte",
///     "cut at 3:2 and 5:1",
///     "fork-exec moving after 3:2, commits",
///     "fork staying after 4, rolls back 1 later",
///     "fork moving after 4, loses new at serving",
/// ] {
///     assert_eq!(text.parse::<Run>()?.to_string(), text);
/// }
/// assert!("fork sideways".parse::<Run>().is_err());
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run(pub(super) Way);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Plain,
    /// A second time, after all that the first one has left behind.
    Twice,
    ByteByByte,
    Cuts(Vec<Place>),
    Restart(Restarting),
}

/// After a step, or after some bytes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub step: usize,
    /// 0: after all of it.
    pub byte: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Restarting {
    pub engine: Engine,
    pub moves: bool,
    pub at: Place,
    pub end: End,
    /// So many steps are played before that.
    pub later: usize,
}

/// What becomes of a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Commits,
    RollsBack,
    Loses(Side, Stage),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Old,
    New,
}

/// How far a restart has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The new side has everything.
    Copied,
    /// The old one has stopped accepting.
    Released,
    /// The new one serves.
    Serving,
    /// It is rolled back: the old one has everything again.
    HandedBack,
    /// The new one has let go of it.
    Returned,
}

impl Side {
    pub fn name(self) -> &'static str {
        if self == Side::Old { "old" } else { "new" }
    }
}

impl Stage {
    pub const ALL: [(Stage, &str); 5] = [
        (Stage::Copied, "copied"),
        (Stage::Released, "released"),
        (Stage::Serving, "serving"),
        (Stage::HandedBack, "handed-back"),
        (Stage::Returned, "returned"),
    ];
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Way::Plain => f.write_str("plain"),
            Way::Twice => f.write_str("twice"),
            Way::ByteByByte => f.write_str("byte by byte"),
            Way::Cuts(cuts) => {
                let cuts: Vec<_> = cuts.iter().map(Place::to_string).collect();
                write!(f, "cut at {}", cuts.join(" and "))
            }
            Way::Restart(restarting) => restarting.fmt(f),
        }
    }
}

impl fmt::Display for Restarting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moves = if self.moves { "moving" } else { "staying" };
        write!(f, "{} {moves} after {}, ", self.engine, self.at)?;
        match self.end {
            End::Commits => f.write_str("commits")?,
            End::RollsBack => f.write_str("rolls back")?,
            End::Loses(side, stage) => {
                let stage =
                    Stage::ALL.iter().find(|(it, _)| *it == stage).map_or("", |(_, name)| name);
                write!(f, "loses {} at {stage}", side.name())?;
            }
        }
        if self.later > 0 { write!(f, " {} later", self.later) } else { Ok(()) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.byte {
            0 => write!(f, "{}", self.step),
            byte => write!(f, "{}:{byte}", self.step),
        }
    }
}

impl FromStr for Run {
    type Err = String;

    fn from_str(text: &str) -> Result<Run, String> {
        let cuts = |places: &str| places.split(" and ").map(place).collect::<Option<_>>();
        let way = match text {
            "plain" => Some(Way::Plain),
            "twice" => Some(Way::Twice),
            "byte by byte" => Some(Way::ByteByByte),
            text => match text.strip_prefix("cut at ") {
                Some(places) => cuts(places).map(Way::Cuts),
                None => restarting(text).map(Way::Restart),
            },
        };
        way.map(Run).ok_or_else(|| format!("{text:?} is no run of a conversation"))
    }
}

fn place(text: &str) -> Option<Place> {
    let (step, byte) = text.split_once(':').unwrap_or((text, "0"));
    Some(Place { step: step.parse().ok()?, byte: byte.parse().ok()? })
}

fn restarting(text: &str) -> Option<Restarting> {
    let (begin, end) = text.split_once(", ")?;
    let [engine, moves, "after", at] = begin.split(' ').collect::<Vec<_>>()[..] else {
        return None;
    };
    let engines = [Engine::Fork, Engine::ForkExec];
    let engine = engines.into_iter().find(|it| it.to_string() == engine)?;
    let moves = match moves {
        "moving" => true,
        "staying" => false,
        _ => return None,
    };
    let (end, later) = match end.strip_suffix(" later").and_then(|end| end.rsplit_once(' ')) {
        Some((end, later)) => (end, later.parse().ok()?),
        None => (end, 0),
    };
    Some(Restarting { engine, moves, at: place(at)?, end: self::end(end)?, later })
}

fn end(text: &str) -> Option<End> {
    let (side, stage) = match text {
        "commits" => return Some(End::Commits),
        "rolls back" => return Some(End::RollsBack),
        text => text.strip_prefix("loses ")?.split_once(" at ")?,
    };
    let side = match side {
        "old" => Side::Old,
        "new" => Side::New,
        _ => return None,
    };
    let stage = Stage::ALL.iter().find(|(_, name)| *name == stage)?.0;
    Some(End::Loses(side, stage))
}
