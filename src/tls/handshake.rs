//! A handshake, record by record. rustls does it, whole; this feeds it no byte that comes after its end, hears what
//! it tells beside, and says in the words of the protocol why it has failed.

use rustls::{
    CommonState, ConnectionTrafficSecrets, Error, ExtractedSecrets, HandshakeKind, InvalidMessage,
    client::UnbufferedClientConnection,
    pki_types::ServerName,
    server::UnbufferedServerConnection,
    unbuffered::{ConnectionState, EncodeError, InsufficientSizeError, UnbufferedStatus},
};

use super::{
    alert::Alert,
    config::{ClientTerms, Heard, ServerTerms},
    error::TlsError,
    info::TlsInfo,
    keys::{Direction, Exporter, Secrets, Unfit},
    messages::AfterHandshake,
    records::Records,
    secret::{Secret, wipe_stack},
    suite::Suite,
    words::{alert_for, failed, words},
};

/// Type, version and length, RFC 8446, 5.1.
const HEADER: usize = 5;
/// The longest record of any version, RFC 5246, 6.2.3.
const LONGEST: usize = (1 << 14) + 2048;

/// So many bytes are kept of a handshake message that is not whole: rustls takes none above 64 KiB, and who cuts one into
/// records of a byte each would have six times that kept.
const MOST_KEPT: usize = (1 << 16) + LONGEST;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const SERVER_HELLO: u8 = 2;

/// The room for what one step of a handshake answers; a long chain of certificates takes more.
const ROOM: usize = 2048;

/// A handshake that is under way.
pub(crate) struct Handshake {
    side: Side,
    heard: Heard,
    /// The server's random number, of which TLS 1.2 derives more.
    server_random: Option<[u8; 32]>,
    /// Bytes at the front of the input that rustls has seen and is not done with.
    seen: usize,
    /// Whether a whole record has come.
    has_begun: bool,
}

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// How far a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The peer has to say something.
    Waits,
    /// All is agreed on. What follows in the input is the beginning of the first records.
    Done,
}

/// What stands at the front of some input.
enum Framed {
    Whole(usize),
    Part,
    /// No record: it is for rustls to say so.
    Wrong,
}

impl Handshake {
    /// Of a client that comes.
    ///
    /// # Errors
    /// When the configuration makes no sense.
    pub fn accept(terms: &ServerTerms) -> Result<Handshake, TlsError> {
        let conn = UnbufferedServerConnection::new(terms.0.clone());
        conn.map(|conn| Handshake::of(Side::Server(conn))).map_err(|e| failed(&e))
    }

    /// With a server that is to be `name`.
    ///
    /// # Errors
    /// As above.
    pub fn connect(terms: &ClientTerms, name: ServerName<'static>) -> Result<Handshake, TlsError> {
        let conn = UnbufferedClientConnection::new(terms.0.clone(), name);
        conn.map(|conn| Handshake::of(Side::Client(conn))).map_err(|e| failed(&e))
    }

    fn of(side: Side) -> Handshake {
        let (heard, server_random) = (Heard::default(), None);
        Handshake { side, heard, server_random, seen: 0, has_begun: false }
    }

    pub fn is_client(&self) -> bool {
        matches!(self.side, Side::Client(_))
    }

    /// Whether it is of a client that has said nothing so far.
    pub fn has_heard_nothing(&self) -> bool {
        !self.is_client() && !self.has_begun
    }

