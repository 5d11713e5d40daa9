//! heirloom beside others: the same work, on the same machine, in one go, in turns.
//!
//! ```sh
//! cargo bench --features benches --bench peers                       # everything: some twenty minutes
//! cargo bench --features benches --bench peers -- --quick            # does it work: a minute
//! cargo bench --features benches --bench peers -- --only echo --only churn --rounds 9
//! cargo bench --features benches --bench peers -- --only redis-benchmark --rounds 3    # beside redis, by its own client
//! cargo bench --features benches --bench peers -- --only "restarts, heirloom" --gap 5000    # a million requests each: 17 minutes
//! cargo bench --features benches --bench peers -- --only state --keys 1000000    # restarts with state in memory, beside redis and memcached
//! cargo bench --features benches --bench peers -- --only "echo 64 B, 50" --before ../old/target/release/examples
//! cargo bench --features benches,tls --bench peers -- --only TLS --rounds 3    # with TLS: three minutes
//! ```
//!
//! What a plain server pays for being built with the feature, which is to be nothing:
//!
//! ```sh
//! cargo build --profile bench --example echo --target-dir target/without
//! cargo bench --features benches,tls --bench peers -- --only "echo 64 B, 50" --before target/without/release/examples
//! cargo bench --features benches,tls --bench peers -- --only "idle, echo" --before target/without/release/examples
//! ```
//!
//! With `--before` the examples of an earlier tree take part as well (`cargo build --profile bench --examples` there).
//! The servers have one core, the load has another. What is compared is the time that a request takes of
//! the server's core, in each round by itself; the table has the median of these ratios and their range.
//!
//! With TLS all servers show one certificate, and clients offer one suite (TLS 1.3, AES-128-GCM). nginx serves by itself;
//! haproxy stands in front of a plain heirloom, on the same core, and what both take is added up.
//!
//! Prints Markdown, and draws `target/charts/peers.svg`. A peer that is not installed is skipped by name:
//! Debian has libevent-dev, redis-server, memcached, nginx and haproxy.

mod bare;
#[path = "../common/mod.rs"]
mod common;
mod handshakes;
mod load;
mod only;
mod peers;
mod protocol;
mod redis_benchmark;
mod restarts;
mod rivals;
mod secured;
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
    handshakes::Manner,
    load::{Load, Outcome},
    only::Only,
    peers::{ALL, Ground, Peer},
    protocol::Protocol,
    secured::{Asked, Cover, Pair},
    work::{Resp, Work},
};

/// Visitors at a time in a churn.
const AT_A_TIME: usize = 50;

/// How long one reply may take.
const REPLY: Duration = Duration::from_secs(2);

struct Options {
    rounds: usize,
    time: Duration,
    idle: usize,
    plan: restarts::Plan,
    state: state::Plan,
    only: Only,
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
        let (time, only, before) = (Duration::from_millis(millis), Only::default(), None);
        Options { rounds, time, idle, plan, state, only, before }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<_> = std::env::args().collect();
    if let [_, serve, kind, protocol, address, pair @ ..] = &words[..]
        && serve == "serve"
    {
        return Ok(be_served_by(kind, protocol, address, pair)?);
    }
    let options = parse(&words)?;
    allow_descriptors()?;
    let ground =
        Ground::prepare(options.before.clone(), options.only.is("workers").then_some("http"))?;
    let cores = Cores::find();
    match cores {
        Some(cores) => {
            pin(cores.load)?;
            println!("Servers on core {}, the load on core {}.", cores.server, cores.load);
        }
        None => println!("Only one core: servers and load share it."),
    }
    for peer in ALL {
        if let Some(what) = ground.lacks(peer, Cover::Plain) {
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
            Arg::Long("only") => options.only.add(parser.value()?.string()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

/// This program as one of the servers.
fn be_served_by(kind: &str, protocol: &str, address: &str, pair: &[String]) -> io::Result<()> {
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
        "tokio" => {
            let tls = match pair {
                [certificate, key] => Some(Pair::of(certificate, key).server()?),
                _ => None,
            };
            rivals::tokio(listener, protocol, tls)
        }
        _ => bare::serve(listener, protocol, None),
    }
}

/// One measurement of one server.
type Measure<'a> = Box<dyn Fn(&Running) -> io::Result<Outcome> + 'a>;

/// What all of those who can do it do in turns.
struct Task<'a> {
    title: String,
    work: Work,
    cover: Cover,
    measure: Measure<'a>,
}

/// Every work that is asked for, and how it is measured.
fn list<'a>(options: &'a Options, ground: &Ground) -> io::Result<Vec<Task<'a>>> {
    let mut all = plain(options);
    all.extend(by_redis_benchmark(options));
    if cfg!(feature = "tls") {
        all.extend(with_tls(options, ground)?);
    }
    all.retain(|task| options.only.wants(&task.title));
    Ok(all)
}

