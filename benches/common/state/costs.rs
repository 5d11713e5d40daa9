//! What a process costs on its way out: time on a core, and memory that it has written to although it was shared:
//! while the relative lives who has it, too, each such page is copied.

use std::{
    fs, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How often the process is looked at.
const STEP: Duration = Duration::from_micros(500);

/// It hears the verdict before it tells it.
const EARLIER: Duration = Duration::from_millis(2);

/// For a process to end.
const PATIENCE: Duration = Duration::from_secs(60);

const PAGE: u64 = 4096;

/// What it took from one moment to its end.
#[derive(Clone, Copy, Debug, Default)]
pub struct WayOut {
    pub time: Duration,
    /// On a core, in the kernel and outside.
    pub cpu: Duration,
    /// Bytes in pages that needed a fault to be written to, each counted once for each fault.
    pub copied: u64,
}

/// What it has taken so far.
#[derive(Clone, Copy)]
struct Spent {
    at: Instant,
    nanos: u64,
    faults: u64,
    has_ended: bool,
}

/// Looks at a child of this process until it has ended; it must not be waited for before.
pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Vec<Spent>>>,
}

impl Watch {
    pub fn start(pid: u32) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let (begun, mut all) = (Instant::now(), Vec::new());
                loop {
                    let spent = look(pid).ok_or(io::ErrorKind::NotFound)?;
                    all.push(spent);
                    if spent.has_ended || stop.load(Ordering::Relaxed) {
                        return Ok(all);
                    }
                    if begun.elapsed() > PATIENCE {
                        return Err(io::Error::other("the old process does not end"));
                    }
                    thread::sleep(STEP);
                }
            }
        });
        Watch { stop, thread }
    }

    /// Waits for the end. The way out begins with the verdict, which has come at this moment.
    pub fn after(self, verdict: Instant) -> io::Result<WayOut> {
        let all = self.thread.join().map_err(|_| io::Error::other("the watch has panicked"))??;
        let before = all.iter().rev().find(|spent| spent.at + EARLIER <= verdict);
        let (Some(from), Some(end)) = (before.or(all.first()), all.last()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        Ok(WayOut {
            time: end.at - from.at,
            cpu: Duration::from_nanos(end.nanos - from.nanos),
            copied: (end.faults - from.faults) * PAGE,
        })
    }

    /// The process goes on, and is not looked at any more.
    pub fn give_up(self) -> WayOut {
        self.stop.store(true, Ordering::Relaxed);
        WayOut::default()
    }
}

/// `schedstat` counts in nanoseconds; field 10 of `stat` are the faults that needed no disk, see `proc(5)`. Both
/// are there until the process was waited for.
fn look(pid: u32) -> Option<Spent> {
    let at = Instant::now();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = stat.rsplit(") ").next()?.split(' ');
    let state = words.next()?;
    let faults = words.nth(6)?.parse().ok()?;
    let time = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    let nanos = time.split(' ').next()?.parse().ok()?;
    Some(Spent { at, nanos, faults, has_ended: state == "Z" })
}
