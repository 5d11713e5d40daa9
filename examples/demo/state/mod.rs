//! `demo --state`: a server with a million keys is replaced by every way there is while clients write to it, and
//! some of the upgrades are taken back. Every answer is compared, and at the end every key.
//!
//! ```text
//! 1000080 keys are there after 1.9 s; 8 clients write 40000 of them a second, one asks each ms
//! upgrade 1/4 by fork-exec: ready after 1214 ms, longest gap 14.2 ms
//! upgrade 1/4 by fork-exec, rolled back 300 ms after it was ready: longest gap 12.8 ms
//! reload 1/4 by fork: ready after 23 ms, longest gap 21.0 ms
//! ...
//! 1000080 keys compared after 4 upgrades, 4 roll backs, 4 reloads and 812340 writes: every byte is right
//! ```

mod clients;
mod process;
pub mod server;

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use clients::{Clients, Writer};
use process::Process;

use crate::options::StateOptions;

const WRITERS: usize = 8;

/// Between two restarts, and for how long a new process serves before it is told to hand back.
const PAUSE: Duration = Duration::from_millis(300);

/// How often somebody looks whether a client has failed.
const TICK: Duration = Duration::from_millis(20);

/// What ends a run early.
type Trouble = String;

/// A run that goes on.
struct Run {
    server: Process,
    clients: Clients,
    rounds: usize,
    longest: Duration,
    /// Roll backs that came in time: one that did not has left an upgrade.
    rolled_back: usize,
    upgraded: usize,
}

/// Runs to the end, and tells it line by line.
///
/// # Errors
/// All that went wrong: an answer or a key that was not right, a client that was cut off, a restart that
/// came to nothing.
pub fn run(options: &StateOptions, say: &mut dyn FnMut(&str)) -> Result<(), Vec<Trouble>> {
    let one = |why: Trouble| vec![why];
    let began = Instant::now();
    let (server, address) = Process::start().map_err(|e| one(format!("no server: {e}")))?;
    say(&format!("the server listens on {address}"));
    let writers = fill(address, options.keys).map_err(one)?;
    let keys: usize = writers.iter().map(Writer::keys).sum();
    say(&format!(
        "{keys} keys are there after {:.1} s; {WRITERS} clients write them at random, one asks each ms",
        began.elapsed().as_secs_f64()
    ));
    let clients = Clients::start(address, writers).map_err(|failure| one(failure.why))?;
    let rounds = options.rounds;
    let mut run =
        Run { server, clients, rounds, longest: Duration::ZERO, rolled_back: 0, upgraded: 0 };
    let trouble = (1..=rounds).try_for_each(|round| run.round(round, say)).err();
    let Run { mut server, clients, longest, rolled_back, upgraded, .. } = run;
    let writers = match (clients.stop(), trouble) {
        (Ok(writers), None) => writers,
        (Ok(_), Some(why)) => return Err(one(why)),
        (Err(failures), _) => return Err(failures),
    };
    let writes: u64 = writers.iter().map(Writer::writes).sum();
    for writer in writers {
        writer.check(address).map_err(|failure| one(failure.why))?;
    }
    server.catch_up();
    let complaints = server.end().map_err(|e| one(e.to_string()))?;
    if !complaints.is_empty() {
        return Err(complaints);
    }
    say(&format!(
        "{keys} keys compared after {upgraded} upgrades, {rolled_back} roll backs, {rounds} reloads and {writes} \
         writes in {:.1} s: every byte is right; nobody waited for longer than {:.1} ms",
        began.elapsed().as_secs_f64(),
        millis(longest)
    ));
    Ok(())
}

/// Writes each key once, by all writers at a time.
fn fill(address: SocketAddr, keys: usize) -> Result<Vec<Writer>, Trouble> {
    let share = keys.div_ceil(WRITERS);
    let threads: Vec<_> = (0..WRITERS)
        .map(|number| thread::spawn(move || Writer::start(address, (number * share) as u64, share)))
        .collect();
    let mut writers = Vec::new();
    for thread in threads {
        let started = thread.join().map_err(|_| "a client has panicked".to_owned())?;
        writers.push(started.map_err(|failure| failure.why)?);
    }
    Ok(writers)
}

impl Run {
    /// An upgrade, one that is rolled back, and a reload by fork.
    fn round(&mut self, round: usize, say: &mut dyn FnMut(&str)) -> Result<(), Trouble> {
        let of = format!("{round}/{}", self.rounds);
        self.pause()?;
        let ready = self.restart("fork-exec")?;
        self.upgraded += 1;
        let gap = self.gap();
        say(&format!("upgrade {of} by fork-exec: ready after {ready}, longest gap {gap}"));
        self.pause()?;
        let in_time = self.roll_back()?;
        *(if in_time { &mut self.rolled_back } else { &mut self.upgraded }) += 1;
        let (how, gap) =
            (if in_time { "rolled back" } else { "not rolled back in time" }, self.gap());
        say(&format!("upgrade {of} by fork-exec, {how}: longest gap {gap}"));
        self.pause()?;
        let ready = self.restart("fork")?;
        let gap = self.gap();
        say(&format!("reload {of} by fork: ready after {ready}, longest gap {gap}"));
        Ok(())
    }

    /// Restarts, and answers how long it took until the new process was ready.
    fn restart(&mut self, engine: &str) -> Result<String, Trouble> {
        self.clients.longest();
        let failed = |e: std::io::Error| format!("the {engine} restart: {e}");
        let verdict = self.server.request(&format!("restart {engine} move")).map_err(failed)?;
        let verdict = verdict.answer().map_err(failed)?;
        if !verdict.is_ok() {
            return Err(format!("the {engine} restart: {}", verdict.head));
        }
        self.server.await_ready(None).map_err(failed)?;
        Ok(verdict.value("ready").unwrap_or("a time that it did not tell").to_owned())
    }

    /// Upgrades, lets clients write to the new process, and tells it to hand back. `false`: it had committed
    /// by then.
    fn roll_back(&mut self) -> Result<bool, Trouble> {
        self.clients.longest();
        let failed = |e: std::io::Error| format!("the roll back: {e}");
        let verdict = self.server.request("restart fork-exec move").map_err(failed)?;
        if self.server.await_ready(Some(&verdict)).map_err(failed)?.is_some() {
            self.pause()?;
        }
        let answer = self.server.request("rollback").and_then(|asked| asked.answer());
        let (answer, verdict) = (answer.map_err(failed)?, verdict.answer().map_err(failed)?);
        match (verdict.is_ok(), answer.is_ok()) {
            (true, _) => Ok(false),
            (false, true) => Ok(true),
            (false, false) => Err(format!("the roll back: {}; {}", answer.head, verdict.head)),
        }
    }

    /// The longest gap since the restart was begun, in words.
    fn gap(&mut self) -> String {
        let gap = self.clients.longest();
        self.longest = self.longest.max(gap);
        format!("{:.1} ms", millis(gap))
    }

    /// Lets time pass, with an eye on the clients.
    fn pause(&mut self) -> Result<(), Trouble> {
        let until = Instant::now() + PAUSE;
        while Instant::now() < until {
            if self.clients.has_failed() {
                return Err("a client has failed".to_owned());
            }
            thread::sleep(TICK);
        }
        Ok(())
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
