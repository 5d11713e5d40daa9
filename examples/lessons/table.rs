//! A service for the lessons' clients in a process of its own: enough of PostgreSQL for transactions.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    sync::{Mutex, PoisonError},
};

use crate::{
    Result,
    services::{self, Service},
};

/// How many rows there are.
type Rows = u32;

/// A PostgreSQL with one table of which it knows the number of rows.
pub fn start() -> Result<Service> {
    services::start(0, serve)
}

fn serve(mut stream: TcpStream, rows: &Mutex<Rows>) -> io::Result<()> {
    read_message(&mut stream)?; // who it is
    stream.write_all(&message(b'R', &[0; 4]))?; // welcome
    stream.write_all(&message(b'Z', b"I"))?;
    let mut transaction = None;
    loop {
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        let body = read_message(&mut stream)?;
        if kind != *b"Q" {
            return Ok(()); // `Terminate`
        }
        let text = String::from_utf8_lossy(&body);
        let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
        let tag = match text.trim_end_matches('\0').split([' ', ';']).next().unwrap_or_default() {
            "BEGIN" | "START" => {
                transaction = Some(0);
                "BEGIN".to_owned()
            }
            "INSERT" => {
                *transaction.as_mut().unwrap_or(&mut *rows) += 1;
                "INSERT 0 1".to_owned()
            }
            "ROLLBACK" => {
                transaction = None;
                "ROLLBACK".to_owned()
            }
            "COMMIT" => {
                *rows += transaction.take().unwrap_or(0); // without one, it warns, and says the same
                "COMMIT".to_owned()
            }
            _ => format!("SELECT {rows}"),
        };
        stream.write_all(&message(b'C', format!("{tag}\0").as_bytes()))?;
        stream.write_all(&message(b'Z', if transaction.is_some() { b"T" } else { b"I" }))?;
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[kind], &length[..], body].concat()
}

/// What follows the kind: a length that counts itself, and the rest.
fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; (u32::from_be_bytes(length) as usize).saturating_sub(4)];
    stream.read_exact(&mut body)?;
    Ok(body)
}
