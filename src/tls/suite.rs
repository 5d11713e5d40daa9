//! What two peers have agreed on: a version, a cipher and a hash.

use std::fmt;

use ring::aead::{AES_128_GCM, AES_256_GCM, Algorithm, CHACHA20_POLY1305};
use rustls::{
    SupportedCipherSuite, Tls12CipherSuite, Tls13CipherSuite,
    crypto::{ring::cipher_suite::*, tls13::OkmBlock},
};

/// A cipher suite whose records this program can seal and open, whoever has shaken hands: the suites have numbers, and
/// ring has the ciphers of all that are still used.
#[derive(Clone, Copy)]
pub(crate) struct Suite(&'static Facts);

/// What is asked of a suite, by each record.
struct Facts {
    /// RFC 8446, B.4; RFC 5289; RFC 7905.
    number: u16,
    is_tls13: bool,
    cipher: &'static Algorithm,
    /// The bytes of each record of TLS 1.2 that its sender chooses, RFC 5288, 3.
    explicit_nonce: usize,
    rustls: SupportedCipherSuite,
}

static ALL: [Facts; 9] = [
    of_tls13(0x1301, &AES_128_GCM, TLS13_AES_128_GCM_SHA256),
    of_tls13(0x1302, &AES_256_GCM, TLS13_AES_256_GCM_SHA384),
    of_tls13(0x1303, &CHACHA20_POLY1305, TLS13_CHACHA20_POLY1305_SHA256),
    of_tls12(0xc02b, &AES_128_GCM, 8, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    of_tls12(0xc02c, &AES_256_GCM, 8, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    of_tls12(0xc02f, &AES_128_GCM, 8, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    of_tls12(0xc030, &AES_256_GCM, 8, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    of_tls12(0xcca8, &CHACHA20_POLY1305, 0, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    of_tls12(0xcca9, &CHACHA20_POLY1305, 0, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
];

const fn of_tls13(number: u16, cipher: &'static Algorithm, rustls: SupportedCipherSuite) -> Facts {
    Facts { number, is_tls13: true, cipher, explicit_nonce: 0, rustls }
}

const fn of_tls12(
    number: u16,
    cipher: &'static Algorithm,
    explicit_nonce: usize,
    rustls: SupportedCipherSuite,
) -> Facts {
    Facts { number, is_tls13: false, cipher, explicit_nonce, rustls }
}

impl Suite {
    /// The suite of this number; `None`: its records are strange to us.
    pub fn of(number: u16) -> Option<Suite> {
        ALL.iter().find(|suite| suite.number == number).map(Suite)
    }

    pub fn number(self) -> u16 {
        self.0.number
    }

    pub fn is_tls13(self) -> bool {
        self.0.is_tls13
    }

    pub(super) fn tls13(self) -> Option<&'static Tls13CipherSuite> {
        self.0.rustls.tls13()
    }

    pub(super) fn tls12(self) -> Option<&'static Tls12CipherSuite> {
        match self.0.rustls {
            SupportedCipherSuite::Tls12(suite) => Some(suite),
            SupportedCipherSuite::Tls13(_) => None,
        }
    }

    pub(super) fn cipher(self) -> &'static Algorithm {
        self.0.cipher
    }

    /// The bytes of each record of TLS 1.2 that its sender chooses, RFC 5288, 3.
    pub(super) fn explicit_nonce(self) -> usize {
        self.0.explicit_nonce
    }

    /// How many records one key may seal, RFC 8446, 5.5.
    pub(super) fn records_per_key(self) -> u64 {
        match self.0.rustls {
            SupportedCipherSuite::Tls12(suite) => suite.common.confidentiality_limit,
            SupportedCipherSuite::Tls13(suite) => suite.common.confidentiality_limit,
        }
    }
}

impl PartialEq for Suite {
    fn eq(&self, other: &Suite) -> bool {
        self.0.number == other.0.number
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.rustls.fmt(f)
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

#[cfg(test)]
mod tests {
    use rustls::crypto::ring::ALL_CIPHER_SUITES;

    use super::*;

    #[test]
    fn each_suite_of_rustls_is_known_by_its_number_and_has_its_cipher() {
        assert_eq!(ALL.len(), ALL_CIPHER_SUITES.len());
        for rustls in ALL_CIPHER_SUITES {
            let suite = Suite::of(rustls.suite().into()).expect("one of ours");
            assert_eq!(suite.0.rustls, *rustls);
            assert_eq!(suite.is_tls13(), suite.tls13().is_some());
            let name = format!("{suite:?}");
            let cipher = ["AES_128_GCM", "AES_256_GCM", "CHACHA20_POLY1305"]
                .map(|cipher| name.contains(cipher));
            let ciphers = [&AES_128_GCM, &AES_256_GCM, &CHACHA20_POLY1305];
            assert_eq!(cipher, ciphers.map(|cipher| cipher == suite.cipher()));
            let chosen = !suite.is_tls13() && suite.cipher() != &CHACHA20_POLY1305;
            assert_eq!(suite.explicit_nonce(), if chosen { 8 } else { 0 });
        }
    }
}
