//! The client that writes at a steady rate, and knows what each key has to hold.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    client::Client,
    ledger::{Exchange, Ledger, mix},
};

const STEP: Duration = Duration::from_millis(1);

/// Writes in each step: 50,000 a second.
const WRITES: u64 = 50;

/// One write in so many counts a counter up.
const COUNTS: u64 = 10;

pub struct Writer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Written>>,
}

/// What has become of it.
pub struct Written {
    pub ledger: Ledger,
    pub writes: u64,
    pub lasted: Duration,
}

impl Writer {
    /// Writes keys of the ledger in an order by chance that is the same each time, from now on. It is at its
    /// rate again soon after it was kept waiting.
    pub fn start(address: &str, mut ledger: Ledger) -> io::Result<Writer> {
        let mut client = Client::connect(address)?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || {
                let (begun, mut due) = (Instant::now(), Instant::now());
                let (mut exchange, mut writes) = (Exchange::default(), 0);
                while !stop.load(Ordering::Relaxed) {
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    due += STEP;
                    exchange.clear();
                    for _ in 0..WRITES {
                        writes += 1;
                        ledger.write(pick(&ledger, writes), &mut exchange);
                    }
                    client.talk(&exchange)?;
                }
                Ok(Written { ledger, writes, lasted: begun.elapsed() })
            }
        });
        Ok(Writer { stop, thread })
    }

    /// Stops, when all that was under way is confirmed.
    ///
    /// # Errors
    /// When a confirmation was wrong or did not come.
    pub fn stop(self) -> io::Result<Written> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| io::Error::other("the writer has panicked"))?
    }
}

/// The key of a write.
fn pick(ledger: &Ledger, write: u64) -> usize {
    let (texts, any) = (ledger.texts() as u64, mix(write));
    let counters = ledger.len() as u64 - texts;
    (if write.is_multiple_of(COUNTS) { texts + any % counters } else { any % texts }) as usize
}
