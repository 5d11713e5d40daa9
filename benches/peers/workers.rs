//! What a second worker brings. Servers and load share the same two cores, so the load is shared out with them: on each core
//! that the server has there is one thread of load, with as many clients as the others have. A server of one worker has one core,
//! with one thread of load beside it, and one of two workers has two cores, with one on each. A request takes the same of a core in either
//! case, for client and server together, so twice as many requests is the most that there can be.
//!
//! `spread` tells how even it is: the connections of each worker; `crash` how long clients wait when one of two is killed.

use std::{
    collections::BTreeMap,
    error::Error,
    fs, io, thread,
    time::{Duration, Instant},
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    common::process::{Cores, Running, pin},
    load::{self, Load, Outcome},
    only::Only,
    peers::{Ground, Peer},
    secured::Cover,
    table::{self, median},
    work::Work,
};

const CLIENTS: usize = 50;

/// Clients that come one after the other, and for how long.
const COMERS: usize = 8;
const COMING: Duration = Duration::from_secs(1);

/// A server and how many of it there are.
type Rank = (Peer, u32);

const RANKS: [Rank; 4] =
    [(Peer::Heirloom, 1), (Peer::Heirloom, 2), (Peer::Nginx, 1), (Peer::Nginx, 2)];

/// Measures, and prints a table each for requests that come one by one and for those that come in batches.
pub fn run(
    ground: &Ground,
    rounds: usize,
    time: Duration,
    cores: Option<Cores>,
    only: &Only,
) -> Result<(), Box<dyn Error>> {
    if !only.wants("workers") {
        return Ok(());
    }
    let Some(cores) = cores else {
        println!("Skipped: workers, for want of a second core.");
        return Ok(());
    };
    for depth in [1, 16] {
        let load =
            Load { work: Work::Http, tls: None, clients: CLIENTS, depth, apart: false, time };
        let taking_part =
            RANKS.into_iter().filter(|(peer, _)| ground.lacks(*peer, Cover::Plain).is_none());
        let mut rows: Vec<(Rank, Vec<Outcome>)> = taking_part.map(|it| (it, Vec::new())).collect();
        for _ in 0..rounds {
            for (rank, outcomes) in &mut rows {
                let measured = measure(ground, *rank, &load, cores);
                outcomes.push(measured.map_err(|e| format!("{}: {e}", name(*rank)))?);
            }
        }
        print(depth, &rows);
    }
    for flags in [&[][..], &["--shared"]] {
        let how = if flags.is_empty() { "a queue for each" } else { "one queue" };
        println!("\n### two workers, {how}\n");
        for count in [50, 1000] {
            let mut shares = Vec::new();
            for _ in 0..rounds {
                shares.push(spread(ground, flags, count, cores)?);
            }
            println!("- {count} connections, so many for each: {shares:?}");
        }
        for _ in 0..rounds {
            println!("- {}", crash(ground, flags, cores)?);
        }
    }
    Ok(())
}

/// A server that is started for it, and as many threads of load as it has workers, each beside one of them.
fn measure(ground: &Ground, rank: Rank, load: &Load, cores: Cores) -> io::Result<Outcome> {
    let (peer, count) = rank;
    let own: Vec<usize> = [cores.server, cores.load].into_iter().take(count as usize).collect();
    let server = start(ground.with_workers(peer, count)?, &own)?;
    let server = &server;
    let outcomes = thread::scope(|scope| {
        let threads = own.iter().map(|&core| {
            scope.spawn(move || -> io::Result<Outcome> {
                pin(core)?;
                load::run(server, load.clone())
            })
        });
        let threads: Vec<_> = threads.collect();
        let ended = threads.into_iter().map(|it| it.join().expect("a load does not panic"));
        ended.collect::<io::Result<Vec<_>>>()
    })?;
    // Each has seen the time of the whole server, for its own part of the requests.
    let total = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum();
    let mean = |of: fn(&Outcome) -> Duration| {
        outcomes.iter().map(of).sum::<Duration>() / outcomes.len() as u32
    };
    Ok(Outcome {
        requests: total(|it| it.requests),
        time: mean(|it| it.time),
        cpu: mean(|it| it.cpu),
        wrong_bytes: total(|it| it.wrong_bytes),
        broken: total(|it| it.broken),
    })
}

/// On these cores, from which a server takes one for each worker.
fn start(
    (command, address): (std::process::Command, String),
    own: &[usize],
) -> io::Result<Running> {
    let mut set = CpuSet::new();
    own.iter().try_for_each(|&core| set.set(core))?;
    sched_setaffinity(Pid::this(), &set)?;
    Running::start(command, &address, None)
}

fn name((peer, count): Rank) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{}, {count} worker{plural}", peer.name())
}

