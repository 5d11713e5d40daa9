//! A restart as this process takes part in it: what the state machine's actions do, and what the other side
//! says.
//!
//! `successor` makes the new process; `old` and `new` are the two sides of a restart, `child` is what a new one by fork
//! leaves to its parent, `lost` is a new side without its old one, and `patience` how long they wait for each other, `heard` what an old side makes of words;
//! `copying` and `changes` are about the state, on the old side, `loading` on the new one, `moving` about the
//! connections that go along, `alarms` about whose the alarms are, `tickets` about keys that all generations have, `hooks` what the service does around a fork.
//! `checkpoint` is what is kept for bad times.
//! `stderr` passes on what new programs say, and `outcome` tells how it went. `handing_back` and `taking_back` are a roll
//! back, of the new side and of the old one. `in_memory` is a restart without processes, and `twin` a fork of
//! one.

mod alarms;
mod changes;
mod checkpoint;
mod child;
mod copying;
mod handing_back;
mod heard;
mod hooks;
mod in_memory;
mod loading;
mod lost;
mod moving;
mod new;
mod old;
mod outcome;
mod patience;
mod prepare;
mod stderr;
mod successor;
mod taking_back;
mod tickets;
mod twin;
