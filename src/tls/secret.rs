//! Bytes that are wiped when nobody needs them any more, and shown to nobody.

use std::fmt;

/// As long as anything that is derived is: what SHA-384 answers, and the master secret of TLS 1.2.
const LONGEST: usize = 48;

/// A secret or a key, in place: no heap has a copy of it.
pub(crate) struct Secret {
    bytes: [u8; LONGEST],
    length: u8,
}

impl Secret {
    /// None: what a handshake of another kind has.
    pub const NONE: Secret = Secret { bytes: [0; LONGEST], length: 0 };

    /// Of these bytes; `None` if they are longer than any secret is.
    pub fn of(bytes: &[u8]) -> Option<Secret> {
        (bytes.len() <= LONGEST)
            .then(|| Secret::filled(bytes.len(), |out| out.copy_from_slice(bytes)))
    }

    /// Of as many bytes as `fill` writes.
    pub fn filled(length: usize, fill: impl FnOnce(&mut [u8])) -> Secret {
        let mut secret = Secret { bytes: [0; LONGEST], length: length as u8 };
        fill(&mut secret.bytes[..length]);
        secret
    }

    /// Becomes these bytes, where it is; none, if they are longer than any secret is.
    pub fn set(&mut self, bytes: &[u8]) {
        self.wipe();
        if bytes.len() <= LONGEST {
            self.bytes[..bytes.len()].copy_from_slice(bytes);
            self.length = bytes.len() as u8;
        }
    }

    /// Becomes another one, of which nothing is left where it was. (`mem::take` leaves its bytes.)
    pub fn take_over(&mut self, other: &mut Secret) {
        self.set(other.bytes());
        other.wipe();
    }

    fn wipe(&mut self) {
        wipe(&mut self.bytes);
        self.length = 0;
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length as usize]
    }

    pub fn is_none(&self) -> bool {
        self.length == 0
    }
}

impl Default for Secret {
    fn default() -> Secret {
        Secret::NONE
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a secret")
    }
}

/// Bytes on their way from one process to another. It leaves nothing behind where it grows or ends.
#[derive(Default)]
pub(crate) struct Wiped(Vec<u8>);

impl Wiped {
    pub fn of_zeros(length: usize) -> Wiped {
        Wiped(vec![0; length])
    }

    /// Makes room for as many bytes more.
    pub fn reserve(&mut self, more: usize) {
        if self.0.capacity() - self.0.len() < more {
            let mut larger = Vec::with_capacity((self.0.len() + more).next_power_of_two());
            larger.extend_from_slice(&self.0);
            wipe(&mut self.0);
            self.0 = larger;
        }
    }

    pub fn extend(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// What `zeroize` does as well, byte by byte: where thousands of connections go at once, that is seen in a profile.
#[inline]
fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    std::hint::black_box(bytes); // somebody may look, so it is written
}

/// Overwrites what calls that have returned have left on the stack. A value that is moved, as into its box, leaves its bytes
/// where it was.
#[inline(never)]
pub(crate) fn wipe_stack() {
    std::hint::black_box(&mut [0_u8; 16 * 1024]); // more than any call here takes; somebody may look, so it is written
}

impl fmt::Debug for Wiped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secret bytes", self.0.len())
    }
}
