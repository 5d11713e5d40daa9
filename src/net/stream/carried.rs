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
        // No edge will come for what was read before the move, and not opened.
        let more = end.is_some() || !partial.is_empty();
        Ok(Secure { partial, sealed, promised, end, more, ..Secure::new(state) })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::tls::peer_tests::{SUITES, pair};

    fn secure(suite: u16) -> Secure {
        let (records, _peer) = pair(suite, false);
        let info = TlsInfo {
            version: 0x0304,
            suite,
            alpn: Some(b"x/1"[..].into()),
            sni: None,
            certificates: [CertificateDer::from(vec![1, 2, 3]), CertificateDer::from(vec![])]
                .into(),
            is_resumed: true,
        };
        let open = State::Open(Box::new((records, info)));
        let (partial, sealed) = (vec![23, 3, 3], b"the rest of a record".to_vec());
        let end = Some(End::Received(Alert::HANDSHAKE_FAILURE));
        Secure { partial, sealed, promised: 7, end, ..Secure::new(open) }
    }

    #[test]
    fn it_is_again_what_it_was_and_writes_when_it_is_told_so() {
        for suite in SUITES {
            let before = secure(suite);
            let mut secrets = Wiped::default();
            let open = before.write(&mut secrets).expect("hands are shaken");
            let mut after = Secure::read_back(&open, secrets.bytes()).expect("what was written");
            assert_eq!(after.info(), before.info());
            assert_eq!((&after.partial, &after.sealed), (&before.partial, &before.sealed));
            assert_eq!((after.promised, after.end), (7, before.end));
            assert!(after.has_more(), "the end is to be told");
            // Neither writes before it is told so.
            let mut wire = Vec::new();
            let slices = [std::io::IoSlice::new(b"some text")];
            wire.flush().expect("a vector");
            assert!(after.write_vectored(&mut wire, &slices).is_err());
            after.take_back();
            assert_eq!(after.write_vectored(&mut Vec::new(), &slices).expect("its turn"), 9);
        }
    }

    /// As it is when a client's first request has come with the end of its handshake: the socket has nothing more to say.
    #[test]
    fn a_record_that_was_read_and_not_opened_is_opened_there() {
        for suite in SUITES {
            let (records, mut peer) = pair(suite, false);
            let before = Secure { end: None, promised: 0, sealed: Vec::new(), ..secure(suite) };
            let info = before.info().expect("it is open").clone();
            let state = State::Open(Box::new((records, info)));
            let before = Secure { state, partial: peer.says(b"first"), ..before };
            let mut secrets = Wiped::default();
            let open = before.write(&mut secrets).expect("hands are shaken");
            let mut after = Secure::read_back(&open, secrets.bytes()).expect("what was written");
            assert!(after.has_more(), "no edge will tell of it");
            let mut buffer = vec![0; 1 << 16];
            let count = after.read(&mut &b""[..], &mut buffer).expect("a record");
            assert_eq!(&buffer[..count], b"first");
        }
    }

    #[test]
    fn what_is_cut_or_changed_is_refused_or_something_else() {
        let mut secrets = Wiped::default();
        let open = secure(0x1301).write(&mut secrets).expect("hands are shaken");
        for length in 0..open.len() {
            // At a border between certificates it is one with fewer.
            let cut = Secure::read_back(&open[..length], secrets.bytes());
            assert!(cut.is_err() || length >= open.len() - 11, "{length}");
        }
        for at in 0..open.len() {
            let mut changed = open.clone();
            changed[at] ^= 0xff;
            let _ = Secure::read_back(&changed, secrets.bytes());
        }
        assert!(Secure::read_back(&open, &secrets.bytes()[1..]).is_err());
    }
}
