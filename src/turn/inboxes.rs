//! The inboxes of a service, whatever is in their messages.

use std::fmt;

use super::guard::guard_process;
use crate::{
    limits::MAIL_BUDGET,
    net::Net,
    service::{Mail, Service},
    tasks::Inbox,
};

/// An inbox whose messages the service understands, whatever they are.
pub(super) trait Deliver<S> {
    /// Up to the budget; `false`: nothing is left.
    fn deliver(&self, service: &mut S, net: &mut Net) -> bool;
    /// What there is, and then no more.
    fn deliver_last(&self, service: &mut S, net: &mut Net);
    fn is_empty(&self) -> bool;
    fn exists(&self) -> bool;
}

impl<S: Mail<M>, M> Deliver<S> for Inbox<M> {
    fn deliver(&self, service: &mut S, net: &mut Net) -> bool {
        deliver(self.take(MAIL_BUDGET), service, net);
        !Deliver::<S>::is_empty(self)
    }

    fn deliver_last(&self, service: &mut S, net: &mut Net) {
        deliver(self.close(), service, net);
    }

    fn is_empty(&self) -> bool {
        Inbox::is_empty(self)
    }

    fn exists(&self) -> bool {
        Inbox::exists(self)
    }
}

fn deliver<S: Mail<M>, M>(messages: impl IntoIterator<Item = M>, service: &mut S, net: &mut Net) {
    for message in messages {
        net.stats.mails += 1;
        guard_process(net, "on_mail", |net| service.on_mail(net, message));
    }
}

/// All inboxes of a service.
pub(crate) struct Inboxes<S>(pub(super) Vec<Box<dyn Deliver<S>>>);

impl<S: Service> Inboxes<S> {
    pub fn none() -> Inboxes<S> {
        Inboxes(Vec::new())
    }

    pub fn add<M: 'static>(&mut self, inbox: Inbox<M>)
    where
        S: Mail<M>,
    {
        self.0.push(Box::new(inbox));
    }

    /// How many there are that may bring something.
    pub fn count(&self) -> usize {
        self.0.iter().filter(|inbox| inbox.exists()).count()
    }
}

impl<S> fmt::Debug for Inboxes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Inboxes").field(&self.0.len()).finish()
    }
}
