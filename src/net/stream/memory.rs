//! A byte stream in memory: the server's end is a [`Stream`](super::stream::Stream), the test
//! holds the other. No kernel, no time.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, IoSlice, Read},
    net::Shutdown,
    rc::Rc,
};

/// The server's end; clones are the same pipe.
#[derive(Clone, Debug)]
pub(crate) struct Pipe(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    number: usize,
    /// On the way to the server.
    inbound: VecDeque<u8>,
    /// The client's FIN follows `inbound`.
    client_fin: bool,
    /// What the server has sent and the client has not taken yet.
    outbound: Vec<u8>,
    /// Room for `outbound`, as a peer's receive window is.
    window: usize,
    /// The server will send no more.
    server_fin: bool,
    /// The client does not answer the server's FIN with its own.
    silent: bool,
    /// One side has reset the connection.
    reset: Option<Side>,
}

/// Who has reset a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

impl Pipe {
    pub fn new(number: usize) -> Pipe {
        Pipe(Rc::new(RefCell::new(Inner {
            number,
            inbound: VecDeque::new(),
            client_fin: false,
            outbound: Vec::new(),
            window: usize::MAX,
            server_fin: false,
            silent: false,
            reset: None,
        })))
    }

    pub fn number(&self) -> usize {
        self.0.borrow().number
    }

    // The client's side.

    pub fn feed(&self, bytes: &[u8]) {
        self.0.borrow_mut().inbound.extend(bytes);
    }

    pub fn finish(&self) {
        self.0.borrow_mut().client_fin = true;
    }

    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().outbound)
    }

    pub fn set_window(&self, bytes: usize) {
        self.0.borrow_mut().window = bytes;
    }

    pub fn is_finished(&self) -> bool {
        self.0.borrow().server_fin
    }

    pub fn is_client_finished(&self) -> bool {
        self.0.borrow().client_fin
    }

    /// From here on the client leaves the server's FIN unanswered.
    pub fn fall_silent(&self) {
        self.0.borrow_mut().silent = true;
    }

    pub fn is_silent(&self) -> bool {
        self.0.borrow().silent
    }

    /// The client resets: what is on the way to the server is lost, and so is what comes to it.
    pub fn reset_by_client(&self) {
        let mut inner = self.0.borrow_mut();
        inner.inbound.clear();
        inner.outbound.clear();
        inner.reset = Some(Side::Client);
    }

    pub fn is_reset_by_server(&self) -> bool {
        self.0.borrow().reset == Some(Side::Server)
    }

    // The server's side.

    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut inner = self.0.borrow_mut();
        if inner.reset == Some(Side::Client) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if inner.inbound.is_empty() {
            return if inner.client_fin { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        // Each read takes one run of the ring.
        let count = inner.inbound.read(buffer)?;
        Ok(count + inner.inbound.read(&mut buffer[count..])?)
    }

    pub fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut inner = self.0.borrow_mut();
        if inner.reset == Some(Side::Client) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if inner.server_fin {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let mut written = 0;
        for slice in slices {
            let room = inner.window - inner.outbound.len().min(inner.window);
            let piece = &slice[..slice.len().min(room)];
            inner.outbound.extend_from_slice(piece);
            written += piece.len();
        }
        if written == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(written) }
    }

    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read {
            self.0.borrow_mut().server_fin = true;
        }
        Ok(())
    }

    /// The server resets. What has arrived is still the client's to take.
    pub fn reset(&self) {
        let mut inner = self.0.borrow_mut();
        inner.server_fin = true;
        inner.reset.get_or_insert(Side::Server);
    }
}
