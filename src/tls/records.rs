//! An established connection's records, in both directions: what is sent and received between handshake and end.

use std::{fmt, ops::Deref};

use super::{
    alert::Alert,
    keys::{Exporter, Secrets},
    messages::{self, AfterHandshake, KEY_UPDATE, MESSAGE_HEADER, Message, Told},
    open::{Opening, length_of_first, may_be_empty},
    seal::{self, DATA, HANDSHAKE, Sealing},
    suite::Suite,
};

/// So many records in a row may come without a byte of data: alerts that mean nothing, key updates, tickets, empty
/// ones. BoringSSL has the same limit, Go one of 16; who sends more wants to keep somebody busy.
const MAX_WITHOUT_DATA: u8 = 32;

/// So many key updates may be in what is opened at once. Each makes keys and a cipher, and a byte of data between them
/// costs nothing.
const MAX_UPDATES: usize = 32;

/// Records that are kept for the end, where a key has sealed nearly as many as it may and there is no other.
const KEPT_FOR_THE_END: u64 = 1 << 10;

/// Keys, numbers and what is due. Whoever has one may seal, so two processes that have the same connection both have
/// one, and exactly one of them may use it: see [`give_away`](Self::give_away).
pub(crate) struct Records {
    pub(super) suite: Suite,
    pub(super) is_client: bool,
    pub(super) sending: Sealing,
    pub(super) receiving: Opening,
    pub(super) exporter: Exporter,
    /// The beginning of a handshake message that goes on in the next record.
    pub(super) message: Vec<u8>,
    /// Records since the last one with data.
    pub(super) without_data: u8,
    /// Answers that are due.
    pub(super) owes: Owes,
    /// This side has said its last, a `close_notify` or an alert.
    pub(super) said_last: bool,
    /// The peer has.
    pub(super) heard_last: bool,
    given_away: bool,
    /// Ciphers were made since somebody asked.
    warmed: bool,
    rustls: Option<Box<dyn AfterHandshake>>,
}

/// What the peer has asked for.
#[derive(Clone, Copy, Default)]
pub(super) struct Owes {
    pub update: bool,
    pub refusal: bool,
}

/// What was opened.
#[derive(Debug, Default)]
pub(crate) struct Opened {
    /// Bytes of plain text, which stand at the front now.
    pub plain: usize,
    /// Bytes of input that are done with. What is behind them is the start of a record, and comes again with the rest.
    pub used: usize,
    /// What has come behind the plain text, if no more will.
    pub end: Option<End>,
    /// Key updates among it.
    updates: usize,
}

/// Why there will be no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer's `close_notify`: all that it wanted to send has come.
    Closed,
    /// The peer has given up, and says why.
    Received(Alert),
    /// The peer does what it may not do, and is to be told so ([`Records::alert`]).
    Violated(Alert),
}

/// Why nothing is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsealed {
    /// Another process writes on this connection.
    GivenAway,
    /// The key has sealed as many records as it may, and there is no other.
    Worn,
    /// This side has said that it will send no more.
    Ended,
}

impl fmt::Display for Unsealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unsealed::GivenAway => "another process writes on this connection",
            Unsealed::Worn => "the key has sealed as many records as it may",
            Unsealed::Ended => "nothing follows a close_notify",
        })
    }
}

impl Records {
    pub fn new(secrets: Secrets) -> Records {
        Records {
            suite: secrets.suite,
            is_client: secrets.is_client,
            sending: Sealing::new(secrets.sending),
            receiving: Opening::new(secrets.receiving),
            exporter: secrets.exporter,
            message: Vec::new(),
            without_data: 0,
            owes: Owes::default(),
            said_last: false,
            heard_last: false,
            given_away: false,
            warmed: false,
            rustls: None,
        }
    }

    /// Has tickets go to whoever has shaken hands, and has it asked for keys that do not follow from what is known here.
    pub fn keep(&mut self, rustls: Box<dyn AfterHandshake>) {
        self.rustls = Some(rustls);
    }

    /// Whether another program can go on with it.
    pub fn can_be_carried(&self) -> bool {
        let Records { suite, sending, receiving, .. } = self;
        sending.keys.is_complete(*suite) && receiving.keys.is_complete(*suite)
    }

    // In.

