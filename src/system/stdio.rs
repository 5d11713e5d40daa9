//! Writes to a descriptor that is shared with other processes, such as stderr, and never waits for whoever
//! reads it.
#![allow(unsafe_code)] // pwritev2 has no safe wrapper

use std::{
    fs::OpenOptions,
    io::{self, ErrorKind, Write},
    os::{
        fd::{AsRawFd, BorrowedFd},
        unix::fs::OpenOptionsExt,
    },
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{MsgFlags, send},
        stat::{SFlag, fstat},
    },
    unistd::write,
};

/// What a pipe takes whole or not at all (`pipe(7)`).
const PIPE_BUF: usize = 4096;

/// Writes as much of `bytes` as there is room for. Up to 4096 of them go into a pipe whole or not at
/// all.
///
/// `O_NONBLOCK` would be the ordinary way, but it is a flag of the open file description, and that is
/// shared: with the shell that has started the server, with all other generations, with what they start.
/// Their writes would fail all of a sudden. So this call alone says that it will not wait:
///
/// - to a socket, such as the journal's, by a flag of `send(2)`;
/// - to a pipe by a flag of `pwritev2(2)`, which Linux knows since 6.4;
/// - where there is no such flag, for a terminal, a named pipe, or an older Linux: by a description of its
///   own, for the same file is opened once more (`proc(5)`, `/proc/self/fd`) for the length of this write;
/// - where that cannot be (another user's, no `/proc`, out of descriptors), only as much as `poll(2)` says that
///   there is room for. This alone can wait, if another process takes the room at that very moment.
///
/// A file has no reader to wait for, and is written to as ever.
///
/// # Errors
/// [`ErrorKind::WouldBlock`] when there is no room; otherwise what is wrong with the descriptor, such as a
/// pipe that nobody will read any more.
pub(crate) fn write_some(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let kind = SFlag::from_bits_truncate(fstat(fd)?.st_mode) & SFlag::S_IFMT;
    if kind == SFlag::S_IFSOCK {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        return Ok(send(fd.as_raw_fd(), bytes, flags)?);
    }
    if kind != SFlag::S_IFIFO && kind != SFlag::S_IFCHR {
        return Ok(write(fd, bytes)?);
    }
    match write_no_wait(fd, bytes) {
        Err(Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS) => write_opened_again(fd, bytes),
        result => Ok(result?),
    }
}

fn write_no_wait(fd: BorrowedFd<'_>, bytes: &[u8]) -> nix::Result<usize> {
    let slice = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: the call reads one slice, which is borrowed for as long as it takes, and writes to
    // no memory of ours. An offset of -1 is the descriptor's own.
    let count = unsafe { libc::pwritev2(fd.as_raw_fd(), &slice, 1, -1, libc::RWF_NOWAIT) };
    Errno::result(count).map(|count| count as usize)
}

fn write_opened_again(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let own =
        OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path);
    match own {
        Ok(mut own) => own.write(bytes),
        Err(_) => write_if_polled(fd, bytes),
    }
}

fn write_if_polled(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    let mut fds = [PollFd::new(fd, PollFlags::POLLOUT)];
    match poll(&mut fds, PollTimeout::ZERO)? {
        0 => Err(ErrorKind::WouldBlock.into()),
        _ => Ok(write(fd, &bytes[..bytes.len().min(PIPE_BUF)])?),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::Read,
        os::{fd::AsFd, unix::net::UnixStream},
    };

    use nix::{
        fcntl::{FcntlArg, OFlag, fcntl},
        pty::openpty,
        unistd::{mkfifo, pipe},
    };

    use super::*;

    type Way = fn(BorrowedFd<'_>, &[u8]) -> io::Result<usize>;

    /// Writes until there is no room: nothing waits, the shared description is as it was, and after a
    /// read it goes on.
    fn fill(writer: impl AsFd, mut reader: impl Read, by: Way) {
        let flags = fcntl(&writer, FcntlArg::F_GETFL).expect("its flags");
        let mut written = 0;
        let full = loop {
            match by(writer.as_fd(), &[b'x'; 100]) {
                Ok(count) => written += count,
                Err(e) => break e,
            }
        };
        assert_eq!(full.kind(), ErrorKind::WouldBlock);
        assert!(written >= 4096, "{written}");
        assert_eq!(fcntl(&writer, FcntlArg::F_GETFL), Ok(flags));
        let mut room = vec![0; written];
        reader.read_exact(&mut room).expect("what was written");
        assert_eq!(by(writer.as_fd(), b"more").expect("room"), 4);
    }

    #[test]
    fn a_full_pipe_is_no_reason_to_wait() {
        let no_wait: Way = |fd, bytes| Ok(write_no_wait(fd, bytes)?);
        for by in [write_some, no_wait, write_opened_again, write_if_polled] {
            let (reader, writer) = pipe().expect("a pipe");
            fill(writer, File::from(reader), by);
        }
    }

    #[test]
    fn nor_is_a_full_socket() {
        let (reader, writer) = UnixStream::pair().expect("a pair");
        fill(writer, reader, write_some);
    }

    /// Opened by path, it has no flag for a single write.
    #[test]
    fn nor_is_a_named_pipe() {
        let path = std::env::temp_dir().join(format!("heirloom-fifo-{}", std::process::id()));
        mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a named pipe");
        let both = OpenOptions::new().read(true).write(true).open(&path).expect("both ends");
        let writer = OpenOptions::new().write(true).open(&path).expect("the end to write to");
        std::fs::remove_file(&path).expect("ours");
        fill(writer, both, write_some);
    }

    #[test]
    fn nor_is_a_terminal_that_stands_still() {
        let pty = openpty(None, None).expect("a terminal");
        let mut written = 0;
        while write_some(pty.slave.as_fd(), &[b'x'; 100]).is_ok() {
            written += 100;
            assert!(written < 1 << 20, "it has no end");
        }
        assert!(
            !OFlag::from_bits_truncate(fcntl(&pty.slave, FcntlArg::F_GETFL).expect("flags"))
                .contains(OFlag::O_NONBLOCK)
        );
    }

    #[test]
    fn a_pipe_without_a_reader_is_an_error() {
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        let error = write_some(writer.as_fd(), b"x").expect_err("nobody reads");
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_file_is_written_where_it_stands() {
        let path = std::env::temp_dir().join(format!("heirloom-file-{}", std::process::id()));
        let file = OpenOptions::new().create(true).append(true).open(&path).expect("a file");
        assert_eq!(write_some(file.as_fd(), b"one\n").expect("room"), 4);
        assert_eq!(write_some(file.as_fd(), b"two\n").expect("room"), 4);
        let text = std::fs::read_to_string(&path).expect("text");
        std::fs::remove_file(&path).expect("ours");
        assert_eq!(text, "one\ntwo\n");
    }
}
