//! Between a connection and its record: what of it travels, and how it is made again. Knows no link.

use std::time::Instant;

use super::{
    record::{Part, Record},
    shared::SharedBuffers,
};
use crate::{
    clock::Stamp,
    net::{ConnId, ConnState, Destination, Flags, NamedDial, Peer, Phase, Stream, Timer},
    restart::link::wire::Malformed,
};

/// The connection written down, with its session and `output`. `session` is `None` where there is none yet. `stamp` is the time of the
/// connections, which stands still while they move; an author's timers go on, by `now`.
pub(crate) fn pack(
    conn: &ConnState,
    session: Option<Vec<u8>>,
    output: Vec<Part>,
    stamp: Stamp,
    now: Instant,
) -> Record {
    let since = |then: Stamp| stamp.since(then);
    let left = |&(timer, at): &(Timer, Instant)| (timer.0, at.saturating_duration_since(now));
    Record {
        id: conn.id.to_bits(),
        peer: conn.peer.to_bytes(),
        session,
        dialing: conn.rare().filter(|_| conn.phase == Phase::Dialing).map(|rare| rare.tag),
        destination: conn.destination().map(|destination| destination.to_string()),
        input: conn.input.clone(),
        output,
        at_least: conn.at_least as u64,
        timers: conn.timers().iter().map(left).collect(),
        age: since(conn.opened),
        idle: since(conn.active),
        stalled: since(conn.progress),
        bytes_in: conn.bytes_in,
        bytes_out: conn.bytes_out,
        flags: to_bits(&conn.flags),
    }
}

/// The connection again, of `stream`, and what its author wrote down of it; `None` while it is being
/// dialed. Times go on where they were.
///
/// # Errors
/// When its output is of a shared buffer that is not among those that have come, `shared`.
pub(crate) fn unpack(
    record: Record,
    stream: Stream,
    shared: &mut SharedBuffers,
    stamp: Stamp,
    now: Instant,
) -> Result<(ConnState, Option<Vec<u8>>), Malformed> {
    let phase = if record.dialing.is_some() { Phase::Dialing } else { Phase::Open };
    let peer = match Peer::from_bytes(&record.peer) {
        Peer::Unknown if phase == Phase::Open => stream.peer(),
        known => known,
    };
    let mut conn = ConnState::new(ConnId::from_bits(record.id), stream, peer, phase, stamp);
    if phase == Phase::Dialing || record.destination.is_some() || !record.timers.is_empty() {
        let rare = conn.rare_mut();
        let parse = |text| Destination::parse("dial", text).ok();
        rare.destination = record.destination.as_deref().and_then(parse);
        rare.tag = record.dialing.unwrap_or(0);
        rare.timers = record.timers.iter().map(|&(key, left)| (Timer(key), now + left)).collect();
    }
    conn.input = record.input;
    conn.output = shared.read(record.output)?;
    conn.at_least = record.at_least as usize;
    conn.opened = stamp.before(record.age);
    conn.active = stamp.before(record.idle);
    conn.progress = stamp.before(record.stalled);
    (conn.bytes_in, conn.bytes_out) = (record.bytes_in, record.bytes_out);
    conn.flags = from_bits(record.flags);
    Ok((conn, record.session))
}

/// A dial to a name, written down.
pub(crate) fn pack_dial(dial: &NamedDial) -> Record {
    Record {
        dialing: Some(dial.tag),
        destination: Some(dial.destination.to_string()),
        age: dial.age,
        ..Record::default()
    }
}

/// And made again.
pub(crate) fn unpack_dial(record: &Record) -> Result<NamedDial, Malformed> {
    let malformed = Malformed::Field("dial without a destination");
    let text = record.destination.as_deref().filter(|_| record.is_of_dial());
    let destination = text.and_then(|text| Destination::parse("dial", text).ok());
    let tag = record.dialing.unwrap_or(0);
    Ok(NamedDial { destination: destination.ok_or(malformed)?, tag, age: record.age })
}

/// What a new program has to know. A bit never gets a second meaning.
fn to_bits(flags: &Flags) -> u64 {
    let bits = [
        flags.fin,
        flags.eof,
        flags.eof_told,
        flags.paused,
        flags.congested,
        flags.incomplete,
        flags.greeted,
        flags.half_close,
        flags.fin_sent,
        flags.writable_due,
    ];
    bits.iter().enumerate().fold(0, |all, (place, &bit)| all | u64::from(bit) << place)
}

fn from_bits(bits: u64) -> Flags {
    let bit = |place: u32| bits >> place & 1 == 1;
    Flags {
        fin: bit(0),
        eof: bit(1),
        eof_told: bit(2),
        paused: bit(3),
        congested: bit(4),
        incomplete: bit(5),
        greeted: bit(6),
        half_close: bit(7),
        fin_sent: bit(8),
        writable_due: bit(9),
        // What the socket has to say of input, a fresh registration says: see `epoll(7)`. Output that waits
        // is tried again.
        ..Flags::default()
    }
}
