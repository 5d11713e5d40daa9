//! Of a secret that was heard in a handshake nothing is left where it has been: this process's own memory is
//! searched for it. What rustls and ring leave behind of theirs is not ours to wipe.

use std::{
    fs::{self, File},
    io::BufRead,
    os::unix::fs::FileExt,
    sync::{Mutex, PoisonError},
};

use super::*;
use crate::tls::{
    peer_tests::{SUITES, both_configs},
    secret::Wiped,
};

const LENGTH: usize = 32;
const MASK: u8 = 0xa5;
const PAGE: usize = 4096;

/// A secret of this test. It is kept masked, so that whoever looks for it does not find it here.
struct Masked([u8; LENGTH]);

impl Masked {
    fn new() -> Masked {
        Masked(std::array::from_fn(|_| fastrand::u8(..MASK)))
    }

    /// Lends the secret itself.
    fn show(&self, to: impl FnOnce(&[u8])) {
        let mut plain = Wiped::of_zeros(LENGTH);
        for (plain, masked) in plain.bytes_mut().iter_mut().zip(self.0) {
            *plain = masked ^ MASK;
        }
        to(plain.bytes());
    }

    /// In how many places of the memory of this process it is.
    fn places(&self) -> usize {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(()); // or one search would find what another one has read
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        wipe_stack(); // of what calls have left that are over
        let maps = fs::read_to_string("/proc/self/maps").expect("of this process");
        let memory = File::open("/proc/self/mem").expect("it is ours");
        let mut found = 0;
        for line in maps.lines().filter(|line| line.contains(" rw")) {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let (from, to) = range.expect("a range");
            let number = |text| u64::from_str_radix(text, 16).expect("an address");
            for page in (number(from)..number(to)).step_by(PAGE) {
                // Page by page, since one of them is where it is read to; and as much of the next one as may belong to it.
                let mut bytes = [0; PAGE + LENGTH - 1];
                let read = memory.read_at(&mut bytes, page).unwrap_or(0);
                found += self.count_in(&bytes[..read]);
            }
        }
        found
    }

    fn count_in(&self, bytes: &[u8]) -> usize {
        let (first, mut rest, mut found) = (self.0[0] ^ MASK, bytes, 0);
        while rest.skip_until(first).is_ok_and(|skipped| skipped > 0) {
            let own = &self.0[1..];
            let is_here = rest.iter().zip(own).take_while(|(byte, own)| *byte ^ MASK == **own);
            found += usize::from(is_here.count() == own.len());
        }
        found
    }
}

#[test]
fn what_was_heard_is_in_one_place_and_then_in_none() {
    let (config, _) = both_configs(SUITES[0]);
    let terms = ServerTerms::of(&config);
    for label in
        ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "EXPORTER_SECRET", "CLIENT_RANDOM"]
    {
        let (secret, mut heard) = (Masked::new(), Box::new(Heard::default()));
        secret.show(|secret| terms.0.key_log.log(label, &[7; 32], secret));
        assert_eq!(secret.places(), 1, "{label}: where it was heard");
        heard.catch_up();
        assert_eq!(secret.places(), 1, "{label}: where it belongs");
        // Another handshake hears of another one.
        heard.catch_up();
        assert_eq!(secret.places(), 1, "{label}");
        drop(heard);
        assert_eq!(secret.places(), 0, "{label}");
    }
}

/// Both ends, when all is agreed on.
#[inline(never)]
fn shaken(number: u16) -> [Box<Handshake>; 2] {
    let (server, client) = both_configs(number);
    let name = ServerName::try_from("localhost").expect("a name");
    let client = Handshake::connect(&ClientTerms::of(&client), name).expect("a client");
    let server = Handshake::accept(&ServerTerms::of(&server)).expect("a server");
    let mut ends = [Box::new(client), Box::new(server)];
    let (mut inputs, mut done) = ([Vec::new(), Vec::new()], [false, false]);
    ends[0].begin(&mut inputs[1]).expect("random numbers");
    while done != [true, true] {
        for end in 0..2 {
            let (mut input, mut out) = (std::mem::take(&mut inputs[end]), Vec::new());
            if !done[end] {
                let (used, progress) = ends[end].feed(&mut input, &mut out);
                done[end] = progress.expect("right") == Progress::Done;
                input.drain(..used);
            }
            inputs[end] = input;
            inputs[1 - end].extend(out);
        }
    }
    ends
}

/// Its box was moved out of, and given back as it was.
#[test]
fn of_a_handshake_that_is_over_the_records_have_the_only_copy() {
    for number in [SUITES[0], SUITES[3]] {
        for mut handshake in shaken(number) {
            let secret = Masked::new();
            let Heard { master, exporter, .. } = &mut handshake.heard;
            // From what is exported nothing else follows, so it can be any.
            let heard = if master.is_none() { exporter } else { master };
            secret.show(|secret| heard.set(secret));
            assert_eq!(secret.places(), 1);
            let records = handshake.finish().expect("a cipher of ours");
            assert_eq!(secret.places(), 1, "suite {number:x}");
            drop(records);
            assert_eq!(secret.places(), 0, "suite {number:x}");
        }
    }
}
