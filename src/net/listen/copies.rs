//! One address, several processes that accept there: a socket for each, or the same one for all.

use super::{
    bind::{begin_listening, share},
    kind::{DATAGRAMS, kind_of},
    listener::{Listener, is_activated},
};
use crate::{
    error::{Error, Result},
    net::address::Address,
};

impl Listener {
    /// What each of so many processes listens on. TCP and UDP have a socket for each (`SO_REUSEPORT`), unless one is to be
    /// `shared`, which datagrams are not: a flow stays with one process. Of sockets for monitors, of paths, and of what the service manager has opened, there is one.
    ///
    /// It was bound without that option, so that a second server which was started by mistake is refused; from here on a socket of
    /// this user that asks for it may be bound beside it.
    ///
    /// Those that were `kept` of the same name, for other workers of a service that has ended, come before new ones.
    ///
    /// # Errors
    /// When the system refuses another one.
    pub fn for_each(
        self,
        count: u32,
        shared: bool,
        kept: &mut Vec<Listener>,
    ) -> Result<Vec<Listener>> {
        let is_tcp = matches!(self.address, Address::Tcp(_)) && !is_activated(&self.name);
        let may_differ = match kind_of(&self.name) {
            "" => !shared,
            kind => kind == DATAGRAMS,
        };
        let has_own = count > 1 && is_tcp && may_differ;
        let failed = |e| Error::io("listen on", &self.name, e);
        let mut all = Vec::with_capacity(count as usize);
        if has_own {
            share(&self).map_err(failed)?;
        }
        for _ in 1..count {
            let one = match has_own {
                true => self.of_another(kept).map_or_else(|| self.beside(), Ok),
                false => self.duplicate(),
            };
            all.push(one.map_err(failed)?);
        }
        all.insert(0, self);
        Ok(all)
    }

    /// One that was kept for another worker.
    fn of_another(&self, kept: &mut Vec<Listener>) -> Option<Listener> {
        let at = kept.iter().position(|it| it.name == self.name && it.address == self.address)?;
        let mut other = kept.remove(at);
        other.number = self.number;
        (other.permissions, other.options) = (self.permissions.clone(), self.options.clone());
        Some(other)
    }

    /// Another socket at the same address.
    fn beside(&self) -> std::io::Result<Listener> {
        let Listener { name, address, permissions, options, .. } = self;
        let other = Listener::bind_at(name, address, permissions, options, true)?;
        if kind_of(name) != DATAGRAMS {
            begin_listening(&other, options)?;
        }
        Ok(other)
    }

    /// The same socket once more.
    fn duplicate(&self) -> std::io::Result<Listener> {
        let fd = std::os::fd::AsFd::as_fd(self).try_clone_to_owned()?;
        let copy = Listener::adopt(self.name.clone(), fd, self.file);
        copy.map_err(std::io::Error::other)
    }
}
