//! One key at work: the AEAD of a direction, in place.

use std::mem::MaybeUninit;

use ring::aead::{Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroize;

pub(super) const NONCE: usize = 12;
pub(super) const TAG: usize = 16;

/// A cipher that is ready, some 500 bytes. ring leaves the schedule of a key in memory, and the beginning of one of
/// AES is the key itself: so it is kept where it can be wiped.
pub(super) struct Cipher {
    ring: MaybeUninit<LessSafeKey>,
    /// For the tests that nothing is sealed twice by one nonce.
    #[cfg(any(test, debug_assertions))]
    used: super::nonces::Used,
}

// What is wiped is not dropped, which is all right for what has nothing to drop.
const _: () = assert!(!std::mem::needs_drop::<LessSafeKey>());

impl Cipher {
    /// # Panics
    /// When the key is not as long as those of the algorithm, which `keys` sees to.
    pub fn new(algorithm: &'static Algorithm, key: &[u8]) -> Box<Cipher> {
        let unbound = UnboundKey::new(algorithm, key).expect("a key of its length");
        Box::new(Cipher {
            ring: MaybeUninit::new(LessSafeKey::new(unbound)),
            #[cfg(any(test, debug_assertions))]
            used: super::nonces::Used::of(key),
        })
    }

    #[allow(unsafe_code)]
    fn ring(&self) -> &LessSafeKey {
        // SAFETY: `new` has written it, and nothing but `drop`, behind which nobody has a reference, wipes it.
        unsafe { self.ring.assume_init_ref() }
    }

    /// Seals `text` where it stands; `None` for more than any record has.
    pub fn seal(&self, nonce: [u8; NONCE], aad: &[u8], text: &mut [u8]) -> Option<[u8; TAG]> {
        #[cfg(any(test, debug_assertions))]
        self.used.note(nonce);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.ring().seal_in_place_separate_tag(nonce, Aad::from(aad), text).ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Opens what is sealed from `from` on, a tag at its end, so that the plain text stands at the front; it is as long as is
    /// answered. `None`: it is not authentic, and the bytes are spoilt.
    ///
    /// The cipher moves the text on its way: to move it afterwards would be one more pass over the record.
    pub fn open(
        &self,
        nonce: [u8; NONCE],
        aad: &[u8],
        bytes: &mut [u8],
        from: usize,
    ) -> Option<usize> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = self.ring().open_within(nonce, Aad::from(aad), bytes, from..).ok()?;
        Some(plain.len())
    }
}

impl Drop for Cipher {
    fn drop(&mut self) {
        self.ring.zeroize();
    }
}
