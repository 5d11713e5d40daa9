//! The options of a socket that goes from program to program: each says its own, and sets them when it accepts. Binds
//! nothing.

use super::{bind::try_on, listener::Listener, spec::ListenOptions};
use crate::{
    error::{Error, Result},
    log_target::NET,
    logging::Escaped,
    net::{address::Address, keep_alive::ask_the_silent, sockopt::set_all},
};

/// Looks whether what is said of these addresses makes sense, and whether the kernel would take it, before anything
/// is done: the old side of a restart accepts by the same sockets.
pub(super) fn check_options(name: &str, options: &ListenOptions, addresses: &[Address]) -> Result {
    options.check(addresses).map_err(|why| Error::invalid("listen on", name, why))?;
    addresses.iter().try_for_each(|address| {
        let settings = options.settings(address).unwrap_or_default();
        try_on(address, &settings).map_err(|e| Error::io("listen on", name, e))
    })
}

impl Listener {
    /// What this program, which asks for it by `name`, says of a socket that was passed on.
    ///
    /// # Errors
    /// When that makes no sense for where it is bound, or the kernel would not take it.
    pub fn configure(&mut self, name: &str, options: &ListenOptions) -> Result {
        check_options(name, options, std::slice::from_ref(&self.address))?;
        self.take(options);
        Ok(())
    }

    /// The options are set when this process accepts. Those that were decided when it was bound are not.
    pub(super) fn take(&mut self, options: &ListenOptions) {
        *self.options = options.clone();
        for (option, value) in options.fixed(&self.address) {
            if option.get(self).is_ok_and(|now| now != value) {
                log::warn!(
                    target: NET,
                    "{}: {} stays as it is, since the socket is bound; stop the server and start it anew to \
                     change that", Escaped(&self.name), option.name
                );
            }
        }
    }

    /// What this process left is put back; what it has taken over is as it says. Whoever accepts says how: a
    /// new side before it serves would change the connections of the old one.
    pub(super) fn set_options(&mut self) {
        let refused = match self.kept.take() {
            Some(kept) => kept.put_back(self),
            None if self.is_new => Vec::new(), // since it was bound
            None => {
                let settings = self.options.changeable(&self.address).unwrap_or_default();
                set_all(self, &settings).err().into_iter().collect()
            }
        };
        let asks = match self.options.says_keep_alive() {
            true => Ok(()),
            false => ask_the_silent(self, &self.address),
        };
        let refused = refused.into_iter().chain(asks.err());
        for e in refused {
            log::error!(target: NET, "{}: an option stays as it is: {e}", self.address);
        }
    }
}
