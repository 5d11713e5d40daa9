//! What of this process's descriptors is the reactor's, and what an author says of others.

use std::{
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, RawFd},
    path,
};

use nix::sys::stat::fstat;

use super::Net;
use crate::{metrics::Metrics, net::id::Source, system::look::watched_as};

impl Net {
    /// Says that the descriptor `fd` is meant to be shared by the processes of a fork: what a fork finds out
    /// about [shared descriptors](crate::Restart::if_shared) does not name it, nor memory that is mapped
    /// from it. It counts for as long as the number leads to this file, and in forked children, too.
    ///
    /// ```
    /// # use heirloom::{Net, Result};
    /// /// Of `on_start`: all generations count in one memfd.
    /// fn open_counters(net: &mut Net) -> Result<std::fs::File> {
    ///     let counters = std::fs::File::options().read(true).write(true).open("/dev/shm/counters")?;
    ///     net.shares_descriptor(&counters);
    ///     Ok(counters)
    /// }
    /// ```
    pub fn shares_descriptor(&mut self, fd: &impl AsFd) {
        let fd = fd.as_fd();
        if let Ok(stat) = fstat(fd) {
            self.meant.add_descriptor(fd.as_raw_fd(), (stat.st_dev, stat.st_ino));
        }
    }

    /// Says by name what is meant to be shared by the processes of a fork:
    /// see [`Server::shares`](crate::Server::shares).
    ///
    /// ```
    /// # use heirloom::Net;
    /// fn on_start(net: &mut Net) {
    ///     net.shares("127.0.0.1:8125"); // statsd: each datagram stands for itself
    /// }
    /// ```
    pub fn shares(&mut self, name: impl Into<String>) {
        let name = name.into();
        let is_path = !name.starts_with(['/', '@']) && name.parse::<SocketAddr>().is_err();
        let whole = path::absolute(&name).ok().filter(|_| is_path);
        self.meant.add_name(whole.map_or(name, |path| path.to_string_lossy().into_owned()));
    }

    /// The numbers of all descriptors that the reactor has, but for the reserve, which is open when somebody looks.
    pub(crate) fn descriptors(&self) -> Vec<RawFd> {
        let poll = self.poll.as_ref().map(AsRawFd::as_raw_fd);
        let mut numbers: Vec<RawFd> = poll.into_iter().collect();
        // A waker does not tell its number, and the epoll set does.
        let mail = Source::Mail.token().0 as u64;
        let waker = poll.filter(|_| self.mail.waker.is_some());
        numbers.extend(waker.and_then(|poll| watched_as(poll, mail)));
        numbers.extend(self.listeners.iter().map(AsRawFd::as_raw_fd));
        let datagrams = self.datagrams.iter().filter_map(|datagrams| datagrams.socket());
        numbers.extend(datagrams.map(AsRawFd::as_raw_fd));
        numbers.extend(self.watches.descriptors());
        numbers.extend(self.conns.iter().filter_map(|(_, conn)| conn.stream.raw_fd()));
        numbers.extend(self.descriptors_of_names());
        numbers.extend(self.metrics.iter().map(Metrics::descriptor));
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{Finding, Place};
    use std::time::Instant;

    #[test]
    fn a_path_may_begin_in_the_working_directory() {
        let mut net = Net::new(None, Instant::now());
        net.shares("run/log");
        net.shares("127.0.0.1:8125");
        net.shares("@collector");
        let here = std::env::current_dir().expect("a directory");
        let at = |path: &str, peer: &str| Finding {
            path: Some(path.to_owned()).filter(|path| !path.is_empty()),
            peer: Some(peer.to_owned()).filter(|peer| !peer.is_empty()),
            ..Finding::new(Place::Descriptor(3), "file")
        };
        assert!(net.meant.has_name_of(&at(&here.join("run/log/1").to_string_lossy(), "")));
        assert!(!net.meant.has_name_of(&at("/run/log", "")));
        assert!(net.meant.has_name_of(&at("", "127.0.0.1:8125")));
        assert!(net.meant.has_name_of(&at("", "@collector")));
    }
}
