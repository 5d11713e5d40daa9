//! Two restarts under load as a picture that moves: who answers when, and how fast.
//!
//! New clients come at a steady rate, one request each; a crowd of long-lived ones asks now and then, stays
//! with the process that it has, and leaves little by little. Everything drawn was measured.

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::{
        chart,
        process::{Cores, Running, example, free_address},
    },
    ours::{Client, await_end, stop},
    picture_svg,
    trace::{Answer, CROWD, LIFE, RATE, ROUND, TRIGGERS, Trace},
};

/// When the long-lived clients begin to leave.
const LEAVING: Duration = Duration::from_millis(1600);

/// Runs it and writes `target/charts/restart.svg`.
pub fn draw(cores: Option<Cores>) -> io::Result<()> {
    let control = std::env::temp_dir().join(format!("picture-{}.sock", std::process::id()));
    let address = free_address()?;
    let mut command = example("lab");
    command.args(["--listen", &address, "--control"]).arg(&control);
    command.env("RUST_LOG", "error").env("LAB_PROBATION", "200");
    let server = Running::start(command, &address, cores)?;
    let begun = Instant::now();
    let crowd = thread::spawn({
        let address = address.clone();
        move || keep_asking(&address, begun)
    });
    let operator = thread::spawn({
        let control = control.clone();
        move || operate(&control, begun)
    });
    let mut trace = come_and_go(&address, begun);
    let panicked = |_| io::Error::other("a thread has panicked");
    let held = crowd.join().map_err(panicked)??;
    operator.join().map_err(panicked)??;
    await_end(stop(&address)?)?;
    drop(server);
    trace.answers.extend(held.answers);
    trace.failed += held.failed;
    println!(
        "{} answers, {} failed. Chart: {}",
        trace.answers.len(),
        trace.failed,
        chart::save("restart", &picture_svg::draw(&trace))?.display()
    );
    fs::remove_file(control).or(Ok(()))
}

/// Asks a client that was to ask at `due`.
fn ask(
    begun: Instant,
    due: Instant,
    client: io::Result<&mut Client>,
    is_new: bool,
) -> Option<Answer> {
    let (generation, _) = client.and_then(Client::who).ok()?;
    Some(Answer { at: due - begun, generation, took: due.elapsed(), is_new })
}

/// The clients that come at their time whatever the server does.
fn come_and_go(address: &str, begun: Instant) -> Trace {
    let mut trace = Trace::default();
    let mut due = begun;
    while due < begun + LIFE {
        wait_until(due);
        let mut client = Client::connect(address);
        trace.add(ask(begun, due, client.as_mut().map_err(|e| e.kind().into()), true));
        due += Duration::from_secs(1) / RATE;
    }
    trace
}

/// The clients that stay, until they leave one after the other. Each that has left comes anew.
fn keep_asking(address: &str, begun: Instant) -> io::Result<Trace> {
    let mut trace = Trace::default();
    let connect = |_| Client::connect(address);
    let mut crowd = (0..CROWD).map(connect).collect::<io::Result<Vec<_>>>()?;
    let mut due = begun;
    for turn in 0.. {
        if due >= begun + LIFE {
            break;
        }
        wait_until(due);
        let seat = turn % CROWD;
        trace.add(ask(begun, due, Ok(&mut crowd[seat]), false));
        if due > begun + LEAVING && turn % 21 == 0 {
            crowd[seat] = Client::connect(address)?;
        }
        due += ROUND / CROWD as u32;
    }
    Ok(trace)
}

fn operate(control: &Path, begun: Instant) -> io::Result<()> {
    for (at, engine) in TRIGGERS {
        wait_until(begun + at);
        let mut operator = BufReader::new(UnixStream::connect(control)?);
        operator.get_mut().write_all(format!("restart {engine}\n").as_bytes())?;
        let mut verdict = String::new();
        operator.read_line(&mut verdict)?;
        if verdict.starts_with("error") {
            return Err(io::Error::other(verdict));
        }
    }
    Ok(())
}

fn wait_until(at: Instant) {
    thread::sleep(at.saturating_duration_since(Instant::now()));
}
