//! Monitors that ask by HTTP, in a build without the feature: there is no listener for them.

use crate::{net::ConnId, service::Service, turn::Turn};

impl<S: Service> Turn<S> {
    pub(super) fn serve_monitor(&mut self, _id: ConnId) {}
}