fn plain(options: &Options) -> Vec<Task<'_>> {
    let mut all = Vec::new();
    let mut add = |name: &str, work, clients, depth| {
        let load = Load { work, tls: None, clients, depth, apart: false, time: options.time };
        let title = format!("{name}, {clients} connections, depth {depth}");
        let measure = Box::new(move |server: &Running| load::run(server, load.clone()));
        all.push(Task { title, work, cover: Cover::Plain, measure });
    };
    for depth in [1, 16] {
        for clients in [1, 50, 1000] {
            add("echo 64 B", Work::Echo, clients, depth);
        }
    }
    for depth in [1, 16, 64] {
        for (name, version) in [("RESP", Resp::Two), ("RESP3", Resp::Three)] {
            add(&format!("{name} GET"), Work::Get(version), 50, depth);
            add(&format!("{name} SET"), Work::Set(version), 50, depth);
        }
    }
    for depth in [1, 16] {
        add("HTTP hello", Work::Http, 50, depth);
    }
    for (name, work) in [("echo", Work::Echo), ("RESP", Work::Set(Resp::Two)), ("HTTP", Work::Http)]
    {
        let measure = move |server: &Running| visits::churn(server, work, AT_A_TIME, options.time);
        let title = format!("churn, {name}");
        all.push(Task { title, work, cover: Cover::Plain, measure: Box::new(measure) });
    }
    all
}

/// The load of another client, on those who know all that it asks for.
fn by_redis_benchmark(options: &Options) -> Vec<Task<'_>> {
    if !peers::is_installed(redis_benchmark::PROGRAM) {
        println!("Skipped: its load, for want of {}.", redis_benchmark::PROGRAM);
        return Vec::new();
    }
    let mut all = Vec::new();
    for depth in [1, 16, 64] {
        for (name, version) in [("RESP", Resp::Two), ("RESP3", Resp::Three)] {
            for (verb, asked) in [("GET", Work::Get(version)), ("SET", Work::Set(version))] {
                let measure = move |server: &Running| {
                    redis_benchmark::run(server, asked, depth, options.time)
                };
                all.push(Task {
                    title: format!("redis-benchmark, {name} {verb}, depth {depth}"),
                    work: Work::Get(Resp::Three),
                    cover: Cover::Plain,
                    measure: Box::new(measure),
                });
            }
        }
    }
    all
}

fn with_tls<'a>(options: &'a Options, ground: &Ground) -> io::Result<Vec<Task<'a>>> {
    let mut all = Vec::new();
    let client = |cover, resumes| ground.pair(cover).map(|pair| pair.client(resumes)).transpose();
    for (name, work, depth, how) in [
        ("64 B echoed", Work::Echo, 1, ""),
        ("64 B echoed", Work::Echo, 16, " in one record"),
        ("64 B echoed", Work::Echo, 16, ", a record each"),
        ("hello", Work::Http, 1, ""),
    ] {
        let tls = client(Cover::Ecdsa, false)?;
        let apart = how.ends_with("each");
        let load = Load { work, tls, clients: 50, depth, apart, time: options.time };
        let title = format!("TLS, {name}, 50 connections, depth {depth}{how}");
        let measure = Box::new(move |server: &Running| load::run(server, load.clone()));
        all.push(Task { title, work, cover: Cover::Ecdsa, measure });
    }
    for (name, cover, resumes) in [
        ("no handshake", Cover::Plain, false),
        ("a handshake by ECDSA P-256", Cover::Ecdsa, false),
        ("a handshake by RSA 2048", Cover::Rsa, false),
        ("a handshake by a ticket", Cover::Ecdsa, true),
    ] {
        if cover.is_tls() && ground.pair(cover).is_none() {
            println!("Skipped: {name}, for want of openssl.");
            continue;
        }
        let manner = Manner { config: client(cover, resumes)?, resumes };
        let measure =
            move |server: &Running| handshakes::visits(server, Work::Http, &manner, options.time);
        let title = format!("TLS, one visit after another, {name}");
        all.push(Task { title, work: Work::Http, cover, measure: Box::new(measure) });
    }
    Ok(all)
}

