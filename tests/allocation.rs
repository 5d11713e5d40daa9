//! Memory: in the steady state a request allocates nothing, and a datagram neither. Counts every allocation of
//! the thread that serves, over real sockets.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io::{Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Barrier,
    thread,
    time::Duration,
};

use heirloom::{
    ConnId, Connection, DatagramPeer, Net, Origin, Result, Server, Service, SocketId, Timeouts,
};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, with a counter for each thread.
struct Counting;

fn count() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: everything is the system allocator's work; the counter is a plain number of this thread,
// which needs no allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as promised by our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as promised by our caller.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as promised by our caller.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Answers `?` with the number of allocations of its thread, `z` by doing nothing for a while, `!` by
/// stopping, all else with itself. Tells the one before that there was a request.
#[derive(Default)]
struct Echo {
    before: Option<ConnId>,
}

/// What each connection remembers.
#[derive(Default)]
struct Session {
    requests: u64,
    of_others: [u64; 16],
}

impl Service for Echo {
    type Session = Session;

    fn on_open(&mut self, _conn: &mut Connection<'_>, _origin: Origin) -> Result<Session> {
        Ok(Session::default())
    }

    fn on_data(
        &mut self,
        conn: &mut Connection<'_>,
        session: &mut Session,
        input: &[u8],
    ) -> Result<usize> {
        session.requests += 1;
        if let Some(before) = self.before.replace(conn.id()) {
            conn.net.with(before, |_, other: &mut Session| other.of_others[0] += 1);
        }
        match input[0] {
            b'?' => write!(conn, "{:08}", ALLOCATIONS.get())?,
            b'z' => thread::sleep(Duration::from_millis(100)),
            b'!' => conn.net.stop(),
            _ => conn.send(input),
        }
        Ok(input.len())
    }

    /// In the same words; `z` waits until what is to follow has been sent, and has no answer.
    fn on_datagram(&mut self, net: &mut Net, socket: SocketId, from: &DatagramPeer, bytes: &[u8]) {
        match bytes[0] {
            b'?' => net.send_to(socket, from, &ALLOCATIONS.get().to_be_bytes()),
            b'z' => {
                GATE.wait();
                GATE.wait();
            }
            b'!' => net.stop(),
            _ => net.send_to(socket, from, bytes),
        }
    }
}

/// Sends `request` on each connection, then reads all answers.
fn round(clients: &mut [TcpStream], request: &[u8], answer: &mut [u8]) {
    for client in clients.iter_mut() {
        client.write_all(request).unwrap();
    }
    for client in clients.iter_mut() {
        client.read_exact(answer).unwrap();
        assert!(answer == request);
    }
}

fn allocations(client: &mut TcpStream) -> u64 {
    client.write_all(b"?").unwrap();
    let mut digits = [0; 8];
    client.read_exact(&mut digits).unwrap();
    std::str::from_utf8(&digits).unwrap().parse().unwrap()
}

#[test]
fn in_the_steady_state_a_request_allocates_nothing() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap(); // free again
    let server = thread::spawn(move || {
        let hour = Duration::from_secs(3600);
        let timeouts = Timeouts::new().read_idle(hour).write_idle(hour).all_idle(hour);
        let server = Server::new(Echo::default()).unwrap().timeouts(timeouts);
        server.listen(&address.to_string()).unwrap().run().unwrap();
    });
    let connect = || loop {
        // The server's thread may not have come to `listen` yet.
        match TcpStream::connect(address) {
            Ok(stream) => {
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                stream.set_nodelay(true).unwrap();
                return stream;
            }
            Err(_) => thread::yield_now(),
        }
    };
    let mut clients: Vec<TcpStream> = (0..20).map(|_| connect()).collect();
    let request = [b'x'; 2000];
    let mut answer = [0; 2000];
    // Buffers and lists find their size: in the largest turn there will be, and in small ones.
    for _ in 0..3 {
        connect().write_all(b"z").unwrap();
        round(&mut clients, &request, &mut answer);
    }
    for _ in 0..50 {
        round(&mut clients, &request, &mut answer);
    }
    allocations(&mut clients[0]);
    let before = allocations(&mut clients[0]);
    for _ in 0..500 {
        round(&mut clients, &request, &mut answer);
    }
    for _ in 0..500 {
        round(&mut clients[..1], &request, &mut answer);
    }
    let made = allocations(&mut clients[0]) - before;
    clients[0].write_all(b"!").unwrap();
    server.join().unwrap();
    assert!(before > 100, "the counter counts: {before}");
    assert_eq!(made, 0, "allocations in 10,500 requests");
}

/// Where the server waits while its client sends.
static GATE: Barrier = Barrier::new(2);

/// `batch` datagrams that the server finds together, and their answers.
fn round_of_datagrams(client: &UdpSocket, batch: usize) {
    client.send(b"z").unwrap();
    GATE.wait();
    (0..batch).for_each(|_| assert_eq!(client.send(&[b'x'; 300]).unwrap(), 300));
    GATE.wait();
    (0..batch).for_each(|_| assert_eq!(client.recv(&mut [0; 400]).unwrap(), 300));
}

fn allocations_told(client: &UdpSocket) -> u64 {
    client.send(b"?").unwrap();
    let mut number = [0; 8];
    client.recv(&mut number).unwrap();
    u64::from_be_bytes(number)
}

/// With each comes the address that was asked, and goes back.
#[test]
fn a_batch_of_datagrams_allocates_as_often_as_one() {
    let address = UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap(); // free again
    let server = thread::spawn(move || {
        Server::new(Echo::default())
            .unwrap()
            .datagrams(&address.to_string())
            .unwrap()
            .run()
            .unwrap();
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.2", address.port())).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    // The server's thread may not have come to `datagrams` yet.
    while client.send(b"x").is_err() || client.recv(&mut [0; 8]).is_err() {}
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut made = [1, 32].map(|batch| {
        (0..3).for_each(|_| round_of_datagrams(&client, batch));
        let before = allocations_told(&client);
        (0..5).for_each(|_| round_of_datagrams(&client, batch));
        allocations_told(&client) - before
    });
    client.send(b"!").unwrap();
    server.join().unwrap();
    made.sort_unstable();
    assert!(made[0] > 0, "the counter counts");
    assert_eq!(made[0], made[1], "allocations in 5 batches, of one and of 32 datagrams");
    assert!(made[0] < 5 * 30, "{} in 5 batches", made[0]);
}
