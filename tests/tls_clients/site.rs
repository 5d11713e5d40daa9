//! A server with a certificate, what goes to it and comes from it, and who is connected to it.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    process::{Command, Stdio},
    thread,
};

use crate::common::{
    Server, ends, http::check_bytes, restart::Engine, sealed::Sealed, tls::Pki, wait_for,
};

/// Restarts in the middle of one transfer; half of them are by each engine.
pub const ROUNDS: usize = 10;

/// What goes on between one restart and the next.
pub const PIECE: usize = 1 << 20;

/// A download that is longer than all rounds and what the buffers of two sockets and a pipe hold (some 10 MiB), so that
/// the server has still to send something in the last one.
pub const DOWNLOAD: usize = (ROUNDS + 14) * PIECE;

/// An upload has nobody who reads slowly, so it ends when its writer says so.
pub const UPLOAD: usize = (ROUNDS + 1) * PIECE;

/// An example with a certificate for 127.0.0.1. It seals nothing twice by one nonce.
pub struct Site {
    pub server: Server,
    pub pki: Pki,
    sealed: Sealed,
}

impl Site {
    pub fn start(example: &str) -> Site {
        let (pki, sealed) = (Pki::new(), Sealed::new());
        pki.make("localhost");
        let setup = sealed.adjust(Server::of(example)).arg("--move");
        let setup = setup.arg("--tls-cert").arg(pki.path("localhost.pem"));
        let server = setup.arg("--tls-key").arg(pki.path("localhost.key")).start();
        Site { server, pki, sealed }
    }

    pub fn port(&self) -> &str {
        self.server.address.rsplit(':').next().expect("a port")
    }

    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.server.address)
    }

    /// The sockets of all connections, and so of all sessions: nobody can shake hands twice on one.
    pub fn sockets(&self) -> BTreeSet<u64> {
        ends::sockets(self.port())
    }

    pub fn restart(&self, engine: Engine) {
        restart(&self.server, engine);
    }

    /// Restarts, and goes on with something else meanwhile.
    fn restart_during<T>(&self, engine: Engine, work: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let restart = scope.spawn(|| self.restart(engine));
            let done = work();
            restart.join().expect("it restarts");
            done
        })
    }

    /// Reads `/bytes/DOWNLOAD` through restarts: in every second one nobody reads.
    pub fn download(&self, from: &mut impl Read) {
        let mut taken = 0;
        let mut next = |from: &mut dyn Read, count: usize| {
            check_bytes(&read(from, count), taken);
            taken += count;
        };
        next(from, PIECE);
        let sockets = self.sockets();
        for (round, engine) in Engine::alternating().take(ROUNDS).enumerate() {
            if round % 4 < 2 {
                self.restart_during(engine, || next(from, PIECE));
            } else {
                self.restart(engine);
                next(from, PIECE);
            }
        }
        next(from, DOWNLOAD - (ROUNDS + 1) * PIECE);
        assert_eq!(self.sockets(), sockets, "one session");
    }

    /// Sends a body through restarts, each of which begins behind half a piece.
    pub fn upload(&self, to: &mut impl Write) {
        let body = body(UPLOAD);
        let mut pieces = body.chunks(PIECE);
        let mut next = |to: &mut dyn Write| to.write_all(pieces.next().expect("a piece"));
        next(to).expect("it reads");
        let sockets = self.sockets();
        for engine in Engine::alternating().take(ROUNDS) {
            self.restart_during(engine, || next(to).expect("it reads"));
        }
        assert_eq!(self.sockets(), sockets, "one session");
    }

    /// Sends a body through restarts and reads it again: both ways are full all the time.
    pub fn echo(&self, mut to: impl Write + Send, from: &mut impl Read) {
        let body = body(DOWNLOAD);
        thread::scope(|scope| {
            let bytes = body.as_slice();
            // It closes the pipe at its end: curl reads nothing else while it waits for more.
            scope.spawn(move || to.write_all(bytes).expect("it reads"));
            let mut pieces = body.chunks(PIECE);
            let mut next = |from: &mut dyn Read| {
                let piece = pieces.next().expect("a piece");
                assert!(read(from, piece.len()) == piece, "wrong bytes");
            };
            next(from);
            let sockets = self.sockets();
            for (round, engine) in Engine::alternating().take(ROUNDS).enumerate() {
                if round % 4 < 2 {
                    self.restart_during(engine, || next(from));
                } else {
                    self.restart(engine);
                    next(from);
                }
            }
            assert_eq!(self.sockets(), sockets, "one session");
            for _ in ROUNDS + 1..body.len() / PIECE {
                next(from);
            }
        });
    }

    /// At the end: many generations have sealed (where nobody reads, one has no room for it), and none by a nonce of
    /// another one's.
    pub fn check(&self) {
        self.sealed.check_by(ROUNDS / 2);
        let ended = self.server.count_lines("reason=\"TLS: ");
        // Nor has anybody complained. Python and Node end a connection as if it were a plain one.
        let shortly = self.server.count_lines("TLS: the peer's FIN came before its close_notify");
        assert_eq!(ended, shortly, "{}", self.server.log());
    }
}

/// Restarts once. On a machine that is busy a new process may be late, and then there is another one: clients must not
/// notice that either.
pub fn restart(server: &Server, engine: Engine) {
    let count = || ["restart: done", "ERROR: restart: "].map(|line| server.count_lines(line));
    loop {
        let [done, failed] = count();
        server.signal(engine.signal());
        wait_for("the verdict", || count() != [done, failed]);
        if count()[0] > done {
            return;
        }
    }
}

fn read(from: &mut dyn Read, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    from.read_exact(&mut bytes).expect("all of it");
    bytes
}

/// The bytes that clients send. In JavaScript: `Math.imul(at, 2654435761) >>> 24`.
pub fn body(length: usize) -> Vec<u8> {
    (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// What cksum(1) says of them.
pub fn cksum(bytes: &[u8]) -> String {
    let mut command = Command::new("cksum");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it is everywhere");
    child.stdin.take().expect("a pipe").write_all(bytes).expect("it reads");
    let output = child.wait_with_output().expect("our child");
    String::from_utf8(output.stdout).expect("text")
}