    /// Opens all whole records at the front of `input`, in place. After an end nothing is opened any more.
    pub fn open(&mut self, input: &mut [u8]) -> Opened {
        let mut opened = Opened::default();
        while !self.heard_last {
            match self.open_first(input, &mut opened) {
                Ok(true) => {}
                Ok(false) => return opened,
                Err(alert) => self.end(End::Violated(alert), &mut opened),
            }
        }
        opened.used = input.len();
        opened
    }

    /// `false`: there is no whole record.
    fn open_first(&mut self, input: &mut [u8], opened: &mut Opened) -> Result<bool, Alert> {
        let (from, front) = (opened.used, opened.plain);
        let length = length_of_first(self.suite, &input[from..])?;
        let Some(length) = length.filter(|length| input.len() - from >= *length) else {
            return Ok(false);
        };
        self.warmed |= !self.has_ciphers();
        let text =
            self.receiving.record(self.suite, &mut input[front..from + length], from - front)?;
        opened.used += length;
        if text.length == 0 && !may_be_empty(text.kind) {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        if text.kind != HANDSHAKE && !self.message.is_empty() {
            return Err(Alert::UNEXPECTED_MESSAGE); // a message is not interrupted, RFC 8446, 5.1
        }
        if text.kind == DATA && text.length > 0 {
            self.without_data = 0;
            opened.plain += text.length;
            return Ok(true);
        }
        self.without_data += 1;
        if self.without_data > MAX_WITHOUT_DATA {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        let body = &input[front..front + text.length];
        match text.kind {
            DATA => {}
            seal::ALERT => match messages::alert(self.suite.is_tls13(), body)? {
                Told::Close => self.end(End::Closed, opened),
                Told::Failure(alert) => self.end(End::Received(alert), opened),
                Told::Nothing => {}
            },
            HANDSHAKE if self.suite.is_tls13() => opened.updates += self.take_messages(body)?,
            HANDSHAKE if messages::is_renegotiation(self.is_client, body) => {
                self.owes.refusal = true;
            }
            _ => return Err(Alert::UNEXPECTED_MESSAGE),
        }
        if opened.updates > MAX_UPDATES {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        Ok(true)
    }

    fn end(&mut self, end: End, opened: &mut Opened) {
        self.heard_last = true;
        opened.end = Some(end);
    }

    /// Handshake messages: one may go over several records, and several may be in one. Answers how many were key updates.
    fn take_messages(&mut self, body: &[u8]) -> Result<usize, Alert> {
        let mut updates = 0;
        let mut bytes = std::mem::take(&mut self.message);
        bytes.extend_from_slice(body);
        let mut rest = bytes.as_slice();
        while let Some((message, length)) = messages::first(self.is_client, rest)? {
            rest = &rest[length..];
            match message {
                // What follows in the same record would be of the key before.
                Message::KeyUpdate { .. } if !rest.is_empty() => {
                    return Err(Alert::UNEXPECTED_MESSAGE);
                }
                Message::KeyUpdate { asked } => {
                    self.update_receiving(asked)?;
                    updates += 1;
                }
                Message::Ticket(payload) => {
                    if let Some(rustls) = &mut self.rustls {
                        rustls.ticket(payload).map_err(|_| Alert::DECODE_ERROR)?;
                    }
                }
            }
        }
        if !rest.is_empty() {
            self.message = rest.to_vec();
        }
        Ok(updates)
    }

    fn update_receiving(&mut self, asked: bool) -> Result<(), Alert> {
        let rustls = &mut self.rustls;
        let next = messages::next(self.suite, &self.receiving.keys, || {
            rustls.as_mut().map(|rustls| rustls.next_receiving())
        });
        self.receiving = Opening::new(next.map_err(|_| Alert::INTERNAL_ERROR)?);
        self.owes.update |= asked;
        Ok(())
    }

    // Out.

    /// Appends one record with what `plain` has from `skip` on, as far as one record goes (16 KiB), and answers how much
    /// that was. What is due stands in front of it.
    pub fn seal(
        &mut self,
        plain: &[impl Deref<Target = [u8]>],
        skip: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, Unsealed> {
        self.seal_owed(out)?;
        let limit = self.suite.records_per_key();
        if self.sending.keys.number >= limit - KEPT_FOR_THE_END.min(limit) {
            if self.suite.is_tls13() {
                self.update_sending(out)?;
            } else if self.sending.keys.number >= limit - 1 {
                return Err(Unsealed::Worn); // one is left, for the close_notify
            }
        }
        self.warmed |= !self.has_ciphers();
        Ok(self.sending.record(self.suite, DATA, plain, skip, out))
    }

    /// Whether the key of a connection that can have no other is nearly worn, so that it is time to close it: what is
    /// queued can still be sent.
    pub fn is_worn(&self) -> bool {
        let limit = self.suite.records_per_key();
        !self.suite.is_tls13() && self.sending.keys.number >= limit.saturating_sub(KEPT_FOR_THE_END)
    }

    /// Whether an answer is due that waits for no data.
    pub fn owes(&self) -> bool {
        (self.owes.update || self.owes.refusal) && !self.said_last && !self.given_away
    }

    /// Appends what is due, if anything is.
    pub fn seal_owed(&mut self, out: &mut Vec<u8>) -> Result<(), Unsealed> {
        self.may_seal()?;
        if std::mem::take(&mut self.owes.refusal) {
            let refusal = [1, Alert::NO_RENEGOTIATION.number()];
            self.sending.record(self.suite, seal::ALERT, &[&refusal[..]], 0, out);
        }
        if self.owes.update {
            self.update_sending(out)?;
        }
        Ok(())
    }

    /// Goes on with the next key, and tells the peer so (RFC 8446, 4.6.3). It is not asked to do the same.
    pub fn update_sending(&mut self, out: &mut Vec<u8>) -> Result<(), Unsealed> {
        self.may_seal()?;
        self.owes.update = false;
        let rustls = &mut self.rustls;
        let next = messages::next(self.suite, &self.sending.keys, || {
            rustls.as_mut().map(|rustls| rustls.next_sending())
        });
        let next = next.map_err(|_| Unsealed::Worn)?;
        let message: [u8; MESSAGE_HEADER + 1] = [KEY_UPDATE, 0, 0, 1, 0];
        self.sending.record(self.suite, HANDSHAKE, &[&message[..]], 0, out);
        self.sending = Sealing::new(next);
        Ok(())
    }

    /// Appends a `close_notify`: `false` when this side has said its last already, or another process writes.
    pub fn close_notify(&mut self, out: &mut Vec<u8>) -> bool {
        self.say_last([1, Alert::CLOSE_NOTIFY.number()], out)
    }

    /// The same with an alert that is an error.
    pub fn alert(&mut self, alert: Alert, out: &mut Vec<u8>) -> bool {
        self.say_last([2, alert.number()], out)
    }

    fn say_last(&mut self, alert: [u8; 2], out: &mut Vec<u8>) -> bool {
        let may = self.may_seal().is_ok();
        if may {
            self.said_last = true;
            self.sending.record(self.suite, seal::ALERT, &[&alert[..]], 0, out);
        }
        may
    }

    fn may_seal(&self) -> Result<(), Unsealed> {
        match (self.given_away, self.said_last) {
            (true, _) => Err(Unsealed::GivenAway),
            (_, true) => Err(Unsealed::Ended),
            _ => Ok(()),
        }
    }

    // Among processes.

    /// From here on another process writes, and this one seals nothing: two records by one key and number would give the
    /// key away to whoever hears both.
    pub fn give_away(&mut self) {
        self.given_away = true;
        self.drop_ciphers();
    }

    /// The other process has not written, and will not.
    pub fn take_back(&mut self) {
        self.given_away = false;
    }

    /// Ciphers are ten times as large as their keys: who is idle has none. They are made again at the next use.
    pub fn drop_ciphers(&mut self) {
        self.sending.cipher = None;
        self.receiving.cipher = None;
    }

    /// Whether some were made since the last call, where there were none.
    pub fn take_warmed(&mut self) -> bool {
        std::mem::take(&mut self.warmed)
    }

    /// Whether there are any.
    pub fn has_ciphers(&self) -> bool {
        self.sending.cipher.is_some() || self.receiving.cipher.is_some()
    }

    /// Fills `out` with a secret that both sides can derive, and nobody else; `false` where there is none to derive it from.
    pub fn export(&self, label: &[u8], context: Option<&[u8]>, out: &mut [u8]) -> bool {
        self.exporter.export(self.suite, label, context, out)
    }
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sent, received) = (self.sending.keys.number, self.receiving.keys.number);
        write!(f, "records of {:?}, {sent} sent, {received} received", self.suite)
    }
}
