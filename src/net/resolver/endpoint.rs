//! One socket of the resolver: a question on its way to a name server, by UDP or TCP, or an attempt to connect.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsRawFd, RawFd},
};

use mio::{
    Interest, Registry, Token,
    net::{TcpStream, UdpSocket},
};

use crate::{
    names::{Answer, HostName, Question, Whom},
    net::stream::Stream,
};

/// A datagram that is longer would not be sent to somebody who has not asked for it (RFC 1035, section 4.2.1);
/// some servers do it all the same.
const DATAGRAM: usize = 4096;

/// Datagrams read at once from one socket: whoever floods it waits.
const DATAGRAMS: usize = 16;

/// What a socket is there for.
#[derive(Debug)]
pub(super) enum Endpoint {
    /// A question of the look-up of a host.
    Question { host: HostName, whom: Whom, question: Question, way: Way },
    /// One address of a dial.
    Attempt { dial: u64, address: SocketAddr, stream: Stream },
}

impl Endpoint {
    pub fn raw_fd(&self) -> RawFd {
        match self {
            Endpoint::Question { way: Way::Udp(socket), .. } => socket.as_raw_fd(),
            Endpoint::Question { way: Way::Tcp(asking), .. } => asking.stream.as_raw_fd(),
            Endpoint::Attempt { stream, .. } => stream.raw_fd().unwrap_or(-1),
        }
    }

    pub fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Endpoint::Question { way: Way::Udp(socket), .. } => registry.deregister(socket),
            Endpoint::Question { way: Way::Tcp(asking), .. } => {
                registry.deregister(&mut asking.stream)
            }
            Endpoint::Attempt { stream, .. } => stream.deregister(registry),
        }
    }
}

/// By which way a question goes.
#[derive(Debug)]
pub(super) enum Way {
    Udp(UdpSocket),
    Tcp(Asking),
}

/// What is to be read from a server so far.
#[derive(Debug)]
pub(super) enum Heard {
    Nothing,
    Said(Answer),
    /// It cannot be asked.
    Failed(io::Error),
}

impl Way {
    /// Sends a question from a socket of its own, whose port the system chooses at random, and which takes in
    /// nothing but what comes from this server (RFC 5452, section 9.2).
    pub fn udp(
        question: &Question,
        server: SocketAddr,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Way> {
        let any = match server {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let mut socket = UdpSocket::bind(any)?;
        socket.connect(server)?;
        registry.register(&mut socket, token, Interest::READABLE)?;
        match socket.send(&question.encode()) {
            // It is lost then, as datagrams are.
            Err(e) if e.kind() != ErrorKind::WouldBlock => Err(e),
            _ => Ok(Way::Udp(socket)),
        }
    }

    /// Asks again on a connection, where there is room for any answer (RFC 7766).
    pub fn tcp(
        question: &Question,
        server: SocketAddr,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Way> {
        let mut stream = TcpStream::connect(server)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let bytes = question.encode();
        let mut output = (bytes.len() as u16).to_be_bytes().to_vec();
        output.extend(bytes);
        Ok(Way::Tcp(Asking { stream, output, input: Vec::new() }))
    }

    /// Reads what has come. What is no answer to the question is thrown away.
    pub fn hear(&mut self, question: &Question) -> Heard {
        let heard = match self {
            Way::Udp(socket) => hear_datagrams(socket, question),
            // Whoever sends something else on a connection that we have made cannot be helped.
            Way::Tcp(asking) => asking
                .go_on()
                .map(|bytes| bytes.map(|bytes| question.answer(&bytes).unwrap_or_else(nonsense))),
        };
        match heard {
            Ok(Some(answer)) => Heard::Said(answer),
            Ok(None) => Heard::Nothing,
            Err(e) => Heard::Failed(e),
        }
    }
}

fn nonsense() -> Answer {
    Answer::Failed("its answer is none to what was asked".to_owned())
}

fn hear_datagrams(socket: &UdpSocket, question: &Question) -> io::Result<Option<Answer>> {
    let mut buffer = [0; DATAGRAM];
    for _ in 0..DATAGRAMS {
        match socket.recv(&mut buffer) {
            Ok(count) => {
                if let Some(answer) = question.answer(&buffer[..count]) {
                    return Ok(Some(answer));
                }
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::new(ErrorKind::InvalidData, "it sends what nobody has asked for"))
}

/// A question on a connection.
#[derive(Debug)]
pub(super) struct Asking {
    stream: TcpStream,
    /// Not sent yet.
    output: Vec<u8>,
    input: Vec<u8>,
}

impl Asking {
    /// Writes and reads as far as it goes. The answer, when all of it is there.
    fn go_on(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.write().and_then(|()| self.read()) {
            // Not connected yet, or there is no more for now.
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                self.stream.take_error()?.map_or(Ok(None), Err)
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => self.go_on(),
            result => result,
        }
    }

    fn write(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            let count = self.stream.write(&self.output)?;
            self.output.drain(..count);
        }
        Ok(())
    }

    fn read(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut buffer = [0; DATAGRAM];
        loop {
            if let Some((length, rest)) = self.input.split_first_chunk::<2>()
                && let Some(message) = rest.get(..u16::from_be_bytes(*length).into())
            {
                return Ok(Some(message.to_vec()));
            }
            match self.stream.read(&mut buffer)? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => self.input.extend_from_slice(&buffer[..count]),
            }
        }
    }
}
