//! A server that deliberately does to its clients what a bad restart does, one thing at a time and at a request that
//! it counts. Speaks one line against another. Knows no test.

use std::{
    io::{BufRead, BufReader, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixListener,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use nix::{
    libc,
    sys::socket::{setsockopt, sockopt},
};

/// What is done to a client in place of an answer, or behind one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Answer,
    /// The connection is torn down.
    Reset,
    /// It ends, after so many bytes of the answer.
    Cut(usize),
    /// It ends, after the answer.
    Close,
    Lie,
    /// More than the answer.
    Babble,
    Delay(Duration),
    /// No answer, and no end.
    Silence,
}

/// What happens, by the number of the request, the first of all clients being 0.
pub type Manners = fn(usize) -> Deed;

const ANSWER: &[u8] = b"pong\n";

/// One that serves, with a thread for each connection; the threads end with the test.
pub struct Rude {
    pub address: String,
    manners: Manners,
    /// The requests that came.
    asked: Arc<AtomicUsize>,
    /// The deeds that were done, in order.
    done: Arc<Mutex<Vec<Deed>>>,
}

impl Rude {
    pub fn start(manners: Manners) -> Rude {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let rude = Rude::at(listener.local_addr().expect("its address").to_string(), manners);
        rude.serve(listener, usize::MAX);
        rude
    }

    /// Somebody who serves nobody yet.
    pub fn at(address: String, manners: Manners) -> Rude {
        Rude { address, manners, asked: Arc::default(), done: Arc::default() }
    }

    /// Accepts `count` clients of the listener, then lets go of it.
    pub fn serve(&self, listener: TcpListener, count: usize) -> thread::JoinHandle<TcpListener> {
        let (manners, asked, done) =
            (self.manners, Arc::clone(&self.asked), Arc::clone(&self.done));
        thread::spawn(move || {
            for _ in 0..count {
                let (stream, _) = listener.accept().expect("a client");
                let (asked, done) = (Arc::clone(&asked), Arc::clone(&done));
                thread::spawn(move || converse(stream, manners, &asked, &done));
            }
            listener
        })
    }

    /// How many clients have met with this.
    pub fn count(&self, deed: Deed) -> u64 {
        self.done.lock().expect("no panic").iter().filter(|&&done| done == deed).count() as u64
    }
}

fn converse(stream: TcpStream, manners: Manners, asked: &AtomicUsize, done: &Mutex<Vec<Deed>>) {
    stream.set_nodelay(true).expect("an option");
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
        line.clear();
        let deed = manners(asked.fetch_add(1, Ordering::Relaxed));
        done.lock().expect("no panic").push(deed);
        let say = |text: &[u8]| (&stream).write_all(text).is_ok();
        let ended = |_| false;
        let goes_on = match deed {
            Deed::Answer => say(ANSWER),
            Deed::Lie => say(b"pang\n"),
            Deed::Babble => say(b"pong\nand\n"),
            Deed::Cut(bytes) => ended(say(&ANSWER[..bytes])),
            Deed::Close => ended(say(ANSWER)),
            Deed::Reset => {
                let now = libc::linger { l_onoff: 1, l_linger: 0 };
                setsockopt(&stream, sockopt::Linger, &now).expect("an option");
                return;
            }
            Deed::Delay(time) => {
                thread::sleep(time);
                say(ANSWER)
            }
            Deed::Silence => true,
        };
        if !goes_on {
            break;
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}

/// A well-behaved one on a Unix socket, which answers one request and goes, socket and path.
pub fn one_visit(path: PathBuf) {
    let listener = UnixListener::bind(&path).expect("a socket");
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a client");
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).expect("a request");
        std::fs::remove_file(&path).expect("a path of ours"); // before anybody else comes
        (&stream).write_all(ANSWER).expect("the client takes it");
    });
}
