//! Unix sockets whose path somebody has taken away: nobody finds them any more, so they are bound anew.

use std::{io, os::fd::AsRawFd};

use mio::unix::SourceFd;
use nix::sys::socket::{Shutdown, shutdown};

use super::Net;
use crate::{
    log_target::NET,
    net::{datagram::Carrier, id::Source, listen::Listener},
};

impl Net {
    /// Puts a new socket in place of each whose path does not lead to it any more, and answers whether it has.
    /// Nobody else may need the old one: call it while this process alone serves. One in which somebody
    /// still waits stays as it is, and so does one whose path is another's by now.
    pub(crate) fn mend_paths(&mut self) -> bool {
        let mut mended = false;
        for index in 0..self.listeners.len() {
            if let Some(fresh) = instead_of(&self.listeners[index]) {
                mended |= done(self.replace_listener(index, fresh));
            }
        }
        for index in 0..self.datagrams.len() {
            if let Some(fresh) = self.datagrams[index].socket().and_then(instead_of) {
                mended |= done(self.replace_datagrams(index, fresh));
            }
        }
        mended
    }

    fn replace_listener(&mut self, index: usize, mut fresh: Listener) -> io::Result<()> {
        let token = Source::Listener(index).token();
        Net::with_registry(&self.poll, |registry| fresh.register(registry, token))
            .inspect_err(|_| fresh.unlink())?;
        let mut lost = std::mem::replace(&mut self.listeners[index], fresh);
        Net::with_registry(&self.poll, |registry| lost.deregister(registry))
    }

    /// Older generations may still send by the old one. A sender that is connected to it would go on
    /// filling it for nobody; now it has an error, and finds the new one at the path, as `syslog(3)` does.
    fn replace_datagrams(&mut self, index: usize, fresh: Listener) -> io::Result<()> {
        let socket = &mut self.datagrams[index];
        let was_watched = socket.watched.take().is_some();
        let lost = std::mem::replace(&mut socket.carrier, Carrier::Socket(fresh));
        (socket.readable, socket.blocked) = (true, false);
        self.watch_datagrams(index)?;
        let Carrier::Socket(lost) = lost else { return Ok(()) };
        shutdown(lost.as_raw_fd(), Shutdown::Read)?;
        Net::with_registry(&self.poll, |registry| match was_watched {
            true => registry.deregister(&mut SourceFd(&lost.as_raw_fd())),
            false => Ok(()),
        })
    }
}

/// Another socket for one whose path is lost, where nobody loses anything by it.
fn instead_of(lost: &Listener) -> Option<Listener> {
    if !lost.has_lost_path() {
        return None;
    }
    let address = &lost.address;
    if !lost.is_idle() {
        log::warn!(
            target: NET,
            "{address} does not lead here any more; it is not bound anew while somebody waits in it"
        );
        return None;
    }
    match lost.bind_anew() {
        Ok(fresh) => {
            log::warn!(target: NET, "{address} was removed by somebody: bound anew");
            Some(fresh)
        }
        Err(e) => {
            log::warn!(target: NET, "{address} does not lead here any more: {e}");
            None
        }
    }
}

fn done(replaced: io::Result<()>) -> bool {
    if let Err(e) = &replaced {
        log::error!(target: NET, "a socket that was bound anew: {e}");
    }
    replaced.is_ok()
}
