//! What two peers have agreed on: a version, a cipher and a hash.

use ring::aead::{AES_128_GCM, AES_256_GCM, Algorithm, CHACHA20_POLY1305};
use rustls::{
    SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite,
    crypto::{ring::ALL_CIPHER_SUITES, tls13::OkmBlock},
};

/// A cipher suite whose records this program can seal and open, whoever has shaken hands: the suites have numbers, and
/// ring has the ciphers of all that are still used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Suite(SupportedCipherSuite);

impl Suite {
    /// The suite of this number (RFC 8446, B.4; RFC 5289; RFC 7905); `None`: its records are strange to us.
    pub fn of(number: u16) -> Option<Suite> {
        let is_it = |suite: &&SupportedCipherSuite| u16::from(suite.suite()) == number;
        ALL_CIPHER_SUITES.iter().find(is_it).map(|suite| Suite(*suite))
    }

    pub fn number(self) -> u16 {
        self.0.suite().into()
    }

    pub fn is_tls13(self) -> bool {
        self.tls13().is_some()
    }

    pub(super) fn tls13(self) -> Option<&'static Tls13CipherSuite> {
        self.0.tls13()
    }

    pub(super) fn tls12(self) -> Option<&'static Tls12CipherSuite> {
        match self.0 {
            SupportedCipherSuite::Tls12(suite) => Some(suite),
            SupportedCipherSuite::Tls13(_) => None,
        }
    }

    pub(super) fn cipher(self) -> &'static Algorithm {
        match self.number() {
            0x1301 | 0xc02b | 0xc02f => &AES_128_GCM,
            0x1302 | 0xc02c | 0xc030 => &AES_256_GCM,
            _ => &CHACHA20_POLY1305,
        }
    }

    /// The bytes of each record of TLS 1.2 that its sender chooses, RFC 5288, 3.
    pub(super) fn explicit_nonce(self) -> usize {
        let gcm = self.cipher() != &CHACHA20_POLY1305;
        if gcm && !self.is_tls13() { 8 } else { 0 }
    }

    /// How many records one key may seal, RFC 8446, 5.5.
    pub(super) fn records_per_key(self) -> u64 {
        match self.0 {
            SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
            SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
        }
    }
}

/// HKDF-Expand-Label, RFC 8446, 7.1.
pub(super) fn expand_label(
    suite: &Tls13CipherSuite,
    secret: &[u8],
    label: &[u8],
    context: &[u8],
    out: &mut [u8],
) -> bool {
    let length = (out.len() as u16).to_be_bytes();
    let (label_len, context_len) =
        ([b"tls13 ".len() as u8 + label.len() as u8], [context.len() as u8]);
    let info: [&[u8]; 6] = [&length, &label_len, b"tls13 ", label, &context_len, context];
    let expander = suite.hkdf_provider.expander_for_okm(&OkmBlock::new(secret));
    expander.expand_slice(&info, out).is_ok()
}
