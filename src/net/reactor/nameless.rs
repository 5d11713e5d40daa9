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
