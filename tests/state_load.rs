//! Not a key is lost, repeated or old, and no byte of an answer is wrong, however often a service with clients that
//! write all the time is upgraded, and rolled back.
//!
//! Each client has keys that it alone writes, so it knows every answer before it comes. At any time it has
//! commands under way, and half of one.

#[path = "../examples/common/ledger.rs"]
#[allow(dead_code)] // the benchmarks use more of it
mod ledger;

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use crate::common::{
    self, DEADLINE, Server,
    load::{Client, raise_file_limit},
    ops::Control,
    wait_for, wait_gone,
};
use ledger::{Exchange, Ledger, mix};

const CLIENTS: usize = 1000;
const THREADS: usize = 4;

/// Of each client.
const TEXTS: usize = 99;
const COUNTERS: usize = 1;

/// Writes that a client has under way.
const DEPTH: u64 = 3;

/// Upgrades that stay, and as many that are rolled back.
const ROUNDS: usize = 20;

/// Long enough to be rolled back in; some of that are late on a busy machine, and are tried again.
const PROBATION: &str = "0.3";

/// Upgrades that are begun at most.
const TRIES: usize = 3 * ROUNDS;

/// What a generation says when it serves.
const READY: &str = "ready: generation";

/// A client, and what has to come of the commands that it has under way.
struct Writer {
    client: Client,
    ledger: Ledger,
    under_way: Exchange,
    /// How much of the request was sent: the rest begins within a command.
    sent: usize,
    turn: u64,
}

impl Writer {
    /// Connects, and writes each key once.
    fn start(address: SocketAddr, number: usize) -> Writer {
        let mut client = Client::connect(address, deadline()).expect("the server accepts");
        let mut ledger = Ledger::new((number * (TEXTS + COUNTERS)) as u64, TEXTS, COUNTERS);
        let all = ledger.write_all(0..ledger.len());
        client.ask(&all.request, deadline()).expect("the server takes it");
        client.expect(&all.answer, deadline()).expect("every key is new");
        let turn = mix(number as u64);
        Writer { client, ledger, under_way: Exchange::default(), sent: 0, turn }
    }

    /// Ends what is under way, compares it, and begins again. Answers how many writes were confirmed.
    fn step(&mut self) -> u64 {
        let writes = self.finish();
        for _ in 0..DEPTH {
            self.turn = self.turn.wrapping_add(1);
            let at = mix(self.turn) as usize % self.ledger.len();
            self.ledger.write(at, &mut self.under_way);
        }
        let length = self.under_way.request.len();
        self.sent = length - 1 - mix(self.turn) as usize % 15;
        let part = &self.under_way.request[..self.sent];
        self.client.ask(part, deadline()).expect("the server takes it");
        writes
    }

    /// Sends the rest of what is under way, and compares the answers.
    fn finish(&mut self) -> u64 {
        if self.under_way.request.is_empty() {
            return 0;
        }
        let Exchange { request, answer } = std::mem::take(&mut self.under_way);
        let compared = self
            .client
            .ask(&request[self.sent..], deadline())
            .and_then(|()| self.client.expect(&answer, deadline()));
        if let Err(failure) = compared {
            let text = String::from_utf8_lossy(&answer).into_owned();
            panic!("{}; to {:?} belongs {text:?}", failure.why, String::from_utf8_lossy(&request));
        }
        DEPTH
    }

    /// Every key, read again: on its own connection, and on one that comes now.
    fn check(mut self, address: SocketAddr) -> Ledger {
        self.finish();
        let all = self.ledger.read_all(0..self.ledger.len());
        let newcomer = Client::connect(address, deadline()).expect("the server accepts");
        for mut client in [self.client, newcomer] {
            client.ask(&all.request, deadline()).expect("the server takes it");
            client.expect(&all.answer, deadline()).expect("every key as it was written last");
            client.finish(deadline()).expect("the server's goodbye, and no byte before it");
        }
        self.ledger
    }
}

fn deadline() -> Instant {
    Instant::now() + DEADLINE
}

/// Clients that write all the time.
struct Load {
    threads: Vec<JoinHandle<(u64, u64)>>,
    stop: Arc<AtomicBool>,
    writes: Arc<AtomicU64>,
}