    /// What is said before anything has come: a client's first word.
    ///
    /// # Errors
    /// When there is none, for want of random numbers.
    pub fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), TlsError> {
        match self.is_client() {
            true => self.process(&mut [], out).1.map(drop),
            false => Ok(()),
        }
    }

    /// Goes on with whatever `input` begins with, and appends what is to be sent: an answer, or an alert. Answers how many
    /// bytes were used up, and how far it has come.
    pub fn feed(
        &mut self,
        input: &mut [u8],
        out: &mut Vec<u8>,
    ) -> (usize, Result<Progress, TlsError>) {
        let mut used = 0;
        loop {
            // One record more at a time, so that nothing behind the last one is touched.
            let rest = &mut input[used..];
            let (end, is_record) = match framed(&rest[self.seen.min(rest.len())..]) {
                Framed::Whole(length) => (self.seen + length, true),
                Framed::Part if rest.len() > MOST_KEPT => {
                    let e = Error::InvalidMessage(InvalidMessage::HandshakePayloadTooLarge);
                    let before = out.len();
                    self.make_alert(&e, out);
                    return (used, Err(self.why(&e, &out[before..])));
                }
                Framed::Part => return (used, Ok(Progress::Waits)),
                Framed::Wrong => (rest.len(), false),
            };
            self.note_server_random(&rest[self.seen..end]);
            self.has_begun |= is_record;
            let (discard, result) = self.process(&mut rest[..end], out);
            self.seen = end - discard;
            used += discard;
            match result {
                Ok(Progress::Waits) if is_record => {}
                Ok(_) if !is_record => {
                    let why = TlsError::Failed("what came is no record".into());
                    return (used, Err(why));
                }
                result => return (used, result),
            }
        }
    }

    /// Lets rustls do what it can do by now.
    fn process(
        &mut self,
        input: &mut [u8],
        out: &mut Vec<u8>,
    ) -> (usize, Result<Progress, TlsError>) {
        let (mut used, before) = (0, out.len());
        loop {
            let rest = &mut input[used..];
            let (discard, step) = match &mut self.side {
                Side::Server(conn) => step(conn.process_tls_records(rest), out),
                Side::Client(conn) => step(conn.process_tls_records(rest), out),
            };
            used += discard;
            self.heard.catch_up();
            match step {
                Step::Again => {}
                // Half of it may be agreed on already.
                Step::Done if self.common().is_handshaking() => return (used, Ok(Progress::Waits)),
                Step::Done => {
                    self.note_server_random(&out[before..]);
                    return (used, Ok(Progress::Done));
                }
                Step::Waits => {
                    self.note_server_random(&out[before..]);
                    return (used, Ok(Progress::Waits));
                }
                Step::Failed(e) => {
                    self.encode_alert(&mut input[used..], out);
                    if out.len() == before {
                        self.make_alert(&e, out);
                    }
                    return (used, Err(self.why(&e, &out[before..])));
                }
            }
        }
    }

    /// It has failed: what rustls has to say about that. Not a step more, or it would look at the same bytes again.
    fn encode_alert(&mut self, rest: &mut [u8], out: &mut Vec<u8>) {
        while self.common().wants_write() {
            let (_, step) = match &mut self.side {
                Side::Server(conn) => step(conn.process_tls_records(rest), out),
                Side::Client(conn) => step(conn.process_tls_records(rest), out),
            };
            if !matches!(step, Step::Again) {
                return;
            }
        }
    }

    /// It says nothing about some failures. As long as nothing is encrypted, that can be made up for.
    fn make_alert(&self, e: &Error, out: &mut Vec<u8>) {
        if self.server_random.is_none()
            && let Some(alert) = alert_for(e)
        {
            out.extend([ALERT, 3, 3, 0, 2, 2, alert.number()]);
        }
    }

    /// What has failed, with the alert that was sent for it.
    fn why(&self, e: &Error, sent: &[u8]) -> TlsError {
        if let Error::AlertReceived(alert) = e {
            return TlsError::Received(Alert::from_number((*alert).into()));
        }
        let words = match e {
            Error::InvalidMessage(_) if !self.has_begun => "what came is no TLS".into(),
            _ => words(e),
        };
        match last_alert(sent).or_else(|| alert_for(e)) {
            Some(alert) if !sent.is_empty() => TlsError::Sent(alert, words),
            _ => TlsError::Failed(words),
        }
    }

    fn common(&self) -> &CommonState {
        match &self.side {
            Side::Server(conn) => conn,
            Side::Client(conn) => conn,
        }
    }

    /// Looks whether a flight begins with the server's hello.
    fn note_server_random(&mut self, flight: &[u8]) {
        if self.server_random.is_none()
            && let [HANDSHAKE, _, _, _, _, SERVER_HELLO, _, _, _, _, _, rest @ ..] = flight
            && let Some(random) = rest.first_chunk()
        {
            self.server_random = Some(*random);
        }
    }

    /// What follows once all is agreed on.
    ///
    /// # Errors
    /// When it was agreed on something that we have no ciphers for.
    pub fn finish(self: Box<Self>) -> Result<Box<(Records, TlsInfo)>, TlsError> {
        let finished = self.into_records();
        wipe_stack(); // where keys were on their way
        finished
    }

    /// What was heard is not moved, and so wiped where it is: of a box that is moved out of, the bytes are left.
    #[inline(never)]
    fn into_records(mut self: Box<Self>) -> Result<Box<(Records, TlsInfo)>, TlsError> {
        let info = self.info().ok_or(TlsError::Failed("nothing was agreed on".into()))?;
        let strange = || TlsError::Failed(format!("no cipher for {:?}", info.suite()).into());
        let suite = Suite::of(info.suite).ok_or_else(strange)?;
        let is_client = self.is_client();
        let Heard { client, server, .. } = &self.heard;
        let (ours, theirs) = if is_client { (client, server) } else { (server, client) };
        let (extracted, rustls): (ExtractedSecrets, Box<dyn AfterHandshake>) = match self.side {
            Side::Server(conn) => {
                let (secrets, rest) =
                    conn.dangerous_into_kernel_connection().map_err(|e| failed(&e))?;
                (secrets, Box::new(rest))
            }
            Side::Client(conn) => {
                let (secrets, rest) =
                    conn.dangerous_into_kernel_connection().map_err(|e| failed(&e))?;
                (secrets, Box::new(rest))
            }
        };
        let sending = direction(suite, &extracted.tx, ours).map_err(|_| strange())?;
        let receiving = direction(suite, &extracted.rx, theirs).map_err(|_| strange())?;
        let exporter = exporter(&self.heard, self.server_random);
        let mut records = Records::new(Secrets { suite, is_client, sending, receiving, exporter });
        let has_tickets = is_client && suite.is_tls13();
        if has_tickets || !records.can_be_carried() {
            records.keep(rustls);
        }
        Ok(Box::new((records, info)))
    }

    fn info(&mut self) -> Option<TlsInfo> {
        let sni = self.heard.sni.take();
        let common = self.common();
        let suite = common.negotiated_cipher_suite()?;
        let version = common.protocol_version()?;
        let resumed = Some(HandshakeKind::Resumed);
        Some(TlsInfo {
            version: version.into(),
            suite: suite.suite().into(),
            alpn: common.alpn_protocol().map(Box::from),
            sni,
            certificates: common.peer_certificates().unwrap_or_default().into(),
            is_resumed: common.handshake_kind() == resumed,
        })
    }
}

