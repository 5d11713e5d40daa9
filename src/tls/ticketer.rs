//! Tickets by which a client resumes a session, and the keys that seal them: generations share these.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ring::{
    aead::AES_256_GCM,
    rand::{SecureRandom, SystemRandom},
};
use rustls::server::ProducesTickets;

use super::{
    carry::Malformed,
    cipher::{Cipher, NONCE, TAG},
    secret::{Secret, Wiped},
};

/// No ticket may live longer, RFC 8446, 4.6.1.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const NAME: usize = 16;
const KEY: usize = 32;

/// As they are carried.
const VERSION: u8 = 1;
const CARRIED: usize = NAME + 8 + KEY;

/// Seals what a server would have to remember of a session into a ticket that its client keeps, so that the next
/// handshake is shorter (RFC 8446, 2.2; RFC 5077). rustls' own ticketers forget their keys with the process; those of this one
/// go along in a restart by either engine, so that a ticket of one generation is good for the next.
///
/// Its keys are random and changed by time: each seals for one lifetime, and opens for another one. Who gets hold of a key can read the
/// sessions of TLS 1.2 that were resumed by its tickets, so it should not be longer than clients need it. Clones are the same
/// ticketer.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use heirloom::tls::{Ticketer, rustls::ServerConfig};
///
/// /// Clients that come again within six hours do not shake hands in full.
/// fn resumes(config: &mut ServerConfig) -> Ticketer {
///     let tickets = Ticketer::new(Duration::from_secs(6 * 60 * 60));
///     config.ticketer = Arc::new(tickets.clone());
///     tickets
/// }
/// ```
#[derive(Clone)]
pub struct Ticketer {
    lifetime: Duration,
    /// The newest first. No thread holds it while another one waits: the lock is what rustls asks for.
    keys: Arc<Mutex<Vec<Key>>>,
}

struct Key {
    name: [u8; NAME],
    secret: Secret,
    made: Instant,
}

impl Ticketer {
    /// Its tickets are good for `lifetime`, and no longer than twice that. A week is the most, a second the least.
    pub fn new(lifetime: Duration) -> Ticketer {
        let lifetime = lifetime.clamp(Duration::from_secs(1), LONGEST);
        Ticketer { lifetime, keys: Arc::default() }
    }

    /// A panic leaves no half a key.
    fn keys(&self) -> MutexGuard<'_, Vec<Key>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seal(&self, text: &[u8], now: Instant) -> Option<Vec<u8>> {
        let mut keys = self.keys();
        keys.retain(|key| key.age(now) < self.lifetime * 2);
        let is_fresh = keys.first().is_some_and(|key| key.age(now) < self.lifetime);
        if !is_fresh {
            keys.insert(0, Key::random(now)?);
        }
        let key = keys.first()?;
        let mut nonce = [0; NONCE];
        SystemRandom::new().fill(&mut nonce).ok()?; // a counter would be one in each process
        let mut ticket = Vec::with_capacity(NAME + NONCE + text.len() + TAG);
        ticket.extend(key.name);
        ticket.extend(nonce);
        ticket.extend(text);
        let tag = key.cipher().seal(nonce, &key.name, &mut ticket[NAME + NONCE..])?;
        ticket.extend(tag);
        Some(ticket)
    }

    fn open(&self, ticket: &[u8], now: Instant) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE>()?;
        let keys = self.keys();
        let is_it = |key: &&Key| key.name == *name && key.age(now) < self.lifetime * 2;
        let mut text = sealed.to_vec();
        let length = keys.iter().find(is_it)?.cipher().open(*nonce, name, &mut text, 0)?;
        text.truncate(length);
        Some(text)
    }

    /// Appends the keys that are still good, for another process.
    pub(crate) fn encode(&self, now: Instant, out: &mut Wiped) {
        let keys = self.keys();
        out.reserve(1 + keys.len() * CARRIED);
        out.extend(&[VERSION]);
        for key in keys.iter().filter(|key| key.age(now) < self.lifetime * 2) {
            let age = u64::try_from(key.age(now).as_micros()).unwrap_or(u64::MAX);
            out.extend(&key.name);
            out.extend(&age.to_le_bytes());
            out.extend(key.secret.bytes());
        }
    }

    /// Takes over the keys of another process. The newest of all seals from here on.
    pub(crate) fn adopt(&self, now: Instant, bytes: &[u8]) -> Result<(), Malformed> {
        let malformed = Malformed("ticket keys");
        let (&version, rest) = bytes.split_first().ok_or(malformed)?;
        let (carried, []) = rest.as_chunks::<CARRIED>() else { return Err(malformed) };
        if version != VERSION {
            return Err(malformed);
        }
        let mut keys = self.keys();
        for carried in carried {
            let (name, rest) = carried.split_first_chunk::<NAME>().ok_or(malformed)?;
            let (age, secret) = rest.split_first_chunk::<8>().ok_or(malformed)?;
            let age = Duration::from_micros(u64::from_le_bytes(*age));
            // One that was made before this machine was started is too old in any case.
            let Some(made) = now.checked_sub(age) else { continue };
            if keys.iter().all(|key| key.name != *name) {
                keys.push(Key { name: *name, secret: Secret::of(secret).ok_or(malformed)?, made });
            }
        }
        keys.sort_by_key(|key| std::cmp::Reverse(key.made));
        Ok(())
    }
}

