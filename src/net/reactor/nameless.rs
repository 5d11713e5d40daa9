//! Without the feature `names` nobody is dialed by name: what [`names`](super) has otherwise, of nothing.

use std::{io, os::fd::RawFd};

use super::Net;
use crate::{
    clock::Stamp,
    net::{destination::NamedDial, resolver::Resolver},
};

impl Net {
    pub(super) fn dials_to_names(&self) -> usize {
        0
    }

    pub(super) fn note_names(&mut self) {}

    pub(super) fn is_busy_with_names(&self) -> bool {
        false
    }

    pub(super) fn names_due(&self) -> Option<Stamp> {
        None
    }

    pub(crate) fn look_up_names(&mut self) {}

    pub(super) fn expire_names(&mut self, _used: Stamp) {}

    pub(crate) fn mark_dials(&mut self, _moves: bool) {}

    pub(crate) fn moving_dials(&self) -> Vec<NamedDial> {
        Vec::new()
    }

    pub(crate) fn let_go_of_dials(&mut self) {}

    /// Of a program that can look names up. Its service hears that this one cannot.
    pub(crate) fn take_in_dials(&mut self, dials: Vec<NamedDial>) -> Vec<u64> {
        for NamedDial { destination, tag, .. } in dials {
            let why = format!("{destination}: this program is built without the feature names");
            self.refused_dials.push((tag, io::Error::new(io::ErrorKind::Unsupported, why)));
        }
        Vec::new()
    }

    pub(crate) fn forget_dials(&mut self, _numbers: Vec<u64>) {}

    pub(super) fn inherit_names(&mut self, _names: Resolver) {}

    pub(super) fn abort_dials(&mut self) {}

    pub(super) fn descriptors_of_names(&self) -> impl Iterator<Item = RawFd> {
        std::iter::empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::net::destination::Destination;

    #[test]
    fn a_dial_of_a_program_that_can_look_names_up_ends_here_with_the_reason() {
        let mut net = Net::new(None, Instant::now());
        let destination = Destination::Name("db.example".to_owned(), 80);
        let dial = NamedDial { destination, tag: 7, age: Duration::ZERO };
        assert!(net.take_in_dials(vec![dial]).is_empty());
        let refused = net.take_refused_dials();
        let [(7, why)] = &refused[..] else { panic!("{refused:?}") };
        assert_eq!(why.kind(), io::ErrorKind::Unsupported);
        assert!(why.to_string().starts_with("db.example:80: "), "{why}");
        assert_eq!(net.connections(), 0);
    }
}
