//! One message to many connections, copied to each or shared by all: what it takes of the server's core.
//!
//! ```sh
//! cargo bench --features benches --bench fanout
//! ```
//!
//! The server is this program in a process of its own. A line asks it to send so many bytes to everybody.

#[path = "common/mod.rs"]
mod common;

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    process::Command,
    rc::Rc,
    time::Duration,
};

use common::process::{Cores, Running, allow_descriptors, free_address, pin};
use criterion::{Criterion, Throughput};
use heirloom::{Connection, Origin, Result, Server, Service, Timeouts, codec};

const RECEIVERS: [usize; 5] = [1, 10, 100, 1000, 10_000];

/// A chat line, and a picture.
const SIZES: [usize; 2] = [1024, 32 * 1024];

/// What a guest is told first.
const GREETING: &[u8] = b"!";

/// The word before the address in the command line of the server.
const SERVE: &str = "serve";

struct Herald;

impl Service for Herald {
    type Session = ();

    fn on_open(&mut self, conn: &mut Connection<'_>, _origin: Origin) -> Result {
        conn.send(GREETING);
        Ok(())
    }

    /// `copied 1024` or `shared 1024`.
    fn on_data(&mut self, conn: &mut Connection<'_>, _: &mut (), input: &[u8]) -> Result<usize> {
        let Some((line, taken)) = codec::line(input, 64)? else { return Ok(0) };
        let line = String::from_utf8_lossy(line);
        let (how, size) = line.split_once(' ').ok_or("two words are expected")?;
        let text: Rc<[u8]> = vec![b'x'; size.parse().map_err(|_| "no number")?].into();
        for id in conn.net.ids() {
            match (conn.other(id), how) {
                (Some(mut guest), "shared") => guest.send_shared(Rc::clone(&text)),
                (Some(mut guest), _) => guest.send(&text),
                (None, _) => {}
            }
        }
        Ok(taken)
    }
}

/// Connects, and waits to be greeted: who is still in the accept queue would get no message.
fn guest(address: &str) -> io::Result<TcpStream> {
    let mut guest = TcpStream::connect(address)?;
    guest.read_exact(&mut [0; GREETING.len()])?;
    Ok(guest)
}

/// Has the message sent once, and takes it from everybody. Compares nothing, unlike the load client of
/// `examples/common`: what is measured goes on until the last one has it all.
fn send_once(guests: &mut [TcpStream], how: &str, size: usize, buffer: &mut [u8]) {
    let line = format!("{how} {size}\n");
    guests[0].write_all(line.as_bytes()).expect("it listens");
    for guest in guests {
        guest.read_exact(&mut buffer[..size]).expect("the message");
    }
}

fn fanout(c: &mut Criterion) {
    let cores = Cores::find();
    if let Some(cores) = cores {
        pin(cores.load).expect("a core of our own");
    }
    allow_descriptors().expect("more descriptors");
    let address = free_address().expect("a free port");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args([SERVE, &address]);
    let server = Running::start(command, &address, cores).expect("the server");
    let mut guests = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    for receivers in RECEIVERS {
        let more = (guests.len()..receivers).map(|_| guest(&address));
        guests.extend(more.map(|guest| guest.expect("a connection")));
        let mut group = c.benchmark_group(format!("fanout/{receivers}"));
        group.sample_size(10);
        group.throughput(Throughput::Elements(receivers as u64));
        for (how, size) in ["copied", "shared"].iter().flat_map(|how| SIZES.map(|size| (how, size)))
        {
            group.bench_function(format!("{size} B {how}"), |b| {
                b.iter_custom(|times| {
                    let before = server.cpu_time();
                    for _ in 0..times {
                        send_once(&mut guests, how, size, &mut buffer);
                    }
                    (server.cpu_time() - before).max(Duration::from_nanos(1))
                });
            });
        }
    }
}

fn main() -> Result {
    let words: Vec<_> = std::env::args().collect();
    if let [_, serve, address] = &words[..]
        && serve == SERVE
    {
        let server = Server::new(Herald)?.listen(address)?;
        return server.timeouts(Timeouts::new().first_message(None)).run();
    }
    let mut criterion = Criterion::default().configure_from_args();
    fanout(&mut criterion);
    criterion.final_summary();
    Ok(())
}
