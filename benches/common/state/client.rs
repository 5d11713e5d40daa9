//! A client that knows every answer before it comes. Not the load client of `examples/common`, whose deadlines
//! take two more system calls for each answer.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    ops::Range,
    time::Duration,
};

use super::ledger::{Exchange, Ledger};

/// For any answer. Longer than an upgrade stands still before it is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Keys that are asked for at once.
const PIECE: usize = 500;

pub struct Client {
    stream: TcpStream,
    input: Vec<u8>,
}

impl Client {
    pub fn connect(address: &str) -> io::Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client { stream, input: Vec::new() })
    }

    /// Sends the request, and compares every byte of the answer.
    ///
    /// # Errors
    /// `InvalidData`: another answer has come.
    pub fn talk(&mut self, exchange: &Exchange) -> io::Result<()> {
        self.stream.write_all(&exchange.request)?;
        let answer = &exchange.answer[..];
        self.input.resize(answer.len(), 0);
        let mut got = 0;
        while got < answer.len() {
            let count = self.stream.read(&mut self.input[got..])?;
            let piece = &self.input[got..got + count];
            if piece != &answer[got..got + count] {
                let said = String::from_utf8_lossy(&piece[..piece.len().min(60)]).into_owned();
                return Err(io::Error::new(io::ErrorKind::InvalidData, said));
            }
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            got += count;
        }
        Ok(())
    }

    /// Writes each of the keys once more.
    pub fn write(&mut self, ledger: &mut Ledger) -> io::Result<()> {
        pieces(ledger.len()).try_for_each(|piece| self.talk(&ledger.write_all(piece)))
    }

    /// Compares all that the server has with what it should have.
    pub fn check(&mut self, ledger: &Ledger) -> io::Result<()> {
        pieces(ledger.len()).try_for_each(|piece| self.talk(&ledger.read_all(piece)))
    }
}

/// All keys, a few hundred at a time.
pub fn pieces(count: usize) -> impl Iterator<Item = Range<usize>> {
    (0..count).step_by(PIECE).map(move |at| at..count.min(at + PIECE))
}
