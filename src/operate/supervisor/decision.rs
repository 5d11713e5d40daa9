//! What a watch is told, and what it decides that is to be done. Plain values.

use crate::system::{signal::Sender, signal_set::Signal};

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The process of the generation to be was made.
    Made { pid: u32 },
    /// The generation to be is gone, and has never served.
    NotMade { code: u8 },
    /// A generation says that it is main, and which process has made it.
    Serves { pid: u32, generation: u64, maker: Option<u32> },
    /// A generation says that it drains in favour of another.
    Retires { pid: u32 },
    /// A generation says that the service is to end in a while, in which it accepts.
    LameDuck { pid: u32 },
    /// A generation says that the service is to end.
    Leaves { pid: u32 },
    /// A generation lives no more.
    Gone { pid: u32 },
    /// How a process has ended: its exit status, or 128 and the number of the signal.
    Ended { pid: u32, code: u8 },
    /// A signal has come; `leave`: it is one that means the end of the service.
    Asked { signal: Signal, leave: bool, by: Sender },
    /// The service ends: another worker has said so, or this operator.
    End { by: Option<Sender> },
    /// The time has come that the watch has named.
    Due,
}

/// What is to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Make this generation.
    Make {
        generation: u64,
    },
    /// End the generation to be.
    Abandon,
    /// Pass the signal on to the generation to be.
    Prompt {
        signal: Signal,
        by: Sender,
    },
    /// Pass the signal on to this generation, or send one that nobody has sent.
    Forward {
        pid: u32,
        signal: Signal,
        by: Option<Sender>,
    },
    Kill {
        pid: u32,
    },
    /// Tell the generations that nobody else talks with to leave.
    Dismiss,
    /// End with this status.
    Exit {
        code: u8,
    },
}
