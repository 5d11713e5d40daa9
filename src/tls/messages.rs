//! What comes in records after the handshake and is no data: alerts, and the handshake messages that may still come.

use rustls::{
    ConnectionTrafficSecrets, client::ClientConnectionData, kernel::KernelConnection,
    server::ServerConnectionData,
};

use super::{
    alert::Alert,
    keys::{Direction, Unfit},
    suite::Suite,
};

// Types of handshake messages, RFC 8446, B.3.
const HELLO_REQUEST: u8 = 0;
const CLIENT_HELLO: u8 = 1;
const NEW_SESSION_TICKET: u8 = 4;
pub(super) const KEY_UPDATE: u8 = 24;

/// A message's type and its length.
pub(super) const MESSAGE_HEADER: usize = 4;

/// The longest message that is waited for: a ticket with all that it may have. It is rustls' own limit.
const MAX_MESSAGE: usize = 0xffff;

/// What whoever has shaken hands still does: it lives in the process where that was, and goes no further.
pub(crate) trait AfterHandshake {
    /// A ticket has come, with which the next handshake is shorter.
    fn ticket(&mut self, payload: &[u8]) -> Result<(), rustls::Error>;

    /// The next keys, where they do not follow from what is known here.
    fn next_sending(&mut self) -> Result<(u64, ConnectionTrafficSecrets), rustls::Error>;

    /// And of the other direction.
    fn next_receiving(&mut self) -> Result<(u64, ConnectionTrafficSecrets), rustls::Error>;
}

impl AfterHandshake for KernelConnection<ClientConnectionData> {
    fn ticket(&mut self, payload: &[u8]) -> Result<(), rustls::Error> {
        self.handle_new_session_ticket(payload)
    }

    fn next_sending(&mut self) -> Result<(u64, ConnectionTrafficSecrets), rustls::Error> {
        self.update_tx_secret()
    }

    fn next_receiving(&mut self) -> Result<(u64, ConnectionTrafficSecrets), rustls::Error> {
        self.update_rx_secret()
    }
}

impl AfterHandshake for KernelConnection<ServerConnectionData> {
    fn ticket(&mut self, _: &[u8]) -> Result<(), rustls::Error> {
        Ok(()) // no server gets that far: see `whole`
    }

    fn next_sending(&mut self) -> Result<(u64, ConnectionTrafficSecrets), rustls::Error> {
        self.update_tx_secret()
    }

    fn next_receiving(&mut self) -> Result<(u64, ConnectionTrafficSecrets), rustls::Error> {
        self.update_rx_secret()
    }
}

/// The keys that follow `keys`.
pub(super) fn next(
    suite: Suite,
    keys: &Direction,
    from_rustls: impl FnOnce() -> Option<Result<(u64, ConnectionTrafficSecrets), rustls::Error>>,
) -> Result<Direction, Unfit> {
    if let Some(next) = keys.next(suite) {
        return Ok(next);
    }
    let extracted = from_rustls().and_then(Result::ok).ok_or(Unfit::Secret)?;
    Direction::of_extracted(suite, &extracted, &[])
}

/// An alert as it was received.
pub(super) enum Told {
    Close,
    Nothing,
    Failure(Alert),
}

/// What an alert means, RFC 8446, 6: in TLS 1.3 each is the end, whatever it calls itself.
pub(super) fn alert(is_tls13: bool, body: &[u8]) -> Result<Told, Alert> {
    let &[level, number] = body else { return Err(Alert::DECODE_ERROR) };
    let alert = Alert::from_number(number);
    match (level, alert) {
        (_, Alert::CLOSE_NOTIFY) => Ok(Told::Close),
        (_, Alert::USER_CANCELED) if is_tls13 => Ok(Told::Nothing),
        (1, _) if !is_tls13 => Ok(Told::Nothing),
        (1 | 2, _) => Ok(Told::Failure(alert)),
        _ if is_tls13 => Ok(Told::Failure(alert)),
        _ => Err(Alert::ILLEGAL_PARAMETER),
    }
}

/// A handshake message of TLS 1.3 that may come.
pub(super) enum Message<'a> {
    KeyUpdate { asked: bool },
    Ticket(&'a [u8]),
}

/// The message at the front of `bytes`, and how long it is; `None` until it is whole. What may not come is not waited for.
pub(super) fn first(is_client: bool, bytes: &[u8]) -> Result<Option<(Message<'_>, usize)>, Alert> {
    let Some(&kind) = bytes.first() else { return Ok(None) };
    if kind != KEY_UPDATE && !(kind == NEW_SESSION_TICKET && is_client) {
        return Err(Alert::UNEXPECTED_MESSAGE);
    }
    let Some(&[_, a, b, c]) = bytes.first_chunk::<MESSAGE_HEADER>() else { return Ok(None) };
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    if length > MAX_MESSAGE || (kind == KEY_UPDATE && length != 1) {
        return Err(Alert::DECODE_ERROR);
    }
    let end = MESSAGE_HEADER + length;
    let Some(body) = bytes.get(MESSAGE_HEADER..end) else { return Ok(None) };
    match (kind, body) {
        (KEY_UPDATE, &[asked @ (0 | 1)]) => {
            Ok(Some((Message::KeyUpdate { asked: asked == 1 }, end)))
        }
        (KEY_UPDATE, _) => Err(Alert::ILLEGAL_PARAMETER),
        _ => Ok(Some((Message::Ticket(body), end))),
    }
}

/// Whether these are the first bytes of a wish to agree on keys anew, as TLS 1.2 had it. It is refused, and no harm.
pub(super) fn is_renegotiation(is_client: bool, body: &[u8]) -> bool {
    body.first() == Some(if is_client { &HELLO_REQUEST } else { &CLIENT_HELLO })
}
