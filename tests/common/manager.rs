//! A service manager to be told things: a socket, what was sent to it, and by whom.

use std::{
    io::IoSliceMut,
    os::{
        fd::{AsRawFd, RawFd},
        unix::net::UnixDatagram,
    },
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Instant,
};

use nix::{
    cmsg_space,
    sys::socket::{
        ControlMessageOwned, MsgFlags, UnixCredentials, recvmsg, setsockopt, sockopt::PassCred,
    },
    unistd::close,
};

use super::DEADLINE;

/// One message.
#[derive(Clone, Debug)]
pub struct Word {
    /// Who has sent it, as the kernel vouches for it.
    pub pid: i32,
    pub text: String,
    #[allow(dead_code)] // not every test asks
    pub at: Instant,
    /// The pipe that came along.
    pub pipe: Option<RawFd>,
}

impl Word {
    /// The value of `NAME=value`.
    pub fn get(&self, name: &str) -> Option<&str> {
        let lines = self.text.lines().filter_map(|line| line.split_once('='));
        lines.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    pub fn has(&self, line: &str) -> bool {
        self.text.lines().any(|found| found == line)
    }

    /// The manager has read everything before this barrier.
    pub fn close_pipe(&self) {
        close(self.pipe.expect("a barrier's pipe")).expect("it was open");
    }
}

#[derive(Default)]
struct Heard {
    words: Mutex<Vec<Word>>,
    bell: Condvar,
}

/// Reads all the time, as a manager does, and keeps every pipe open until the test closes it.
pub struct Manager {
    pub path: PathBuf,
    heard: Arc<Heard>,
    /// How many words `next` has answered.
    seen: usize,
}

impl Manager {
    pub fn new(path: &Path) -> Manager {
        let socket = UnixDatagram::bind(path).expect("a socket for the manager");
        setsockopt(&socket, PassCred, &true).expect("SO_PASSCRED");
        let heard = Arc::new(Heard::default());
        let sink = Arc::clone(&heard);
        // It ends with the test process.
        thread::spawn(move || {
            loop {
                let word = receive(&socket);
                sink.words.lock().unwrap().push(word);
                sink.bell.notify_all();
            }
        });
        Manager { path: path.to_owned(), heard, seen: 0 }
    }

    /// The next word that is no ping of the watchdog alone.
    pub fn next(&mut self) -> Word {
        loop {
            let count = self.seen + 1;
            let words = self.wait(&format!("word {count}"), |words| words.len() >= count);
            self.seen = count;
            let word = words[count - 1].clone();
            if word.text != "WATCHDOG=1" {
                return word;
            }
        }
    }

    /// Waits until there is a word like this, and answers all up to now.
    pub fn wait(&self, what: &str, mut done: impl FnMut(&[Word]) -> bool) -> Vec<Word> {
        let until = Instant::now() + DEADLINE;
        let mut words = self.heard.words.lock().unwrap();
        while !done(&words) {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the manager has not heard {what}, but {words:#?}");
            words = self.heard.bell.wait_timeout(words, left).unwrap().0;
        }
        words.clone()
    }

    /// All up to now.
    pub fn words(&self) -> Vec<Word> {
        self.wait("anything", |_| true)
    }

    /// By default a manager believes the main process alone, so no other may say anything; but a barrier
    /// is for everyone. Answers the main process.
    pub fn check_senders(&self, first: i32) -> i32 {
        let words = self.words();
        words.iter().filter(|word| !word.has("BARRIER=1")).fold(first, |main, word| {
            assert_eq!(word.pid, main, "not said by the main process: {word:?} in {words:#?}");
            word.get("MAINPID").map_or(main, |pid| pid.parse().expect("a number"))
        })
    }
}

fn receive(socket: &UnixDatagram) -> Word {
    let mut bytes = [0; 4096];
    let mut control = cmsg_space!(UnixCredentials, [RawFd; 1]);
    let mut iov = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<()>(socket.as_raw_fd(), &mut iov, Some(&mut control), flags);
    let received = received.expect("a datagram");
    let (mut pid, mut pipe) = (0, None);
    for message in received.cmsgs().expect("whole control messages") {
        match message {
            ControlMessageOwned::ScmCredentials(sender) => pid = sender.pid(),
            ControlMessageOwned::ScmRights(fds) => pipe = fds.first().copied(),
            other => panic!("{other:?}"),
        }
    }
    let length = received.bytes;
    let text = String::from_utf8(bytes[..length].to_vec()).expect("text");
    Word { pid, text, at: Instant::now(), pipe }
}
