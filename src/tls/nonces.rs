//! Which nonces were used with which keys: a build with debug assertions writes it down on request, so that tests can
//! prove that no two processes seal by the same one. A release build has none of it.
//!
//! Each record of the file that `HEIRLOOM_SEALED` names is a line, written before the record is sealed: what tells its key
//! from others (the beginning of the key's SHA-256), its nonce, and the process.

use std::{env, fs::OpenOptions, io::Write, process};

use ring::digest::{SHA256, digest};

/// What tells keys apart and tells nothing about them.
pub(super) type Mark = [u8; 8];

/// What a key is used for, in whichever process; `None` where nobody asks.
pub(super) struct Used(Option<Mark>);

impl Used {
    pub fn of(key: &[u8]) -> Used {
        let is_asked = cfg!(test) || env::var_os("HEIRLOOM_SEALED").is_some();
        let mark = || digest(&SHA256, key).as_ref().first_chunk().copied();
        Used(is_asked.then(mark).flatten())
    }

    /// It is about to seal by this nonce.
    ///
    /// # Panics
    /// Where it was told to write that down and cannot.
    pub fn note(&self, nonce: [u8; 12]) {
        let Some(mark) = self.0 else { return };
        #[cfg(test)]
        super::nonces_tests::note(mark, nonce);
        let Some(path) = env::var_os("HEIRLOOM_SEALED") else { return };
        let hex = |bytes: &[u8]| bytes.iter().map(|it| format!("{it:02x}")).collect::<String>();
        let line = format!("{} {} {}\n", hex(&mark), hex(&nonce), process::id());
        // It is not kept open, since it would be found among what a fork shares.
        let file = OpenOptions::new().append(true).create(true).open(path);
        let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
        written.expect("HEIRLOOM_SEALED names a file that can be written");
    }
}
