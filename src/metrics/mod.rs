//! Numbers that go on from generation to generation, whoever dies when.
//!
//! They are in one memory that all processes of a service map ([`SharedWords`]). A count is added to its word there,
//! by each process what it has counted since it did so last, so the word is the sum over all generations, also those
//! that are gone: none reports to another, nobody has to be asked, nothing is left to fold in when one ends. A process
//! that is killed loses what it has counted in that very turn. What a forked child finds counted in its heap is its
//! parent's to publish: it begins at zero.
//!
//! - [`board`]: which word is which, by names that are in the memory as well (in [`words`]), so that programs of several
//!   versions can use it together;
//! - [`tally`]: what the reactor counts, once in a turn;
//! - [`counter`]: what a service counts;
//! - [`ring`]: the last entries of the journal, which is kept in the same memory;
//! - [`roster`]: how the processes of several workers stand at the moment;
//! - `text`: all of it for a monitor, and `process`, what the kernel knows of a process.

mod board;
mod counter;
#[cfg(feature = "metrics")]
mod process;
mod ring;
mod roster;
mod tally;
#[cfg(feature = "metrics")]
mod text;
mod words;

use std::{
    io,
    os::fd::{BorrowedFd, OwnedFd, RawFd},
    sync::Arc,
    time::Duration,
};

#[cfg(feature = "metrics")]
use self::board::Sample;
pub use self::counter::{Counter, Gauge};
pub(crate) use self::{board::Kind, roster::Standing};
use self::{
    board::{Board, Series, WORDS},
    roster::Place,
    tally::Tally,
};
#[cfg(feature = "metrics")]
pub(crate) use self::{
    process::{Split, Usage, Usages},
    text::{Reading, render},
};
use crate::{
    error::{Error, Result},
    stats::Stats,
    system::shared_words::SharedWords,
    workers::Worker,
};

/// The label of what is one worker's own, where there are several.
pub(crate) const WORKER: &str = "worker";

/// What the memory is called in `/proc/self/maps`.
const NAME: &str = "heirloom-metrics";

/// The numbers of a service, as one of its processes has them.
#[derive(Debug)]
pub(crate) struct Metrics {
    board: Board,
    tally: Tally,
    place: Place,
}

impl Metrics {
    /// Of a service that begins.
    ///
    /// # Errors
    /// When the system has no memory for it.
    pub fn new() -> io::Result<Metrics> {
        let words = SharedWords::new(NAME, WORDS)?;
        Ok(Metrics::on(Board::begin(words)))
    }

    /// Of a service that goes on: what another generation has handed over.
    ///
    /// # Errors
    /// When it is not what it should be.
    pub fn of(fd: OwnedFd) -> io::Result<Metrics> {
        let board = Board::find(SharedWords::of(fd, WORDS)?);
        let unknown = || io::Error::new(io::ErrorKind::InvalidData, "another layout");
        board.map(Metrics::on).ok_or_else(unknown)
    }

    fn on(board: Board) -> Metrics {
        let (tally, place) = (Tally::new(&board), Place::default());
        Metrics { board, tally, place }
    }

    /// Adds what was counted since this was called last.
    pub fn publish(&mut self, stats: &Stats) {
        self.tally.publish(&self.board, stats);
    }

    /// In a forked child: what was counted so far is its parent's.
    pub fn begin_anew(&mut self) {
        self.tally.begin_anew();
        self.place = Place::default();
    }

    /// How this process stands, for those of other workers.
    pub fn tell_standing(&mut self, standing: Standing, now: impl FnOnce() -> Duration) {
        self.place.tell(self.board.roster(), standing, now);
    }

    /// Adds to a number of ours that few processes ever touch.
    pub fn add(&self, name: &str, labels: &[(&str, &str)], help: &str, kind: Kind, more: u64) {
        if let Some(index) = self.board.find_or_add(&Series { kind, name, labels, help }) {
            self.board.add(index, more);
        }
    }

    /// Sets one that is no count, of one worker if there are several.
    pub fn set(&self, name: &str, worker: Option<Worker>, help: &str, value: u64) {
        let worker = worker.map(|worker| worker.index.to_string());
        let labels: Vec<_> = worker.iter().map(|worker| (WORKER, worker.as_str())).collect();
        let series = Series { kind: Kind::Gauge, name, labels: &labels, help };
        if let Some(index) = self.board.find_or_add(&series) {
            self.board.set(index, value);
        }
    }

    /// A service's own.
    ///
    /// # Errors
    /// When a name or a text is none, or there is no room.
    pub fn counter(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Result<Counter> {
        Metrics::check(name, help, labels)?;
        self.place(&Series { kind: Kind::Counter, name: base(name), labels, help })
    }

    /// The same for what goes up and down.
    ///
    /// # Errors
    /// As above.
    pub fn gauge(&self, name: &str, help: &str, labels: &[(&str, &str)]) -> Result<Gauge> {
        Metrics::check(name, help, labels)?;
        self.place(&Series { kind: Kind::Gauge, name, labels, help }).map(Gauge::of)
    }

    fn place(&self, series: &Series<'_>) -> Result<Counter> {
        let invalid = |why| Error::invalid("count", series.name, why);
        if self.board.kinds(series.name).any(|kind| kind != series.kind) {
            return Err(invalid("it is a number of another kind"));
        }
        let index = self.board.find_or_add(series);
        let index = index.ok_or_else(|| invalid("there is no room for one more number"))?;
        Ok(Counter::shared(Arc::clone(&self.board.words), index))
    }

    /// # Errors
    /// When a name or a text is none.
    pub fn check(name: &str, help: &str, labels: &[(&str, &str)]) -> Result {
        let series = Series { kind: Kind::Counter, name: base(name), labels, help };
        series.check().map_err(|why| Error::invalid("count", name, why))
    }

    /// Writes an entry of the journal.
    pub fn note(&self, entry: &str) {
        ring::note(self.board.next_entry(), self.board.ring(), entry);
    }

    /// The last entries, each with its number, the oldest first.
    pub fn entries(&self) -> Vec<(u64, String)> {
        ring::entries(self.board.next_entry(), self.board.ring())
    }

    /// The same numbers once more, for another who hands them on.
    ///
    /// # Errors
    /// When the system has no room for it.
    pub fn share(&self) -> io::Result<Metrics> {
        Metrics::of(self.as_fd().try_clone_to_owned()?)
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        std::os::fd::AsFd::as_fd(&*self.board.words)
    }

    pub fn descriptor(&self) -> RawFd {
        self.board.words.as_raw_fd()
    }
}

/// A name without what is put behind it in the text.
fn base(name: &str) -> &str {
    name.strip_suffix("_total").unwrap_or(name)
}

#[cfg(feature = "metrics")]
impl Metrics {
    /// How all processes stand that have told, and since when.
    pub fn standings(&self) -> Vec<(Standing, Duration)> {
        roster::standings(self.board.roster())
    }

    /// All numbers as text, with `readings` of the processes that live. Of several workers those that are `away` have none of
    /// their own.
    pub fn text(&self, readings: &[Reading], away: impl Fn(u32) -> bool) -> String {
        let of_whom = |sample: &Sample| {
            let label = sample.labels.iter().find(|(key, _)| key == WORKER)?;
            label.1.parse().ok()
        };
        let mut samples = self.board.samples();
        samples.retain(|sample| sample.kind != Kind::Gauge || !of_whom(sample).is_some_and(&away));
        render(&samples, readings)
    }
}
