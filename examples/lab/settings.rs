//! What the environment says: limits, ways to restart and to drain, and what is to go wrong. Knows no
//! request.
//!
//! `LAB_*` variables, in milliseconds (or `never`), bytes and counts: IDLE READ_IDLE WRITE_IDLE FIRST WRITE CLOSE HANDSHAKE READY
//! PROBATION COPY MAX_DOWNTIME CONNECTIONS MAX_MOVED MESSAGE OUTPUT, DRAIN DRAIN_SPREAD STOP STOP_SPREAD GENERATIONS DISMISS, DIAL
//! PER_DESTINATION; `LAB_PREPARE="FROM WITHIN PAUSE"` (bytes,
//! and milliseconds); and `LAB_OR_FORK_EXEC=1`, `LAB_MOVE=1` (as `--move`), `LAB_IF_SHARED=refuse` (or `fork-exec`), `LAB_CHECKED=1`, `LAB_MAILBOX=1` (2: with
//! a message in it from the beginning).
//!
//! - `LAB_BROKEN=FILE`: while the file exists, a new program does what it says: `exit`, `hang`, `panic`,
//!   `stop` (it stops itself until it gets SIGCONT), `check` (its configuration is bad), `fds` (it has
//!   room for few descriptors), `daemon` and `daemon hang` (it goes into the background before it serves, and never comes to it); and a new generation by either engine: `abort` (soon after it began
//!   to serve), `roll back`, `die in alarm`; and whoever comes to it: `panic in CALLBACK`,
//!   `refuse in CALLBACK` (around a fork).
//! - `LAB_SLOW=FILE`: callbacks that take long, one a line, with the time: `start 2500`. There are `open`, `word`,
//!   `start`, `retire`, `save`, `load`, `save_changes`, `load_changes`, `export` and `import`; `save_page` and
//!   `load_page` are for each page of the book. `paused 1500`: who is opened is heard no earlier.
//! - `LAB_TRACK=1`: it says what changes, of the keys and in the book.
//! - `LAB_ASKS=1`: who is silent is told so, and stays (see `idle`); `LAB_LISTENER_IDLE`: whom the second listener brings
//!   may be silent for so long.
//! - `LAB_EARLY_THREAD=1`: a thread is older than the server.
//! - `LAB_PANICS=1`: a panic ends the process.
//! - `LAB_ALSO=FILE`: it also listens on each line of it, or reads `datagrams ADDRESS`.
//! - `LAB_LISTEN_ON=FILE`: it also listens on each line of it, with options (see `sockets`).
//! - `LAB_TLS=FILE`: certificates, and whom it trusts (see `tls`).
//! - `LAB_JOURNAL=FILE`: all generations write down there which alarms, pieces, messages and words came.
//! - `LAB_TELLS=1`: it tells all others as it begins (see `words`).
//! - `LAB_CALLBACKS=FILE`: all generations write down there which callbacks of a restart came.
//! - `LAB_UPSTREAM=ADDRESS`: where `up` connects to; `LAB_NAMED=1`: it says which descriptors it has.
//! - `LAB_RESEED=1`: a forked child seeds its random numbers anew.
//! - `LAB_FAREWELL=1`: at a drain it says so to each client, and closes; `LAB_LEAVING=1`: it says why, and how many
//!   milliseconds are left.
//! - `LAB_WITNESS=FILE`: all processes write down there what is dropped, and when they end (see `witness`).
//! - `LAB_WIRE=ADDRESS`: the service has a client of this server, as one of a database would be.
//! - `LAB_FORGET=1`: what a fork leaves of other processes' sessions is forgotten, and not dropped.
//! - `LAB_EXIT`: the exit status of a lab that has drained.
//! - What comes from outside and is no client: see `outside`.
//! - `LAB_FORMAT=FILE`: the version of the format in which a program writes and reads (see `session`).

use std::{env, fs, path::Path, process, str::FromStr, sync::mpsc, thread, time::Duration};

use heirloom::{Drain, IfShared, Prepare, Restart, Server};
use nix::{
    sys::{
        resource::{Resource, setrlimit},
        signal::{Signal, raise},
    },
    unistd::daemon,
};

use crate::{Lab, idle, names, outside, sockets, tls};

/// A number from the environment.
pub fn setting<N: FromStr>(name: &str) -> Option<N> {
    env::var(format!("LAB_{name}")).ok()?.parse().ok()
}

pub fn millis(name: &str) -> Option<Duration> {
    setting(name).map(Duration::from_millis)
}

pub fn moves() -> bool {
    setting::<u8>("MOVE").is_some() || env::args().any(|arg| arg == "--move")
}

pub fn adjust(mut how: Restart) -> Restart {
    if setting::<u8>("OR_FORK_EXEC").is_some() {
        how = how.or_fork_exec();
    }
    match setting::<String>("IF_SHARED").as_deref() {
        Some("refuse") => how = how.if_shared(IfShared::Refuse),
        Some("fork-exec") => how = how.if_shared(IfShared::ForkExec),
        _ => {}
    }
    if let Some(limit) = millis("READY") {
        how = how.ready_within(limit);
    }
    if let Some(limit) = millis("COPY") {
        how = how.copy_within(limit);
    }
    if let Some(limit) = millis("MAX_DOWNTIME") {
        how = how.max_downtime(limit);
    }
    if let Some(bytes) = setting("MAX_MOVED") {
        how = how.max_moved(bytes);
    }
    if moves() {
        how = how.move_connections();
    }
    if setting::<u8>("CHECKED").is_some() {
        how = how.checked("--check");
    }
    if let Some(words) = setting::<String>("PREPARE") {
        let mut numbers = words.split(' ').map(|word| word.parse().expect("a number"));
        let mut next = || numbers.next().expect("three numbers");
        let prepare = Prepare::from_heap(next() as usize).within(Duration::from_millis(next()));
        how = how.prepare(prepare.pause(Duration::from_millis(next())));
    }
    how.probation(millis("PROBATION").unwrap_or(Duration::from_millis(50)))
}