fn print(depth: usize, rows: &[(Rank, Vec<Outcome>)]) {
    println!("\n### workers, HTTP hello, {CLIENTS} connections for each, depth {depth}\n");
    println!(
        "| server | requests/s | of one worker | CPU µs/request | ours / this | wrong bytes | broken |"
    );
    println!("|---|---:|---|---:|---|---:|---:|");
    let rates = |row: &[Outcome]| row.iter().map(Outcome::per_second).collect::<Vec<_>>();
    let costs = |row: &[Outcome]| row.iter().map(Outcome::cost).collect::<Vec<_>>();
    let find = |rank: Rank| rows.iter().find(|row| row.0 == rank).map(|row| &row.1[..]);
    for (rank, row) in rows {
        let one = find((rank.0, 1)).unwrap_or(row);
        let ours = find((Peer::Heirloom, rank.1)).unwrap_or(row);
        println!(
            "| {} | {:.0} | {} | {:.2} | {} | {} | {} |",
            name(*rank),
            median(rates(row)),
            table::ratio(&rates(row), &rates(one)),
            median(costs(row)),
            table::ratio(&costs(ours), &costs(row)),
            row.iter().map(|outcome| outcome.wrong_bytes).sum::<u64>(),
            row.iter().map(|outcome| outcome.broken).sum::<u64>(),
        );
    }
}

/// So many connections that come one after the other as fast as they can: how many each process has.
fn spread(ground: &Ground, flags: &[&str], count: usize, cores: Cores) -> io::Result<Vec<usize>> {
    let (mut command, address) = ground.with_workers(Peer::Heirloom, 2)?;
    command.args(flags);
    let server = start((command, address), &[cores.server, cores.load])?;
    let connect = |_| std::net::TcpStream::connect(&server.address);
    let streams = (0..count).map(connect).collect::<io::Result<Vec<_>>>()?;
    let mut shares = BTreeMap::<u32, usize>::new();
    let begun = Instant::now();
    loop {
        shares.clear();
        for pid in server.children() {
            shares.insert(pid, sockets(pid));
        }
        // Beside the connections each has its listeners, its link and the like.
        if shares.values().sum::<usize>() >= count {
            break;
        }
        if begun.elapsed() > Duration::from_secs(5) {
            return Err(io::Error::other(format!("{shares:?} of {count} connections")));
        }
        thread::sleep(Duration::from_millis(10));
    }
    drop(streams);
    Ok(shares.into_values().collect())
}

/// TCP connections that a process has.
fn sockets(pid: u32) -> usize {
    let established = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    let inodes: std::collections::BTreeSet<&str> = established
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|words| words.get(3) == Some(&"01"))
        .filter_map(|words| words.get(9).copied())
        .collect();
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = fds.filter_map(|fd| fs::read_link(fd.path()).ok());
    let inode = |link: &std::path::PathBuf| -> Option<String> {
        Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
    };
    links.filter(|link| inode(link).is_some_and(|it| inodes.contains(it.as_str()))).count()
}

/// Clients that come one after the other while one of two workers is killed: how long they wait.
fn crash(ground: &Ground, flags: &[&str], cores: Cores) -> io::Result<String> {
    let (mut command, address) = ground.with_workers(Peer::Heirloom, 2)?;
    command.args(flags);
    let server = start((command, address), &[cores.server, cores.load])?;
    let request = Work::Http.request(0, 0);
    let until = Instant::now() + COMING;
    let come = || {
        let mut waits = Vec::new();
        while Instant::now() < until {
            let begun = Instant::now();
            let answered = server.connect_and_ask(&request).is_ok();
            waits.push((begun.elapsed(), answered));
            thread::sleep(Duration::from_millis(1));
        }
        waits
    };
    let waits: Vec<(Duration, bool)> = thread::scope(|scope| {
        let clients: Vec<_> = (0..COMERS).map(|_| scope.spawn(come)).collect();
        thread::sleep(COMING / 4);
        let victim = server.children().last().copied().unwrap_or_default();
        let _ = kill(Pid::from_raw(victim as i32), Signal::SIGKILL);
        clients.into_iter().flat_map(|it| it.join().expect("no client panics")).collect()
    });
    let late = waits.iter().filter(|(wait, _)| *wait >= Duration::from_millis(50)).count();
    let failed = waits.iter().filter(|(_, answered)| !answered).count();
    let longest = waits.iter().map(|(wait, _)| *wait).max().unwrap_or_default();
    Ok(format!(
        "one is killed: {} requests of {COMERS} clients, {failed} cut off, {late} waited 50 ms or longer, the longest {} ms",
        waits.len(),
        longest.as_millis()
    ))
}
