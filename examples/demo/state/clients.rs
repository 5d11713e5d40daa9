//! The clients of `demo --state`: some that write keys of their own at a steady pace, and know every answer before
//! it comes; one that asks each millisecond, and notes how long it had to wait.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    ledger::{Exchange, Ledger, mix},
    load::{Client, Failure},
};

/// How long any answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Commands that are sent at once when the keys are written first, and when they are compared.
const PIECE: usize = 100;

/// Of each writer.
const COUNTERS: usize = 10;

/// Each writer sends so many writes in each step.
const STEP: Duration = Duration::from_millis(5);
const DEPTH: u64 = 25;

/// The number of the key that is asked for, and that nobody writes.
const ASKED: u64 = 900_000_000;

/// A client that writes keys which no other one writes.
pub struct Writer {
    client: Client,
    ledger: Ledger,
}

impl Writer {
    /// Connects, and writes each key once.
    pub fn start(address: SocketAddr, first: u64, keys: usize) -> Result<Writer, Failure> {
        let client = Client::connect(address, deadline())?;
        let mut writer = Writer { client, ledger: Ledger::new(first, keys, COUNTERS) };
        for at in (0..writer.keys()).step_by(PIECE) {
            let all = at..writer.keys().min(at + PIECE);
            let exchange = writer.ledger.write_all(all);
            talk(&mut writer.client, &exchange)?;
        }
        Ok(writer)
    }

    pub fn keys(&self) -> usize {
        self.ledger.len()
    }

    pub fn writes(&self) -> u64 {
        self.ledger.writes()
    }

    /// Writes keys by chance until it is told to stop.
    fn work(&mut self, stop: &AtomicBool) -> Result<(), Failure> {
        let (mut due, mut exchange) = (Instant::now(), Exchange::default());
        let mut turn = mix(self.ledger.writes());
        while !stop.load(Ordering::Relaxed) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            due += STEP;
            exchange.clear();
            for _ in 0..DEPTH {
                turn = turn.wrapping_add(1);
                self.ledger.write(mix(turn) as usize % self.ledger.len(), &mut exchange);
            }
            talk(&mut self.client, &exchange)?;
        }
        Ok(())
    }

    /// Says goodbye, and compares every key with what it should hold, on a new connection: whoever accepts it
    /// has to know all of them.
    pub fn check(self, address: SocketAddr) -> Result<(), Failure> {
        let keys = self.keys();
        self.client.finish(deadline())?;
        let mut client = Client::connect(address, deadline())?;
        for at in (0..keys).step_by(PIECE) {
            talk(&mut client, &self.ledger.read_all(at..keys.min(at + PIECE)))?;
        }
        client.finish(deadline())
    }
}

/// Writers at work, each in a thread of its own, and the one that asks.
pub struct Clients {
    stop: Arc<AtomicBool>,
    /// In nanoseconds.
    longest: Arc<AtomicU64>,
    asker: JoinHandle<Result<(), Failure>>,
    writers: Vec<JoinHandle<Result<Writer, Failure>>>,
}

impl Clients {
    pub fn start(address: SocketAddr, writers: Vec<Writer>) -> Result<Clients, Failure> {
        let (stop, longest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut asked = Writer::start(address, ASKED, 1)?;
        let asker = thread::spawn({
            let (stop, longest) = (Arc::clone(&stop), Arc::clone(&longest));
            move || ask(&mut asked, &stop, &longest)
        });
        let work = |mut writer: Writer| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || writer.work(&stop).map(|()| writer))
        };
        let writers = writers.into_iter().map(work).collect();
        Ok(Clients { stop, longest, asker, writers })
    }

    /// The longest time from one answer to the next since this was asked last.
    pub fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest.swap(0, Ordering::Relaxed))
    }

    /// Whether one of them has failed, which ends it.
    pub fn has_failed(&self) -> bool {
        self.asker.is_finished() || self.writers.iter().any(JoinHandle::is_finished)
    }

    /// Stops them, and hands back the writers, to compare their keys.
    ///
    /// # Errors
    /// The first failure of each that has failed.
    pub fn stop(self) -> Result<Vec<Writer>, Vec<String>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut failures = Vec::new();
        failures.extend(ended(self.asker).err());
        let mut writers = Vec::new();
        for thread in self.writers {
            match ended(thread) {
                Ok(writer) => writers.push(writer),
                Err(why) => failures.push(why),
            }
        }
        if failures.is_empty() { Ok(writers) } else { Err(failures) }
    }
}

fn ended<T>(thread: JoinHandle<Result<T, Failure>>) -> Result<T, String> {
    match thread.join() {
        Ok(result) => result.map_err(|failure| failure.why),
        Err(_) => Err("a client has panicked".to_owned()),
    }
}

/// Asks for one key each millisecond.
fn ask(asked: &mut Writer, stop: &AtomicBool, longest: &AtomicU64) -> Result<(), Failure> {
    let question = asked.ledger.read_all(0..1);
    let mut answered = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let due = Instant::now() + Duration::from_millis(1);
        talk(&mut asked.client, &question)?;
        let gap = answered.elapsed();
        longest.fetch_max(gap.as_nanos() as u64, Ordering::Relaxed);
        answered += gap;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

fn talk(client: &mut Client, exchange: &Exchange) -> Result<(), Failure> {
    client.ask(&exchange.request, deadline())?;
    client.expect(&exchange.answer, deadline())
}

fn deadline() -> Instant {
    Instant::now() + PATIENCE
}