pub fn tune(mut server: Server<Lab>) -> Server<Lab> {
    server = server
        .timeouts(idle::timeouts())
        .restart_on(libc::SIGHUP, adjust(Restart::fork()))
        .restart_on(libc::SIGUSR2, adjust(Restart::fork_exec()));
    if let Some(count) = setting("CONNECTIONS") {
        server = server.max_connections(count);
    }
    if let Some(bytes) = setting("MESSAGE") {
        server = server.max_message(bytes);
    }
    if let Some(bytes) = setting("OUTPUT") {
        server = server.max_output(bytes);
    }
    if let Some(how) = drain("DRAIN") {
        server = server.drain_on_restart(how);
    }
    if let Some(how) = drain("STOP").or_else(|| drain("DRAIN")) {
        server = server.drain_on_stop(how);
    }
    if let Some(count) = setting("PER_DESTINATION") {
        server = server.max_per_destination(count);
    }
    if let Some(limit) = millis("DIAL") {
        server = server.dial_timeout(limit);
    }
    if let Some(count) = setting("GENERATIONS") {
        server = server.max_generations(count);
    }
    if let Some(limit) = millis("DISMISS") {
        server = server.dismiss_oldest(limit);
    }
    if setting::<u8>("PANICS").is_some() {
        server = server.propagate_panics();
    }
    let server = names::tune(listen_also(outside::claim(server)));
    let server = tls::tune(idle::tune_listener(sockets::listen_on(server)));
    if let Some(how) = told().filter(|how| how.starts_with("daemon")) {
        daemon(true, true).expect("a fork"); // the process that was started ends here
        if how.ends_with("hang") {
            thread::sleep(Duration::from_secs(3600));
        }
    }
    server
}

/// A deadline, and the window of `NAME_SPREAD`.
fn drain(name: &str) -> Option<Drain> {
    let spread = millis(&format!("{name}_SPREAD")).unwrap_or_default();
    millis(name).map(|limit| Drain::deadline(limit).spread(spread))
}

/// Listens on what `LAB_ALSO` names by now; it ends the program if it cannot.
fn listen_also(mut server: Server<Lab>) -> Server<Lab> {
    let list = env::var("LAB_ALSO").ok().and_then(|path| fs::read_to_string(path).ok());
    for address in list.unwrap_or_default().lines() {
        let also = match address.strip_prefix("datagrams ") {
            Some(address) => server.datagrams(address),
            None => server.listen(address),
        };
        server = also.unwrap_or_else(|e| {
            eprintln!("lab: {e}");
            process::exit(2)
        });
    }
    server
}

/// What a new generation is to do wrong, while the file is there.
pub fn told() -> Option<String> {
    let path = env::var("LAB_BROKEN").ok()?;
    fs::read_to_string(Path::new(&path)).ok().map(|text| text.trim().to_owned())
}

/// Takes as long for a callback as the file that `LAB_SLOW` names says by now, and does nothing meanwhile.
pub fn linger(callback: &str) {
    told_time(callback).iter().for_each(|&time| thread::sleep(time));
}

/// How long that is.
pub fn told_time(callback: &str) -> Option<Duration> {
    let text = env::var("LAB_SLOW").ok().and_then(|path| fs::read_to_string(path).ok())?;
    let times = text.lines().filter_map(|line| line.split_once(' '));
    let mut times = times.filter(|(name, _)| *name == callback);
    times.next().map(|(_, millis)| Duration::from_millis(millis.parse().expect("milliseconds")))
}

/// At the beginning of a callback: whether it is the one that is to panic.
pub fn panic_if_told(callback: &str) {
    if told().as_deref().and_then(|told| told.strip_prefix("panic in ")) == Some(callback) {
        panic!("lab: as told");
    }
}

/// What a new program does instead of serving.
pub fn break_if_told() {
    let is_check = env::args().any(|arg| arg == "--check");
    let is_heir = env::var_os("HEIRLOOM_LINK").is_some();
    if setting::<u8>("EARLY_THREAD").is_some() {
        let (runs, has_begun) = mpsc::channel(); // until it runs it has all signals blocked
        thread::spawn(move || {
            let _ = runs.send(());
            thread::sleep(Duration::from_secs(3600));
        });
        let _ = has_begun.recv();
    }
    match told().as_deref() {
        Some("check") if is_check => {
            eprintln!("lab: line 7 of the configuration is wrong");
            process::exit(4);
        }
        Some("exit") if is_heir => {
            eprintln!("lab: the configuration is broken");
            process::exit(3);
        }
        Some("hang") if is_heir => thread::sleep(Duration::from_secs(3600)),
        Some("panic") if is_heir => panic!("lab: as told"),
        Some("stop") if is_heir => raise(Signal::SIGSTOP).expect("a stop"),
        Some("fds") if is_heir => {
            setrlimit(Resource::RLIMIT_NOFILE, 100, 100).expect("a lower limit");
        }
        _ => {}
    }
}
