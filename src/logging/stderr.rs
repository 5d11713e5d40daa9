//! Stderr as a log writes to it: a line whole or not at all, and never waiting for whoever reads it.

use std::{
    fmt,
    io::{self, Write},
    mem,
    os::fd::AsFd,
    process,
};

use crate::system::stdio::write_some;

/// Stderr for a logger: never waits for its reader.
///
/// A loop with one thread stands still while it writes to a stderr that nobody reads: a pipe to a program
/// that hangs, a terminal that was stopped by Ctrl-S. This writes what there is room for. A line
/// for which there is none is dropped and counted, and when there is room again the first line says how many
/// are missing.
///
/// Each call of [`write`](Write::write) is one record. Line ends within it are escaped, so that one record is
/// one line. Records of up to 4096 bytes (`PIPE_BUF`, see `pipe(7)`) are written to a pipe whole, also where
/// several generations share it; of a longer one the rest comes before anything else.
///
/// It keeps nothing but that rest, and starts no thread. In a forked child it begins anew: what was
/// dropped, or is still to be written, is the parent's to say. It leaves the description of stderr as it is
/// (no `O_NONBLOCK`), since others have it, too. A file on a disk is written to as ever.
///
/// Here behind env_logger, which gives it one record at a time:
///
/// ```
/// use heirloom::logging::Stderr;
///
/// let target = env_logger::Target::Pipe(Box::new(Stderr::new()));
/// env_logger::Builder::from_default_env().target(target).init();
/// log::info!("nobody waits for this");
/// ```
#[derive(Default)]
pub struct Stderr {
    lines: Lines,
}

/// What is owed to a descriptor.
#[derive(Default)]
struct Lines {
    /// The process that owes it.
    pid: u32,
    /// The rest of a line that was written in part.
    rest: Vec<u8>,
    /// Lines that were dropped since one was written.
    dropped: u64,
}

impl Stderr {
    /// For the stderr that the process has at each moment.
    pub fn new() -> Stderr {
        Stderr::default()
    }
}

impl Write for Stderr {
    /// Takes one record, whatever becomes of it: never fails.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.lines.write(io::stderr(), record);
        Ok(record.len())
    }

    /// Tries once more to write what is owed. Nothing waits.
    fn flush(&mut self) -> io::Result<()> {
        self.lines.belong(process::id());
        self.lines.settle(&io::stderr());
        Ok(())
    }
}

impl fmt::Debug for Stderr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stderr").field("dropped", &self.lines.dropped).finish_non_exhaustive()
    }
}

impl Lines {
    fn write(&mut self, to: impl AsFd, record: &[u8]) {
        self.belong(process::id());
        if !self.settle(&to) || !self.begin(&to, one_line(record)) {
            self.dropped += 1;
        }
    }

    /// In a forked child all that is owed is its parent's.
    fn belong(&mut self, pid: u32) {
        if self.pid != pid {
            *self = Lines { pid, ..Lines::default() };
        }
    }

    /// Writes what is owed: the rest of a line, then how many are missing. `false`: it is still owed.
    fn settle(&mut self, to: &impl AsFd) -> bool {
        let rest = mem::take(&mut self.rest);
        if !rest.is_empty() && !self.begin(to, rest.clone()) {
            self.rest = rest;
        }
        if !self.rest.is_empty() {
            return false;
        }
        let missing = self.dropped;
        let note = || format!("[{}] {missing} lines of the log are missing here\n", self.pid);
        if missing > 0 && self.begin(to, note().into_bytes()) {
            self.dropped = 0;
        }
        self.dropped == 0 && self.rest.is_empty()
    }

    /// Writes a line, and owes what is left of it. `false`: nothing of it was written.
    fn begin(&mut self, to: &impl AsFd, mut line: Vec<u8>) -> bool {
        match write_some(to.as_fd(), &line) {
            Ok(count) => {
                line.drain(..count);
                self.rest = line;
                count > 0
            }
            Err(_) => false,
        }
    }
}

/// A record with one line end, the last.
fn one_line(record: &[u8]) -> Vec<u8> {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    let mut line = Vec::with_capacity(record.len() + 1);
    for &byte in record {
        match byte {
            b'\n' => line.extend(b"\\n"),
            b'\r' => line.extend(b"\\r"),
            byte => line.push(byte),
        }
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Read, os::fd::OwnedFd};

    use nix::{
        fcntl::{FcntlArg, OFlag, fcntl},
        unistd::pipe,
    };

    use super::*;

    struct Piped {
        reader: File,
        writer: OwnedFd,
        lines: Lines,
    }

    impl Piped {
        fn new() -> Piped {
            let (reader, writer) = pipe().expect("a pipe");
            fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a flag");
            fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).expect("a size");
            Piped { reader: reader.into(), writer, lines: Lines::default() }
        }

        fn say(&mut self, record: &str) {
            self.lines.write(&self.writer, record.as_bytes());
        }

        /// All that is in the pipe.
        fn read(&mut self) -> String {
            let mut bytes = Vec::new();
            let full = self.reader.read_to_end(&mut bytes).expect_err("it stays open");
            assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
            String::from_utf8(bytes).expect("text")
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_and_told_when_there_is_some() {
        let mut piped = Piped::new();
        for number in 0..10 {
            piped.say(&format!("{number} {}\n", "x".repeat(1020)));
        }
        let read = piped.read();
        let lines: Vec<_> = read.lines().map(|line| &line[..1]).collect();
        let written = lines.len();
        assert!((1..10).contains(&written), "{lines:?}");
        piped.say("again\n");
        let missing = 10 - written;
        let pid = process::id();
        assert_eq!(
            piped.read(),
            format!("[{pid}] {missing} lines of the log are missing here\nagain\n")
        );
        piped.say("and again\n");
        assert_eq!(piped.read(), "and again\n");
    }

    #[test]
    fn no_line_stands_within_another() {
        let mut piped = Piped::new();
        let long = "l".repeat(9000);
        piped.say(&format!("{long}\n"));
        piped.say("lost\n");
        let mut read = piped.read();
        while read.matches('\n').count() < 3 {
            piped.say("x\n");
            read += &piped.read();
        }
        let mut lines = read.lines();
        assert_eq!(lines.next(), Some(&*long));
        assert!(lines.next().is_some_and(|line| line.contains(" lines of the log are missing")));
        assert_eq!(lines.next(), Some("x"));
    }

    #[test]
    fn a_record_is_a_line() {
        let mut piped = Piped::new();
        piped.say("one\ntwo\r\n\n");
        piped.say("no end");
        assert_eq!(piped.read(), "one\\ntwo\\r\\n\nno end\n");
    }

    /// What a forked child finds in its copy is its parent's to say.
    #[test]
    fn another_process_owes_nothing() {
        let mut lines =
            Lines { pid: process::id() - 1, rest: b"half a line\n".to_vec(), dropped: 7 };
        let mut piped = Piped::new();
        mem::swap(&mut piped.lines, &mut lines);
        piped.say("the child\n");
        assert_eq!(piped.read(), "the child\n");
    }

    #[test]
    fn a_reader_that_is_gone_is_no_error() {
        let Piped { reader, writer, mut lines } = Piped::new();
        drop(reader);
        lines.write(&writer, b"nobody reads this\n");
        assert_eq!(lines.dropped, 1);
    }
}
