//! Load clients that come, ask and go, all the time, and what went wrong with them.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    DEADLINE,
    load::{Client, Failure, Kind, Tally},
    wait_for,
};

/// Longer than any healthy answer of an echo server takes, also on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// A crowd, not a flood: after each conversation, a client pauses.
#[derive(Clone, Copy)]
pub struct Crowd {
    /// How many there are at a time, and so the most that one killed process can have had.
    clients: u64,
    pause: Duration,
    /// One whole conversation, which has a number.
    converse: fn(SocketAddr, usize) -> Result<(), Failure>,
}

/// Clients of an echo server.
pub const ECHO: Crowd =
    Crowd { clients: 3, pause: Duration::from_millis(1), converse: converse_with_echo };

/// Clients of a lab.
pub const LAB: Crowd = Crowd {
    clients: 2,
    pause: Duration::from_millis(5),
    converse: |address, _| converse_with_lab(address),
};

/// What the clients have in common.
struct Shared {
    begun: Instant,
    done: AtomicBool,
    conversations: AtomicUsize,
    failed: Mutex<Tally>,
}

/// A crowd at work.
pub struct Churn {
    shared: Arc<Shared>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Churn {
    pub fn start(address: &str, crowd: Crowd) -> Churn {
        let address: SocketAddr = address.parse().expect("an address of digits");
        let shared = Arc::new(Shared {
            begun: Instant::now(),
            done: AtomicBool::new(false),
            conversations: AtomicUsize::new(0),
            failed: Mutex::default(),
        });
        let client = |_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.come_and_go(address, crowd))
        };
        let clients = (0..crowd.clients).map(client).collect();
        Churn { shared, clients }
    }

    /// Waits until some more conversations have come to their end.
    pub fn wait_for_more(&self) {
        let count = || self.shared.conversations.load(Ordering::Relaxed);
        let before = count();
        wait_for("more conversations", || count() >= before + 10);
    }

    pub fn stop(self) -> Tally {
        self.shared.done.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client does not panic");
        }
        std::mem::take(&mut self.shared.failed.lock().expect("no client has panicked"))
    }
}

impl Shared {
    fn come_and_go(&self, address: SocketAddr, crowd: Crowd) {
        while !self.done.load(Ordering::Relaxed) {
            let number = self.conversations.fetch_add(1, Ordering::Relaxed);
            if let Err(failure) = (crowd.converse)(address, number) {
                let mut failed = self.failed.lock().expect("no client has panicked");
                failed.fail(&failure, self.begun.elapsed());
            }
            thread::sleep(crowd.pause);
        }
    }
}

/// The text comes back, all of it and nothing else, and then the FIN.
fn converse_with_echo(address: SocketAddr, number: usize) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    let text = format!("request {number}");
    let mut client = Client::connect(address, until)?;
    client.ask(text.as_bytes(), until)?;
    client.shut()?;
    client.expect(text.as_bytes(), until)?;
    client.end(until)
}

pub fn converse_with_lab(address: SocketAddr) -> Result<(), Failure> {
    let until = Instant::now() + DEADLINE;
    let mut client = Client::connect(address, until)?;
    client.ask(b"echo all is well\n", until)?;
    client.expect(b"all is well\n", until).map_err(|failure| match failure.kind {
        // It is written in one go: also one that is killed leaves no half of it behind.
        Kind::Short if client.received() > 0 => Failure::wrong(failure.why),
        _ => failure,
    })
}

/// Nobody of a lab's crowd is refused, or told a lie; who was being served by one that was killed is cut off.
#[track_caller]
pub fn assert_only_cut(failed: &Tally) {
    let cut = failed.count(Kind::Reset) + failed.count(Kind::Short);
    assert!(failed.total() == cut && cut <= LAB.clients, "{failed:?}");
}
