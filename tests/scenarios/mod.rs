//! What a server must survive that restarts while it is used: situations that have ended the service of
//! others, by the numbers under which the project keeps them.
//!
//! | number | situation | where |
//! |---|---|---|
//! | 2 | a new program that is bad only after it is ready | `probation` |
//! | 3 | a fault at every step | `tests/faults.rs` |
//! | 8, 25 | a new side that hangs, an old one that does | `hung` |
//! | 9 | a slow reader at the deadline | `drain` |
//! | 10 | clients that never leave | `piling` |
//! | 12 | the program's file is replaced | `preflight` |
//! | 15, 22 | a hundred restarts; too few descriptors, no processes | `descriptors` |
//! | 17 | many requests at the same time | `triggers` |
//! | 18 | hundreds of listeners, some of the same name | `listeners` |
//! | 19 | a stop during a restart | `stop` |

mod descriptors;
mod drain;
mod hung;
mod listeners;
mod piling;
mod preflight;
mod probation;
mod stop;
mod triggers;
