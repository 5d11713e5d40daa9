//! One record on its way in.

use super::{
    alert::Alert,
    cipher::{Cipher, TAG},
    keys::Direction,
    seal::{
        ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, HEADER, MAX_PLAIN, VERSION, aad_len,
        additional_data,
    },
    suite::Suite,
};

/// The direction in which the peer seals.
pub(super) struct Opening {
    pub keys: Direction,
    /// Made when it is needed.
    pub cipher: Option<Box<Cipher>>,
}

/// What was in a record. The text stands where [`Opening::record`] was told.
pub(super) struct Text {
    pub kind: u8,
    pub length: usize,
}

impl Opening {
    pub fn new(keys: Direction) -> Opening {
        Opening { keys, cipher: None }
    }

    /// Opens the record at `input[from..]`, which is whole, so that its text stands at the front of `input`.
    pub fn record(&mut self, suite: Suite, input: &mut [u8], from: usize) -> Result<Text, Alert> {
        let header: [u8; HEADER] = std::array::from_fn(|at| input[from + at]);
        let explicit = suite.explicit_nonce();
        let body = from + HEADER;
        let sealed = (input.len() - body).checked_sub(explicit + TAG);
        let length = sealed.ok_or(Alert::BAD_RECORD_MAC)?;
        let mut nonce = self.keys.nonce();
        let own = nonce.len() - explicit;
        nonce[own..].copy_from_slice(&input[body..body + explicit]);
        let aad = additional_data(suite, self.keys.number, header, length);
        let cipher =
            self.cipher.get_or_insert_with(|| Cipher::new(suite.cipher(), self.keys.key.bytes()));
        let opened = cipher.open(nonce, &aad[..aad_len(suite)], input, body + explicit);
        let length = opened.ok_or(Alert::BAD_RECORD_MAC)?;
        self.keys.number += 1;
        if !suite.is_tls13() {
            let fits = length <= MAX_PLAIN;
            return fits.then_some(Text { kind: header[0], length }).ok_or(Alert::RECORD_OVERFLOW);
        }
        unpadded(&input[..length])
    }
}

/// What there is before the padding, RFC 8446, 5.4: the type is the last byte that is not zero.
fn unpadded(inner: &[u8]) -> Result<Text, Alert> {
    if inner.len() > MAX_PLAIN + 1 {
        return Err(Alert::RECORD_OVERFLOW);
    }
    let last = inner.iter().rposition(|&byte| byte != 0).ok_or(Alert::UNEXPECTED_MESSAGE)?;
    Ok(Text { kind: inner[last], length: last })
}

/// How long the record at the front of `input` is, header included; `None` while that is not known. A record of which
/// the header says that it will not be right is not waited for.
pub(super) fn length_of_first(suite: Suite, input: &[u8]) -> Result<Option<usize>, Alert> {
    let Some(&[kind, major, minor, high, low]) = input.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    // What TLS 1.3 allows for padding (RFC 8446, 5.2), and TLS 1.2 for compression and MACs (RFC 5246, 6.2.3).
    let (is_expected, room) = match suite.is_tls13() {
        true => (kind == DATA, 256),
        false => ((CHANGE_CIPHER_SPEC..=DATA).contains(&kind), 2048),
    };
    if !is_expected {
        return Err(Alert::UNEXPECTED_MESSAGE);
    }
    if [major, minor] != VERSION && !suite.is_tls13() {
        return Err(Alert::PROTOCOL_VERSION);
    }
    if length > MAX_PLAIN + room {
        return Err(Alert::RECORD_OVERFLOW);
    }
    Ok(Some(HEADER + length))
}

/// Whether a record of this type may be without a text.
pub(super) fn may_be_empty(kind: u8) -> bool {
    kind != ALERT && kind != HANDSHAKE
}
