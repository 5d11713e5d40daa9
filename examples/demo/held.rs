//! Long-lived connections that keep asking through the restarts. Each stays with the process that
//! accepted it, or moves to each new one if that is what the server does; it outlives a few restarts, says
//! goodbye and comes again, so that the old processes are seen to drain and to leave.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    client,
    dialer::Dialer,
    load::{self, Client, Failure},
    shared::Shared,
};

/// Restarts that a connection outlives. The same for all, so that processes end in the order in
/// which they came, and so the most processes at a time, but for the one that serves.
const LIFE: u64 = 3;

/// Each connection asks once in this time, or less often if the machine is too slow.
const ROUND: Duration = Duration::from_millis(100);

/// The connections ask in at most so many groups, one after the other, so that they do not all ask at
/// once; within a group all requests are under way at the same time.
const GROUPS: usize = 10;

/// A held connection, or the place of one that has to be made.
struct Place {
    session: Option<Session>,
    /// Restarts that the next one is to outlive: the first ones leave at different times.
    life: u64,
}

struct Session {
    client: Client,
    /// The process that it belongs to, once an answer has told.
    home: Option<Home>,
    /// The least generation that may accept it.
    floor: u64,
    /// Hands were shaken during a restart: it may have stayed with the process that did so.
    may_stay: bool,
    /// What was asked last.
    asked: u64,
}

#[derive(Clone, Copy)]
struct Home {
    pid: i32,
    generation: u64,
    /// The generation that accepted it.
    first: u64,
}

/// Holds `count` connections, at least one, until the run is stopped.
pub fn start(shared: &Arc<Shared>, dialer: &Dialer, count: usize, moves: bool) -> JoinHandle<()> {
    let _ = load::raise_file_limit(); // if it stays too low, the clients that go without are counted
    let (shared, dialer) = (Arc::clone(shared), dialer.clone());
    thread::spawn(move || hold(&shared, &dialer, count, moves))
}

fn hold(shared: &Shared, dialer: &Dialer, count: usize, moves: bool) {
    let mut places: Vec<Place> =
        (0..count as u64).map(|index| Place { session: None, life: 1 + index % LIFE }).collect();
    let group = count.div_ceil(GROUPS);
    let step = ROUND / count.div_ceil(group) as u32;
    let mut nonce = 0;
    let mut due = Instant::now();
    while !shared.stopped() {
        for places in places.chunks_mut(group).take_while(|_| !shared.stopped()) {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            exchange(shared, dialer, places, &mut nonce, due, moves);
            // Late is late: the next group is not hurried.
            due = (due + step).max(Instant::now());
        }
    }
    let until = shared.deadline();
    for session in places.into_iter().filter_map(|place| place.session) {
        if let Err(failure) = session.client.finish(until) {
            shared.fail(failure);
        }
    }
}

/// All of a group ask, then all of them hear.
fn exchange(
    shared: &Shared,
    dialer: &Dialer,
    places: &mut [Place],
    nonce: &mut u64,
    due: Instant,
    moves: bool,
) {
    let until = shared.deadline();
    let window = shared.window();
    let floor = shared.floor();
    for place in &mut *places {
        *nonce += 1;
        let asked = place.ask(shared, dialer, *nonce, floor, until);
        place.settle(shared, asked);
    }
    for place in places {
        let Some(session) = &mut place.session else { continue };
        match session.hear(shared, until, moves.then_some(floor)) {
            Ok(()) => {
                let in_restart = shared.was_restarting(window);
                shared.lock().score.held.record(due.elapsed(), in_restart);
            }
            failed => place.settle(shared, failed),
        }
    }
}

impl Place {
    /// Asks, on a new connection if there is none or the old one has lived long enough.
    fn ask(
        &mut self,
        shared: &Shared,
        dialer: &Dialer,
        nonce: u64,
        floor: u64,
        until: Instant,
    ) -> Result<(), Failure> {
        let is_old = |session: &Session| {
            session.home.as_ref().is_some_and(|home| floor >= home.first + self.life)
        };
        if let Some(old) = self.session.take_if(|session| is_old(session)) {
            self.life = LIFE;
            old.client.finish(until)?;
        }
        if self.session.is_none() {
            let window = shared.window();
            let client = dialer.connect(until)?;
            let may_stay = dialer.secure.is_some() && shared.was_restarting(window);
            self.session = Some(Session { client, home: None, floor, may_stay, asked: nonce });
        }
        if let Some(session) = &mut self.session {
            client::ask(&mut session.client, nonce, until)?;
            session.asked = nonce;
        }
        Ok(())
    }

    /// Counts a failure. What has failed once is not used again.
    fn settle(&mut self, shared: &Shared, result: Result<(), Failure>) {
        if let Err(failure) = result {
            self.session = None;
            shared.fail(failure);
        }
    }
}

impl Session {
    /// Hears the answer: every byte right, and from the process that has always answered here; or, where
    /// connections move, from it or a newer one, and none that had retired when it was asked. What stays while it shakes
    /// hands is not meant.
    fn hear(
        &mut self,
        shared: &Shared,
        until: Instant,
        moved_to: Option<u64>,
    ) -> Result<(), Failure> {
        let answer = client::hear(&mut self.client, self.asked, until)?;
        let (pid, generation) = (answer.pid, answer.generation);
        let is_new = self.home.is_none_or(|home| home.pid != pid);
        shared.answered(&answer, is_new)?;
        let floor = moved_to.unwrap_or(self.floor);
        match self.home {
            Some(home) if is_new && (moved_to.is_none() || generation <= home.generation) => {
                Err(Failure::wrong(format!("pid {pid} answers on a connection of {}", home.pid)))
            }
            Some(_) if moved_to.is_some() && generation < floor && (is_new || !self.may_stay) => {
                Err(Failure::wrong(format!("generation {generation} answers after {floor} did")))
            }
            None if generation < floor => {
                Err(Failure::wrong(format!("generation {generation} accepted after {floor} did")))
            }
            home => {
                let first = home.map_or(generation, |home| home.first);
                self.home = Some(Home { pid, generation, first });
                Ok(())
            }
        }
    }
}
