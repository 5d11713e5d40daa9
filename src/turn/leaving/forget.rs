//! What becomes of memory that another process has as well: it is not this one's to destroy.
//!
//! After a fork both sides have the whole heap, copied page by page where one of them writes. A destructor
//! writes to each page that it frees, and says goodbye on sockets that the other side uses. So the process
//! that ends runs none: the system takes all of its memory back at once. What has to be written before
//! that is [`on_end`](Service::on_end)'s business.

use std::mem;

use crate::{
    restart::{Phase, engine::fork::close_all},
    service::Service,
    turn::{Turn, guard::guard_process},
};

impl<S: Service> Turn<S> {
    /// Tells a service that was told that it serves, once, that nothing comes any more.
    pub fn tell_end(&mut self) {
        if self.succession.serves {
            self.tell_last_words();
            self.succession.serves = false;
            let service = &mut self.service;
            guard_process(&mut self.net, "on_end", |net| service.on_end(net));
        }
    }

    /// The end of `run`. Where no other process has this one's heap, everything is dropped. Otherwise all that
    /// the kernel has is given back, and the memory is left as it is.
    pub(in crate::turn) fn part(self) {
        if !self.succession.heap.is_shared() {
            return;
        }
        let Turn { succession, service, net, inboxes, inherited, .. } = self;
        drop(succession); // links and locks
        close_all(net.conns.iter().filter_map(|(_, conn)| conn.stream.raw_fd()).collect());
        net.close_and_forget();
        mem::forget((service, inboxes, inherited));
    }

    /// Whether there is something to be given back, and this is the time for it. What a fork has left waits for
    /// this process to serve: before that all may still be undone, and one that leaves need not.
    pub(in crate::turn) fn gives_back(&self) -> bool {
        self.inherited.last().is_some_and(|last| match self.succession.phase {
            Phase::Waiting => false,
            phase => phase.accepts() || !last.is_shared(),
        })
    }

    /// Part of phase 6: a piece of what connections have left here that are another process's.
    pub(in crate::turn) fn give_back(&mut self) {
        if !self.gives_back() {
            return;
        }
        let Some(last) = self.inherited.last_mut() else { return };
        let (is_shared, service) = (last.is_shared(), &mut self.service);
        let left = guard_process(&mut self.net, "discard", |_| {
            last.free_piece(
                |session| if is_shared { service.discard(session) } else { drop(session) },
            )
        });
        if left == Some(false) {
            self.inherited.pop();
        }
    }
}
