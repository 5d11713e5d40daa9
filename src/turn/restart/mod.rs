//! A restart as this process takes part in it: what the state machine's actions do, and what the other side
//! says.
//!
//! `successor` makes the new process; `old` and `new` are the two sides of a restart, `lost` is a new side
//! without its old one, and `patience` how long they wait for each other, `heard` what an old side makes of words; `moving` is about the connections
//! that go along, `alarms` about whose the alarms are. `handing_back` and `taking_back` are a roll back, of the new
//! side and of the old one. `in_memory` is a restart without processes.

mod alarms;
mod handing_back;
mod heard;
mod in_memory;
mod lost;
mod moving;
mod new;
mod old;
mod patience;
mod successor;
mod taking_back;
