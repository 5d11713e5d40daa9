//! Between a connection and its record: what of it travels, and how it is made again. Knows no link.

use std::time::{Duration, Instant};

use super::{
    record::{AWAITS_FROM, Part, Record, TLS_FROM},
    shared::SharedBuffers,
    silence::Silence,
};
use crate::{
    clock::Stamp,
    net::{
        CameBy, ConnId, ConnState, Destination, Flags, NamedDial, Peer, Phase, Secure, Stream,
        Timer, Via,
    },
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
    let via = conn.rare().and_then(|rare| rare.via.as_ref());
    let came_by = conn.rare().and_then(|rare| rare.came_by.as_ref());
    Record {
        id: conn.id.to_bits(),
        peer: conn.peer.to_bytes(),
        session,
        dialing: conn.rare().filter(|_| conn.phase == Phase::Dialing).map(|rare| rare.tag),
        awaits: came_by.map(|by| (by.number as u64, by.name.clone())),
        awaits_tls: came_by.is_some_and(|by| by.is_tls),
        proxy: via.map(|via| via.proxy.to_bytes()),
        proxy_said: via.map_or_else(Default::default, |via| {
            (via.destination.map(|address| address.to_string()), via.tlvs.to_vec())
        }),
        destination: conn.destination().map(|destination| destination.to_string()),
        tls: None, // it is not written without what is secret about it
        input: conn.input.clone(),
        output,
        at_least: conn.at_least as u64,
        timers: conn.timers().iter().map(left).collect(),
        age: since(conn.opened),
        idle: since(conn.active()),
        stalled: since(conn.written_at),
        bytes_in: conn.bytes_in,
        bytes_out: conn.bytes_out,
        flags: to_bits(&conn.flags),
        silence: silence_of(conn, stamp),
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
    let phase = match (&record.dialing, &record.awaits) {
        (Some(_), _) => Phase::Dialing,
        (None, Some(_)) => Phase::AwaitsHeader,
        (None, None) => Phase::Open,
    };
    let known = |bytes: &[u8]| match Peer::from_bytes(bytes) {
        Peer::Unknown if phase != Phase::Dialing => stream.peer(),
        known => known,
    };
    let (peer, via) = (known(&record.peer), record.proxy.as_deref().map(known));
    let mut conn = ConnState::new(ConnId::from_bits(record.id), stream, peer, phase, stamp);
    if phase == Phase::Dialing || record.destination.is_some() || !record.timers.is_empty() {
        let rare = conn.rare_mut();
        let parse = |text| Destination::parse("dial", text).ok();
        rare.destination = record.destination.as_deref().and_then(parse);
        rare.tag = record.dialing.unwrap_or(0);
        rare.timers = record.timers.iter().map(|&(key, left)| (Timer(key), now + left)).collect();
    }
    if let Some((number, name)) = record.awaits {
        let came_by = CameBy { number: number as usize, name, is_tls: record.awaits_tls };
        conn.rare_mut().came_by = Some(Box::new(came_by));
    }
    if let Some(proxy) = via {
        let (destination, tlvs) = record.proxy_said;
        let destination = destination.and_then(|address| address.parse().ok());
        let via = Via { proxy, destination, tlvs: tlvs.into() };
        conn.rare_mut().via = Some(Box::new(via));
    }
    conn.input = record.input;
    conn.output = shared.read(record.output)?;
    conn.at_least = record.at_least as usize;
    conn.opened = stamp.before(record.age);
    // Of an older program it is not known which of both it was: the later one ends nobody too soon.
    conn.read_at = stamp.before(record.idle);
    conn.written_at = stamp.before(record.stalled);
    keep_silence(&mut conn, &record.silence, stamp);
    (conn.bytes_in, conn.bytes_out) = (record.bytes_in, record.bytes_out);
    conn.flags = from_bits(record.flags);
    if let Some(tls) = conn.stream.secure() {
        if tls.promised() > conn.output.len() {
            return Err(Malformed::Field("more is sealed than is to be sent"));
        }
        conn.flags.readable = tls.has_more();
    }
    Ok((conn, record.session))
}

/// Whether a program that reads records up to this version can make the connection again.
pub(crate) fn is_readable(conn: &ConnState, records: u64) -> bool {
    let has_keys = conn.stream.secure().is_none_or(Secure::can_be_carried);
    let came_by = conn.rare().and_then(|rare| rare.came_by.as_ref());
    let awaits_tls = came_by.is_some_and(|by| by.is_tls);
    (conn.phase != Phase::AwaitsHeader || records >= AWAITS_FROM)
        && (!awaits_tls || records >= TLS_FROM)
        && (conn.stream.secure().is_none() || (records >= TLS_FROM && has_keys))
}

fn silence_of(conn: &ConnState, stamp: Stamp) -> Silence {
    let patience = conn.patience();
    let since = |then: Option<Stamp>| then.map(|then| stamp.since(then));
    Silence {
        read: Some(stamp.since(conn.read_at)),
        listener: conn.listener,
        own: patience.and_then(|patience| patience.own),
        counted: patience.map(|patience| patience.counts_from.map(since)).unwrap_or_default(),
        first: since(patience.and_then(|patience| patience.first_from)),
    }
}

fn keep_silence(conn: &mut ConnState, silence: &Silence, stamp: Stamp) {
    let at = |passed: Option<Duration>| passed.map(|passed| stamp.before(passed));
    conn.read_at = at(silence.read).unwrap_or(conn.read_at);
    conn.listener = silence.listener;
    if silence.own.is_some() || silence.first.is_some() || silence.counted != [None; 3] {
        let patience = conn.patience_mut();
        patience.own = silence.own;
        patience.counts_from = silence.counted.map(at);
        patience.first_from = at(silence.first);
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::stream::memory::Pipe;

    /// What it is when it has been written down and made again.
    fn again(conn: &ConnState, session: Option<Vec<u8>>) -> ConnState {
        let now = Instant::now();
        let mut bytes = Vec::new();
        pack(conn, session, Vec::new(), now.into(), now).encode(&mut bytes);
        let record = Record::decode(&mut bytes.as_slice()).expect("well-formed").expect("one");
        let stream = Stream::Memory(Pipe::new(0));
        let made = unpack(record, stream, &mut SharedBuffers::default(), now.into(), now);
        made.expect("nothing is shared").0
    }

    fn conn(phase: Phase, peer: Peer) -> ConnState {
        let stream = Stream::Memory(Pipe::new(0));
        ConnState::new(ConnId::new(3, 7), stream, peer, phase, Instant::now().into())
    }

    #[test]
    fn a_connection_that_awaits_its_header_awaits_it_still() {
        let proxy = Peer::Tcp(([10, 0, 0, 1], 1).into());
        let mut before = conn(Phase::AwaitsHeader, proxy);
        before.input = b"PROXY TC".to_vec();
        let mut came_by = CameBy { number: 5, name: "127.0.0.1:0".to_owned(), is_tls: false };
        before.rare_mut().came_by = Some(Box::new(came_by.clone()));
        let after = again(&before, None);
        assert_eq!(
            (after.phase, after.peer, &after.input),
            (Phase::AwaitsHeader, proxy, &before.input)
        );
        assert_eq!(after.rare().and_then(|rare| rare.came_by.as_deref()), Some(&came_by));
        // An older program would take it for nonsense.
        assert!(is_readable(&before, 3) && !is_readable(&before, 2));
        // Or would serve it in plain text.
        came_by.is_tls = true;
        before.rare_mut().came_by = Some(Box::new(came_by.clone()));
        let after = again(&before, None);
        assert_eq!(after.rare().and_then(|rare| rare.came_by.as_deref()), Some(&came_by));
        assert!(is_readable(&before, 4) && !is_readable(&before, 3));
        assert!(is_readable(&conn(Phase::Open, proxy), 1));
    }

    #[test]
    fn a_client_keeps_the_proxy_through_which_it_came() {
        let client = Peer::Tcp(([192, 0, 2, 1], 4660).into());
        let mut before = conn(Phase::Open, client);
        let via = Via {
            proxy: Peer::Tcp(([10, 0, 0, 1], 1).into()),
            destination: Some(([198, 51, 100, 2], 80).into()),
            tlvs: b"\x05\0\x02u1"[..].into(),
        };
        before.rare_mut().via = Some(Box::new(via.clone()));
        let after = again(&before, Some(Vec::new()));
        assert_eq!((after.peer, after.phase), (client, Phase::Open));
        assert_eq!(after.rare().and_then(|rare| rare.via.as_deref()), Some(&via));
        assert!(again(&conn(Phase::Open, client), Some(Vec::new())).rare().is_none());
    }
}
