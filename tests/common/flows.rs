//! What the tests of datagrams share: the example `flows` as a server, and callers who count what comes
//! back. They are no load clients of [`load`](super::load): a datagram has no connection that could be refused
//! or cut off.

use std::{
    collections::HashMap,
    fs,
    net::UdpSocket,
    ops::{Deref, DerefMut},
    time::Duration,
};

use super::{
    DEADLINE, Dir, Server, Setup,
    restart::{Engine, wait_stopped},
};

/// The example with a UDP socket.
pub struct Echo {
    server: Server,
    files: Dir,
    /// Where its UDP socket is.
    pub udp: String,
}

impl Deref for Echo {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Echo {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

impl Echo {
    pub fn start() -> Echo {
        Echo::with(|setup| setup)
    }

    pub fn with(adjust: impl FnOnce(Setup) -> Setup) -> Echo {
        let files = Dir::new();
        let setup = Server::of("flows")
            .env("HEIRLOOM_FAULT", files.path("fault").display())
            .arg("--datagrams")
            .arg("127.0.0.1:0");
        let server = adjust(setup).start();
        let line = server.wait_line("ready: generation 0");
        let udp = line.split("udp:").nth(1).and_then(|rest| rest.split(',').next());
        let udp = udp.expect("an address for datagrams").to_owned();
        Echo { server, files, udp }
    }

    /// Restarts and answers the new pid.
    pub fn restart_by(&self, engine: Engine) -> i32 {
        self.restart(engine.signal())
    }

    /// Begins a restart and holds the new side at `step` (see `restart::fault`). Answers its pid; it is
    /// stopped.
    pub fn hold_new(&self, engine: Engine, step: &str) -> i32 {
        fs::write(self.files.path("fault"), format!("{step} hang")).expect("a file");
        self.signal(engine.signal());
        let line = self.wait_line(&format!("fault on request after {step}"));
        let pid = line.split(['[', ']']).nth(1).and_then(|pid| pid.parse().ok());
        let pid = pid.unwrap_or_else(|| panic!("no pid in {line:?}"));
        wait_stopped(pid);
        pid
    }

    pub fn caller(&self) -> Caller {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.connect(&self.udp).expect("an address");
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        Caller { socket }
    }

    /// Datagrams for which the kernel had no room.
    pub fn lost(&self) -> u64 {
        let row = rows(&self.udp).pop().expect("a row of the socket");
        row.last().expect("the column `drops`").parse().expect("a number")
    }

    /// The UDP sockets at an address, by inode.
    pub fn inodes_at(address: &str) -> Vec<u64> {
        rows(address).iter().map(|row| row[9].parse().expect("an inode")).collect()
    }
}

/// Of `/proc/net/udp`, in columns.
fn rows(address: &str) -> Vec<Vec<String>> {
    let port: u16 = address.rsplit(':').next().unwrap().parse().expect("a port");
    let end = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/net/udp").expect("proc");
    let rows = table.lines().skip(1);
    let rows = rows.map(|row| row.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    rows.filter(|row| row[1].ends_with(&end)).collect()
}

/// A flow as its client knows it.
#[derive(Debug)]
pub struct Flow {
    pub id: String,
    /// Who has it.
    pub pid: i32,
    pub asked: u64,
    pub answered: u64,
}

/// A client with any number of flows.
pub struct Caller {
    socket: UdpSocket,
}

impl Caller {
    pub fn send(&self, text: &str) {
        self.socket.send(text.as_bytes()).expect("loopback takes it");
    }

    /// New flows.
    pub fn begin(&self, count: usize) -> Vec<Flow> {
        (0..count).for_each(|_| self.send("new 1 hello"));
        self.receive(&mut [], count)
    }

    /// One datagram for each flow.
    pub fn send_each(&self, flows: &mut [Flow]) {
        for flow in flows {
            flow.asked += 1;
            self.send(&format!("{} {} hello", flow.id, flow.asked));
        }
    }

    /// The same, and an answer for each.
    pub fn ask_each(&self, flows: &mut [Flow]) {
        self.send_each(flows);
        let new = self.receive(flows, flows.len());
        assert!(new.is_empty(), "nobody has begun {new:?}");
    }

    pub fn end(&self, flows: Vec<Flow>) {
        flows.iter().for_each(|flow| self.send(&format!("{} {} bye", flow.id, flow.asked + 1)));
        let count = flows.len();
        self.receive(&mut { flows }, count);
    }

    /// Takes `count` answers: each is the next of its flow, from the process that has it, which has counted
    /// every datagram once. Answers the flows that are new.
    pub fn receive(&self, flows: &mut [Flow], count: usize) -> Vec<Flow> {
        let by_id = flows.iter().enumerate().map(|(at, flow)| (flow.id.clone(), at));
        let by_id: HashMap<_, _> = by_id.collect();
        let mut new = Vec::new();
        for received in 0..count {
            let answer = self.answer().unwrap_or_else(|| panic!("{received} answers of {count}"));
            let words: Vec<_> = answer.split(' ').collect();
            let [id, seq, counted, pid, _] = words[..] else { panic!("answer: {answer:?}") };
            assert_eq!(seq, counted, "one was lost or handled twice: {answer:?}");
            let (seq, pid) = (seq.parse().expect("a number"), pid.parse().expect("a pid"));
            match by_id.get(id).map(|&at| &mut flows[at]) {
                Some(flow) => {
                    assert_eq!((seq, pid), (flow.answered + 1, flow.pid), "{answer:?}");
                    flow.answered = seq;
                }
                None => {
                    assert_eq!(seq, 1, "{answer:?}");
                    new.push(Flow { id: id.to_owned(), pid, asked: 1, answered: 1 });
                }
            }
        }
        new
    }

    /// The next answer, if one comes in time.
    fn answer(&self) -> Option<String> {
        let mut buffer = [0; 1000];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    }

    /// How many of the answers that come are these words, up to a hundred and until nothing comes for a
    /// while.
    pub fn count_answers(&self, words: &str) -> usize {
        let brief = Some(Duration::from_secs(1));
        self.socket.set_read_timeout(brief).expect("a timeout");
        let answers = std::iter::from_fn(|| self.answer()).take(100);
        answers.filter(|answer| answer == words).count()
    }

    /// Whether nothing comes for a while.
    pub fn is_silent(&self) -> bool {
        let brief = Some(Duration::from_millis(200)); // that nothing happens has no event
        self.socket.set_read_timeout(brief).expect("a timeout");
        let answer = self.answer();
        self.socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        answer.is_none()
    }
}
