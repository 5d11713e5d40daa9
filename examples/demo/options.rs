//! The command line. Knows what may be asked for, not what becomes of it.

use std::{ffi::OsString, path::PathBuf, str::FromStr, time::Duration};

use heirloom::Engine;
use lexopt::{Arg, Error, Parser, ValueExt};

pub const HELP: &str = "\
usage: demo [OPTIONS]

Starts a server, lets clients ask it all the time, restarts it many times, and counts what fails.
The exit status is 0 if nothing has failed, 1 if anything has, 2 if an option is wrong.

  --restarts N     how often to restart the server (20)
  --engine E       fork, fork-exec, or both in turns (both)
  --rate N         new connections per second, each for one request (2000)
  --held N         connections that stay open and keep asking (200)
  --move           established connections move at each restart, instead of staying behind
  --pause MS       time between two restarts (750)
  --probation MS   how long a new process serves before the old one lets go (200; 600 with --faults)
  --tls            everybody speaks TLS, with a certificate of this run (it takes the feature tls)
  --faults         before each restart, begin one and kill the new process in its probation
  --patience SECS  how long any answer, restart or exit may take (10)
  --json           print one JSON object instead of the table; the live view goes to stderr
  --state          another demonstration: a server with many keys in memory, upgraded and rolled back
                   while clients write to it; every key is compared at the end. It goes with these two:
  --keys N         how many keys (1000000)
  --rounds N       how many times an upgrade, one that is rolled back, and a reload by fork (4)
  --serve ADDR     the other role: be the server (the demo starts itself with it)
  --help           print this
";

/// Long enough to see that a process serves, in a demonstration that is to be short.
const PROBATION: Duration = Duration::from_millis(200);

/// Long enough to be killed in.
const PROBATION_WITH_FAULTS: Duration = Duration::from_millis(600);

/// The second demonstration.
#[derive(Debug, PartialEq, Eq)]
pub struct StateOptions {
    pub keys: usize,
    pub rounds: usize,
}

impl Default for StateOptions {
    fn default() -> StateOptions {
        StateOptions { keys: 1_000_000, rounds: 4 }
    }
}

/// What the program is to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Role {
    Driver(Options),
    /// On this address.
    Server(String, ServerOptions),
    StateDriver(StateOptions),
    /// With this control socket.
    StateServer(PathBuf),
    Help,
}

/// What the driver tells the server.
#[derive(Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// Of its successors.
    pub probation: Duration,
    /// Established connections go to them.
    pub moves: bool,
    /// Clients shake hands.
    pub certificate: Option<Certificate>,
}

/// Two files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub restarts: usize,
    /// Used in turns.
    pub engines: Vec<Engine>,
    pub rate: u32,
    pub held: usize,
    pub moves: bool,
    pub tls: bool,
    pub pause: Duration,
    pub probation: Duration,
    pub faults: bool,
    pub patience: Duration,
    pub json: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            restarts: 20,
            engines: vec![Engine::Fork, Engine::ForkExec],
            rate: 2000,
            held: 200,
            moves: false,
            tls: false,
            pause: Duration::from_millis(750),
            probation: PROBATION,
            faults: false,
            patience: Duration::from_secs(10),
            json: false,
        }
    }
}

impl Options {
    /// What a run is going to be, for whoever waits for it.
    pub fn plan(&self) -> String {
        let Options { restarts, rate, held, .. } = self;
        let engines: Vec<_> = self.engines.iter().map(Engine::to_string).collect();
        let engines = engines.join(" and ");
        let moving = if self.moves { ", which move along" } else { "" };
        let faults = if self.faults { ", each after one whose new process is killed" } else { "" };
        let tls = if self.tls { ", all by TLS" } else { "" };
        let seconds = (self.pause * (*restarts as u32 + 1)).as_secs_f64().ceil();
        format!(
            "a server is restarted {restarts} times by {engines}{faults}, while {rate} new clients a second \
             and {held} held connections{moving} ask it{tls}: {seconds} s or longer"
        )
    }
}

pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Role, Error> {
    let mut options = Options::default();
    let (mut serve, mut probation) = (None::<OsString>, None);
    let (mut state, mut state_options) = (false, StateOptions::default());
    let (mut chain, mut key) = (None, None);
    let mut parser = Parser::from_args(args);
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Long("restarts") => options.restarts = number(&mut parser, "restarts", 0, 10_000)?,
            Arg::Long("engine") => options.engines = engines(&parser.value()?.string()?)?,
            Arg::Long("rate") => options.rate = number(&mut parser, "rate", 1, 20_000)?,
            Arg::Long("held") => options.held = number(&mut parser, "held", 0, 10_000)?,
            Arg::Long("pause") => {
                options.pause = Duration::from_millis(number(&mut parser, "pause", 0, 60_000)?);
            }
            Arg::Long("patience") => {
                options.patience = Duration::from_secs(number(&mut parser, "patience", 1, 60)?);
            }
            Arg::Long("move") => options.moves = true,
            Arg::Long("tls") => options.tls = true,
            Arg::Long("tls-cert") => chain = Some(parser.value()?.into()),
            Arg::Long("tls-key") => key = Some(parser.value()?.into()),
            Arg::Long("json") => options.json = true,
            Arg::Long("probation") => {
                let millis = number(&mut parser, "probation", 0, 60_000)?;
                probation = Some(Duration::from_millis(millis));
            }
            Arg::Long("faults") => options.faults = true,
            Arg::Long("state") => state = true,
            Arg::Long("keys") => {
                state_options.keys = number(&mut parser, "keys", 8, 20_000_000)?;
            }
            Arg::Long("rounds") => state_options.rounds = number(&mut parser, "rounds", 0, 1000)?,
            Arg::Long("serve") => serve = Some(parser.value()?),
            Arg::Long("help") | Arg::Short('h') => return Ok(Role::Help),
            other => return Err(other.unexpected()),
        }
    }
    let default = if options.faults { PROBATION_WITH_FAULTS } else { PROBATION };
    options.probation = probation.unwrap_or(default);
    if options.tls && (state || !cfg!(feature = "tls")) {
        let why = if state { "not with --state" } else { "it is built without the feature tls" };
        return Err(format!("--tls: {why}").into());
    }
    Ok(match (serve, state) {
        (Some(control), true) => Role::StateServer(control.into()),
        (None, true) => Role::StateDriver(state_options),
        (Some(address), false) => {
            let certificate = chain.zip(key).map(|(chain, key)| Certificate { chain, key });
            let Options { probation, moves, .. } = options;
            Role::Server(address.string()?, ServerOptions { probation, moves, certificate })
        }
        (None, false) => Role::Driver(options),
    })
}

fn number<N>(parser: &mut Parser, name: &str, least: N, most: N) -> Result<N, Error>
where
    N: FromStr + PartialOrd + std::fmt::Display,
{
    let text = parser.value()?.string()?;
    let number = text.parse().ok().filter(|number| (&least..=&most).contains(&number));
    number.ok_or_else(|| format!("--{name} {text}: not a number from {least} to {most}").into())
}

fn engines(name: &str) -> Result<Vec<Engine>, Error> {
    match name {
        "fork" => Ok(vec![Engine::Fork]),
        "fork-exec" => Ok(vec![Engine::ForkExec]),
        "both" => Ok(vec![Engine::Fork, Engine::ForkExec]),
        other => Err(format!("--engine {other}: not fork, fork-exec or both").into()),
    }
}
