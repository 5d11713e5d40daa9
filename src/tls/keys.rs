//! What a handshake ends with: the keys of both directions, how the next ones follow from them, and the secret from
//! which others derive theirs. Checked against what rustls itself has.

use rustls::{
    ConnectionTrafficSecrets,
    crypto::{cipher::AeadKey, cipher::Iv},
};

use super::{
    cipher::NONCE,
    secret::Secret,
    suite::{Suite, expand_label},
};

/// All that is secret about an established connection.
#[derive(Debug)]
pub(crate) struct Secrets {
    pub suite: Suite,
    /// Whether this side has begun: tickets come to it, and key updates to both.
    pub is_client: bool,
    pub sending: Direction,
    pub receiving: Direction,
    pub exporter: Exporter,
}

/// One direction: its key, and how many records it has sealed.
#[derive(Debug)]
pub(crate) struct Direction {
    /// Of TLS 1.3: `application_traffic_secret_N`, from which all later keys follow. Without one they come from
    /// whoever has shaken hands ([`AfterHandshake`](super::AfterHandshake)).
    pub(super) secret: Secret,
    pub(super) key: Secret,
    /// What the number of a record is added to, RFC 8446, 5.3; of AES-GCM in TLS 1.2 its salt and where the rest begins.
    pub(super) iv: [u8; NONCE],
    /// The number of the next record.
    pub(super) number: u64,
}

/// Why there are no records of ours for what was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// A cipher that is none of ours, or a key of another length than its keys have.
    Cipher,
    /// The secret is not the one that the keys in use come from.
    Secret,
}

impl Direction {
    /// Of TLS 1.3: key and nonces follow from the secret (RFC 8446, 7.3).
    pub fn of_secret(suite: Suite, secret: &[u8], number: u64) -> Result<Direction, Unfit> {
        let tls13 = suite.tls13().ok_or(Unfit::Cipher)?;
        let secret = Secret::of(secret)
            .filter(|secret| secret.bytes().len() == tls13.common.hash_provider.output_len());
        let secret = secret.ok_or(Unfit::Secret)?;
        let derive = |label: &[u8], out: &mut [u8]| {
            expand_label(tls13, secret.bytes(), label, &[], out);
        };
        let key = Secret::filled(suite.cipher().key_len(), |out| derive(b"key", out));
        let mut iv = [0; NONCE];
        derive(b"iv", &mut iv);
        Ok(Direction { secret, key, iv, number })
    }

    /// Of a key that is used as it is: all there is in TLS 1.2.
    pub fn of_key(suite: Suite, key: &[u8], iv: &[u8], number: u64) -> Result<Direction, Unfit> {
        let iv = iv.try_into().map_err(|_| Unfit::Cipher)?;
        let key = Secret::of(key).filter(|key| key.bytes().len() == suite.cipher().key_len());
        Ok(Direction { secret: Secret::NONE, key: key.ok_or(Unfit::Cipher)?, iv, number })
    }

    /// Of what rustls gives out at the end of a handshake, and what its key log was told; `secret` is empty in TLS 1.2.
    ///
    /// # Errors
    /// [`Unfit::Secret`] when the two are not of one connection: then [`of_extracted`](Self::of_extracted) without a
    /// secret makes a direction that serves, and cannot go to another program.
    pub fn of_extracted(
        suite: Suite,
        extracted: &(u64, ConnectionTrafficSecrets),
        secret: &[u8],
    ) -> Result<Direction, Unfit> {
        let (number, extracted) = extracted;
        let (key, iv): (&AeadKey, &Iv) = match extracted {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv }
            | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
            | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv),
            _ => return Err(Unfit::Cipher),
        };
        if secret.is_empty() {
            return Direction::of_key(suite, key.as_ref(), iv.as_ref(), *number);
        }
        let direction = Direction::of_secret(suite, secret, *number)?;
        let is_right = direction.key.bytes() == key.as_ref() && direction.iv == iv.as_ref();
        if is_right { Ok(direction) } else { Err(Unfit::Secret) }
    }

    /// Whether the next keys follow from what is here, so that another program can go on with it.
    pub(super) fn is_complete(&self, suite: Suite) -> bool {
        !suite.is_tls13() || !self.secret.is_none()
    }

    /// The next generation of keys, RFC 8446, 7.2; `None` where they do not follow from what is here.
    pub(super) fn next(&self, suite: Suite) -> Option<Direction> {
        let tls13 = suite.tls13().filter(|_| !self.secret.is_none())?;
        let next = Secret::filled(self.secret.bytes().len(), |out| {
            expand_label(tls13, self.secret.bytes(), b"traffic upd", &[], out);
        });
        Direction::of_secret(suite, next.bytes(), 0).ok()
    }

    /// The nonce of the next record, RFC 8446, 5.3. For AES-GCM in TLS 1.2 RFC 5288 asks for no more than that there are no two
    /// the same; this is how rustls has made those of the records before.
    pub(super) fn nonce(&self) -> [u8; NONCE] {
        let mut nonce = self.iv;
        if let Some(counted) = nonce.last_chunk_mut::<8>() {
            *counted = (u64::from_be_bytes(*counted) ^ self.number).to_be_bytes();
        }
        nonce
    }
}

/// From which keys for another protocol are derived, so that it is bound to this connection.
#[derive(Debug)]
pub(crate) struct Exporter {
    /// `exporter_secret`, or the master secret of TLS 1.2; none where the handshake has not told it.
    pub(super) secret: Secret,
    /// Of TLS 1.2: the random numbers of client and server, which go into each export.
    pub(super) randoms: Option<Box<[u8; 64]>>,
}

impl Exporter {
    /// Of TLS 1.3. A secret that is longer than any is none.
    pub fn tls13(secret: &[u8]) -> Exporter {
        Exporter { secret: Secret::of(secret).unwrap_or(Secret::NONE), randoms: None }
    }

    /// Of TLS 1.2: the client's random number, then the server's.
    pub fn tls12(master_secret: &[u8], randoms: [u8; 64]) -> Exporter {
        let secret = Secret::of(master_secret).unwrap_or(Secret::NONE);
        Exporter { secret, randoms: Some(Box::new(randoms)) }
    }

    /// Fills `out` (RFC 8446, 7.5; RFC 5705, 4); `false` where nothing can be derived, or not so much. In TLS 1.2 no context is
    /// another one than an empty one.
    pub(super) fn export(
        &self,
        suite: Suite,
        label: &[u8],
        context: Option<&[u8]>,
        out: &mut [u8],
    ) -> bool {
        if self.secret.is_none() || label.is_empty() || label.len() > 249 {
            return false;
        }
        match (suite.tls13(), &self.randoms) {
            (Some(tls13), _) => {
                let hash = tls13.common.hash_provider;
                let mut derived = true;
                let secret = Secret::filled(self.secret.bytes().len(), |out| {
                    let nothing = hash.hash(b"");
                    derived =
                        expand_label(tls13, self.secret.bytes(), label, nothing.as_ref(), out);
                });
                let context = hash.hash(context.unwrap_or_default());
                derived && expand_label(tls13, secret.bytes(), b"exporter", context.as_ref(), out)
            }
            (None, Some(randoms)) => {
                let (Some(tls12), false) = (suite.tls12(), out.is_empty()) else { return false };
                let mut seed = randoms.to_vec();
                if let Some(context) = context {
                    let Ok(length) = u16::try_from(context.len()) else { return false };
                    seed.extend(length.to_be_bytes());
                    seed.extend(context);
                }
                tls12.prf_provider.for_secret(out, self.secret.bytes(), label, &seed);
                true
            }
            (None, None) => false,
        }
    }
}
