//! What a prepared fork is worth, and what it costs: bare `fork()` of the same heap, a fork as it is and one that
//! was prepared, in one run; the turns of a loop that writes all over the heap before and meanwhile; and how long
//! the heap stays huge after it.

use std::{
    error::Error,
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    common::{
        chart::{self, Series},
        process::{Cores, Running, example, free_address, rollup},
    },
    median,
    ours::{Client, await_end, stop},
    rivals::{self, Way, huge_share},
    spread,
};

/// Places all over the heap to which one turn writes: a request of a cache, and a long pipeline of them.
const TOUCHES: [usize; 2] = [8, 256];

/// Each heap is filled so often for each way.
const fn times(megabytes: usize) -> usize {
    if megabytes <= 1024 { 3 } else { 1 }
}

/// How long turns are looked at before the restart.
const QUIET: Duration = Duration::from_secs(3);

/// From here on a heap is prepared, in bytes; and where none is.
const ON: &str = "16777216 120000 2";
const OFF: &str = "1000000000000 1 2";

/// Turns before and while it prepares: how long the callback took in the server, and how long the client has
/// waited for its answer, in microseconds.
#[derive(Default)]
struct Turns {
    quiet: Vec<(f64, f64)>,
    preparing: Vec<(f64, f64)>,
}

/// One restart.
struct Sample {
    /// Milliseconds: the loop stood still, and before that the heap was prepared.
    made: f64,
    prepared: f64,
    /// MiB that were collapsed.
    collapsed: f64,
    /// The processor's time that the preparation took, in ms; what the process took more of memory, in MiB.
    cpu: f64,
    grown: f64,
    turns: Turns,
    /// How much of the new one's heap is in huge pages after so many writes.
    split: Vec<(f64, f64)>,
}

/// Measures the heaps, in MiB, for which there is memory, and prints a table of each kind.
pub fn measure(heaps: &[usize], cores: Option<Cores>) -> Result<(), Box<dyn Error>> {
    println!(
        "\nPrepared forks. Milliseconds, but for the turns: microseconds, p50 / p99 / \
         longest, within the callback and then as a client waits for it.\n\n\
         | heap MiB | places a turn | bare fork() | fork as it is | fork prepared | of bare fork() | \
         it prepared for | MiB collapsed | CPU | MiB more | turns before | turns meanwhile |\n\
         |---:|---:|---|---|---|---:|---|---:|---:|---:|---|---|"
    );
    let mut series = Vec::new();
    for &megabytes in heaps {
        if megabytes * 2 > crate::available_megabytes() {
            println!("| {megabytes} | skipped, for want of memory | | | | | | | | | | |");
            continue;
        }
        for touches in TOUCHES {
            let (_, bare) = rivals::measure(Way::Fork, megabytes, times(megabytes), "")?;
            let run = |how| -> io::Result<Vec<Sample>> {
                (0..times(megabytes)).map(|_| restart(megabytes, touches, how, cores)).collect()
            };
            let (plain, mut ours) = (run(OFF)?, run(ON)?);
            print(megabytes, touches, bare, &plain, &ours);
            if let Some(last) = ours.pop().filter(|_| touches == TOUCHES[0]) {
                series.push(Series { name: format!("{megabytes} MiB"), points: last.split });
            }
        }
    }
    let title = "How much of a heap is huge after a fork, while both processes live";
    let svg = chart::lines(title, "writes all over the heap", "%", &series);
    println!("\nChart: {}", chart::save("huge-pages", &svg)?.display());
    Ok(())
}

