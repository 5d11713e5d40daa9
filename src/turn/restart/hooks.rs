//! What the service does around a fork, so that nothing is open in two processes that must not be: it
//! closes before, and opens again after it in either. Named as in `pthread_atfork(3)` and Python's
//! `os.register_at_fork`.
//!
//! ```text
//!  old                                      new
//!  on_close for all that have ended
//!  before_fork          Err: no fork        |
//!  on_close for what that has ended         |
//!  on_move, freezes                         |
//!  fork() --------------------------------> | closes the descriptors of all `PerProcess`
//!  after_fork_in_parent                     | closes the connections that stay, epoll set anew
//!  accepts on                               | after_fork_in_child         Err: Failed
//!                                        <- | Ready
//! ```

use crate::{
    error::Result,
    service::Service,
    turn::{
        Turn,
        guard::{guard_process, guard_restart},
    },
};

impl<S: Service> Turn<S> {
    /// Tells the service that this process is about to be forked, and all that has ended before that: `on_close`
    /// may need what `before_fork` closes.
    ///
    /// # Errors
    /// When there is to be no fork: in the words of the service, which has been told so.
    pub(super) fn before_fork(&mut self) -> std::result::Result<(), String> {
        self.tell_ends();
        let service = &mut self.service;
        let said = guard_restart(&mut self.net, "before_fork", |net| service.before_fork(net));
        let said = said.and_then(|said| said.map_err(|why| why.to_string()));
        match said {
            Ok(()) => self.tell_ends(), // the copy has no session of one that the service has just ended
            Err(_) => self.after_fork_in_parent(),
        }
        said
    }

    /// The end of what `before_fork` began, in the process that goes on, whether there was a fork or not.
    pub(super) fn after_fork_in_parent(&mut self) {
        let service = &mut self.service;
        guard_process(&mut self.net, "after_fork_in_parent", |net| {
            service.after_fork_in_parent(net);
        });
    }

    /// In the child, when it is a process of its own: before any other code of the service runs in it.
    pub(super) fn after_fork_in_child(&mut self) -> Result {
        let service = &mut self.service;
        let told = guard_restart(&mut self.net, "after_fork_in_child", |net| {
            service.after_fork_in_child(net)
        });
        match told {
            Ok(said) => said.map_err(|why| format!("after_fork_in_child: {why}").into()),
            Err(panicked) => Err(panicked.into()),
        }
    }
}
