//! Clients of a lab that come, ask and go, all the time, and what went wrong with them.

use std::{
    io::{BufRead, BufReader, ErrorKind, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::DEADLINE;

/// How many there are at a time, and so the most that one killed process can have had.
pub const CLIENTS: usize = 2;

/// Clients that connect, ask and go, all the time.
pub struct Churn {
    done: Arc<AtomicBool>,
    clients: Vec<thread::JoinHandle<Vec<String>>>,
}

impl Churn {
    pub fn start(address: &str) -> Churn {
        let address: SocketAddr = address.parse().expect("an address of digits");
        let done = Arc::new(AtomicBool::new(false));
        let client = |_| {
            let done = Arc::clone(&done);
            thread::spawn(move || {
                let mut failed = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    failed.extend(converse(address).err());
                    thread::sleep(Duration::from_millis(5)); // a crowd, not a flood
                }
                failed
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Churn { done, clients }
    }

    /// What has failed, in words; "cut" for those whose server ended.
    pub fn stop(self) -> Vec<String> {
        self.done.store(true, Ordering::Relaxed);
        let failed = self.clients.into_iter().map(|client| client.join().expect("no panic"));
        failed.flatten().collect()
    }
}

/// One whole conversation.
pub fn converse(address: SocketAddr) -> Result<(), String> {
    let told = |e: std::io::Error| match e.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "cut".to_owned(),
        kind => format!("{kind}: {e}"),
    };
    let stream = TcpStream::connect_timeout(&address, DEADLINE).map_err(told)?;
    stream.set_read_timeout(Some(DEADLINE)).map_err(told)?;
    (&stream).write_all(b"echo all is well\n").map_err(told)?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line).map_err(told)?;
    match line.as_str() {
        "all is well\n" => Ok(()),
        "" => Err("cut".into()),
        other => Err(format!("wrong: {other:?}")),
    }
}
