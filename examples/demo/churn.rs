//! Short conversations at a steady pace: connect, ask, compare the answer, close. Knows nothing of
//! restarts but that the answer may not come from a process that had stopped accepting.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{client, dialer::Dialer, load::Failure, shared::Shared};

/// The most conversations at a time: enough to keep the pace through a short stall, few enough that
/// the driver leaves the machine to the server.
const THREADS: u32 = 8;

/// A thread that is further behind than this gives up what it has missed: the machine does not
/// take the rate, and a storm would not make it faster. The report shows the rate that was reached.
const FAR_BEHIND: Duration = Duration::from_secs(1);

/// Starts new connections, `rate` per second in all, until the run is stopped.
pub fn start(shared: &Arc<Shared>, dialer: &Dialer, rate: u32) -> Vec<JoinHandle<()>> {
    let threads = rate.min(THREADS);
    let step = Duration::from_secs(1) * threads / rate;
    let start = |index: u32| {
        let (shared, dialer) = (Arc::clone(shared), dialer.clone());
        let first = Instant::now() + step * index / threads;
        thread::spawn(move || keep_pace(&shared, &dialer, first, step, u64::from(index + 1) << 32))
    };
    (0..threads).map(start).collect()
}

/// One conversation each `step`. Its time counts from when it was due, so that a stall is seen in
/// all the conversations that it delays and not only in the one that it hits.
fn keep_pace(shared: &Shared, dialer: &Dialer, first: Instant, step: Duration, first_nonce: u64) {
    let mut due = first;
    for nonce in first_nonce.. {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if shared.stopped() {
            return;
        }
        let window = shared.window();
        match converse(shared, dialer, nonce) {
            Ok(()) => {
                let in_restart = shared.was_restarting(window);
                shared.lock().score.new.record(due.elapsed(), in_restart);
            }
            Err(failure) => shared.fail(failure),
        }
        due += step;
        if due.elapsed() > FAR_BEHIND {
            due = Instant::now();
        }
    }
}

fn converse(shared: &Shared, dialer: &Dialer, nonce: u64) -> Result<(), Failure> {
    let until = shared.deadline();
    let floor = shared.floor();
    let mut client = dialer.connect(until)?;
    client::ask(&mut client, nonce, until)?;
    let answer = client::hear(&mut client, nonce, until)?;
    shared.answered(&answer, false)?;
    if answer.generation < floor {
        let number = answer.generation;
        return Err(Failure::wrong(format!("generation {number} accepted after {floor} did")));
    }
    client.finish(until)
}
