//! The client that asks each millisecond, and notes how long it was without an answer.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{client::Client, ledger::Exchange};

const STEP: Duration = Duration::from_millis(1);

/// Its server is gone for good.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Asker {
    stop: Arc<AtomicBool>,
    /// In nanoseconds.
    longest: Arc<AtomicU64>,
    /// Connections that were refused or lost, and answers that were none.
    failed: Arc<AtomicU64>,
    thread: JoinHandle<io::Result<()>>,
}

impl Asker {
    /// Asks this question from now on. Where it `reconnects` a lost connection and another answer are counted,
    /// and it tries again each millisecond; else either is an error.
    pub fn start(address: &str, question: Exchange, reconnects: bool) -> io::Result<Asker> {
        let mut client = Some(Client::connect(address)?);
        let (stop, longest, failed) =
            <(Arc<AtomicBool>, Arc<AtomicU64>, Arc<AtomicU64>)>::default();
        let thread = thread::spawn({
            let (stop, longest, failed) =
                (Arc::clone(&stop), Arc::clone(&longest), Arc::clone(&failed));
            let address = address.to_owned();
            move || {
                let (mut answered, mut lost) = (Instant::now(), None);
                while !stop.load(Ordering::Relaxed) {
                    let due = Instant::now() + STEP;
                    match ask(&mut client, &address, &question) {
                        Ok(()) => {
                            lost = None;
                            let gap = answered.elapsed();
                            longest.fetch_max(gap.as_nanos() as u64, Ordering::Relaxed);
                            answered += gap;
                        }
                        Err(e) if !reconnects || answered.elapsed() > PATIENCE => return Err(e),
                        Err(e) => {
                            lost = Some(e);
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                }
                lost.map_or(Ok(()), Err)
            }
        });
        Ok(Asker { stop, longest, failed, thread })
    }

    /// The longest time from one answer to the next since this was asked last.
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest.swap(0, Ordering::Relaxed))
    }

    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Stops, and answers the longest time since it was asked for it.
    ///
    /// # Errors
    /// When an answer was wrong or did not come; where it reconnects, when the last one did not.
    pub fn stop(self) -> io::Result<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.join().map_err(|_| io::Error::other("the asker has panicked"))?;
        ended?;
        Ok(Duration::from_nanos(self.longest.load(Ordering::Relaxed)))
    }
}

/// Asks once. A connection on which that failed is not used again.
fn ask(client: &mut Option<Client>, address: &str, question: &Exchange) -> io::Result<()> {
    let mut connected = match client.take() {
        Some(client) => client,
        None => Client::connect(address)?,
    };
    connected.talk(question)?;
    *client = Some(connected);
    Ok(())
}
