//! The broker of `examples/mqtt` beside mosquitto: the same messages, on the same machine, in one go, in turns.
//!
//! ```sh
//! cargo build --profile bench --examples && cargo bench --features benches --bench mqtt             # two minutes
//! cargo bench --features benches --bench mqtt -- --millis 100 --rounds 1                      # does it work
//! ```
//!
//! The servers have one core, the load has another. What is compared is the time that a published message takes of
//! the server's core, with all that is done for it: it goes to each subscriber, and with QoS 1 each of them
//! acknowledges. At depth 1 the server sleeps and wakes for each message, and writes it to each subscriber by itself, as
//! any server has to: most of its time is the kernel's then. At depth 16 it has something to save.
//! The ratio is of each round by itself; the table has the median and the range. Debian has mosquitto.

#[path = "../common/mod.rs"]
mod common;
mod load;

use std::{env, error::Error, fs, io, process::Command, process::Stdio, time::Duration};

use lexopt::{Arg, Parser, ValueExt};

use crate::{
    common::process::{Cores, Running, allow_descriptors, example, free_address, pin},
    load::{Load, Work},
};

struct Options {
    rounds: usize,
    time: Duration,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = parse()?;
    allow_descriptors()?;
    let cores = Cores::find();
    if let Some(cores) = cores {
        pin(cores.load)?;
    }
    let servers = [ours(cores)?, mosquitto(cores)?];
    println!("| QoS | subscribers | depth | ours, µs | mosquitto, µs | ratio |");
    println!("|---|---:|---:|---:|---:|---|");
    for level in [0, 1] {
        for subscribers in [1, 10, 100, 1000] {
            for depth in [1, 16] {
                measure(&servers, Work { level, subscribers, depth }, &options)?;
            }
        }
    }
    Ok(())
}

fn parse() -> Result<Options, lexopt::Error> {
    let mut options = Options { rounds: 5, time: Duration::from_millis(1000) };
    let mut parser = Parser::from_env();
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("bench") => {} // cargo says so
            Arg::Long("rounds") => options.rounds = parser.value()?.parse()?,
            Arg::Long("millis") => options.time = Duration::from_millis(parser.value()?.parse()?),
            other => return Err(other.unexpected()),
        }
    }
    Ok(options)
}

fn ours(cores: Option<Cores>) -> io::Result<Running> {
    let address = free_address()?;
    let mut command = example("mqtt");
    command.args(["--listen", &address]).env("RUST_LOG", "warn");
    Running::start(command, &address, cores)
}

/// With its defaults, but that it logs nothing and has room for as many clients as there are.
fn mosquitto(cores: Option<Cores>) -> io::Result<Running> {
    let address = free_address()?;
    let port = address.rsplit(':').next().unwrap_or_default();
    let file = env::temp_dir().join(format!("heirloom-mosquitto-{}", std::process::id()));
    fs::write(&file, format!("listener {port} 127.0.0.1\nallow_anonymous true\nlog_dest none\n"))?;
    let mut command = Command::new("mosquitto");
    command.arg("-c").arg(&file).stderr(Stdio::null());
    let running = Running::start(command, &address, cores);
    fs::remove_file(file)?;
    running
}

fn measure(servers: &[Running; 2], work: Work, options: &Options) -> io::Result<()> {
    let mut times = [Vec::new(), Vec::new()];
    let mut loads = Vec::new();
    for server in servers {
        let mut load = Load::start(server, work)?;
        load.measure(server, options.time / 10)?; // what is allocated once, is now
        loads.push(load);
    }
    for _ in 0..options.rounds {
        for ((server, load), times) in servers.iter().zip(&mut loads).zip(&mut times) {
            times.push(load.measure(server, options.time)?.as_secs_f64() * 1e6);
        }
    }
    let [ours, theirs] = &mut times;
    let mut ratios: Vec<_> = ours.iter().zip(&*theirs).map(|(our, their)| our / their).collect();
    let [our, their, ratio] = [ours, theirs, &mut ratios].map(|values| median(values));
    let (low, high) = (ratios[0], ratios[ratios.len() - 1]);
    let Work { level, subscribers, depth } = work;
    println!(
        "| {level} | {subscribers} | {depth} | {our:.2} | {their:.2} | **{ratio:.2}** ({low:.2}–{high:.2}) |"
    );
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
