//! A restart by fork that has not begun: the heap is being prepared for it.

use std::time::Instant;

use crate::{restart::engine::task::Task, system::huge::Collapse};

/// What is under way, and what comes after it.
#[derive(Debug)]
pub(in crate::turn) struct Preparation {
    pub collapse: Collapse,
    pub task: Task,
    pub begun: Instant,
    /// When it is ended, and the restart begins with what there is.
    pub overdue: Instant,
}
