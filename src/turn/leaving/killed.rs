//! How a process ends by a signal that means nothing here: as any program would, but that it takes along
//! what says that it serves.

use log::Level;

use crate::{
    error::Result,
    log_target::SYSTEM,
    service::Service,
    system::{
        disposition::{self, Disposition, disposition},
        signal_set::Signal,
    },
    turn::Turn,
};

impl<S: Service> Turn<S> {
    /// A signal has come that nobody has claimed, and whose default is the end of the process. By now somebody
    /// may have a handler for it, or ignore it: whatever library was set up after this process began to listen.
    pub(in crate::turn) fn heed_unclaimed(&mut self, signal: Signal) -> Result {
        match disposition(signal) {
            Disposition::Default => self.die_by(signal),
            others => {
                let line = format_args!("{signal}: left to who handles it by now");
                self.net.log(SYSTEM, Level::Info, "signal", line);
                let signals = self.succession.signals.as_mut();
                signals.map_or(Ok(()), |signals| signals.leave_to(others, signal))
            }
        }
    }

    fn die_by(&mut self, signal: Signal) -> ! {
        log::warn!(target: SYSTEM, "{signal}: nobody has claimed it, and by default it ends the process");
        // A child that has never served has nothing of its own that could stay behind.
        match self.succession.unready.take() {
            Some(unready) => unready.disarm(),
            None => self.withdraw(),
        }
        log::logger().flush();
        disposition::die_by(signal)
    }
}
