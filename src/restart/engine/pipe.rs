//! The pipe through which a state goes. Whoever waits at one of its ends does so with a deadline, and does
//! not wait for a side that is gone.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Instant,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::pipe2,
};

use crate::limits::STATE_PIPE;

/// Both ends: to read from, and to write to.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    // Where that is more than this user may have, it stays as it is, and both sides take more turns.
    let _ = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(STATE_PIPE));
    Ok((reader, writer))
}

/// The end to write to, for a process that has others to serve.
pub(crate) struct Sink {
    pipe: File,
    deadline: Instant,
    is_broken: bool,
}

impl Sink {
    pub fn new(pipe: OwnedFd, deadline: Instant) -> io::Result<Sink> {
        Ok(Sink { pipe: nonblocking(pipe)?, deadline, is_broken: false })
    }

    /// Whether something was written when nobody would read it any more.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.pipe.write(bytes) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLOUT)];
                    wait(&mut fds, self.deadline)?;
                }
                done => {
                    self.is_broken |=
                        done.as_ref().is_err_and(|e| e.kind() == ErrorKind::BrokenPipe);
                    return done;
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The end to read from. `link` leads to the process that has sent it; when that lets go of the link, nobody is
/// to have what comes out here.
pub(crate) struct Tap<'a> {
    pipe: File,
    deadline: Instant,
    link: BorrowedFd<'a>,
}

impl<'a> Tap<'a> {
    pub fn new(pipe: OwnedFd, deadline: Instant, link: BorrowedFd<'a>) -> io::Result<Tap<'a>> {
        Ok(Tap { pipe: nonblocking(pipe)?, deadline, link })
    }
}

impl Read for Tap<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.pipe.read(bytes) {
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            let mut fds = [
                PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.link, PollFlags::empty()), // its end is told all the same
            ];
            wait(&mut fds, self.deadline)?;
            if fds[1].any() == Some(true) {
                return Err(io::Error::new(ErrorKind::ConnectionAborted, "the old side lets go"));
            }
        }
    }
}

fn nonblocking(pipe: OwnedFd) -> io::Result<File> {
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok(File::from(pipe))
}

/// Waits for one of them.
fn wait(fds: &mut [PollFd<'_>], deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::Error::new(ErrorKind::TimedOut, "the time for it is over"));
    }
    // Up to the millisecond behind it: the clock decides.
    let millis = left.as_micros().div_ceil(1000).min(60_000) as u16;
    match poll(fds, PollTimeout::from(millis)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    fn link() -> (OwnedFd, OwnedFd) {
        let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
        (a.into(), b.into())
    }

    #[test]
    fn who_reads_waits_until_the_deadline_and_for_nobody_who_is_gone() {
        let ((reader, writer), (near, far)) = (pipe().unwrap(), link());
        let again = || Tap::new(reader.try_clone().unwrap(), soon(), near.as_fd()).unwrap();
        File::from(writer.try_clone().unwrap()).write_all(b"x").unwrap();
        assert_eq!(again().read(&mut [0; 8]).unwrap(), 1);
        assert_eq!(again().read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        drop(far);
        let begun = Instant::now();
        assert_eq!(again().read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionAborted);
        assert!(begun.elapsed() < Duration::from_millis(50));
        drop(writer);
        let end = again().read(&mut [0; 8]);
        assert!(end.is_err() || matches!(end, Ok(0)), "{end:?}");
    }

    #[test]
    fn who_writes_waits_until_the_deadline_and_for_nobody_who_is_gone() {
        let (reader, writer) = pipe().unwrap();
        let mut sink = Sink::new(writer, soon()).unwrap();
        let why = sink.write_all(&vec![0; 4 << 20]).unwrap_err();
        assert_eq!(why.kind(), ErrorKind::TimedOut);
        drop(reader);
        // A process that another test is just starting has a copy of it until it execs.
        let late = Instant::now() + Duration::from_secs(10);
        while !sink.is_broken() && Instant::now() < late {
            sink.deadline = soon();
            assert!(sink.write(b"x").is_err());
        }
        assert_eq!(sink.write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
