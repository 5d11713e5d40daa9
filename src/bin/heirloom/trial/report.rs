//! What there is to say in the end, ready to be laid out: the table, JSON and the picture say the same.

use std::time::Duration;

use super::{
    crowd::{Ending, HELD, Load, NEW},
    notice::Notice,
    tally::{Gaps, Sort, Window, share},
};

/// Everything that is known at the end.
pub struct Report {
    pub address: String,
    /// In words: `SIGHUP`, a command.
    pub how: String,
    /// Restarts that were meant.
    pub meant: u32,
    pub lasted: Duration,
    pub trouble: Option<String>,
    pub rows: Vec<Row>,
    pub gaps: Gaps,
    pub windows: Vec<Window>,
    pub own: Duration,
    pub stories: Vec<(Duration, String)>,
    /// What counts against the server.
    pub noticed: u64,
    pub answered: u64,
    pub untried: u64,
}

/// One sort of client.
pub struct Row {
    pub name: &'static str,
    /// Of them, or of those that come in a second.
    pub clients: u32,
    pub depth: u32,
    /// Requests fall due so far apart, all of this sort together.
    pub step: Duration,
    pub sort: Sort,
}

/// Milliseconds of answers: how many, and what a half and 99 of 100 are not above, and the slowest.
pub struct Latency {
    pub count: usize,
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Report {
    pub fn new(
        (address, how, meant): (String, String, u32),
        load: &Load,
        ending: Ending,
        done: bool,
    ) -> Report {
        let Ending { mut tally, lasted, trouble } = ending;
        let noticed = tally.total();
        let held = (load.held, 1, f64::from(load.held) * load.rate);
        let pipelined = (load.pipelined, load.depth, f64::from(load.pipelined) * load.rate);
        let row = |(at, mut sort): (usize, Sort)| {
            let (name, (clients, depth, rate)) = match at {
                NEW => ("new", (load.new, 1, f64::from(load.new))),
                HELD => ("held", held),
                _ => ("pipelined", pipelined),
            };
            sort.in_restarts.sort_unstable();
            sort.calm.sort_unstable();
            let step = Duration::from_secs_f64(if rate > 0.0 { 1.0 / rate } else { 0.0 });
            Row { name, clients, depth, step, sort }
        };
        let sorts = std::mem::take(&mut tally.sorts).into_iter().enumerate();
        let rows: Vec<Row> = sorts.map(row).filter(|row| row.clients > 0).collect();
        let trouble = trouble.or_else(|| (!done).then(|| "a thread has panicked".to_owned()));
        Report {
            address,
            how,
            meant,
            lasted,
            trouble,
            gaps: tally.gaps,
            windows: tally.windows,
            own: tally.own,
            stories: tally.stories,
            noticed,
            answered: rows.iter().map(|row| row.sort.answered()).sum(),
            untried: rows.iter().map(|row| row.sort.count(Notice::Untried)).sum(),
            rows,
        }
    }

    /// Restarts whose end was seen.
    pub fn done(&self) -> usize {
        self.windows.iter().filter(|window| window.ended.is_some()).count()
    }

    /// Whether all was done that was meant, and nobody has noticed.
    pub fn is_ok(&self) -> bool {
        self.noticed == 0 && !self.is_void()
    }

    /// Whether it says nothing about the server: what was meant could not be done.
    pub fn is_void(&self) -> bool {
        self.trouble.is_some() || self.untried > 0
    }

    /// Seconds from asking for a restart until its end, ascending.
    pub fn took(&self) -> Vec<f64> {
        let ended = self.windows.iter().filter_map(|window| Some(window.ended? - window.began));
        let mut times: Vec<f64> = ended.map(|time| time.as_secs_f64()).collect();
        times.sort_by(f64::total_cmp);
        times
    }
}

impl Row {
    /// `new, 200/s`; `held, 50`; `pipelined, 10 x 8`
    pub fn title(&self) -> String {
        match (self.name, self.depth) {
            ("new", _) => format!("new, {}/s", self.clients),
            ("held", _) => format!("held, {}", self.clients),
            (name, depth) => format!("{name}, {} x {depth}", self.clients),
        }
    }
}

impl Latency {
    pub fn of(sorted: &[u32]) -> Latency {
        let ms = |of| f64::from(share(sorted, of)) / 1e3;
        Latency { count: sorted.len(), p50: ms(0.5), p99: ms(0.99), max: ms(1.0) }
    }
}

pub fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