fn print(megabytes: usize, touches: usize, bare: Vec<f64>, plain: &[Sample], ours: &[Sample]) {
    let all = |of: fn(&Sample) -> f64| ours.iter().map(of);
    let share = median(all(|it| it.made).collect()) / median(bare.clone());
    let shape = |mut all: Vec<f64>| {
        all.sort_by(f64::total_cmp);
        let at =
            |share: f64| all.get((all.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
        format!("{:.0} / {:.0} / {:.0}", at(0.5), at(0.99), all.last().copied().unwrap_or(f64::NAN))
    };
    let turns = |of: fn(&Turns) -> &Vec<(f64, f64)>| {
        let all = || ours.iter().flat_map(|it| of(&it.turns).iter());
        let (took, waits) = (all().map(|it| it.0).collect(), all().map(|it| it.1).collect());
        format!("{}; {}", shape(took), shape(waits))
    };
    println!(
        "| {megabytes} | {touches} | {} | {} | {} | {share:.3} | {} | {:.0} | {:.0} | {:.1} | {} | {} |",
        spread(bare.iter().copied()),
        spread(plain.iter().map(|it| it.made)),
        spread(all(|it| it.made)),
        spread(all(|it| it.prepared)),
        median(all(|it| it.collapsed).collect()),
        median(all(|it| it.cpu).collect()),
        median(all(|it| it.grown).collect()),
        turns(|turns| &turns.quiet),
        turns(|turns| &turns.preparing),
    );
}

fn restart(
    megabytes: usize,
    touches: usize,
    how: &str,
    cores: Option<Cores>,
) -> io::Result<Sample> {
    let control = std::env::temp_dir().join(format!("prepared-{}.sock", std::process::id()));
    let address = free_address()?;
    let mut command = example("lab");
    command.args(["--listen", &address, "--control"]).arg(&control);
    command.env("RUST_LOG", "error").env("LAB_PREPARE", how);
    command.envs([("LAB_IDLE", "never"), ("LAB_FIRST", "never"), ("LAB_PROBATION", "100")]);
    let server = Running::start(command, &address, cores)?;
    let mut first = Client::connect(&address)?;
    let (_, old) = first.who()?;
    first.ask(&format!("heap {megabytes}"))?;
    let (before, over) = (rollup(old, "Rss:"), Arc::new(AtomicBool::new(false)));
    let load = load(first, touches, Arc::clone(&over));
    thread::sleep(QUIET); // which is what is measured
    let begun = Instant::now();
    let mut sample = ask_for_restart(&control)?;
    over.store(true, Ordering::Relaxed);
    let (client, turns) = load.join().map_err(|_| io::Error::other("the load has panicked"))??;
    sample.cpu = cpu_of_helper(old)?;
    sample.grown = (rollup(old, "Rss:") as f64 - before as f64) / f64::from(1 << 20);
    let until = begun + Duration::from_secs_f64(sample.prepared / 1000.0);
    for (at, turn) in turns {
        match (at < begun, at < until) {
            (true, _) => sample.turns.quiet.push(turn),
            (false, true) => sample.turns.preparing.push(turn),
            _ => {} // and the fork itself is told by the server
        }
    }
    sample.split = split(&address)?;
    drop(client); // until here both have lived
    let last = stop(&address)?;
    drop(server);
    await_end(old)?;
    await_end(last)?;
    Ok(sample)
}

/// When a turn was asked for, and its times as in [`Turns`].
type Turn = (Instant, (f64, f64));

/// Asks for writes all over the heap until told to stop; the client stays connected.
fn load(
    mut client: Client,
    touches: usize,
    over: Arc<AtomicBool>,
) -> JoinHandle<io::Result<(Client, Vec<Turn>)>> {
    thread::spawn(move || {
        let mut turns = Vec::new();
        while !over.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let took = client.ask(&format!("touch {touches}"))?;
            let wait = begun.elapsed().as_secs_f64() * 1e6;
            turns.push((begun, (took.parse().map_err(|_| io::Error::other(took))?, wait)));
            thread::sleep(Duration::from_micros(100));
        }
        Ok((client, turns))
    })
}

/// Restarts, and answers what the server says of it.
fn ask_for_restart(control: &PathBuf) -> io::Result<Sample> {
    let mut operator = BufReader::new(UnixStream::connect(control)?);
    operator.get_mut().write_all(b"restart fork\n")?;
    let (mut made, mut prepared, mut collapsed) = (f64::NAN, f64::NAN, f64::NAN);
    for line in operator.lines() {
        let line = line?;
        let number = |text: &str| text.trim_end_matches("ms").parse().unwrap_or(f64::NAN);
        match line.split_once('=') {
            Some(("made", time)) => made = number(time),
            Some(("prepared", time)) => prepared = number(time),
            Some(("collapsed", bytes)) => collapsed = number(bytes) / f64::from(1 << 20),
            None if line.is_empty() => break,
            None if line.starts_with("error") => return Err(io::Error::other(line)),
            _ => {}
        }
    }
    let (turns, split) = (Turns::default(), Vec::new());
    Ok(Sample { made, prepared, collapsed, cpu: 0.0, grown: 0.0, turns, split })
}

/// The time of the one child that the process has reaped (`cutime` and `cstime` of `proc_pid_stat(5)`), in ms.
fn cpu_of_helper(pid: u32) -> io::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = fields.split(' ').skip(13).take(2).filter_map(|word| word.parse::<f64>().ok());
    Ok(ticks.sum::<f64>() * 10.0) // 100 of them in a second
}

/// Writes to the new process's heap while the old one lives.
fn split(address: &str) -> io::Result<Vec<(f64, f64)>> {
    let mut client = Client::connect(address)?;
    let (_, pid) = client.who()?;
    let (mut written, mut points) = (0, Vec::new());
    for next in (4..16).map(|power| 1 << power) {
        client.ask(&format!("touch {}", next - written))?;
        written = next;
        points.push((f64::from(written), (huge_share(pid) as f64).max(1.0)));
    }
    Ok(points)
}
