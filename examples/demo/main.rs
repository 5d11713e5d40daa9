//! The demo: one command that restarts a server again and again under load, and shows that no client
//! notices.
//!
//! ```sh
//! cargo run --release --example demo                                 # about 20 seconds
//! cargo run --release --example demo -- --engine fork --restarts 100 --pause 50
//! cargo run --release --example demo -- --rate 4000 --held 2000      # more of everything
//! cargo run --release --example demo -- --faults                     # new processes are killed, too
//! cargo run --release --example demo -- --move                       # held connections go along
//! cargo run --release --features tls --example demo -- --tls    # by TLS, which no restart cuts
//! cargo run --release --example demo -- --state                      # a million keys, 30 seconds: see `state`
//! cargo run --release --example demo -- --json | jq .failures        # see `json` for the fields
//! echo $?                                  # 0: nothing failed, 1: something did, 2: a wrong option
//! ```
//!
//! It ends with a table (here of two cores with other work):
//!
//! ```text
//! 20 restarts, 63301 requests in 15.8 s, 2000 new connections per second: no failure
//!
//!                                            until ready    until first answer
//! restarts by          begun    done       p50       max         p50       max
//! fork                    10      10   2.17 ms   5.13 ms     2.33 ms   5.29 ms
//! fork-exec               10      10   2.77 ms   7.72 ms     3.06 ms   7.87 ms
//!
//!                                                   in all                         during restarts
//! requests on          count       p50       p99       max     count       p50       p99       max
//! new connections      31641   0.15 ms   1.30 ms   7.13 ms       132   1.29 ms   6.13 ms   7.13 ms
//! held connections     31660   0.51 ms   2.23 ms  10.53 ms       138   2.24 ms   3.05 ms   3.07 ms
//!
//! generation      pid  engine     requests  held  how it ended
//!          0    26076  none           4524   200  drained, exit status 0
//!          1    26087  fork           3030    67  drained, exit status 0
//!          2    26088  fork-exec      3019    67  drained, exit status 0
//!        ... one line for each process ...
//!         20    26135  fork-exec      2011    67  drained, exit status 0
//!
//! failures: 0 refused, 0 reset, 0 short, 0 wrong, 0 timed out, 0 not tried
//!           0 restarts not done, 0 processes ended badly, 0 processes left over, 0 complaints of the server
//! ```
//!
//! Two roles share this program. The `server` role is single-threaded heirloom, as any server on it
//! is. The driver is an ordinary program with a few threads: `churn` and `held` are the clients, `processes`
//! starts the server and follows its log and its ends, and the main thread, in `driver`, restarts. What
//! they find goes into one table, `generations` and `score` behind the lock of `shared`; `view` and
//! `report` show it. The rest is pure: `proof` is the protocol, `journal` reads the log.
//!
//! With `--move` a held connection may be answered by another process after each restart, only ever by a
//! newer one, and by none that has retired; in between, nobody serves it, and the server's log says how long
//! that was.
//!
//! A restart is over when the log says so and a client has had an answer from the new process. What
//! clients do until then counts as "during restarts".

mod churn;
mod client;
mod dialer;
mod driver;
mod generations;
mod held;
mod journal;
mod json;
#[path = "../common/ledger.rs"]
#[allow(dead_code)] // the benchmarks use more of it
mod ledger;
#[path = "../common/load.rs"]
#[allow(dead_code)] // the demo does not know a whole answer before
mod load;
mod options;
mod processes;
mod proof;
mod report;
mod score;
#[cfg_attr(not(feature = "tls"), path = "no_secure.rs")]
mod secure;
mod server;
mod shared;
mod state;
mod table;
#[cfg_attr(feature = "tls", path = "../common/tls.rs")]
#[cfg_attr(not(feature = "tls"), path = "../common/no_tls.rs")]
mod tls;
#[path = "../common/tls_options.rs"]
mod tls_options;
mod view;

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use crate::{
    options::{Options, Role, StateOptions},
    report::Report,
    shared::Shared,
    tls_options::TlsOptions,
    view::View,
};

/// The status for a command line that is wrong.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    match options::parse(std::env::args_os().skip(1)) {
        Ok(Role::Driver(options)) => drive(&options),
        Ok(Role::Server(address, options)) => server::serve(&address, &options),
        Ok(Role::StateDriver(options)) => drive_state(&options),
        Ok(Role::StateServer(control)) => server::begin(|| state::server::run(&control)),
        Ok(Role::Help) => {
            print(options::HELP);
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("demo: {e}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

fn drive(options: &Options) -> ExitCode {
    let shared = Arc::new(Shared::new(options.patience));
    let outcome = driver::run(options, &shared, View::new(options.json));
    let state = shared.lock();
    let report = Report::new(options, &state, &outcome);
    if options.json {
        print(&(json::lay_out(&report) + "\n"));
    } else {
        print(&table::lay_out(&report));
    }
    if report.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn drive_state(options: &StateOptions) -> ExitCode {
    match state::run(options, &mut |line| print(&format!("{line}\n"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(troubles) => {
            troubles.iter().for_each(|why| print(&format!("FAILED: {why}\n")));
            ExitCode::FAILURE
        }
    }
}

/// To standard output. Whoever has closed it does not want to read it; the exit status remains.
fn print(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
