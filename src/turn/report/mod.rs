//! Who is told how this process is: an operator (`control`, `check`), the service manager (`manager`), the
//! supervisor (`supervised`); and what there is to tell of descriptors that are none of ours (`inventory`). When something is said is decided elsewhere.

mod check;
mod control;
mod inventory;
mod manager;
mod supervised;