fn works(ground: &Ground, options: &Options, cores: Option<Cores>) -> Result<(), Box<dyn Error>> {
    let mut groups = Vec::new();
    for Task { title, work, cover, measure } in list(options, ground)? {
        let mut servers = Vec::new();
        for peer in taking_part(ground, work.protocol(), cover) {
            servers.push((peer, start(ground, peer, work.protocol(), cover, cores)?, Vec::new()));
        }
        for _ in 0..options.rounds {
            for (peer, server, outcomes) in &mut servers {
                outcomes.push(measure(server).map_err(|e| format!("{}: {e}", peer.name()))?);
            }
        }
        let rows = servers.into_iter().map(|(peer, _, all)| (peer.name_under(cover), all));
        let rows: Vec<_> = rows.collect();
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
    let tls = cfg!(feature = "tls").then_some((Work::Echo, Cover::Ecdsa));
    let plain = [Work::Echo, Work::Set(Resp::Two), Work::Http].map(|work| (work, Cover::Plain));
    for (work, cover) in plain.into_iter().chain(tls) {
        let name = if cover.is_tls() { "TLS, echo" } else { work.protocol() };
        if !options.only.wants(&format!("idle, {name}")) {
            continue;
        }
        // haproxy's memory would be that of two.
        let peers = taking_part(ground, work.protocol(), cover);
        for peer in peers.filter(|peer| *peer != Peer::Haproxy || !cover.is_tls()) {
            let server = start(ground, peer, work.protocol(), cover, cores)?;
            let bytes = idle_cost(&server, ground.pair(cover), work, options.idle)?;
            rows.push((name, peer.name_under(cover), bytes));
        }
    }
    if !rows.is_empty() {
        table::print_memory(options.idle, &rows);
    }
    Ok(())
}

/// Bytes for each of so many connections.
fn idle_cost(server: &Running, pair: Option<&Pair>, work: Work, count: usize) -> io::Result<f64> {
    let request = work.request(0, 0);
    let config = pair.map(|pair| pair.client(false)).transpose()?;
    let connect = || match &config {
        // What the client's end knows is given up; the connection stays.
        Some(config) => {
            Asked::at(&server.address, config, &request, 1, REPLY).map(|asked| asked.stream)
        }
        None => server.connect_and_ask(&request),
    };
    drop(connect()?); // what it allocates once, it has now
    let before = server.memory();
    let crowd = (0..count).map(|_| connect()).collect::<io::Result<Vec<TcpStream>>>()?;
    Ok(server.memory().saturating_sub(before) as f64 / crowd.len() as f64)
}

fn all_restarts(
    ground: &Ground,
    options: &Options,
    cores: Option<Cores>,
) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    for way in restarts::WAYS {
        let is_wanted = options.only.wants(&format!("restarts, {}", way.name()));
        if is_wanted && ground.lacks(way.peer(), Cover::Plain).is_none() {
            let story = restarts::run(ground, way, options.plan, cores);
            rows.push((way.name(), story.map_err(|e| format!("{}: {e}", way.name()))?));
        }
    }
    if !rows.is_empty() {
        table::print_restarts(options.plan.rate, &rows);
    }
    Ok(())
}

fn taking_part(ground: &Ground, protocol: &str, cover: Cover) -> impl Iterator<Item = Peer> {
    let can = move |peer: &Peer| peer.speaks(protocol, cover);
    ALL.into_iter().filter(move |peer| can(peer) && ground.lacks(*peer, cover).is_none())
}

fn start(
    ground: &Ground,
    peer: Peer,
    protocol: &str,
    cover: Cover,
    cores: Option<Cores>,
) -> io::Result<Running> {
    let (command, address) = ground.command(peer, protocol, cover)?;
    Running::start(command, &address, cores)
        .map_err(|e| io::Error::other(format!("{}: {e}", peer.name())))
}