impl ServerTerms {
    /// # Errors
    /// When no handshake could be begun with them.
    pub fn check(&self) -> Result<(), TlsError> {
        Handshake::accept(self).map(drop)
    }
}

/// What rustls has is right. Where the key log was told another secret, it serves without one.
fn direction(
    suite: Suite,
    extracted: &(u64, ConnectionTrafficSecrets),
    heard: &Secret,
) -> Result<Direction, Unfit> {
    match Direction::of_extracted(suite, extracted, heard.bytes()) {
        Err(Unfit::Secret) => Direction::of_extracted(suite, extracted, &[]),
        other => other,
    }
}

fn exporter(heard: &Heard, server_random: Option<[u8; 32]>) -> Exporter {
    let Some(server_random) = server_random.filter(|_| !heard.master.is_none()) else {
        return Exporter::tls13(heard.exporter.bytes());
    };
    let mut randoms = [0; 64];
    randoms[..32].copy_from_slice(&heard.client_random);
    randoms[32..].copy_from_slice(&server_random);
    Exporter::tls12(heard.master.bytes(), randoms)
}

enum Step {
    Again,
    Waits,
    Done,
    Failed(Error),
}

fn step<Data>(status: UnbufferedStatus<'_, '_, Data>, out: &mut Vec<u8>) -> (usize, Step) {
    let step = match status.state {
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let start = out.len();
            let mut room = ROOM;
            loop {
                out.resize(start + room, 0);
                match data.encode(&mut out[start..]) {
                    Ok(count) => break out.truncate(start + count),
                    Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                        room = required_size;
                    }
                    Err(EncodeError::AlreadyEncoded) => break out.truncate(start),
                }
            }
            Step::Again
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Step::Again
        }
        Ok(ConnectionState::BlockedHandshake) => Step::Waits,
        Ok(ConnectionState::WriteTraffic(_)) => Step::Done,
        Ok(_) => Step::Failed(Error::General("data in the middle of the handshake".into())),
        Err(e) => Step::Failed(e),
    };
    (status.discard, step)
}

/// How long the first record is. What is said about its contents is rustls' business.
fn framed(input: &[u8]) -> Framed {
    let Some(&[kind, major, _, high, low]) = input.first_chunk::<HEADER>() else {
        // Who speaks another protocol is told so by its first byte.
        let is_other = input.first().is_some_and(|kind| !(20..=23).contains(kind));
        return if is_other && input.len() >= HEADER { Framed::Wrong } else { Framed::Part };
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if !(20..=23).contains(&kind) || major != 3 || length == 0 || length > LONGEST {
        return Framed::Wrong;
    }
    let whole = HEADER + length;
    if whole <= input.len() { Framed::Whole(whole) } else { Framed::Part }
}

/// The alert that some output ends with, as long as nothing is encrypted.
fn last_alert(out: &[u8]) -> Option<Alert> {
    let record = out.last_chunk::<{ HEADER + 2 }>()?;
    let [ALERT, 3, _, 0, 2, _, number] = *record else { return None };
    Some(Alert::from_number(number))
}

#[cfg(test)]
#[path = "leftovers_tests.rs"]
mod tests;
