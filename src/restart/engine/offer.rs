//! What a new program is given before its `main` goes on, as messages with descriptors.

use std::{
    io, iter,
    os::fd::{AsFd, BorrowedFd},
};

use crate::{
    net::Listener,
    restart::link::{Identity, Message, Parcel, SocketName, listener_parcels},
    workers::Worker,
};

/// What a new program is given.
pub(crate) struct Offer<'a> {
    pub listeners: Vec<(SocketName, BorrowedFd<'a>)>,
    pub older: Vec<(Identity, BorrowedFd<'a>)>,
    /// Who supervises all generations, and the way to it.
    pub supervisor: Option<(u32, BorrowedFd<'a>)>,
    /// The memory in which all generations count.
    pub numbers: Option<BorrowedFd<'a>>,
    /// Which of several workers it is.
    pub worker: Option<Worker>,
}

impl Offer<'_> {
    /// The messages, each with descriptors of its own, which are made when it is asked for.
    pub fn parcels(&self) -> impl Iterator<Item = io::Result<Parcel<Message>>> {
        let copy = |fd: &BorrowedFd<'_>| Ok::<_, io::Error>(vec![fd.try_clone_to_owned()?]);
        let older = self.older.iter();
        let older = older.map(move |(who, link)| Ok((Message::Older { who: *who }, copy(link)?)));
        let supervisor = self.supervisor.iter().map(move |(pid, link)| {
            Ok((Message::Supervisor { pid: *pid, worker: self.worker }, copy(link)?))
        });
        let numbers = self.numbers.iter().map(move |fd| Ok((Message::Numbers, copy(fd)?)));
        let listeners = listener_parcels(&self.listeners);
        let offered = iter::once(Ok((Message::Offered, Vec::new())));
        listeners.chain(older).chain(supervisor).chain(numbers).chain(offered)
    }
}

/// Listeners as they are passed on to another process.
pub(crate) fn introduced<'a>(
    listeners: impl Iterator<Item = &'a Listener>,
) -> Vec<(SocketName, BorrowedFd<'a>)> {
    let introduce = |listener: &'a Listener| {
        let name = SocketName { name: listener.name.clone(), file: listener.file };
        (name, listener.as_fd())
    };
    listeners.map(introduce).collect()
}
