//! The limit: a loop of `epoll_wait`, `read` and `write` on libc, and nothing else. No timeouts, no
//! limits, no order on the way out; it is what a server framework is measured against.

use std::{
    io,
    net::TcpListener,
    os::fd::{AsRawFd, RawFd},
};

use crate::protocol::Protocol;

const EVENTS: usize = 1024;
const BUFFER: usize = 64 * 1024;

/// What a connection has left over: usually nothing.
#[derive(Default)]
struct Conn {
    input: Vec<u8>,
    output: Vec<u8>,
}

struct Loop {
    epoll: RawFd,
    /// By descriptor.
    conns: Vec<Conn>,
    open: usize,
    protocol: Protocol,
    buffer: Box<[u8]>,
    out: Vec<u8>,
}

/// Serves what `listener` accepts. When `leave` (a signalfd) is readable, `succeed` is called; if it
/// says so, this process accepts no more and returns when its connections have ended.
pub fn serve(
    listener: TcpListener,
    protocol: Protocol,
    leave: Option<(RawFd, &mut dyn FnMut() -> bool)>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    // SAFETY: takes a flag, makes a descriptor.
    let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
    let buffer = vec![0; BUFFER].into_boxed_slice();
    let mut it = Loop { epoll, conns: Vec::new(), open: 0, protocol, buffer, out: Vec::new() };
    let (door, mut leave) = (listener.as_raw_fd(), leave);
    it.watch(door, libc::EPOLLIN, libc::EPOLL_CTL_ADD)?;
    if let Some((signal, _)) = &leave {
        it.watch(*signal, libc::EPOLLIN, libc::EPOLL_CTL_ADD)?;
    }
    let mut listener = Some(listener);
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
    while listener.is_some() || it.open > 0 {
        // SAFETY: `events` has room for as many as are asked for.
        let count = unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), EVENTS as i32, -1) };
        for event in &events[..check(count)? as usize] {
            let fd = event.u64 as RawFd;
            if fd == door {
                if listener.is_some() {
                    it.accept(door)?;
                }
            } else if let Some((signal, succeed)) = leave.as_mut().filter(|leave| leave.0 == fd) {
                drain_signal(*signal);
                if succeed() {
                    it.watch(door, 0, libc::EPOLL_CTL_DEL)?; // another process has it too
                    listener = None;
                }
            } else {
                it.attend(fd, event.events as i32)?;
            }
        }
    }
    Ok(())
}

impl Loop {
    fn watch(&self, fd: RawFd, events: i32, what: i32) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: fd as u64 };
        // SAFETY: the event is ours and outlives the call.
        check(unsafe { libc::epoll_ctl(self.epoll, what, fd, &mut event) }).map(drop)
    }

    fn accept(&mut self, door: RawFd) -> io::Result<()> {
        loop {
            let (null, flags) = (std::ptr::null_mut(), libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC);
            // SAFETY: the peer's address is not asked for.
            let fd = unsafe { libc::accept4(door, null, null.cast(), flags) };
            if fd < 0 {
                return Ok(());
            }
            let one = 1i32;
            // SAFETY: the option is an int, and so long.
            unsafe {
                let (value, size) = ((&raw const one).cast(), size_of::<i32>() as u32);
                libc::setsockopt(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, value, size);
            }
            if self.conns.len() <= fd as usize {
                self.conns.resize_with(fd as usize + 1, Conn::default);
            }
            self.open += 1;
            // Once, for everything: an edge costs the kernel less than a level.
            let all = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET;
            self.watch(fd, all, libc::EPOLL_CTL_ADD)?;
        }
    }

    fn attend(&mut self, fd: RawFd, events: i32) -> io::Result<()> {
        if !self.conns[fd as usize].output.is_empty() {
            self.flush(fd)?;
        }
        // A short read has emptied the socket, unless the peer's FIN is behind it.
        let to_the_end = events & libc::EPOLLRDHUP != 0;
        while events & libc::EPOLLIN != 0 && self.read(fd, to_the_end)? {}
        Ok(())
    }

    /// Answers whether there may be more.
    fn read(&mut self, fd: RawFd, to_the_end: bool) -> io::Result<bool> {
        let conn = &mut self.conns[fd as usize];
        // SAFETY: the buffer is so long.
        let count = unsafe { libc::read(fd, self.buffer.as_mut_ptr().cast(), self.buffer.len()) };
        if count < 0 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock {
            return Ok(false);
        }
        if count <= 0 {
            return self.close(fd).map(|()| false);
        }
        let fresh = &self.buffer[..count as usize];
        let answered = if conn.input.is_empty() {
            let taken = self.protocol.answer(fresh, &mut self.out);
            taken.inspect(|&taken| conn.input.extend_from_slice(&fresh[taken..]))
        } else {
            conn.input.extend_from_slice(fresh);
            let taken = self.protocol.answer(&conn.input, &mut self.out);
            taken.inspect(|&taken| drop(conn.input.drain(..taken)))
        };
        if answered.is_none() {
            self.out.clear();
            return self.close(fd).map(|()| false);
        }
        if conn.output.is_empty() {
            // SAFETY: the bytes are there.
            let sent = unsafe { libc::write(fd, self.out.as_ptr().cast(), self.out.len()) };
            self.out.drain(..sent.max(0) as usize);
        }
        conn.output.append(&mut self.out);
        Ok(count as usize == self.buffer.len() || to_the_end)
    }

    fn flush(&mut self, fd: RawFd) -> io::Result<()> {
        let output = &mut self.conns[fd as usize].output;
        // SAFETY: the bytes are there.
        let sent = unsafe { libc::write(fd, output.as_ptr().cast(), output.len()) };
        output.drain(..sent.max(0) as usize);
        Ok(())
    }

    fn close(&mut self, fd: RawFd) -> io::Result<()> {
        self.conns[fd as usize] = Conn::default();
        self.open -= 1;
        // SAFETY: the descriptor is this connection's, and nobody has it any more.
        check(unsafe { libc::close(fd) }).map(drop)
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::close(self.epoll) };
    }
}

fn drain_signal(fd: RawFd) {
    let mut told = [0u8; size_of::<libc::signalfd_siginfo>()];
    // SAFETY: the buffer is so long.
    unsafe { libc::read(fd, told.as_mut_ptr().cast(), told.len()) };
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
