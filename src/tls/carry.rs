//! An established connection's records as bytes, for another program on the same machine that goes on with them. They are
//! secret, so they go into what wipes itself, and nowhere else.
//!
//! ```text
//! records = version u8  suite u16  flags u8  without_data u8
//!           direction direction  exporter  randoms  message
//! direction = secret  key  iv[12]  number u64
//! each of the others = length u32  bytes                       (numbers are little-endian)
//! ```

use std::fmt;

use super::{
    cipher::NONCE,
    keys::{Direction, Exporter, Secrets},
    records::{Owes, Records},
    secret::{Secret, Wiped},
    suite::Suite,
};

/// What this program writes. One that reads another version says so, and is sent no such connection.
const VERSION: u8 = 1;

/// Bytes that are no records of a connection, or of one that this program does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed: {}", self.0)
    }
}

impl Records {
    /// Appends all there is to know. Whoever reads it may seal, so this side gives the connection away before the other
    /// one does.
    pub fn encode(&self, out: &mut Wiped) {
        out.reserve(512 + self.message.len());
        out.extend(&[VERSION]);
        out.extend(&self.suite.number().to_le_bytes());
        let flags =
            [self.is_client, self.owes.update, self.owes.refusal, self.said_last, self.heard_last];
        let bits = flags.iter().enumerate().fold(0, |all, (at, &bit)| all | u8::from(bit) << at);
        out.extend(&[bits, self.without_data]);
        for keys in [&self.sending.keys, &self.receiving.keys] {
            put(out, keys.secret.bytes());
            put(out, keys.key.bytes());
            out.extend(&keys.iv);
            out.extend(&keys.number.to_le_bytes());
        }
        put(out, self.exporter.secret.bytes());
        put(out, self.exporter.randoms.as_deref().map_or(&[], |randoms| &randoms[..]));
        put(out, &self.message);
    }

    /// The same again; every field is checked against the suite. It seals nothing before it is
    /// [taken back](Self::take_back): the other side may still go on with what it has.
    pub fn decode(bytes: &[u8]) -> Result<Records, Malformed> {
        let mut rest = Rest::of(bytes);
        if rest.array::<1>()? != [VERSION] {
            return Err(Malformed("version"));
        }
        let number = u16::from_le_bytes(rest.array()?);
        let suite = Suite::of(number).ok_or(Malformed("cipher suite"))?;
        let [bits, without_data] = rest.array()?;
        let flag = |at: u8| bits >> at & 1 == 1;
        let (sending, receiving) = (rest.direction(suite)?, rest.direction(suite)?);
        let exporter = Exporter {
            secret: Secret::of(rest.field()?).ok_or(Malformed("exporter"))?,
            randoms: match rest.field()? {
                [] => None,
                randoms => Some(Box::new(randoms.try_into().map_err(|_| Malformed("randoms"))?)),
            },
        };
        let message = rest.field()?.to_vec();
        if !rest.is_empty() {
            return Err(Malformed("more than a connection has"));
        }
        let secrets = Secrets { suite, is_client: flag(0), sending, receiving, exporter };
        let mut records = Records::new(secrets);
        records.give_away();
        records.owes = Owes { update: flag(1), refusal: flag(2) };
        (records.said_last, records.heard_last) = (flag(3), flag(4));
        (records.without_data, records.message) = (without_data, message);
        Ok(records)
    }
}

fn put(out: &mut Wiped, field: &[u8]) {
    out.extend(&(field.len() as u32).to_le_bytes());
    out.extend(field);
}

/// What is left to read.
pub(crate) struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    pub fn of(bytes: &'a [u8]) -> Rest<'a> {
        Rest(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed("it is cut short"))?;
        self.0 = rest;
        Ok(*array)
    }

    /// A length, and as many bytes.
    pub fn field(&mut self) -> Result<&'a [u8], Malformed> {
        let length = u32::from_le_bytes(self.array()?);
        let split = self.0.split_at_checked(length as usize);
        let (field, rest) = split.ok_or(Malformed("it is cut short"))?;
        self.0 = rest;
        Ok(field)
    }

    fn direction(&mut self, suite: Suite) -> Result<Direction, Malformed> {
        let (secret, key) = (self.field()?, self.field()?);
        let (iv, number) = (self.array::<NONCE>()?, u64::from_le_bytes(self.array()?));
        let mut direction =
            Direction::of_key(suite, key, &iv, number).map_err(|_| Malformed("key"))?;
        let has_secret = suite.tls13().map_or(0, |tls13| tls13.common.hash_provider.output_len());
        if secret.len() != has_secret {
            return Err(Malformed("secret"));
        }
        direction.secret = Secret::of(secret).ok_or(Malformed("secret"))?;
        Ok(direction)
    }
}
