//! Clients that come, ask an echo server and go, all the time, and what went wrong with them.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::wait_for;

const CLIENTS: usize = 3;

/// Longer than any healthy answer takes, also on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(10);

/// Failures by kind.
pub type Failures = BTreeMap<&'static str, usize>;

pub struct Traffic {
    done: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
    clients: Vec<thread::JoinHandle<Failures>>,
}

impl Traffic {
    pub fn start(address: &str) -> Traffic {
        let address: SocketAddr = address.parse().expect("an address of digits");
        let (done, requests) = (Arc::default(), Arc::default());
        let clients = (0..CLIENTS).map(|_| {
            let (done, requests) = (Arc::clone(&done), Arc::clone(&requests));
            thread::spawn(move || churn(address, &done, &requests))
        });
        let clients = clients.collect();
        Traffic { done, requests, clients }
    }

    /// Waits until some more requests have come to their end.
    pub fn wait_for_more(&self) {
        let before = self.requests.load(Ordering::Relaxed);
        wait_for("more requests", || self.requests.load(Ordering::Relaxed) >= before + 10);
    }

    pub fn stop(self) -> Failures {
        self.done.store(true, Ordering::Relaxed);
        let mut all = Failures::new();
        for client in self.clients {
            for (kind, count) in client.join().expect("a client does not panic") {
                *all.entry(kind).or_default() += count;
            }
        }
        all
    }
}

fn churn(address: SocketAddr, done: &AtomicBool, requests: &AtomicUsize) -> Failures {
    let mut failures = Failures::new();
    while !done.load(Ordering::Relaxed) {
        let number = requests.fetch_add(1, Ordering::Relaxed);
        if let Err(kind) = request(address, &format!("request {number}")) {
            *failures.entry(kind).or_default() += 1;
        }
        thread::sleep(Duration::from_millis(1)); // a crowd, not a flood
    }
    failures
}

/// One whole conversation: the text comes back, all of it and nothing else, and then the FIN.
fn request(address: SocketAddr, text: &str) -> Result<(), &'static str> {
    let kind = |e: std::io::Error| match e.kind() {
        ErrorKind::ConnectionRefused => "refused",
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "reset",
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "timed out",
        _ => "other",
    };
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(kind)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(kind)?;
    stream.write_all(text.as_bytes()).map_err(kind)?;
    stream.shutdown(Shutdown::Write).map_err(kind)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(kind)?;
    match answer == text {
        true => Ok(()),
        false if text.starts_with(&answer) => Err("short"),
        false => Err("wrong"),
    }
}
