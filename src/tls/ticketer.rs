//! Tickets by which a client resumes a session, and the keys that seal them: generations share these, and so do workers.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ring::{
    aead::AES_256_GCM,
    hkdf::{HKDF_SHA256, KeyType, Prk},
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

/// After so many lifetimes without a handshake a process does not catch up with the others: its clients shake hands in full.
const FOLLOWED: u32 = 1000;

/// The clocks of workers differ by what a message from one process to the other takes.
const AHEAD: Duration = Duration::from_secs(60);

/// Of what HKDF makes.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

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
/// [Workers](crate::Server::workers) have the first key from their supervisor, and make each next one of the one before (HKDF, RFC 5869), so that all have the same at
/// any time without a word. What is before cannot be made of a key, but what comes after can: who gets hold of one has all later ones, until
/// the whole server is started anew.
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
    /// No thread holds it while another one waits: the lock is what rustls asks for.
    keys: Arc<Mutex<Keys>>,
}

#[derive(Default)]
struct Keys {
    /// The newest first.
    all: Vec<Key>,
    /// Other processes have them, too, and will have the same next one.
    in_common: bool,
}

struct Key {
    name: [u8; NAME],
    secret: Secret,
    made: Instant,
}

impl Ticketer {
    /// Its tickets are good for `lifetime`, and no longer than twice that (and what the keys were on their way to other programs). A week
    /// is the most, a second the least.
    pub fn new(lifetime: Duration) -> Ticketer {
        let lifetime = lifetime.clamp(Duration::from_secs(1), LONGEST);
        Ticketer { lifetime, keys: Arc::default() }
    }

    /// A panic leaves no half a key.
    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seal(&self, text: &[u8], now: Instant) -> Option<Vec<u8>> {
        let mut keys = self.keys();
        keys.renew(now, self.lifetime)?;
        let key = keys.all.first()?;
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
        let mut keys = self.keys();
        keys.look_ahead(name, now, self.lifetime);
        let is_it = |key: &&Key| key.name == *name && key.age(now) < self.lifetime * 2;
        let mut text = sealed.to_vec();
        let length = keys.all.iter().find(is_it)?.cipher().open(*nonce, name, &mut text, 0)?;
        text.truncate(length);
        Some(text)
    }

    /// From here on other processes have the same keys, these and all that follow. There is one to begin with.
    pub(crate) fn have_in_common(&self, now: Instant) {
        let mut keys = self.keys();
        keys.in_common = true;
        let _ = keys.renew(now, self.lifetime); // without random numbers nobody shakes hands
    }

    /// Appends the keys that are still good, for another process.
    pub(crate) fn encode(&self, now: Instant, out: &mut Wiped) {
        let keys = self.keys();
        out.reserve(1 + keys.all.len() * CARRIED);
        out.extend(&[VERSION]);
        for key in keys.all.iter().filter(|key| key.age(now) < self.lifetime * 2) {
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
            if keys.all.iter().all(|key| key.name != *name) {
                keys.all.push(Key {
                    name: *name,
                    secret: Secret::of(secret).ok_or(malformed)?,
                    made,
                });
            }
        }
        keys.all.sort_by_key(|key| std::cmp::Reverse(key.made));
        Ok(())
    }
}

impl Keys {
    /// The first one is good to seal with then. `None` where the system has no random numbers.
    fn renew(&mut self, now: Instant, lifetime: Duration) -> Option<()> {
        self.follow(now, lifetime);
        self.all.retain(|key| key.age(now) < lifetime * 2);
        let is_fresh = self.all.first().is_some_and(|key| key.age(now) < lifetime);
        if !is_fresh {
            self.all.insert(0, Key::random(now)?);
        }
        Some(())
    }

    /// Makes the keys that others have by now.
    fn follow(&mut self, now: Instant, lifetime: Duration) {
        let can_follow = |key: &Key| key.age(now) < lifetime.saturating_mul(FOLLOWED);
        if !self.in_common || !self.all.first().is_some_and(can_follow) {
            return;
        }
        while let Some(next) = self.all.first().filter(|key| key.age(now) >= lifetime)
            && let Some(next) = next.next(lifetime)
        {
            self.all.insert(0, next);
            self.all.truncate(3); // one more than is good
        }
    }

    /// The one who has sealed this may have changed its key a moment ago, and this process not yet.
    fn look_ahead(&mut self, name: &[u8; NAME], now: Instant, lifetime: Duration) {
        self.follow(now, lifetime);
        let is_due = |key: &&Key| key.age(now) + AHEAD >= lifetime;
        if self.in_common
            && self.all.iter().all(|key| key.name != *name)
            && let Some(first) = self.all.first().filter(is_due)
            && let Some(next) = first.next(lifetime).filter(|next| next.name == *name)
        {
            self.all.insert(0, next);
        }
    }
}

impl Key {
    /// Of this one, as every process that has it makes it. `None` is not to be expected.
    fn next(&self, lifetime: Duration) -> Option<Key> {
        let prk = Prk::new_less_safe(HKDF_SHA256, self.secret.bytes());
        let derive = |what: &[u8], out: &mut [u8]| {
            prk.expand(&[what], Length(out.len())).and_then(|okm| okm.fill(out))
        };
        let mut name = [0; NAME];
        derive(b"heirloom ticket name", &mut name).ok()?;
        let mut derived = Ok(());
        let secret = Secret::filled(KEY, |out| derived = derive(b"heirloom ticket key", out));
        derived.ok()?;
        Some(Key { name, secret, made: self.made + lifetime })
    }

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
        assert_eq!(tickets.keys().all.len(), 2, "what opens nothing any more is gone");
    }

    /// Two processes that have begun with the same key.
    #[test]
    fn workers_have_the_same_keys_for_ever_without_a_word() {
        let (one, start) = (Ticketer::new(HOUR), Instant::now());
        one.have_in_common(start);
        let mut carried = Wiped::default();
        one.encode(start, &mut carried);
        // It hears of it later, so it changes its key later.
        let late = Duration::from_millis(20);
        let other = Ticketer::new(HOUR);
        other.adopt(start + late, carried.bytes()).expect("what was written");
        other.have_in_common(start + late);
        let mut names = Vec::new();
        for hours in [0, 1, 2, 5, 6, 900] {
            let now = start + hours * HOUR;
            let ticket = one.seal(b"a session", now).expect("random numbers");
            assert_eq!(other.open(&ticket, now).as_deref(), Some(&b"a session"[..]), "{hours}");
            let back = other.seal(b"another", now + late).expect("random numbers");
            assert_eq!(one.open(&back, now + late).as_deref(), Some(&b"another"[..]), "{hours}");
            names.push(ticket[..NAME].to_vec());
        }
        names.dedup();
        assert_eq!(names.len(), 6, "each hour has its own");
        // Who is not one of them has a random one.
        let stranger = Ticketer::new(HOUR);
        stranger.adopt(start, carried.bytes()).expect("what was written");
        let ticket = stranger.seal(b"a session", start + HOUR).expect("random numbers");
        assert_eq!(one.open(&ticket, start + HOUR), None);
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
        assert_eq!(after.keys().all.len(), 2);
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
