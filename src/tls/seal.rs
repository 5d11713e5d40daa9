//! One record on its way out.

use std::ops::Deref;

use super::{
    cipher::{Cipher, TAG},
    keys::Direction,
    suite::Suite,
};

pub(super) const HEADER: usize = 5;
/// The most that a record carries, RFC 8446, 5.1.
pub(super) const MAX_PLAIN: usize = 1 << 14;

// Types of records, RFC 8446, B.1.
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const DATA: u8 = 23;

/// The version that each record claims to be of, RFC 8446, 5.1.
pub(super) const VERSION: [u8; 2] = [3, 3];

/// The direction in which this side seals.
pub(super) struct Sealing {
    pub keys: Direction,
    /// Made when it is needed.
    pub cipher: Option<Box<Cipher>>,
}

impl Sealing {
    pub fn new(keys: Direction) -> Sealing {
        Sealing { keys, cipher: None }
    }

    /// Appends a record with what `plain` has from `skip` on, as far as it fits; answers how much that was. The
    /// number of the record is used up, come what may.
    pub fn record(
        &mut self,
        suite: Suite,
        kind: u8,
        plain: &[impl Deref<Target = [u8]>],
        skip: usize,
        out: &mut Vec<u8>,
    ) -> usize {
        let total: usize = plain.iter().map(|part| part.len()).sum();
        let length = total.saturating_sub(skip).min(MAX_PLAIN);
        let explicit = suite.explicit_nonce();
        let inner = length + usize::from(suite.is_tls13()); // the type is sealed along
        let body = (explicit + inner + TAG) as u16;
        out.reserve(HEADER + usize::from(body));
        let outer = if suite.is_tls13() { DATA } else { kind };
        let header = [outer, VERSION[0], VERSION[1], (body >> 8) as u8, body as u8];
        out.extend_from_slice(&header);
        let nonce = self.keys.nonce();
        out.extend_from_slice(&nonce[nonce.len() - explicit..]);
        let start = out.len();
        append(plain, skip, length, out);
        if suite.is_tls13() {
            out.push(kind);
        }
        let aad = additional_data(suite, self.keys.number, header, length);
        let cipher =
            self.cipher.get_or_insert_with(|| Cipher::new(suite.cipher(), self.keys.key.bytes()));
        let tag = cipher.seal(nonce, &aad[..aad_len(suite)], &mut out[start..]);
        self.keys.number += 1;
        out.extend_from_slice(&tag.expect("a record is no longer than ring allows"));
        length
    }
}

/// Appends `length` bytes of `plain` from `skip` on.
fn append(plain: &[impl Deref<Target = [u8]>], skip: usize, length: usize, out: &mut Vec<u8>) {
    let (mut skip, mut left) = (skip, length);
    for part in plain {
        let skipped = skip.min(part.len());
        let taken = left.min(part.len() - skipped);
        out.extend_from_slice(&part[skipped..skipped + taken]);
        (skip, left) = (skip - skipped, left - taken);
        if left == 0 {
            break;
        }
    }
}

/// What is authentic beside the text itself: in TLS 1.3 the header as it is (RFC 8446, 5.2), in TLS 1.2 number, header and
/// the length of the text (RFC 5246, 6.2.3.3).
pub(super) fn additional_data(
    suite: Suite,
    number: u64,
    header: [u8; HEADER],
    length: usize,
) -> [u8; 13] {
    let mut aad = [0; 13];
    if suite.is_tls13() {
        aad[..HEADER].copy_from_slice(&header);
        return aad;
    }
    aad[..8].copy_from_slice(&number.to_be_bytes());
    aad[8..11].copy_from_slice(&header[..3]);
    aad[11..].copy_from_slice(&(length as u16).to_be_bytes());
    aad
}

pub(super) fn aad_len(suite: Suite) -> usize {
    if suite.is_tls13() { HEADER } else { 13 }
}
