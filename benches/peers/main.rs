//! heirloom beside others: the same work, on the same machine, in one go, in turns.
//!
//! ```sh
//! cargo bench --bench peers                       # everything: some twenty minutes
//! cargo bench --bench peers -- --quick            # does it work: a minute
//! cargo bench --bench peers -- --only echo --rounds 9
//! cargo bench --bench peers -- --only "restarts, heirloom" --gap 5000    # a million requests each: 17 minutes
//! cargo bench --bench peers -- --only state --keys 1000000    # restarts with state in memory, beside redis and memcached
//! cargo bench --bench peers -- --only "echo 64 B, 50" --before ../old/target/release/examples
//! ```
//!
//! With `--before` the examples of an earlier tree take part as well (`cargo build --release --examples` there).
//! The servers have one core, the load has another. What is compared is the time that a request takes of
//! the server's core, in each round by itself; the table has the median of these ratios and their range.
//! Prints Markdown, and draws `target/charts/peers.svg`. A peer that is not installed is skipped by name:
//! Debian has libevent-dev, redis-server, memcached, nginx and haproxy.

mod bare;
#[path = "../common/mod.rs"]
mod common;
mod load;
mod peers;
mod protocol;
mod restarts;
mod rivals;
mod spawning;
mod state;
mod table;
mod visits;
mod work;
mod workers;

use std::{error::Error, io, net::TcpListener, net::TcpStream, path::PathBuf, time::Duration};

use lexopt::{Arg, Parser, ValueExt};

use crate::{
    common::{
        chart,
        process::{Cores, Running, allow_descriptors, pin},
        state::sizes,
    },
    load::{Load, Outcome},
    peers::{ALL, Ground, Peer},
    protocol::Protocol,
    work::Work,
};

/// Visitors at a time in a churn.
const AT_A_TIME: usize = 50;

struct Options {
    rounds: usize,
    time: Duration,
    idle: usize,
    plan: restarts::Plan,
    state: state::Plan,
    only: String,
    before: Option<PathBuf>,
}

