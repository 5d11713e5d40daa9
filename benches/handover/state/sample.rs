//! One restart of `kv` after another, each in a process that was started and filled for it.

use std::{
    io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use crate::common::state::{
    asker::Asker,
    client::Client,
    costs::{Watch, WayOut},
    keys,
    kv::{Kv, Verdict, pids_of},
    memory::{self, Peak},
    millis, question, spread,
    writer::Writer,
};

/// The client asks that long before the restart, and after the old process has ended.
const LOOK: Duration = Duration::from_millis(300);

/// A program that holds keys.
pub struct Build {
    /// As it is added to that of an engine.
    pub name: &'static str,
    pub program: PathBuf,
}

/// What is measured.
pub struct Case<'a> {
    pub build: &'a Build,
    pub engine: &'static str,
    pub keys: usize,
}

/// One restart; times in milliseconds.
pub struct Sample {
    /// The longest that the client was without an answer, before the trigger and from then on.
    pub before: f64,
    pub gap: f64,
    pub verdict: Verdict,
    pub way_out: WayOut,
    /// Writes confirmed, and how many of them a second.
    pub writes: u64,
    pub rate: f64,
}

/// All of a case.
pub struct Measured {
    /// The engine, and the build where it is another one.
    pub name: String,
    pub engine: &'static str,
    pub build: &'static str,
    pub keys: usize,
    /// With nobody else, and with a client that writes.
    pub quiet: Vec<Sample>,
    pub written: Vec<Sample>,
    /// Bytes before the restart, and at the peak of one that came to pass.
    pub heap: u64,
    pub peak: Option<u64>,
    /// How long it was until the new process was ready with no keys at all.
    pub ready_without: Vec<f64>,
}

#[derive(Default)]
pub struct Results {
    pub ours: Vec<Measured>,
    /// By name and number of keys, the gap in milliseconds.
    pub theirs: Vec<(&'static str, usize, Vec<f64>)>,
}

pub fn measure(case: &Case<'_>, rounds: usize) -> io::Result<Measured> {
    let name = format!("{}{}", case.engine, case.build.name);
    let told = |e: io::Error| io::Error::new(e.kind(), format!("{name}, {} keys: {e}", case.keys));
    let runs = |writes| (0..rounds).map(|_| once(case, writes)).collect::<io::Result<Vec<_>>>();
    let quiet = runs(false).map_err(told)?;
    let written = runs(true).map_err(told)?;
    let (heap, peak) = weigh(case).map_err(told)?;
    let empty = Case { keys: 0, ..*case };
    let ready = |_| Ok(once(&empty, false)?.verdict.millis("ready").unwrap_or(f64::NAN));
    let ready_without = (0..rounds).map(ready).collect::<io::Result<_>>().map_err(told)?;
    let gaps = |samples: &[Sample]| samples.iter().map(|one| one.gap).collect::<Vec<_>>();
    let [alone, with_writes] = [&quiet, &written].map(|samples| spread(&gaps(samples)));
    eprintln!("{name}, {} keys: gap {alone} ms, with writes {with_writes} ms", case.keys);
    let (engine, build, keys) = (case.engine, case.build.name, case.keys);
    Ok(Measured { name, engine, build, keys, quiet, written, heap, peak, ready_without })
}

/// Fills, restarts, and compares every key.
fn once(case: &Case<'_>, writes: bool) -> io::Result<Sample> {
    let (mut ledger, mut asked) = keys(case.keys);
    let kv = Kv::start(&case.build.program, [&mut ledger, &mut asked])?;
    let asker = Asker::start(&kv.address, question(&asked), false)?;
    // Without it there is nobody to write, but there may be keys.
    let writer = if writes { Ok(Writer::start(&kv.address, ledger)?) } else { Err(ledger) };
    thread::sleep(LOOK);
    let before = millis(asker.longest());
    let watch = Watch::start(kv.first());
    let verdict = kv.restart(case.engine)?;
    let told = Instant::now();
    // Where it was given up the old process goes on.
    let way_out = if verdict.outcome.is_ok() { watch.after(told)? } else { watch.give_up() };
    thread::sleep(LOOK);
    let gap = millis(asker.stop()?);
    let (ledger, writes, rate) = match writer {
        Err(ledger) => (ledger, 0, 0.0),
        Ok(writer) => {
            let written = writer.stop()?;
            let rate = written.writes as f64 / written.lasted.as_secs_f64();
            (written.ledger, written.writes, rate)
        }
    };
    let mut client = Client::connect(&kv.address)?;
    client.check(&ledger)?;
    client.check(&asked)?;
    Ok(Sample { before, gap, verdict, way_out, writes, rate })
}

/// The memory before a restart, and at the peak of it.
fn weigh(case: &Case<'_>) -> io::Result<(u64, Option<u64>)> {
    let (mut ledger, mut asked) = keys(case.keys);
    let kv = Kv::start(&case.build.program, [&mut ledger, &mut asked])?;
    let group = kv.first();
    let heap = memory::look(|| vec![group]).unwrap_or(0);
    let peak = Peak::start(move || pids_of(group));
    let verdict = kv.restart(case.engine)?;
    thread::sleep(LOOK);
    let peak = peak.stop();
    Client::connect(&kv.address)?.check(&ledger)?;
    Ok((heap, verdict.outcome.is_ok().then_some(peak)))
}
