//! The demo: one command that restarts a server again and again under load, and shows that no client
//! notices.
//!
//! ```sh
//! cargo run --release --example demo
//! ```

mod churn;
mod client;
mod driver;
mod generations;
mod held;
mod journal;
mod json;
mod options;
mod processes;
mod proof;
mod report;
mod score;
mod server;
mod shared;
mod table;
mod view;

use std::{
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
};

use crate::{
    options::{Options, Role},
    report::Report,
    shared::Shared,
    view::View,
};

/// The status for a command line that is wrong.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    match options::parse(std::env::args_os().skip(1)) {
        Ok(Role::Driver(options)) => drive(&options),
        Ok(Role::Server(address)) => server::serve(&address),
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

/// To standard output. Whoever has closed it does not want to read it; the exit status remains.
fn print(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
