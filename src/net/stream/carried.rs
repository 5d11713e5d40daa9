//! A TLS connection that is idle, or goes to another process: who may seal, and all there is to know of it as bytes, what is
//! secret apart from the rest.
//!
//! ```text
//! open = version u8  flags u8  end u8  alert u8  promised u64  tls u16  suite u16
//!        partial  sealed  alpn  sni  certificate*          each: length u32  bytes   (numbers are little-endian)
//! ```

use rustls::pki_types::CertificateDer;

use super::secure::{Secure, State};
use crate::tls::{Alert, End, Malformed, Records, Rest, TlsInfo, Wiped};

/// What this program writes. One that writes another says so by the version of its records.
const VERSION: u8 = 1;

// Bits of the flags. An empty name is none; what was never agreed on is nothing.
const RESUMED: u8 = 1;
const ALPN: u8 = 2;
const SNI: u8 = 4;

impl Secure {
    /// Whether the handshake is over. Until then it stays where it has begun.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// From here on another process may write, and this one seals nothing.
    pub fn give_away(&mut self) {
        if let State::Open(open) = &mut self.state {
            open.0.give_away();
        }
    }

    /// This process is the one that writes.
    pub fn take_back(&mut self) {
        if let State::Open(open) = &mut self.state {
            open.0.take_back();
        }
    }

    /// Whether ciphers were made since the last call: they are as large as the rest of an idle connection.
    pub fn take_warmed(&mut self) -> bool {
        match &mut self.state {
            State::Open(open) => open.0.take_warmed(),
            _ => false,
        }
    }

    /// They are made again when they are needed.
    pub fn cool(&mut self) {
        if let State::Open(open) = &mut self.state {
            open.0.drop_ciphers();
        }
    }

    /// Bytes that were read or sealed, and wait here.
    pub fn kept(&self) -> usize {
        self.partial.len() + self.sealed.len()
    }

    /// How many of the bytes that are to be written are sealed, and partly sent.
    pub fn promised(&self) -> usize {
        self.promised
    }

    /// Appends what is secret to `secrets` and answers the rest; `None` during a handshake.
    pub fn write(&self, secrets: &mut Wiped) -> Option<Vec<u8>> {
        let State::Open(open) = &self.state else { return None };
        let (records, info) = &**open;
        records.encode(secrets);
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        let (alpn, sni) = (info.alpn.as_deref(), info.sni.as_deref());
        let flags =
            bit(info.is_resumed, RESUMED) | bit(alpn.is_some(), ALPN) | bit(sni.is_some(), SNI);
        let [end, alert] = match self.end {
            None => [0, 0],
            Some(End::Closed) => [1, 0],
            Some(End::Received(alert)) => [2, alert.number()],
            Some(End::Violated(alert)) => [3, alert.number()],
        };
        let mut out = Vec::with_capacity(64 + self.kept());
        out.extend([VERSION, flags, end, alert]);
        out.extend((self.promised as u64).to_le_bytes());
        out.extend(info.version.to_le_bytes());
        out.extend(info.suite.to_le_bytes());
        let fields = [
            &self.partial,
            &self.sealed,
            alpn.unwrap_or_default(),
            sni.unwrap_or_default().as_bytes(),
        ];
        let certificates = info.certificates.iter().map(|certificate| certificate.as_ref());
        for field in fields.into_iter().chain(certificates) {
            out.extend((field.len() as u32).to_le_bytes());
            out.extend(field);
        }
        Some(out)
    }

    /// The same again. It seals nothing before it is [taken back](Self::take_back).
    pub fn read_back(open: &[u8], secrets: &[u8]) -> Result<Secure, Malformed> {
        let mut rest = Rest::of(open);
        let [version, flags, end, alert] = rest.array()?;
        if version != VERSION {
            return Err(Malformed("version"));
        }
        let alert = Alert::from_number(alert);
        let end = match end {
            0 => None,
            1 => Some(End::Closed),
            2 => Some(End::Received(alert)),
            3 => Some(End::Violated(alert)),
            _ => return Err(Malformed("end")),
        };
        let promised = u64::from_le_bytes(rest.array()?) as usize;
        let (version, suite) = (rest.array()?, rest.array()?);
        let (partial, sealed) = (rest.field()?.to_vec(), rest.field()?.to_vec());
        let (alpn, sni) = (rest.field()?, rest.field()?);
        let sni = std::str::from_utf8(sni).map_err(|_| Malformed("server name"))?;
        let mut certificates = Vec::new();
        while !rest.is_empty() {
            certificates.push(CertificateDer::from(rest.field()?.to_vec()));
        }
        let info = TlsInfo {
            version: u16::from_le_bytes(version),
            suite: u16::from_le_bytes(suite),
            alpn: (flags & ALPN != 0).then(|| alpn.into()),
            sni: (flags & SNI != 0).then(|| sni.into()),
            certificates: certificates.into(),
            is_resumed: flags & RESUMED != 0,
        };
        let records = Records::decode(secrets)?;
        let state = State::Open(Box::new((records, info)));
        Ok(Secure { partial, sealed, promised, end, more: end.is_some(), ..Secure::new(state) })
    }
}
