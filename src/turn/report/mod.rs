//! Who is told how this process is: an operator (`control`), the service manager (`manager`), the
//! supervisor (`supervised`). When something is said is decided elsewhere.

mod control;
mod manager;
mod supervised;