impl Load {
    fn start(server: &Server) -> Load {
        raise_file_limit().expect("room for the clients");
        let address = server.address.parse().expect("an address of digits");
        let (stop, writes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut threads = Vec::new();
        for thread in 0..THREADS {
            let (stop, writes) = (Arc::clone(&stop), Arc::clone(&writes));
            threads.push(thread::spawn(move || {
                let mine = (thread..CLIENTS).step_by(THREADS);
                let mut mine: Vec<_> = mine.map(|one| Writer::start(address, one)).collect();
                while !stop.load(Ordering::Relaxed) {
                    for writer in &mut mine {
                        writes.fetch_add(writer.step(), Ordering::Relaxed);
                    }
                }
                let ledgers: Vec<_> = mine.into_iter().map(|one| one.check(address)).collect();
                let keys = ledgers.iter().map(|ledger| ledger.len() as u64).sum();
                (keys, ledgers.iter().map(Ledger::writes).sum())
            }));
        }
        Load { threads, stop, writes }
    }

    /// Waits until each client, on average, had a few more answers.
    fn goes_on(&self) {
        let until = self.writes.load(Ordering::Relaxed) + CLIENTS as u64 * DEPTH;
        wait_for("the load to go on", || {
            let failed = self.threads.iter().any(JoinHandle::is_finished);
            assert!(!failed, "a client has failed");
            self.writes.load(Ordering::Relaxed) >= until
        });
    }

    /// How many keys were compared at the end, and how many writes they have had.
    fn stop(self) -> (u64, u64) {
        self.stop.store(true, Ordering::Relaxed);
        let counts = self.threads.into_iter().map(|one| one.join().expect("no client has failed"));
        counts.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1))
    }
}

/// The operator, on a connection for each request.
fn ask(control: &Path, line: &str) -> String {
    let control = Control::connect(control);
    control.expect("the control socket is there").ask(line).remove(0)
}

/// Begins an upgrade, lets clients write to the new side in its probation, and tells it to hand back: then it
/// leaves at once, since it has no client left. Whether that came in time: if not, the upgrade stays.
fn upgrade_and_roll_back(server: &Server, control: &Path, load: &Load) -> bool {
    let (old, served) = (server.pid(), server.count_lines(READY));
    thread::scope(|scope| {
        let verdict = scope.spawn(|| ask(control, "restart fork-exec"));
        wait_for("a new side", || verdict.is_finished() || server.count_lines(READY) > served);
        if !verdict.is_finished() {
            load.goes_on();
        }
        let answer = ask(control, "rollback");
        let verdict = verdict.join().expect("a verdict");
        if verdict.starts_with("ok: ") {
            return false;
        }
        assert!(answer.starts_with("ok: "), "{answer}; {verdict}");
        assert!(verdict.contains("rolled back"), "{verdict}");
        assert_eq!(server.pid(), old, "another one serves");
        let new = server.wait_lines(READY, served + 1).pop().expect("a line");
        let pid = new.split("pid ").nth(1).and_then(|rest| rest.split(',').next());
        wait_gone(pid.and_then(|pid| pid.parse().ok()).expect("a pid in the line"));
        true
    })
}

#[test]
fn a_thousand_writers_lose_no_key_in_upgrades_and_roll_backs() {
    let dir = common::Dir::new();
    let control = dir.path("control");
    let server = Server::of("kv")
        .arg("--move")
        .arg("--control")
        .arg(control.display().to_string())
        .arg("--probation")
        .arg(PROBATION)
        .start();
    let load = Load::start(&server);
    load.goes_on();
    let (mut upgraded, mut rolled_back, mut tries) = (0, 0, 0);
    while upgraded.min(rolled_back) < ROUNDS {
        tries += 1;
        assert!(tries <= TRIES, "{upgraded} upgrades, {rolled_back} roll backs");
        if rolled_back < upgraded {
            let in_time = upgrade_and_roll_back(&server, &control, &load);
            *(if in_time { &mut rolled_back } else { &mut upgraded }) += 1;
        } else {
            let verdict = ask(&control, "restart fork-exec");
            assert!(verdict.starts_with("ok: "), "{verdict}");
            upgraded += 1;
        }
        load.goes_on();
    }
    let (keys, writes) = load.stop();
    assert_eq!(keys, (CLIENTS * (TEXTS + COUNTERS)) as u64);
    assert!(writes > 2 * keys, "every key was to change: {writes} writes of {keys} keys");
    let errors = server.log().lines().filter(|line| line.contains("ERROR")).count();
    assert_eq!(
        errors, rolled_back,
        "only the roll backs are told as restarts that came to nothing"
    );
}