impl Key {
    /// `None` where the system has no random numbers.
    fn random(now: Instant) -> Option<Key> {
        let random = SystemRandom::new();
        let mut name = [0; NAME];
        random.fill(&mut name).ok()?;
        let mut filled = Ok(());
        let secret = Secret::filled(KEY, |out| filled = random.fill(out));
        filled.ok()?;
        Some(Key { name, secret, made: now })
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.made)
    }

    fn cipher(&self) -> Box<Cipher> {
        Cipher::new(&AES_256_GCM, self.secret.bytes())
    }
}

impl ProducesTickets for Ticketer {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.lifetime.as_secs() as u32 // a week at the most
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, Instant::now())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, Instant::now())
    }
}

impl fmt::Debug for Ticketer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ticketer({:?})", self.lifetime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(60 * 60);

    #[test]
    fn a_ticket_is_good_for_its_lifetime_and_no_longer_than_twice_that() {
        let (tickets, start) = (Ticketer::new(HOUR), Instant::now());
        let first = tickets.seal(b"a session", start).expect("random numbers");
        let last = tickets.seal(b"another", start + HOUR - Duration::from_secs(1)).expect("some");
        assert_eq!(first[..NAME], last[..NAME], "by one key");
        let next = tickets.seal(b"a third", start + HOUR).expect("random numbers");
        assert_ne!(first[..NAME], next[..NAME]);
        assert!(!next.windows(7).any(|part| part == b"a third"));
        let later = start + 2 * HOUR - Duration::from_secs(1);
        assert_eq!(tickets.open(&first, later).as_deref(), Some(&b"a session"[..]));
        assert_eq!(tickets.open(&last, later).as_deref(), Some(&b"another"[..]));
        assert_eq!(tickets.open(&first, start + 2 * HOUR), None);
        assert_eq!(tickets.open(&next, start + 2 * HOUR).as_deref(), Some(&b"a third"[..]));
        tickets.seal(b"", start + 2 * HOUR).expect("random numbers");
        assert_eq!(tickets.keys().len(), 2, "what opens nothing any more is gone");
    }

    #[test]
    fn what_was_changed_is_no_ticket() {
        let (tickets, now) = (Ticketer::new(HOUR), Instant::now());
        let ticket = tickets.seal(b"a session", now).expect("random numbers");
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.open(&changed, now), None);
            assert_eq!(tickets.open(&ticket[..at], now), None);
        }
        assert!(tickets.open(&ticket, now).is_some());
    }

    #[test]
    fn the_next_generation_opens_the_tickets_of_the_one_before() {
        let (before, start) = (Ticketer::new(HOUR), Instant::now());
        let old = before.seal(b"old", start).expect("random numbers");
        let new = before.seal(b"new", start + HOUR).expect("random numbers");
        let mut carried = Wiped::default();
        before.encode(start + HOUR, &mut carried);
        let after = Ticketer::new(HOUR);
        // On another clock, ten minutes later.
        let now = Instant::now() + 5 * HOUR;
        after.adopt(now, carried.bytes()).expect("what was written");
        after.adopt(now, carried.bytes()).expect("once more is no harm");
        assert_eq!(after.keys().len(), 2);
        assert_eq!(after.open(&old, now + HOUR / 2).as_deref(), Some(&b"old"[..]));
        assert_eq!(after.open(&old, now + HOUR), None, "it has expired");
        assert_eq!(after.open(&new, now + HOUR).as_deref(), Some(&b"new"[..]));
        let sealed = after.seal(b"", now).expect("random numbers");
        assert_eq!(sealed[..NAME], new[..NAME], "the newest goes on");
        for length in 2..carried.bytes().len() {
            let cut = Ticketer::new(HOUR).adopt(now, &carried.bytes()[..length]);
            assert_eq!(cut.is_ok(), (length - 1) % CARRIED == 0);
        }
    }
}
