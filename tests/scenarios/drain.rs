//! Generations that leave: at their deadline and not before, one client after the other, and at once
//! when nobody is left.

use std::{
    thread,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal::SIGTERM;

use crate::common::{
    Client,
    ops::Operated,
    restart::{Engine, resume, stop},
    wait_for, wait_gone,
};

for_both_engines!(scenario_09_unsent_bytes_to_a_slow_reader);

fn lab(settings: &[(&str, u64)]) -> Operated {
    Operated::with(30, |setup| {
        settings.iter().fold(setup, |setup, (name, value)| setup.env(&format!("LAB_{name}"), value))
    })
}

/// It is ended at the deadline, give or take a twentieth, and not before.
fn scenario_09_unsent_bytes_to_a_slow_reader(engine: Engine) {
    const DEADLINE: Duration = Duration::from_secs(3);
    let lab = lab(&[("DRAIN", DEADLINE.as_millis() as u64)]);
    let old = lab.pid();
    let mut slow = lab.connect();
    slow.who();
    slow.send("burst 12000000\n"); // more than the socket takes, less than the limit on output
    wait_for("the output to pile up", || lab.connect().ask("echo").is_empty());
    lab.restart_by(engine);
    let retired = Instant::now();
    wait_gone(old);
    let took = retired.elapsed();
    assert!(took >= DEADLINE.mul_f64(0.95) && took <= DEADLINE.mul_f64(1.05), "{took:?}");
    // The kernel has taken a part; the rest went with the process.
    assert!(slow.read_to_end().map_or(true, |bytes| bytes.len() < 12_000_000));
}

/// When each of a server's clients, the oldest first, saw its end; counted from now.
fn ends(clients: Vec<Client>) -> Vec<Duration> {
    let begun = Instant::now();
    let waits = clients.into_iter().map(|mut client| {
        thread::spawn(move || {
            let _ = client.read_to_end();
            begun.elapsed()
        })
    });
    let waits: Vec<_> = waits.collect();
    waits.into_iter().map(|wait| wait.join().expect("no panic")).collect()
}

fn clients(lab: &Operated, count: usize) -> Vec<Client> {
    let client = |_| {
        let mut client = lab.connect();
        client.who(); // so that each is older than the next
        client
    };
    (0..count).map(client).collect()
}

#[test]
fn with_a_window_clients_are_ended_one_after_the_other_the_oldest_first() {
    const COUNT: usize = 20;
    let lab = lab(&[("DRAIN", 2000), ("DRAIN_SPREAD", 1000)]);
    let clients = clients(&lab, COUNT);
    lab.restart_by(Engine::Fork);
    let ends = ends(clients);
    let ms: Vec<_> = ends.iter().map(Duration::as_millis).collect();
    assert!(ms[0] >= 900 && ms[COUNT - 1] <= 2200, "not within the window: {ms:?}");
    // Two that come together may be seen in either order.
    let in_order = ms.windows(2).all(|pair| pair[0] <= pair[1] + 20);
    assert!(in_order, "not the oldest first: {ms:?}");
    let gaps: Vec<_> = ms.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    assert!(gaps.iter().all(|gap| *gap < 400), "not spread: {ms:?}");
    let (least, most) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
    assert!(most - least > 10, "no jitter: {ms:?}");
}

#[test]
fn a_restart_and_a_stop_have_times_of_their_own() {
    let mut lab = lab(&[("DRAIN", 600), ("STOP", 1500)]);
    let old = lab.pid();
    let of_old = clients(&lab, 1);
    lab.restart_by(Engine::Fork);
    let retired = Instant::now();
    wait_gone(old);
    let took = retired.elapsed().as_millis();
    assert!((570..1200).contains(&took), "{took} ms after a restart");
    let of_new = clients(&lab, 1);
    let new = lab.pid();
    lab.signal(SIGTERM);
    let told = Instant::now();
    wait_gone(new);
    let took = told.elapsed().as_millis();
    assert!((1425..2200).contains(&took), "{took} ms after a stop");
    drop((of_old, of_new));
    assert!(lab.wait_exit().success());
}

/// Whoever has more time than a stop allows gets that of the stop.
#[test]
fn a_stop_hurries_the_generations_that_drain() {
    let lab = lab(&[("DRAIN", 60_000), ("STOP", 600)]);
    let mut held = clients(&lab, 1);
    for _ in 0..2 {
        lab.restart_by(Engine::Fork);
        held.extend(clients(&lab, 1));
    }
    assert_eq!(lab.generations().len(), 3);
    lab.signal(SIGTERM);
    let told = Instant::now();
    wait_for("all to leave", || lab.generations().is_empty());
    let took = told.elapsed().as_millis();
    assert!((570..2000).contains(&took), "{took} ms");
}

#[test]
fn a_generation_leaves_the_moment_nothing_is_left() {
    let lab = lab(&[("DRAIN", 60_000)]);
    let old = lab.pid();
    let mut held = clients(&lab, 2);
    held[0].ask("hold");
    lab.restart_by(Engine::Fork);
    assert_eq!(held[0].ask("unhold"), "ok");
    drop(held);
    let left = Instant::now();
    wait_gone(old);
    assert!(left.elapsed() < Duration::from_millis(500), "{:?}", left.elapsed());
}

/// What is stopped cannot abort its clients, so that somebody else has to.
#[test]
fn an_oldest_generation_that_is_stopped_is_killed_a_second_after_its_deadline() {
    let lab = lab(&[("GENERATIONS", 2), ("DISMISS", 300)]);
    let old = lab.pid();
    let held = clients(&lab, 1);
    lab.restart_by(Engine::Fork);
    stop(old);
    let begun = Instant::now();
    let restart = lab.heirloom_later(&["restart", "--fork"]);
    wait_gone(old);
    let took = begun.elapsed().as_millis();
    assert!((1300..2500).contains(&took), "{took} ms");
    lab.wait_line("generation 0 does not leave: killed");
    let ran = restart.wait();
    assert_eq!(ran.status, Some(0), "{ran:?}");
    drop(held);
}

/// A generation that was stopped for a while is told everything when it goes on.
#[test]
fn a_generation_that_goes_on_in_time_leaves_by_itself() {
    let lab = lab(&[("GENERATIONS", 2), ("DISMISS", 700)]);
    let old = lab.pid();
    let held = clients(&lab, 1);
    lab.restart_by(Engine::Fork);
    stop(old);
    let restart = lab.heirloom_later(&["restart", "--fork"]);
    lab.wait_line("waits for generation 0 to leave");
    resume(old);
    assert_eq!(restart.wait().status, Some(0));
    assert_eq!(lab.count_lines("does not leave"), 0);
    drop(held);
}
