//! Three servers behind two balancers: a rolling upgrade, and one machine that is taken away, under load. Nobody may notice.
//!
//! ```sh
//! cargo build --release --examples
//! cargo run --release --example fleet -- --requests 1000000
//! cargo run --release --example fleet -- --requests 200000 --no-move     # connections stay with the old process
//! cargo run --release --example fleet -- --requests 200000 --lame-duck 0 # what it is good for
//! cargo run --release --example fleet -- --requests 200000 --balancer    # and then haproxy is reloaded, and killed
//! ```
//!
//! Needs haproxy and nginx (Debian's packages). Three `http` servers are started, with HAProxy and nginx in front of them;
//! clients on kept connections ask through both, every second request a POST. Then each server is restarted by
//! fork, each is restarted by fork-exec, and the last one is told to leave: it is a lame duck for a while, drains and ends. The balancers
//! repeat no request that was sent to a server. Every answer is compared, and what fails is counted by what was under way. The exit status is 1 if anything
//! has failed.
//!
//! `balancers` has what is to be in their configuration, and why; `servers` the servers, `clients` the load, `tally` what
//! it has seen.

mod balancers;
mod clients;
mod process;
mod servers;
mod tally;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::{ExitCode, id},
    thread,
    time::{Duration, Instant},
};

use balancers::{Haproxy, Nginx};
use clients::Load;
use lexopt::{Arg, Parser, ValueExt};
use servers::Server;

/// How long nobody needs for anything here, on a machine that is busy.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// The balancers ask each half a second, and two answers are enough for them; a busy machine is given four times that.
const LAME_DUCK: f64 = 4.0;

struct Options {
    requests: u64,
    clients: usize,
    moves: bool,
    lame_duck: f64,
    balancer: bool,
}

fn main() -> ExitCode {
    let ran = parse().and_then(|options| {
        process::heed_interrupts()?;
        let folder = std::env::temp_dir().join(format!("heirloom-fleet-{}", id()));
        std::fs::create_dir_all(&folder)?;
        let ran = run(&options, &folder);
        let _ = std::fs::remove_dir_all(&folder);
        ran
    });
    match ran {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("fleet: {e}");
            ExitCode::from(2)
        }
    }
}

fn parse() -> io::Result<Options> {
    let (requests, clients) = (100_000, 16);
    let mut options =
        Options { requests, clients, moves: true, lame_duck: LAME_DUCK, balancer: false };
    let mut parser = Parser::from_env();
    let wrong = |e: lexopt::Error| io::Error::new(io::ErrorKind::InvalidInput, e.to_string());
    while let Some(arg) = parser.next().map_err(wrong)? {
        match arg {
            Arg::Long("requests") => {
                options.requests = parser.value().and_then(|it| it.parse()).map_err(wrong)?;
            }
            Arg::Long("clients") => {
                options.clients = parser.value().and_then(|it| it.parse()).map_err(wrong)?;
            }
            Arg::Long("lame-duck") => {
                options.lame_duck = parser.value().and_then(|it| it.parse()).map_err(wrong)?;
            }
            Arg::Long("no-move") => options.moves = false,
            Arg::Long("balancer") => options.balancer = true,
            other => return Err(wrong(other.unexpected())),
        }
    }
    Ok(options)
}

/// Answers how many requests have failed that should not have.
fn run(options: &Options, folder: &PathBuf) -> io::Result<u64> {
    let made = (0..3).map(|number| Server::start(folder, number, options.moves, options.lame_duck));
    let mut servers = made.collect::<io::Result<Vec<_>>>()?;
    let mut haproxy = Haproxy::start(folder, &servers)?;
    let nginx = Nginx::start(folder, &servers)?;
    let load = Load::begin(&[haproxy.address, nginx.address], options.clients, options.requests);
    let ended = thread::scope(|scope| {
        let crowd = load.spawn(scope);
        let told = story(&load, &mut servers, options);
        load.finish(told.is_ok());
        crowd.into_iter().for_each(|client| drop(client.join()));
        told
    });
    ended?;
    let mut out = io::stdout().lock();
    write!(out, "{}", load.table())?;
    let failed = load.failures();
    if options.balancer {
        for how in [balancers::Loss::Reload, balancers::Loss::Kill] {
            let load = Load::begin(&[haproxy.address], options.clients, options.requests / 4);
            let lost = thread::scope(|scope| {
                let crowd = load.spawn(scope);
                let begun = load.wait_share(1, 3).map(|()| load.next(how.name()));
                let lost = begun.and_then(|()| haproxy.lose(how));
                load.next("it accepts again");
                load.finish(lost.is_ok());
                crowd.into_iter().for_each(|client| drop(client.join()));
                lost
            })?;
            writeln!(out, "\n{}; it accepts again after {lost:?}\n{}", how.name(), load.table())?;
        }
    }
    drop(nginx);
    Ok(failed)
}

/// What happens to the servers, each step when so much of the load has gone by.
fn story(load: &Load, servers: &mut Vec<Server>, options: &Options) -> io::Result<()> {
    let steps = 2 * servers.len() as u64 + 3;
    let mut step = 0;
    for engine in ["fork", "fork-exec"] {
        for server in servers.iter() {
            step += 1;
            load.wait_share(step, steps)?;
            load.next(&format!("{} restarts by {engine}", server.name));
            server.restart(engine, options.moves)?;
        }
    }
    load.wait_share(step + 1, steps)?;
    let Some(mut last) = servers.pop() else { return Ok(()) };
    let begun = Instant::now();
    load.next(&format!("{} is a lame duck, drains and ends", last.name));
    last.leave()?;
    load.next(&format!("{} is gone, after {:.1?}", last.name, begun.elapsed()));
    load.wait_more(1, steps)
}
