//! A page that shows a restart while it happens, served by the very server that restarts.
//!
//! ```sh
//! cargo run --release --example dashboard        # then open http://127.0.0.1:8090/
//! cargo run --release --example dashboard -- --workers 2
//! cargo run --release --features tls --example dashboard -- --listen-tls 127.0.0.1:8443 --tls-self-signed
//! ```
//!
//! There are two programs in this one. The *server* (`service`) is what one looks at: it serves the page, the
//! page's stream of events, and a small protocol for demo clients. The *observer* (`observer`), which is the
//! process that was started by hand, holds the demo clients, times their requests, asks the server's control
//! socket which generations there are, and gives all that to the server as a picture to pass on.
//!
//! The clients are outside the server since whoever measures must not be part of what is measured: a client
//! in the server would stand still with it, and would not notice. Each dot of the page is one of these
//! connections, drawn where the client was answered last, so that it shows what a client sees and
//! not what the server believes.
//!
//! Whatever is pressed goes to the observer, and by the control socket, as from an operator, to the server: with
//! `--workers` to their supervisor, which restarts one after the other. What a process has to know of it all are told.
//!
//! The page's stream goes along with every restart, also when the demo clients stay (`Service::on_move`).
//!
//! This file knows the command line. Of the server, `route` is what there is over HTTP and `guard` who may ask for
//! it, `state` and `table` are what goes to the next program, `word` says what has become of a restart. Of the observer,
//! `generations` reads a status, `launch` starts and ends the server, `clients` counts answers, `journal` keeps what has happened, `picture` writes it all down.
//! `event` is how that is sent to the page, `place` is how a process is named, and `page/` is the page.

mod clients;
#[path = "../http/date.rs"]
mod date;
mod event;
mod generations;
mod guard;
mod journal;
mod launch;
mod observer;
mod options;
mod picture;
mod place;
#[path = "../http/reply.rs"]
#[allow(dead_code)] // the page needs no other kinds of reply
mod reply;
#[path = "../http/request.rs"]
mod request;
mod route;
mod service;
mod state;
mod table;
#[cfg_attr(feature = "tls", path = "../common/tls.rs")]
#[cfg_attr(not(feature = "tls"), path = "../common/no_tls.rs")]
mod tls;
#[path = "../common/tls_options.rs"]
mod tls_options;
mod word;

use std::{io::Write, process, process::ExitCode};

use heirloom::logging::{Stderr, log_panics};

use self::{options::Role, tls_options::TlsOptions};

fn main() -> ExitCode {
    let result = match options::parse(std::env::args_os().skip(1)) {
        Ok(None) => {
            let _ = writeln!(std::io::stdout(), "{}", options::USAGE); // its reader may have left
            return ExitCode::SUCCESS;
        }
        Ok(Some((options, Role::Server { dir }))) => {
            start_logging("info");
            service::run(&options, &dir).map(|()| ExitCode::SUCCESS)
        }
        Ok(Some((options, Role::Observer))) => {
            start_logging("warn");
            observer::run(&options)
        }
        Err(e) => Err(e.to_string().into()),
    };
    result.unwrap_or_else(|e| {
        eprintln!("dashboard: {e}");
        ExitCode::from(2) // whatever it was asked for, it cannot do it
    })
}

/// Lines that name the process, since all of them share one stderr.
fn start_logging(level: &str) {
    let level = env_logger::Env::default().default_filter_or(level);
    env_logger::Builder::from_env(level)
        .target(env_logger::Target::Pipe(Box::new(Stderr::new()))) // which waits for no reader
        .format(|out, record| {
            writeln!(out, "[{}] {}: {}", process::id(), record.level(), record.args())
        })
        .init();
    log_panics();
}
