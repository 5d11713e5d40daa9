//! A restart as this process takes part in it: what the state machine's actions do, and what the other side
//! says.
//!
//! `successor` makes the new process; `old` and `new` are the two sides of a restart, `lost` is a new side
//! without its old one, and `patience` how long they wait for each other; `copying` and `changes` are about
//! the state, on the old side, `loading` on the new one, `moving` about the connections that go along, `alarms`
//! about whose the alarms are, and `outcome` tells how it went. `in_memory` is a restart without processes.

mod alarms;
mod changes;
mod copying;
mod in_memory;
mod loading;
mod lost;
mod moving;
mod new;
mod old;
mod outcome;
mod patience;
mod successor;
