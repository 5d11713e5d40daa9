//! Signals that are the service's: told when it serves, and until then left in the kernel.

use log::Level;

use crate::{
    limits::SIGNAL_BUDGET,
    log_target::SYSTEM,
    service::Service,
    system::{signal::Signals, signal_set::Signal},
    turn::{Turn, guard::guard_process},
};

impl<S: Service> Turn<S> {
    /// Whether the service may be told of what concerns this process alone. Before it serves it knows nothing,
    /// and while connections are on their way nobody may change what was copied with them.
    pub(in crate::turn) fn may_be_told(&self) -> bool {
        self.succession.serves && !self.net.frozen
    }

    /// Whether there are signals of which it could be told now.
    pub(in crate::turn) fn has_own_signals(&self) -> bool {
        self.succession.own_signals_wait && self.may_be_told()
    }

    /// Part of phase 2: the signals that the service has claimed, up to the budget.
    pub(in crate::turn) fn tell_signals(&mut self) {
        for _ in 0..SIGNAL_BUDGET {
            if !self.has_own_signals() {
                return;
            }
            let Some(signal) = self.next_own_signal() else {
                self.succession.own_signals_wait = false;
                return;
            };
            self.net.log(SYSTEM, Level::Info, "signal", format_args!("{signal}: heard"));
            let service = &mut self.service;
            guard_process(&mut self.net, "on_signal", |net| {
                service.on_signal(net, signal.number())
            });
        }
    }

    fn next_own_signal(&mut self) -> Option<Signal> {
        match &mut self.succession.own_signals {
            Some(signals) => Signals::next(signals).map(|(signal, _)| signal),
            None => self.net.staged.signals.pop_front().map(Signal::of), // in a test
        }
    }
}