impl Options {
    fn new(quick: bool) -> Options {
        let (rounds, millis, idle) = if quick { (1, 150, 1000) } else { (5, 1000, 10_000) };
        let (restarts, gap) = if quick { (3, 300) } else { (100, 500) };
        let gap = Duration::from_millis(gap);
        let plan = restarts::Plan { rate: if quick { 500 } else { 2000 }, restarts, gap };
        let (sizes, times) =
            if quick { (vec![10_000], 1) } else { (vec![1_000_000, 3_000_000], 5) };
        let state = state::Plan { sizes, rounds: times };
        let (time, only, before) = (Duration::from_millis(millis), String::new(), None);
        Options { rounds, time, idle, plan, state, only, before }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args().collect();
    if let [_, serve, kind, protocol, address] = &words[..]
        && serve == "serve"
    {
        return Ok(be_served_by(kind, protocol, address)?);
    }
    let options = parse(&words)?;
    allow_descriptors()?;
    let ground =
        Ground::prepare(options.before.clone(), (options.only == "workers").then_some("http"))?;
    let cores = Cores::find();
    match cores {
        Some(cores) => {
            pin(cores.load)?;
            println!("Servers on core {}, the load on core {}.", cores.server, cores.load);
        }
        None => println!("Only one core: servers and load share it."),
    }
    for peer in ALL {
        if let Some(what) = ground.lacks(peer) {
            println!("Skipped: {}, for want of {what}.", peer.name());
        }
    }
    works(&ground, &options, cores)?;
    idle(&ground, &options, cores)?;
    all_restarts(&ground, &options, cores)?;
    workers::run(&ground, options.rounds, options.time, cores, &options.only)?;
    // A new program is filled while the old one serves: these have all cores.
    if let Some(cores) = cores {
        cores.unpin()?;
    }
    state::run(&options.state, &ground.example("kv"), &options.only)
}

fn parse(words: &[String]) -> Result<Options, lexopt::Error> {
    let mut options = Options::new(words.iter().any(|word| word == "--quick"));
    let mut parser = Parser::from_args(&words[1..]);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("quick" | "bench") => {} // cargo says `--bench`
            Arg::Long("rounds") => options.rounds = parser.value()?.parse()?,
            Arg::Long("millis") => {
                options.time = Duration::from_millis(parser.value()?.parse()?);
            }
            Arg::Long("keys") => options.state.sizes = sizes(&parser.value()?.string()?)?,
            Arg::Long("restarts") => options.plan.restarts = parser.value()?.parse()?,
            Arg::Long("gap") => {
                options.plan.gap = Duration::from_millis(parser.value()?.parse()?);
            }
            Arg::Long("before") => options.before = Some(parser.value()?.into()),
            Arg::Long("only") => options.only = parser.value()?.string()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

/// This program as one of the servers.
fn be_served_by(kind: &str, protocol: &str, address: &str) -> io::Result<()> {
    if kind == "spawning" {
        return spawning::serve(address, protocol);
    }
    if kind == "may" {
        return rivals::may(address);
    }
    allow_descriptors()?;
    let listener = TcpListener::bind(address)?;
    let protocol = Protocol::named(protocol).ok_or(io::ErrorKind::InvalidInput)?;
    match kind {
        "tokio" => rivals::tokio(listener, protocol),
        _ => bare::serve(listener, protocol, None),
    }
}

/// One measurement of one server.
type Measure<'a> = Box<dyn Fn(&Running) -> io::Result<Outcome> + 'a>;

/// Every work: its title, its protocol, and how it is measured.
fn list(options: &Options) -> Vec<(String, Work, Measure<'_>)> {
    let mut all: Vec<(String, Work, Measure<'_>)> = Vec::new();
    let mut add = |name: &str, work, clients, depth| {
        let load = Load { work, clients, depth, time: options.time };
        let title = format!("{name}, {clients} connections, depth {depth}");
        all.push((title, work, Box::new(move |server| load::run(server, load))));
    };
    for depth in [1, 16] {
        for clients in [1, 50, 1000] {
            add("echo 64 B", Work::Echo, clients, depth);
        }
    }
    for depth in [1, 16, 64] {
        add("RESP GET", Work::Get, 50, depth);
        add("RESP SET", Work::Set, 50, depth);
    }
    for depth in [1, 16] {
        add("HTTP hello", Work::Http, 50, depth);
    }
    for (name, work) in [("echo", Work::Echo), ("RESP", Work::Set), ("HTTP", Work::Http)] {
        let measure = move |server: &Running| visits::churn(server, work, AT_A_TIME, options.time);
        all.push((format!("churn, {name}"), work, Box::new(measure)));
    }
    all.retain(|(title, ..)| title.contains(&options.only));
    all
}

fn works(ground: &Ground, options: &Options, cores: Option<Cores>) -> Result<(), Box<dyn Error>> {
    let mut groups = Vec::new();
    for (title, work, measure) in list(options) {
        let mut servers = Vec::new();
        for peer in taking_part(ground, work.protocol()) {
            servers.push((peer, start(ground, peer, work.protocol(), cores)?, Vec::new()));
        }
        for _ in 0..options.rounds {
            for (peer, server, outcomes) in &mut servers {
                outcomes.push(measure(server).map_err(|e| format!("{}: {e}", peer.name()))?);
            }
        }
        let rows: Vec<_> = servers.into_iter().map(|(peer, _, all)| (peer.name(), all)).collect();
        table::print_work(&title, &rows);
        groups.push((title, table::costs(&rows)));
    }
    if !groups.is_empty() {
        let svg = chart::ratios(
            "What a request costs of the server's core, as a multiple of heirloom's cost",
            &groups,
        );
        println!("\nChart: {}", chart::save("peers", &svg)?.display());
    }
    Ok(())
}

fn idle(ground: &Ground, options: &Options, cores: Option<Cores>) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    for work in [Work::Echo, Work::Set, Work::Http] {
        if !format!("idle, {}", work.protocol()).contains(&options.only) {
            continue;
        }
        for peer in taking_part(ground, work.protocol()) {
            let server = start(ground, peer, work.protocol(), cores)?;
            server.ask(&work.request(0, 0))?; // what it allocates once, it has now
            let before = server.memory();
            let crowd = (0..options.idle).map(|_| server.connect_and_ask(&work.request(0, 0)));
            let crowd = crowd.collect::<io::Result<Vec<TcpStream>>>()?;
            let bytes = server.memory().saturating_sub(before) as f64 / crowd.len() as f64;
            rows.push((work.protocol(), peer.name(), bytes));
        }
    }
    if !rows.is_empty() {
        table::print_memory(options.idle, &rows);
    }
    Ok(())
}

fn all_restarts(
    ground: &Ground,
    options: &Options,
    cores: Option<Cores>,
) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    for way in restarts::WAYS {
        let is_wanted = format!("restarts, {}", way.name()).contains(&options.only);
        if is_wanted && ground.lacks(way.peer()).is_none() {
            let story = restarts::run(ground, way, options.plan, cores);
            rows.push((way.name(), story.map_err(|e| format!("{}: {e}", way.name()))?));
        }
    }
    if !rows.is_empty() {
        table::print_restarts(options.plan.rate, &rows);
    }
    Ok(())
}

fn taking_part(ground: &Ground, protocol: &str) -> impl Iterator<Item = Peer> {
    ALL.into_iter().filter(move |peer| peer.speaks(protocol) && ground.lacks(*peer).is_none())
}

fn start(ground: &Ground, peer: Peer, protocol: &str, cores: Option<Cores>) -> io::Result<Running> {
    let (command, address) = ground.command(peer, protocol)?;
    Running::start(command, &address, cores)
        .map_err(|e| io::Error::other(format!("{}: {e}", peer.name())))
}
