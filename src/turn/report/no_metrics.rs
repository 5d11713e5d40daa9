//! What a monitor is told without the feature `metrics`.

use crate::{net::ConnId, service::Service, turn::Turn};

impl<S: Service> Turn<S> {
    pub(super) fn metrics(&mut self) -> String {
        "error: this program was built without the feature metrics".to_owned()
    }

    pub(super) fn answer_scrape(&mut self, _id: ConnId, _head_only: bool) {}
}
