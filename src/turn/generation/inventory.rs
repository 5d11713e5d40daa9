//! What of this process's descriptors is there for its place among the generations.

use std::os::fd::{AsRawFd, RawFd};

use super::{other::Generation, succession::Succession};
use crate::restart::{
    engine::{attempt::Attempt, child::Child, stderr::Stderr},
    link::Link,
};

impl Generation {
    fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.link.descriptors().chain(self.process.iter().map(AsRawFd::as_raw_fd))
    }
}

impl Succession {
    /// The numbers of all descriptors that belong to it. What has arrived at a new side and is not taken in is
    /// missing: who has that neither forks nor answers.
    pub(in crate::turn) fn descriptors(&self) -> Vec<RawFd> {
        let mut numbers: Vec<RawFd> = Vec::new();
        let signals = self.signals.iter().chain(&self.own_signals);
        numbers.extend(signals.map(AsRawFd::as_raw_fd));
        numbers.extend(self.pid_file.iter().filter_map(|file| file.descriptor()));
        numbers.extend(self.manager.barrier().map(AsRawFd::as_raw_fd));
        numbers.extend(self.supervisor.iter().flat_map(|it| it.descriptors()));
        numbers.extend(self.stderr.iter().flat_map(|it| it.descriptors()));
        numbers.extend(self.unwanted.iter().map(AsRawFd::as_raw_fd));
        let others = self.old.iter().chain(&self.older);
        numbers.extend(others.flat_map(Generation::descriptors));
        numbers.extend(self.newest.iter().flat_map(Link::descriptors));
        numbers.extend(self.stderrs.iter().map(Stderr::as_raw_fd));
        numbers.extend(
            self.children.iter().map(|(_, child)| child).chain(&self.helpers).map(Child::as_raw_fd),
        );
        numbers.extend(self.preparation.iter().map(|it| it.collapse.as_raw_fd()));
        let pieces = self.handback.iter().flat_map(|it| &it.pieces);
        numbers.extend(pieces.map(AsRawFd::as_raw_fd));
        if let Some(Attempt { child, link, stderr, .. }) = &self.attempt {
            numbers.push(child.as_raw_fd());
            numbers.extend(link.iter().flat_map(Link::descriptors));
            numbers.extend(stderr.iter().map(Stderr::as_raw_fd));
        }
        let scribe = self.copying.iter().filter_map(|it| it.scribe.as_ref());
        numbers.extend(scribe.map(Child::as_raw_fd));
        numbers
    }
}
